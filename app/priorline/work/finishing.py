"""Instances are finished while the next ones come: neither a stream nor an acknowledgement waits for that."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from priorline.archives.incoming import Announced, Incoming, Receiver

# So many whole instances wait in memory at most, beside the one that comes.
WAITING_MAX = 2


class Finishing:
    """A `Receiver` that calls each `finish` of another one in turn on a thread of its own; a `with` waits for all.

    `on_whole` is called with the SOP Instance UID of each that is whole, by whoever brings it.

    What a `finish` raises is raised from a later one, else at the end of the `with`, before anything else; what comes
    after it is dropped, and `has_failed` tells early.
    """

    def __init__(self, receiver: Receiver, on_whole: Callable[[str], None] = lambda _uid: None) -> None:
        self._receiver, self._on_whole = receiver, on_whole
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="finish")
        self._waiting: deque[Future[None]] = deque()
        self.has_failed = False

    def __call__(self, announced: Announced) -> Incoming:
        return _Handed(self._receiver(announced), announced.sop_instance_uid, self)

    def add(self, incoming: Incoming, sop_uid: str) -> None:
        """Finish this one too; waits while too many are waiting."""
        self._on_whole(sop_uid)
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


class _Handed:
    def __init__(self, incoming: Incoming, sop_uid: str, finishing: Finishing) -> None:
        self._incoming, self._sop_uid, self._finishing = incoming, sop_uid, finishing
        self.room, self.filled, self.drop = incoming.room, incoming.filled, incoming.drop

    def finish(self) -> None:
        self._finishing.add(self._incoming, self._sop_uid)
