"""Instances are finished while the next ones come, where no acknowledgement waits for it."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from priorline.archives.incoming import Incoming

# So many whole instances wait in memory at most, beside the one that comes.
WAITING_MAX = 2


class Finishing:
    """Calls `Incoming.finish` in turn on a thread of its own; the end of a `with` waits for all.

    What a `finish` raises is raised from the next `add`, else at the end of the `with`, before anything else; what
    comes after it is dropped, and `has_failed` tells early.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="finish")
        self._waiting: deque[Future[None]] = deque()
        self.has_failed = False

    def add(self, incoming: Incoming) -> None:
        """Finish this one too; waits while too many are waiting."""
        self._waiting.append(self._pool.submit(self._finish, incoming))
        while len(self._waiting) > WAITING_MAX:
            self._waiting.popleft().result()

    def _finish(self, incoming: Incoming) -> None:
        if self.has_failed:
            incoming.drop()
            return
        is_done = False
        try:
            incoming.finish()
            is_done = True
        finally:
            self.has_failed = not is_done

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()
        for one in self._waiting:
            one.result()
