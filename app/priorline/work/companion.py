"""Beside a stream, whose order is the archive's own: by name, a sample of each series and what is looked at."""

import threading
from collections.abc import Callable, Collection

from priorline.domain.fetch_order import Batch, FetchOrder
from priorline.errors import ArchiveError

# A stream that has not ended so many seconds after the list came is worth to be accompanied.
PATIENCE = 0.5


class Companion:
    """Asks for a few images at a time, from when the list is there until the stream has ended.

    What it brings comes once more with the stream, where it changes nothing; the person who looks has it earlier.
    `come` has the SOP Instance UIDs that need not be asked for.
    """

    def __init__(self, come: Collection[str]) -> None:
        self._come = come
        self._wake = threading.Event()
        self.has_ended = self.has_failed = False

    def run(self, order: FetchOrder, ask: Callable[[Callable[[], Batch | None]], object]) -> None:
        """Call `ask` with what to fetch each time that something is due; comes back when the stream has ended.

        What `ask` raises is raised, and `has_failed` tells the stream.
        """
        self._wait(PATIENCE)
        try:
            while not self.has_ended:
                ask(lambda: order.few(self._come))
                self._wait()
        except ArchiveError:
            # The stream comes from there, too, and meets it by itself.
            return
        except BaseException:
            self.has_failed = True
            raise

    def wake(self) -> None:
        """Somebody looks at something else."""
        self._wake.set()

    def end(self) -> None:
        """The stream has ended."""
        self.has_ended = True
        self._wake.set()

    def _wait(self, seconds: float | None = None) -> None:
        if not self.has_ended:
            self._wake.wait(seconds)
            self._wake.clear()
