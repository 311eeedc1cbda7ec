"""Between the window and its helpers: requests go down, events come up as Qt signals on the GUI thread."""

import itertools
import os
import threading
import time
from collections import deque
from pathlib import Path

from PySide6.QtCore import QObject, Qt, QTimer, Signal

from priorline.config import Settings
from priorline.work.decoders import Answer, Decoders, Wish
from priorline.work.helper import Helper
from priorline.work.messages import (
    Cancel,
    CloseStudy,
    Configure,
    Event,
    Prefer,
    Request,
    Ticket,
    decode_courier_event,
)
from priorline.work.right_of_way import RightOfWay

SLICE_SECONDS = 0.003
"""So long the window hears events without a break; a study that has just come whole is a hundred of them at once."""


class Bridge(QObject):
    """The one door of the window to what runs outside it; every method returns at once.

    `heard` has the courier's events in their order, on the window's thread.
    """

    heard = Signal(object)
    frame = Signal(int, object)
    _rung = Signal()

    def __init__(
        self, settings: Settings, cache_directory: Path, state_directory: Path, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._numbers = itertools.count(1)
        self._inbox: deque[Event] = deque()
        self._is_rung = threading.Event()
        self._again = QTimer(self)
        self._again.setSingleShot(True)
        self._again.timeout.connect(self._hear_some)
        self._rung.connect(self._hear_some, Qt.ConnectionType.QueuedConnection)
        self._way = RightOfWay()
        way = self._way.descriptor
        greeting = Configure(0, settings, str(cache_directory), str(state_directory), way)
        inherited = () if way is None else (way,)
        self._courier = Helper(
            "priorline.work.courier", decode_courier_event, self._heard, greeting, inherited=inherited
        )
        decoders = max(1, min(3, (os.cpu_count() or 2) - 1))
        self._decoders = Decoders(decoders, self._decoded)

    def next_number(self) -> int:
        """A number that no request had before."""
        return next(self._numbers)

    def send(self, request: Request) -> None:
        """Ask the courier; the answers are `heard` signals with the request's number."""
        self._courier.send(request)

    def cancel(self, number: int) -> None:
        """Tell the courier that nobody wants this request any more."""
        self._courier.tell(Cancel(number))

    def prefer(self, study_uid: str, series_uid: str, sop_uid: str) -> None:
        """Tell the courier that somebody looks at this image of a study that is being fetched."""
        self._courier.tell(Prefer(self.next_number(), study_uid, series_uid, sop_uid))

    def close_study(self, study_uid: str) -> None:
        """Tell the courier that a pane does not show this study any more."""
        self._courier.tell(CloseStudy(self.next_number(), study_uid))

    def want_frame(self, key: str, ticket: Ticket, frame: int) -> int:
        """Ask for pixels that somebody looks for; a newer wish under `key` replaces an older one."""
        number = self.next_number()
        self._decoders.want(key, Wish(number, ticket, frame))
        return number

    def want_frame_later(self, key: str, ticket: Ticket, frame: int) -> int:
        """Ask for pixels that may be looked for next."""
        number = self.next_number()
        self._decoders.want_later(key, Wish(number, ticket, frame))
        return number

    def forget_later(self) -> None:
        """Nobody will look for what was asked for by `want_frame_later`."""
        self._decoders.forget_later()

    def image_is_due(self) -> None:
        """Somebody waits for an image to be painted: what is being fetched may wait so long."""
        self._way.take()

    def image_is_painted(self) -> None:
        """Nobody waits any more."""
        self._way.leave()

    def helper_pids(self) -> tuple[int, ...]:
        """Process numbers of courier and decoders."""
        return (self._courier.pid, *self._decoders.pids)

    def close(self) -> None:
        """End all helpers."""
        self._decoders.close()
        self._courier.close()
        self._way.close()
        self._inbox.clear()

    def _heard(self, event: Event) -> None:
        """From the reader's thread; Qt queues the ringing to the window's."""
        self._inbox.append(event)
        if not self._is_rung.is_set():
            self._is_rung.set()
            self._rung.emit()

    def _hear_some(self) -> None:
        # Before looking, so that what comes after the last look rings anew.
        self._is_rung.clear()
        until = time.perf_counter() + SLICE_SECONDS
        while self._inbox:
            self.heard.emit(self._inbox.popleft())
            if time.perf_counter() >= until:
                self._again.start(0)
                return

    def _decoded(self, number: int, answer: Answer) -> None:
        self.frame.emit(number, answer)
