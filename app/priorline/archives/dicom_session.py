"""One association with a peer: opened, used for one exchange, closed; every way of failing becomes a typed error."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pydicom.uid import UID
from pynetdicom.dimse_primitives import C_CANCEL, C_ECHO
from pynetdicom.pdu_primitives import A_ASSOCIATE, A_RELEASE
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.transport import AddressInformation

from priorline.archives.base import DicomPeer
from priorline.archives.dicom_messages import COMMAND, DATASET, MESSAGE_ID, data_pdus, store_response
from priorline.archives.inflow import Begin, StoreRequest
from priorline.archives.upper_layer import Proposal, WatchedAssociation
from priorline.archives.watch import Fault, Watch
from priorline.errors import (
    ArchiveBroken,
    ArchiveError,
    ArchiveRefused,
    ArchiveTimedOut,
    ArchiveUnreachable,
)

RELEASE_SECONDS = 2.0
PENDING = (0xFF00, 0xFF01)
CANCELLED = 0xFE00
# SOP class not supported, unrecognised operation (PS3.7 annex C).
NOT_OFFERED = (0x0122, 0x0211)
VERIFICATION = "1.2.840.10008.1.1"


class Cancelled(Exception):
    """The caller no longer wants the answer."""


class NotOffered(ArchiveRefused):
    """The archive said no to this service, not to us: another one may do."""


class Session:
    """An established association for one exchange of messages; made by `associate`."""

    def __init__(self, peer: DicomPeer, association: WatchedAssociation, watch: Watch) -> None:
        self.peer = peer
        self.watch = watch
        self._association = association
        self._abandoned = False

    def abandon(self) -> None:
        """Leave by abort, for a peer that does not stop sending (C-CANCEL is often ignored)."""
        self._abandoned = True

    def context(self, sop_class: str) -> PresentationContext:
        """The accepted presentation context of a service.

        Raises ArchiveRefused when the peer accepted none, ArchiveBroken when with a transfer syntax of its own.
        """
        for context in self._association.accepted_contexts:
            if context.abstract_syntax == sop_class:
                if not self._association.was_proposed(context):
                    raise ArchiveBroken(_broken(self.peer))
                return context
        raise NotOffered(f"{self.peer.name} does not offer “{UID(sop_class).name}” to us.")

    def storage_context(self, context_id: int) -> PresentationContext | None:
        """The accepted presentation context with this number."""
        found: PresentationContext | None = self._association._accepted_cx.get(context_id)
        return found

    def agreed(self, sop_class: str, transfer_syntax: str) -> PresentationContext | None:
        """The accepted presentation context of exactly this SOP class and transfer syntax."""
        accepted: list[PresentationContext] = self._association.accepted_contexts
        for context in accepted:
            # What was not proposed is no agreement, whatever the peer says.
            if context.abstract_syntax == sop_class and context.transfer_syntax[:1] == [transfer_syntax]:
                return context if self._association.was_proposed(context) else None
        return None

    def ask(self, command: bytes, context: PresentationContext, identifier: bytes) -> None:
        """Send an encoded request and its identifier, encoded as the context demands."""
        self._association.send_data(context.context_id or 1, COMMAND, command)
        self._association.send_data(context.context_id or 1, DATASET, identifier)

    def receive_into(self, begin: Begin) -> None:
        """Say where the datasets of the instances to come go; what `begin` raises is raised by `receive`."""
        self._association.receive_into(begin)

    def limit_unsent(self, length: int) -> None:
        """Let the system keep no more bytes than these unsent, so that a slow line is seen to make progress."""
        sock = self._association.transport.socket
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, length)

    def send_object(self, command: bytes, context: PresentationContext, dataset: bytes) -> None:
        """Send an encoded request with an object of any size; each piece that the peer takes is progress."""
        number, length = context.context_id or 1, self._association.dimse.maximum_pdu_size
        self._association.send_data(number, COMMAND, command)
        for pdu in data_pdus(number, DATASET, dataset, length):
            if not (self.watch.check() and self._association.is_established):
                return
            self._association.transport.send(pdu)
            self.watch.progress()

    def accept(self, context_id: int, asked: StoreRequest) -> None:
        """Answer a C-STORE with success (PS3.7 9.3.1.2)."""
        self._association.send_data(context_id, COMMAND, store_response(asked))

    def cancel(self, context: PresentationContext) -> None:
        """Send a C-CANCEL of what was asked (PS3.7 9.3.2.3)."""
        message = C_CANCEL()
        message.MessageIDBeingRespondedTo = MESSAGE_ID
        self._association.dimse.send_msg(message, context.context_id or 1)

    def echo(self) -> Any:
        """Send a C-ECHO (PS3.7 9.1.5); the answer."""
        message = C_ECHO()
        message.MessageID = 1
        message.AffectedSOPClassUID = UID(VERIFICATION)
        self._association.dimse.send_msg(message, self.context(VERIFICATION).context_id or 1)
        return self.receive()[1]

    def receive(self) -> tuple[int, Any]:
        """The next message and the number of its context; raises ArchiveError, or Cancelled."""
        context_id, message = self._association.dimse.get_msg(block=True)
        if message is None:
            raise self.failure()
        if not isinstance(message, StoreRequest) and not message.is_valid_response:
            raise ArchiveBroken(_broken(self.peer))
        return context_id or 0, message

    def waiting(self) -> bool:
        """Whether another message is already here."""
        return self._association.message_waits()

    def is_readable(self) -> bool:
        """Whether the archive has sent something more, or hung up; waits for nothing."""
        return self._association.transport.is_readable()

    def ends(self) -> tuple[str, str]:
        """The IP addresses of our end of the connection and of the archive's."""
        sock = self._association.transport.socket
        if sock is None:
            raise ArchiveBroken(_broken(self.peer))
        return sock.getsockname()[0], sock.getpeername()[0]

    def failure(self) -> ArchiveError | Cancelled:
        """Why the association ended, as an exception to raise."""
        return _failure(self.peer, self.watch)

    def release(self) -> None:
        """End in good order (PS3.8 7.2), without insisting on it."""
        if self._abandoned:
            return
        self.watch.phase(Fault.CLOSED, RELEASE_SECONDS)
        self._association.acse.send_release(is_response=False)
        while True:
            answer: Any = self._association.dul.receive_pdu(wait=True)
            if not (isinstance(answer, A_RELEASE) and answer.result is None):
                return
            self._association.acse.send_release(is_response=True)


