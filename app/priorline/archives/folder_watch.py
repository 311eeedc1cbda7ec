"""A folder read by another thread, step by step, as nothing interrupts a read on a drive or a share that hangs."""

import contextlib
import threading
import time
from collections.abc import Callable, Generator
from queue import Empty, SimpleQueue
from typing import TypeVar

from priorline.errors import ArchiveError, ArchiveTimedOut

# So many readings of one folder may hang before no more are begun.
READINGS_MAX = 8
LOOK_SECONDS = 0.05
Step = TypeVar("Step")


class Ended:
    """What comes when there are no more steps; `is_wrong` where they ended in a fault of this program."""

    def __init__(self, *, is_wrong: bool = False) -> None:
        self.is_wrong = is_wrong


class FolderWatch:
    """Readings of the folder that the user calls `name`; `start` runs something in a thread of its own."""

    def __init__(self, name: str, start: Callable[[Callable[[], None]], object]) -> None:
        self._name, self._start = name, start
        self._readings = threading.BoundedSemaphore(READINGS_MAX)

    def through(
        self, steps: Generator[Step, None, None], seconds: float, cancelled: Callable[[], bool]
    ) -> Generator[Step, None, None]:
        """The steps, one after another, each when it is asked for; fewer where `cancelled` becomes true.

        Raises what they raise, and ArchiveTimedOut where one takes more than `seconds`; it may then hang for ever.
        """
        if not self._readings.acquire(blocking=False):
            raise self._silent()
        wanted, taken = SimpleQueue[bool](), SimpleQueue[Step | ArchiveError | Ended]()
        self._start(lambda: self._run(steps, wanted, taken))
        try:
            while True:
                wanted.put(True)
                step = self._next(taken, time.monotonic() + seconds, cancelled)
                if isinstance(step, ArchiveError):
                    raise step
                if isinstance(step, Ended):
                    if step.is_wrong:
                        # The thread has told where, as any bug does.
                        raise RuntimeError("reading the folder failed")
                    return
                yield step
        finally:
            wanted.put(False)

    def _run(
        self,
        steps: Generator[Step, None, None],
        wanted: SimpleQueue[bool],
        taken: SimpleQueue[Step | ArchiveError | Ended],
    ) -> None:
        try:
            with contextlib.closing(steps):
                while wanted.get():
                    _take_step(steps, taken)
        finally:
            self._readings.release()

    def _next(
        self, taken: SimpleQueue[Step | ArchiveError | Ended], until: float, cancelled: Callable[[], bool]
    ) -> Step | ArchiveError | Ended:
        while True:
            try:
                return taken.get(timeout=LOOK_SECONDS)
            except Empty:
                if cancelled():
                    return Ended()
                if time.monotonic() > until:
                    raise self._silent() from None

    def _silent(self) -> ArchiveTimedOut:
        return ArchiveTimedOut(
            f"{self._name} does not answer: check the drive, or the network that the folder is on, and ask again."
        )


def _take_step(steps: Generator[Step, None, None], taken: SimpleQueue[Step | ArchiveError | Ended]) -> None:
    step: Step | ArchiveError | Ended = Ended(is_wrong=True)
    try:
        step = next(steps, Ended())
    except ArchiveError as problem:
        step = problem
    finally:
        taken.put(step)
