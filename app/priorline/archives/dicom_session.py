"""One association with a peer: opened, used for one exchange, closed; every way of failing becomes a typed error."""

import struct
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.ae import ApplicationEntity
from pynetdicom.dimse_primitives import C_ECHO, C_FIND, C_GET, C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.pdu_primitives import A_ASSOCIATE, A_RELEASE, P_DATA
from pynetdicom.presentation import PresentationContext, build_context, build_role
from pynetdicom.transport import AddressInformation

from priorline.archives.base import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, DicomPeer
from priorline.archives.sockets import PDU_LENGTH, WatchedAssociation
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
LAST_COMMAND_FRAGMENT = b"\x03"
C_STORE_RSP = 0x8001
NO_DATASET = 0x0101


class Cancelled(Exception):
    """The caller no longer wants the answer."""


class Session:
    """An established association for one exchange of messages; made by `associate`."""

    def __init__(self, peer: DicomPeer, association: WatchedAssociation, watch: Watch) -> None:
        self.peer = peer
        self.watch = watch
        self._association = association
        self._abandoned = False

    def limit_messages(self, length: int) -> None:
        """Bound the encoded dataset of each message to come, in bytes."""
        self._association.message_length_max = length

    def abandon(self) -> None:
        """Leave by abort, for a peer that does not stop sending (C-CANCEL is often ignored)."""
        self._abandoned = True

    def context(self, sop_class: str) -> PresentationContext:
        """The accepted presentation context of a service; raises ArchiveRefused when the peer accepted none."""
        for context in self._association.accepted_contexts:
            if context.abstract_syntax == sop_class:
                return context
        raise ArchiveRefused(f"{self.peer.name} does not offer “{UID(sop_class).name}” to us.")

    def storage_context(self, context_id: int) -> PresentationContext | None:
        """The accepted presentation context with this number."""
        found: PresentationContext | None = self._association._accepted_cx.get(context_id)
        return found

    def send(self, message: Any, context: PresentationContext, identifier: Dataset | None = None) -> None:
        """Send a DIMSE message; `identifier` is encoded as the context demands."""
        if identifier is not None:
            syntax = context.transfer_syntax[0]
            encoded = encode(identifier, syntax.is_implicit_VR, syntax.is_little_endian)
            message.Identifier = BytesIO(encoded or b"")
        self._association.dimse.send_msg(message, context.context_id or 1)

    def accept(self, context_id: int, message: C_STORE) -> None:
        """Answer a C-STORE with success (PS3.7 9.3.1.2)."""
        # Encoded here, as the library takes longer over this answer than over the instance itself.
        command = _store_response(message)
        response = P_DATA()
        response.presentation_data_value_list = [[context_id, LAST_COMMAND_FRAGMENT + command]]  # type: ignore[list-item]
        self._association.dul.send_pdu(response)

    def receive(self) -> tuple[int, Any]:
        """The next message and the number of its context; raises ArchiveError, or Cancelled."""
        context_id, message = self._association.dimse.get_msg(block=True)
        if message is None:
            raise self.failure()
        if not isinstance(message, C_STORE) and not message.is_valid_response:
            raise ArchiveBroken(_broken(self.peer))
        return context_id or 0, message

    def waiting(self) -> bool:
        """Whether another message is already here."""
        return not self._association.dimse.msg_queue.empty()

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
    peer: DicomPeer,
    contexts: Sequence[PresentationContext],
    cancelled: Callable[[], bool] = lambda: False,
    storage: Iterable[str] = (),
) -> Iterator[Session]:
    """An association for the body of a `with`: released after it, aborted at once when the body raises.

    `storage` are the SOP classes that the peer may store with us in this association (C-GET).
    Raises ArchiveError, or Cancelled.
    """
    watch = Watch(cancelled)
    watch.phase(Fault.CONNECT_SILENT, peer.timeouts.connect)
    association = _prepared(peer, contexts, storage, watch)
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


