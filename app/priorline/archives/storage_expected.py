"""What may be stored with us, by whom, and its way from the connection to the retrieval that waits for it."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from priorline.archives.base import DicomPeer
from priorline.archives.incoming import Incoming, Receiver
from priorline.archives.tls import NO_TLS, Proof, ServerContext
from priorline.config import Tls
from priorline.errors import CacheFull

SUCCESS, NOT_AUTHORISED, OUT_OF_RESOURCES, DOES_NOT_MATCH, FAILED = 0, 0x0124, 0xA700, 0xA900, 0x0110


@dataclass(frozen=True, slots=True)
class Caller:
    """Who opened a connection, as far as it is known: from which address, proven how, under which AE title."""

    address: str
    proof: Proof | None = None
    ae_title: str | None = None


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

    `addresses` are those that the hospital sends from, `callers` its AE titles, `receiver` takes the instances; with
    a `context` it sends by TLS, and only so. A connection brings the next instance only when the one before is
    settled, so that a slow receiver slows the sender and the inbox stays short.
    """

    def __init__(
        self,
        peer: DicomPeer,
        study_uid: str,
        addresses: frozenset[str],
        receiver: Receiver,
        context: ServerContext | None = None,
    ) -> None:
        self.peer, self.study_uid, self.addresses = peer, study_uid, addresses
        self.receiver, self.context = receiver, context
        self.callers = frozenset(title.strip() for title in peer.sends_as or (peer.ae_title,))
        self.progressed = time.monotonic()
        self._inbox: SimpleQueue[Handover] = SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False

    @property
    def tls(self) -> Tls:
        """How its connections are encrypted and verified; nothing is wanted where they are in clear."""
        return self.context.settings if self.context else NO_TLS

    def admits(self, caller: Caller) -> bool:
        """Whether somebody may send, as far as it is known who that is."""
        return (
            caller.address in self.addresses
            and (caller.proof is None or caller.proof.binds(self.tls, (self.peer.host, *self.peer.sends_from)))
            and (caller.ae_title is None or caller.ae_title in self.callers)
        )

    def excludes(self, other: "Expected") -> bool:
        """Whether it could not be told which of both is calling, and so which certificate to show."""
        both_by_tls = self.tls.wanted and other.tls.wanted
        return both_by_tls and self.tls != other.tls and not self.addresses.isdisjoint(other.addresses)

    def progress(self) -> None:
        """Note that something useful came."""
        self.progressed = time.monotonic()

    def offer(self, handover: Handover) -> int:
        """Hand over an instance; the status to answer with, once the retrieval has taken it or has ended."""
        with self._closing:
            is_open = not self._closed
            if is_open:
                self._inbox.put(handover)
        if is_open:
            return handover.outcome()
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
            handover = self._inbox.get()
            handover.incoming.drop()
            handover.settle(NOT_AUTHORISED)
