"""When an association is over: cancellation and deadlines in one place, asked by every thread that waits."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto

from priorline.errors import ArchiveError

# Less than this in a whole no-progress interval is a trickle, not progress.
PROGRESS_BYTES = 16384


class Fault(Enum):
    """Why an association ended before its work was done."""

    CANCELLED = auto()
    UNREACHABLE = auto()
    CONNECT_SILENT = auto()
    TLS_SILENT = auto()
    NOT_ENCRYPTED = auto()
    ACSE_SILENT = auto()
    STALLED = auto()
    TOO_SLOW = auto()
    BROKEN = auto()
    CLOSED = auto()


class Watch:
    """Cancellation and deadlines of one association; asked by every thread that waits on it.

    The first fault stays, with the `error` that was given for it. `check` is to be called at least every 50 ms by
    whoever waits.
    """

    def __init__(self, cancelled: Callable[[], bool]) -> None:
        self.fault: Fault | None = None
        self.error: ArchiveError | None = None
        self._cancelled = cancelled
        self._bytes = 0
        self._held = False
        self.phase(Fault.STALLED, float("inf"))

    def phase(self, silence: Fault, stall: float, whole: float = float("inf")) -> None:
        """Begin a phase: `stall` seconds without progress end in the fault `silence`, `whole` bounds it all."""
        self._silence, self._stall = silence, stall
        self._progressed = time.monotonic()
        self._deadline = self._progressed + whole

    def expect(self, silence: Fault) -> None:
        """Say what silence means from here on; the clocks of the phase run on."""
        self._silence = silence

    def progress(self) -> None:
        """Note that something useful came."""
        self._progressed, self._bytes = time.monotonic(), 0

    def remaining(self) -> float:
        """Seconds until the end of the whole, for a phase that is a part of it."""
        return self._deadline - time.monotonic()

    def count(self, received: int) -> None:
        """Note received bytes; enough of them are progress."""
        self._bytes += received
        if self._bytes >= PROGRESS_BYTES:
            self.progress()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Stop the clocks while we, not the archive, take our time."""
        began, self._held = time.monotonic(), True
        try:
            yield
        finally:
            self._deadline += time.monotonic() - began
            self.progress()
            self._held = False

    def fail(self, fault: Fault, error: ArchiveError | None = None) -> None:
        """Record why it ended."""
        if self.fault is None:
            self.fault, self.error = fault, error

    def resume(self, silence: Fault, whole: float) -> None:
        """Go on for so many seconds, after a cancellation and whatever is cancelled: there is a goodbye to say."""
        self.fault, self._cancelled = None, lambda: False
        self.phase(silence, whole, whole)

    def check(self) -> bool:
        """Whether waiting may go on."""
        if self.fault is None:
            now = time.monotonic()
            if self._cancelled():
                self.fail(Fault.CANCELLED)
            elif not self._held and now > self._deadline:
                self.fail(Fault.TOO_SLOW)
            elif not self._held and now - self._progressed > self._stall:
                self.fail(self._silence)
        return self.fault is None