def _prepared(
    peer: DicomPeer, contexts: Sequence[PresentationContext], storage: Iterable[str], watch: Watch
) -> WatchedAssociation:
    try:
        address = AddressInformation(peer.host, peer.port)
    except OSError as exc:
        raise ArchiveUnreachable(
            f"{peer.name} cannot be found: the host {peer.host} is unknown; check its address in the configuration."
        ) from exc
    entity = ApplicationEntity(peer.calling_ae_title)
    entity.acse_timeout = peer.timeouts.acse
    association = WatchedAssociation(entity, watch, address)
    association.acceptor.ae_title = peer.ae_title
    asking = association.requestor
    asking.ae_title = peer.calling_ae_title
    asking.maximum_length = PDU_LENGTH
    asking.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    asking.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    for sop_class in storage:
        asking.add_negotiation_item(build_role(UID(sop_class), scp_role=True))
    for number, context in enumerate(contexts):
        context.context_id = 2 * number + 1
    asking.requested_contexts = list(contexts)
    return association


def echo(peer: DicomPeer) -> float:
    """C-ECHO (PS3.7 9.1.5); milliseconds from connecting to the answer. Raises ArchiveError."""
    began = time.monotonic()
    verification = "1.2.840.10008.1.1"
    with associate(peer, [build_context(verification)]) as session:
        message = C_ECHO()
        message.MessageID = 1
        message.AffectedSOPClassUID = UID(verification)
        session.send(message, session.context(verification))
        _, answer = session.receive()
        elapsed = (time.monotonic() - began) * 1000
        if not isinstance(answer, C_ECHO) or answer.Status != 0:
            raise ArchiveRefused(f"{peer.name} answered, but refused the test of the connection.")
    return elapsed


def _store_response(message: C_STORE) -> bytes:
    uids = (str(message.AffectedSOPClassUID or ""), str(message.AffectedSOPInstanceUID or ""))
    sop_class, sop_instance = (uid.encode("ascii", "replace") + b"\0" * (len(uid) % 2) for uid in uids)
    elements = (
        (0x0002, sop_class),
        (0x0100, struct.pack("<H", C_STORE_RSP)),
        (0x0120, struct.pack("<H", message.MessageID or 0)),
        (0x0800, struct.pack("<H", NO_DATASET)),
        (0x0900, struct.pack("<H", 0)),
        (0x1000, sop_instance),
    )
    body = b"".join(struct.pack("<HHL", 0, number, len(value)) + value for number, value in elements)
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def request(kind: type[C_FIND] | type[C_GET], sop_class: str) -> Any:
    """A C-FIND or C-GET request of medium priority."""
    message = kind()
    message.MessageID = 1
    message.AffectedSOPClassUID = UID(sop_class)
    message.Priority = 0
    return message


def refused_status(peer: DicomPeer, status: int, act: str) -> ArchiveRefused:
    """The error for a failure status (PS3.7 annex C, PS3.4 C.4); `act` such as "the search"."""
    reasons = {0xA7: "it is out of resources", 0xA8: "it does not know the destination"}
    reason = reasons.get(status >> 8, "it could not process the request")
    if status == 0x0124:
        reason = "we are not authorised"
    return ArchiveRefused(f"{peer.name} refused {act}: {reason} (status {status:04X}).")


def _refusal(peer: DicomPeer, answer: A_ASSOCIATE | None) -> ArchiveRefused | None:
    if answer is None or (answer.result == 0 and not answer.presentation_context_definition_results_list):
        return None
    if answer.result == 0:
        return ArchiveRefused(f"{peer.name} offers none of the services that we asked for.")
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
    if watch.fault is Fault.UNREACHABLE:
        return ArchiveUnreachable(f"{name} cannot be reached at {where}; check the network and whether it runs.")
    silences = {
        Fault.CONNECT_SILENT: f"{name} did not answer at {where} within {limits.connect:g} s; check the network.",
        Fault.ACSE_SILENT: f"{name} took the connection, but said nothing for {limits.acse:g} s; try again later.",
        Fault.STALLED: f"{name} stopped answering: nothing came for {limits.progress:g} s; try again later.",
        Fault.TOO_SLOW: f"{name} did not finish its answer within {limits.query:g} s; try again later.",
    }
    if watch.fault in silences:
        return ArchiveTimedOut(silences[watch.fault])
    return ArchiveBroken(_broken(peer))


def _broken(peer: DicomPeer) -> str:
    return f"{peer.name} broke off the connection or sent what DICOM does not allow; try again, then ask its IT."
