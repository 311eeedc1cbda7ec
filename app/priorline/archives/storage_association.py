"""pynetdicom's association as acceptor, driven by the one thread that serves its connection, under a watch."""

import socket
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import Any

from pydicom.uid import UID
from pynetdicom._globals import MODE_ACCEPTOR, MODE_REQUESTOR
from pynetdicom.acse import ACSE
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import ServiceUser
from pynetdicom.dimse_primitives import C_ECHO
from pynetdicom.pdu_primitives import A_ASSOCIATE, A_RELEASE
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.transport import AddressInformation, AssociationSocket

from priorline.archives.base import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, DicomPeer
from priorline.archives.dicom_get import COMPRESSED, UNCOMPRESSED
from priorline.archives.dicom_messages import COMMAND, store_response
from priorline.archives.dicom_session import VERIFICATION
from priorline.archives.incoming import Incoming
from priorline.archives.inflow import StoreRequest, Torn
from priorline.archives.sockets import PDU_LENGTH, POLL, READ_AHEAD, WatchedSocket
from priorline.archives.upper_layer import WatchedAssociation
from priorline.archives.watch import Watch

STANDARD, STORAGE = "1.2.840.10008.", "1.2.840.10008.5.1.4.1.1."
SYNTAXES = frozenset((*UNCOMPRESSED, *COMPRESSED))
LOCAL_LIMIT = (2, 3, 2)
# Who it is, and whether by TLS, is settled before there is an association; the socket has nothing to judge.
CALLER = DicomPeer("", "", "", 0, "")
PARTING_SECONDS = 0.5


class AcceptedSocket(WatchedSocket):
    """A transport connection that a peer opened."""

    def __init__(self, assoc: "AcceptedAssociation", watch: Watch, sock: socket.socket) -> None:
        self._watch, self._peer, self._ahead, self._heard = watch, CALLER, bytearray(), True
        sock.settimeout(POLL)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        AssociationSocket.__init__(self, assoc, client_socket=sock)

    def part(self) -> None:
        """Let the peer read the last answer and hang up first, if it does so soon (PS3.8 9.2, Sta13)."""
        sock, until = self.socket, time.monotonic() + PARTING_SECONDS
        with suppress(OSError):
            while sock is not None and time.monotonic() < until:
                with suppress(TimeoutError):
                    if not sock.recv(READ_AHEAD):
                        break
        self._shutdown_socket()
        self.socket = None


class AcceptedAssociation(WatchedAssociation):
    """An association that a peer asks for, to store instances with us; ended by `close`."""

    transport: AcceptedSocket

    def __init__(self, ae_title: str, sock: socket.socket, watch: Watch) -> None:
        self._prepare(watch)
        self.mode = MODE_ACCEPTOR
        self._ae = ApplicationEntity(ae_title)
        self._ae.require_called_aet = True
        self.acse = ACSE(self)
        self.requestor, self.acceptor = ServiceUser(self, MODE_REQUESTOR), ServiceUser(self, MODE_ACCEPTOR)
        # Told to handlers of the library's events, of which there are none.
        self.requestor.address_info = self.acceptor.address_info = AddressInformation("127.0.0.1", 0)
        self.acceptor.ae_title, self.acceptor.maximum_length = ae_title, PDU_LENGTH
        self.acceptor.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
        self.acceptor.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        self.transport = AcceptedSocket(self, watch, sock)
        self.set_socket(self.transport)

    def await_request(self) -> A_ASSOCIATE | None:
        """The peer's A-ASSOCIATE-RQ; None where it does not ask, or not as the protocol has it."""
        primitive: Any = self.dul.receive_pdu(wait=True)
        if not isinstance(primitive, A_ASSOCIATE):
            return None
        self.requestor.primitive = primitive
        return primitive

    def negotiate(self, request: A_ASSOCIATE, callers: Collection[str]) -> bool:
        """Accept the request for storage, or reject it where it is not for us or of none of the `callers`."""
        self._ae.require_calling_aet = list(callers)
        self.acceptor.supported_contexts = _supported(request.presentation_context_definition_list)
        self.acse.negotiate_association()
        return self.is_established

    def reject_for_now(self) -> None:
        """Say that there are too many associations (PS3.8 9.3.4)."""
        self.acse.send_reject(*LOCAL_LIMIT)

    def receive(self) -> tuple[int, Any] | None:
        """The next message and the number of its context; None at the end, a release is answered."""
        context_id, message = self.dimse.get_msg(block=True)
        if message is not None:
            return context_id or 0, message
        if isinstance(self.dul.peek_next_pdu(), A_RELEASE):
            self.acse.send_release(is_response=True)
            self.transport.part()
        return None

    def context(self, context_id: int) -> PresentationContext | None:
        """The accepted presentation context with this number."""
        return self._accepted_cx.get(context_id)

    def store_with(self, begin: Callable[[PresentationContext, StoreRequest], Incoming]) -> None:
        """Say what takes an instance that the peer stores with us."""

        def begin_in(context_id: int, asked: StoreRequest) -> Incoming:
            context = self.context(context_id)
            if context is None:
                raise Torn("an instance in a context that was not agreed on")
            return begin(context, asked)

        self.receive_into(begin_in)

    def answer_store(self, context_id: int, asked: StoreRequest, status: int) -> None:
        """Answer a C-STORE (PS3.7 9.3.1.2)."""
        self.send_data(context_id, COMMAND, store_response(asked, status))

    def answer_echo(self, context_id: int, message: C_ECHO) -> None:
        """Answer a C-ECHO (PS3.7 9.3.5.2)."""
        answer = C_ECHO()
        answer.MessageIDBeingRespondedTo = message.MessageID
        answer.AffectedSOPClassUID = UID(VERIFICATION)
        answer.Status = 0
        self.dimse.send_msg(answer, context_id)


def _supported(proposed: Iterable[PresentationContext]) -> list[PresentationContext]:
    """What we take of what is proposed, in the order of the peer, which knows what it has stored."""
    taken: dict[UID, dict[UID, None]] = {}
    for context in proposed:
        name = context.abstract_syntax or UID("")
        if name.startswith(STORAGE) or name == VERIFICATION or not name.startswith(STANDARD):
            ours = {syntax: None for syntax in context.transfer_syntax if syntax in SYNTAXES}
            taken.setdefault(name, {}).update(ours)
    return [build_context(name, list(syntaxes)) for name, syntaxes in taken.items() if syntaxes]
