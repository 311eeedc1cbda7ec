"""Instances are finished while the next ones come: neither a stream nor an acknowledgement waits for that."""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from priorline.archives.incoming import Announced, Incoming, Receiver

# So many whole instances wait in memory at most, beside the one that comes.
WAITING_MAX = 2


class Finishing:
    """A `Receiver` that calls each `finish` of another one in turn on a thread of its own; a `with` waits for all.

    `on_whole` is called with the SOP Instance UID of each that is whole, by whoever brings it.

    What a `finish` raises is raised where the next one is brought, else at the end of the `with`, before anything
    else; what comes after it is dropped, and `has_failed` tells early.
    """

    def __init__(self, receiver: Receiver, on_whole: Callable[[str], None] = lambda _uid: None) -> None:
        self._receiver, self._on_whole = receiver, on_whole
        # Not futures, which take several times as long as this for each instance.
        self._coming, self._room = SimpleQueue[Incoming | None](), SimpleQueue[None]()
        for _ in range(WAITING_MAX):
            self._room.put(None)
        self._thread = threading.Thread(target=self._finish_all, name="finish")
        self._problem: BaseException | None = None
        self._is_raised = False
        self.has_failed = False

    def __call__(self, announced: Announced) -> Incoming:
        return _Handed(self._receiver(announced), announced.sop_instance_uid, self)

    def add(self, incoming: Incoming, sop_uid: str) -> None:
        """Finish this one too; waits while too many are waiting."""
        self._on_whole(sop_uid)
        self._coming.put(incoming)
        self._room.get()
        self._raise_once()

    def _finish_all(self) -> None:
        while (incoming := self._coming.get()) is not None:
            try:
                self._finish(incoming)
            except BaseException as problem:  # noqa: BLE001 - raised where it is waited for
                # The first one counts.
                self._problem = self._problem or problem
            # What is whole in the cache does not stay in memory until the next one comes.
            del incoming
            self._room.put(None)

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

    def _raise_once(self) -> None:
        if self._problem is not None and not self._is_raised:
            self._is_raised = True
            raise self._problem

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._coming.put(None)
        self._thread.join()
        self._raise_once()


class _Handed:
    def __init__(self, incoming: Incoming, sop_uid: str, finishing: Finishing) -> None:
        self._incoming, self._sop_uid, self._finishing = incoming, sop_uid, finishing
        self.room, self.filled, self.drop = incoming.room, incoming.filled, incoming.drop

    def finish(self) -> None:
        self._finishing.add(self._incoming, self._sop_uid)