@contextmanager
def associate(
    peer: DicomPeer, proposal: Proposal, cancelled: Callable[[], bool] = lambda: False
) -> Iterator[Session]:
    """An association for the body of a `with`: released after it, aborted at once when the body raises.

    Raises ArchiveError, or Cancelled.
    """
    watch = Watch(cancelled)
    watch.phase(Fault.CONNECT_SILENT, peer.timeouts.connect)
    association = WatchedAssociation(peer, proposal, watch, _address(peer))
    try:
        association.request()
        if not association.is_established:
            raise _refusal(peer, association.acceptor.primitive) or _failure(peer, watch)
        session = Session(peer, association, watch)
        watch.phase(Fault.STALLED, peer.timeouts.progress)
        yield session
        session.release()
    finally:
        association.close()


def _address(peer: DicomPeer) -> AddressInformation:
    try:
        return AddressInformation(peer.host, peer.port)
    except OSError as exc:
        raise ArchiveUnreachable(
            f"{peer.name} cannot be found: the host {peer.host} is unknown; check its address in the configuration."
        ) from exc


def echo(peer: DicomPeer) -> float:
    """C-ECHO (PS3.7 9.1.5); milliseconds from connecting to the answer. Raises ArchiveError."""
    began = time.monotonic()
    with associate(peer, Proposal([build_context(VERIFICATION)])) as session:
        answer = session.echo()
        elapsed = (time.monotonic() - began) * 1000
        if not isinstance(answer, C_ECHO) or answer.Status != 0:
            raise ArchiveRefused(f"{peer.name} answered, but refused the test of the connection.")
    return elapsed


def refused_status(peer: DicomPeer, status: int, act: str) -> ArchiveRefused:
    """The error for a failure status (PS3.7 annex C, PS3.4 C.4); `act` such as "the search"."""
    reasons = {0xA7: "it is out of resources", 0xA8: "it does not know the destination"}
    reason = reasons.get(status >> 8, "it could not process the request")
    if status == 0x0124:
        reason = "we are not authorised"
    if status in NOT_OFFERED:
        return NotOffered(f"{peer.name} does not offer what {act} needs (status {status:04X}).")
    return ArchiveRefused(f"{peer.name} refused {act}: {reason} (status {status:04X}).")


def _refusal(peer: DicomPeer, answer: A_ASSOCIATE | None) -> ArchiveRefused | None:
    if answer is None or (answer.result == 0 and not answer.presentation_context_definition_results_list):
        return None
    if answer.result == 0:
        return NotOffered(f"{peer.name} offers none of the services that we asked for.")
    ours, theirs = peer.calling_ae_title, peer.ae_title
    reasons = {
        (1, 3): f"it does not know our AE title {ours}; ask its IT department to add it",
        (1, 7): f"it does not answer to the AE title {theirs}; check it in the configuration",
        (3, 1): "it is too busy now; try again later",
        (3, 2): "it allows no more connections now; try again later",
    }
    reason = reasons.get((answer.result_source or 0, answer.diagnostic or 0), "it gave no reason that we know")
    return ArchiveRefused(f"{peer.name} refused the connection: {reason}.")


def _failure(peer: DicomPeer, watch: Watch) -> ArchiveError | Cancelled:
    name, where, limits = peer.name, f"{peer.host}, port {peer.port}", peer.timeouts
    if watch.fault is Fault.CANCELLED:
        return Cancelled()
    if watch.error is not None:
        return watch.error
    if watch.fault is Fault.UNREACHABLE:
        return ArchiveUnreachable(f"{name} cannot be reached at {where}; check the network and whether it runs.")
    silences = {
        Fault.CONNECT_SILENT: f"{name} did not answer at {where} within {limits.connect:g} s; check the network.",
        Fault.TLS_SILENT: f"{name} agreed on no encryption within {limits.acse:g} s; check that its port speaks TLS.",
        Fault.ACSE_SILENT: f"{name} took the connection, but said nothing for {limits.acse:g} s; try again later.",
        Fault.STALLED: f"{name} stopped answering: nothing came for {limits.progress:g} s; try again later.",
        Fault.TOO_SLOW: f"{name} did not finish its answer within {limits.query:g} s; try again later.",
    }
    if watch.fault in silences:
        return ArchiveTimedOut(silences[watch.fault])
    return ArchiveBroken(_broken(peer))


def _broken(peer: DicomPeer) -> str:
    return f"{peer.name} broke off the connection or sent what DICOM does not allow; try again, then ask its IT."
