"""When work that can wait is done: between two images where somebody scrolls, at once where nobody does."""

import time
from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer

SCROLLING_SECONDS = 0.2
"""Who asked for an image so short a time ago probably asks for the next."""
LONGEST_MILLISECONDS = 250
"""What waits is due after this time, whatever is painted."""


class Lull(QObject):
    """One act at a time, right after an image that somebody scrolled to was painted: the next one is not due then.

    `clock` gives seconds that only grow.
    """

    def __init__(self, parent: QObject, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(parent)
        self._clock = clock
        self._scrolling_until = 0.0
        self._scrolled: object = None
        self._waiting: dict[Callable[[], None], float] = {}
        self._turn = QTimer(self)
        self._turn.setSingleShot(True)
        self._turn.timeout.connect(self._do_one)

    def scrolled(self, pane: object) -> None:
        """Somebody asked for another image in this pane."""
        self._scrolled = pane
        self._scrolling_until = self._clock() + SCROLLING_SECONDS

    def painted(self, pane: object) -> None:
        """What this pane shows is on the screen; any other pane than the one that is scrolled does not matter."""
        if self._waiting and pane is self._scrolled:
            self._turn.start(0)

    def call(self, act: Callable[[], None]) -> None:
        """Do this in a lull; asked for again before it was done, it is done once."""
        self._waiting.setdefault(act, self._clock())
        if not self._turn.isActive():
            self._wait()

    def forget(self, act: Callable[[], None]) -> None:
        """This is not to be done any more."""
        self._waiting.pop(act, None)

    def _do_one(self) -> None:
        if not self._waiting:
            return
        act = next(iter(self._waiting))
        del self._waiting[act]
        # Before the act, since that may fail.
        if self._waiting:
            self._wait()
        act()

    def _wait(self) -> None:
        now, oldest = self._clock(), next(iter(self._waiting.values()))
        left = round((oldest - now) * 1000) + LONGEST_MILLISECONDS if now < self._scrolling_until else 0
        self._turn.start(max(left, 0))
