"""What may be stored with us, by whom, and its way from the connection to the retrieval that waits for it."""

import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

from priorline.archives.base import DicomPeer
from priorline.archives.incoming import Incoming, Receiver
from priorline.errors import CacheFull

SUCCESS, NOT_AUTHORISED, OUT_OF_RESOURCES, DOES_NOT_MATCH, FAILED = 0, 0x0124, 0xA700, 0xA900, 0x0110


class Handover:
    """One instance on its way; whoever brought it waits for the status to answer with."""

    def __init__(self, incoming: Incoming, status: int) -> None:
        self.incoming, self.status_if_taken = incoming, status
        self._status = NOT_AUTHORISED
        self._settled = threading.Event()

    def settle(self, status: int) -> None:
        """Say what became of it."""
        self._status = status
        self._settled.set()

    def outcome(self) -> int:
        """The status; waits for it."""
        self._settled.wait()
        return self._status


class Expected:
    """One open retrieval by C-MOVE: what it waits for, from whom, and its inbox.

    `addresses` are those that the hospital sends from, `callers` its AE titles; `receiver` takes the instances. A connection brings the next instance
    only when the one before is settled, so that a slow receiver slows the sender and the inbox stays short.
    """

    def __init__(self, peer: DicomPeer, study_uid: str, addresses: frozenset[str], receiver: Receiver) -> None:
        self.peer, self.study_uid, self.addresses, self.receiver = peer, study_uid, addresses, receiver
        self.callers = frozenset(title.strip() for title in peer.sends_as or (peer.ae_title,))
        self.progressed = time.monotonic()
        self._inbox: SimpleQueue[Handover] = SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False

    def admits(self, address: str, caller: str | None = None) -> bool:
        """Whether somebody there may send, under this AE title once it is known."""
        return address in self.addresses and (caller is None or caller in self.callers)

    def progress(self) -> None:
        """Note that something useful came."""
        self.progressed = time.monotonic()

    def offer(self, handover: Handover) -> int:
        """Hand over an instance; the status to answer with, once the retrieval has taken it or has ended."""
        with self._closing:
            if not self._closed:
                self._inbox.put(handover)
                return self._outcome(handover)
        handover.incoming.drop()
        return NOT_AUTHORISED

    def take(self, finish: Callable[[Incoming], None], seconds: float) -> bool:
        """Give the next instance to `finish`, waiting at most so long for it; whether there was one.

        It is acknowledged only when `finish` returns; what that raises is raised here.
        """
        try:
            handover = self._inbox.get(timeout=seconds)
        except Empty:
            return False
        status = FAILED
        try:
            finish(handover.incoming)
            status = handover.status_if_taken
        except CacheFull:
            status = OUT_OF_RESOURCES
            raise
        finally:
            handover.settle(status)
            self.progress()
        return True

    def close(self) -> None:
        """Take nothing more; what waits is refused."""
        with self._closing:
            self._closed = True
        while not self._inbox.empty():
            self._inbox.get().settle(NOT_AUTHORISED)
