"""pynetdicom's association for the thread that asks: no second thread, nothing built or encoded twice.

A search opens an association for each hospital at the same moment. With the library's own threads, locks and
constructors each takes 7 ms of processor time, all under the interpreter's lock. Its state machine, PDUs, negotiation
and messages are what speaks here, too; only who steps them, and what they are made from, is replaced.
"""

import copy
import queue
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import pynetdicom
from pydicom.uid import UID
from pynetdicom.acse import ACSE
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association, ServiceUser
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import StateMachine
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, P_DATA
from pynetdicom.presentation import PresentationContext, build_role
from pynetdicom.transport import AddressInformation

from priorline.archives.base import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, DicomPeer
from priorline.archives.dicom_messages import MessageProvider, data_pdus
from priorline.archives.inflow import COMMAND_LENGTH_MAX, Begin, Inflow, StoreRequest, Torn, Unwanted
from priorline.archives.sockets import FOREIGN_FAULTS, PDU_LENGTH, WatchedSocket
from priorline.archives.translate import IDENTIFIER_LENGTH_MAX
from priorline.archives.watch import Fault, Watch
from priorline.errors import PriorlineError

PINNED = "3.0.4"
# Where an A-ASSOCIATE-RQ has the title of whom it calls (PS3.8 9.3.2).
CALLED_TITLE = slice(10, 26)
# Where data is transferred (PS3.8 9.2.1).
ESTABLISHED = "Sta6"
# What every association begins with: the library's constructors take longer than to connect and to agree.
_BLANK = Association(ApplicationEntity(), "requestor")


class UnsupportedLibrary(PriorlineError):
    """The installed pynetdicom is not the version of which parts are replaced here."""


class Proposal:
    """What is proposed to peers: presentation contexts and, in `storage`, the SOP classes they may store with us.

    Composed and encoded by the library for the first peer, and kept for those that are asked the same. A context of
    it is never changed, so one proposal serves several threads.
    """

    def __init__(self, contexts: Iterable[PresentationContext], storage: Iterable[str] = ()) -> None:
        self.contexts: Sequence[PresentationContext] = tuple(contexts)
        self._storage = tuple(storage)
        for number, context in enumerate(self.contexts):
            context.context_id = 2 * number + 1
        self._composed: dict[str, tuple[A_ASSOCIATE, bytes]] = {}

    def to(self, peer: DicomPeer, address: AddressInformation) -> tuple[A_ASSOCIATE, bytes]:
        """The request to one peer, and its PDU."""
        if peer.calling_ae_title not in self._composed:
            self._composed[peer.calling_ae_title] = self._compose(peer)
        general, encoded = self._composed[peer.calling_ae_title]
        request = copy.copy(general)
        request.called_ae_title, request.called_presentation_address = peer.ae_title, address
        pdu = bytearray(encoded)
        pdu[CALLED_TITLE] = peer.ae_title.ljust(16).encode("ascii")
        return request, bytes(pdu)

    def _compose(self, peer: DicomPeer) -> tuple[A_ASSOCIATE, bytes]:
        association = Association(ApplicationEntity(peer.calling_ae_title), "requestor")
        asking = association.requestor
        asking.ae_title, association.acceptor.ae_title = peer.calling_ae_title, peer.ae_title
        asking.maximum_length = PDU_LENGTH
        asking.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
        asking.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        asking.requested_contexts = list(self.contexts)
        for sop_class in self._storage:
            asking.add_negotiation_item(build_role(UID(sop_class), scp_role=True))
        asking.address_info = association.acceptor.address_info = _anywhere(is_ipv4=True)
        association.acse.send_request()
        request: Any = association.dul.to_provider_queue.get(block=False)
        return request, A_ASSOCIATE_RQ(request).encode()


@lru_cache(maxsize=2)
def _anywhere(is_ipv4: bool) -> AddressInformation:
    # Looking it up takes longer than to connect.
    return AddressInformation("" if is_ipv4 else "::", 0)


class _Line(queue.Queue[Any]):
    """A queue of the library for a single thread, without its four locks."""

    def __init__(self) -> None:
        self.queue = deque()

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        self.queue.append(item)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if not self.queue:
            raise queue.Empty
        return self.queue.popleft()


class _Inbox(_Line):
    """What came, for the thread that asks: to wait is to read from the peer, until that or the watch is over."""

    def __init__(self, provider: "_Provider", ended: Callable[[], bool] = lambda: False) -> None:
        super().__init__()
        self._provider, self._ended = provider, ended

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        while block and not self.queue and not self._ended() and self._provider.step():
            pass
        return super().get()


class _StateMachine(StateMachine):
    """The library's, but that action AE-2 (PS3.8 9.2.1) sends a request which is encoded already."""

    def do_action(self, event: str) -> None:
        if (event, self.current_state) != ("Evt2", "Sta4"):
            super().do_action(event)
            return
        self.dul.to_provider_queue.get()
        self.dul.assoc.send_proposal()  # type: ignore[attr-defined]
        self.transition("Sta5")


class _Negotiation(ACSE):
    """The library's, but that the request is composed already."""

    def send_request(self) -> None:
        """Hand it to the upper layer, which has then connected, or never will."""
        self.dul.send_pdu(self.requestor.primitive)  # type: ignore[arg-type]
        # The library waits for it, also where it was over before anything was connected.
        self.assoc.transport.settle()  # type: ignore[attr-defined]


class _Provider(DULServiceProvider):
    """The upper layer without a thread of its own: whoever sends or waits steps it.

    A thread for each side of a hundred associations would wake and wait for its other half all the time.
    """

    def __init__(self, assoc: "WatchedAssociation", watch: Watch) -> None:
        self.__dict__.update(_BLANK.dul.__dict__)
        self._assoc, self._watch = assoc, watch
        self.state_machine = _StateMachine(self)
        self.event_queue, self._recv_pdu, self.to_provider_queue = _Line(), _Line(), _Line()
        self.to_user_queue = _Inbox(self)
        self.inflow = Inflow(self._to_library, self._deliver)

    def _deliver(self, message: Any) -> None:
        self.assoc.dimse.msg_queue.put(message)

    def _to_library(self, primitive: P_DATA) -> None:
        self.assoc.dimse.receive_primitive(primitive)

    def start(self) -> None:
        self.assoc._dul_ready.set()

    def is_alive(self) -> bool:
        return not self._kill_thread

    def _read_pdu_data(self) -> None:
        """Data, which most PDUs are, is taken apart while it is read; the others are the library's."""
        transport: Any = self.socket
        try:
            is_data = self.state_machine.current_state == ESTABLISHED and transport.begins_with_data()
            if is_data:
                self.inflow.take(transport, transport.take_header())
                return
        except Torn as problem:
            self._watch.fail(Fault.CLOSED if isinstance(problem, Unwanted) else Fault.BROKEN)
            self.event_queue.put("Evt19")
            return
        except OSError:
            self.event_queue.put("Evt17")
            return
        super()._read_pdu_data()

    def send_pdu(self, primitive: Any) -> None:
        super().send_pdu(primitive)
        while self.to_provider_queue.queue and self.step():
            pass

    def step(self) -> bool:
        """Send one primitive, or wait for a PDU and take it; whether there is a next step."""
        if not self._watch.check() or self._kill_thread:
            return False
        try:
            if not self._process_recv_primitive():
                self._is_transport_event()
            while self.event_queue.queue and not self._kill_thread:
                self.state_machine.do_action(self.event_queue.get())
        except FOREIGN_FAULTS:
            self._watch.fail(Fault.BROKEN)
            self._kill_thread = True
        return not self._kill_thread


class WatchedAssociation(Association):
    """An association as requestor whose waits obey a watch; ended by `close`, never by pynetdicom itself.

    No thread of pynetdicom is started: the thread that asks sends, and reads the answers.
    """

    def __init__(self, peer: DicomPeer, proposal: Proposal, watch: Watch, address: AddressInformation) -> None:
        self._prepare(watch)
        self.acse = _Negotiation(self)
        self.transport = WatchedSocket(self, watch, peer, _anywhere(address.is_ipv4))
        self.set_socket(self.transport)
        self.requestor, self.acceptor = self._party(_BLANK.requestor), self._party(_BLANK.acceptor)
        self.acceptor.address_info = address
        self.requestor.requested_contexts = list(proposal.contexts)
        self.requestor.primitive, self._request = proposal.to(peer, address)

    def _prepare(self, watch: Watch) -> None:
        """What both sides of an association have; all but the transport and the parties."""
        if pynetdicom.__version__ != PINNED:
            raise UnsupportedLibrary(
                f"pynetdicom {pynetdicom.__version__} is installed, but only {PINNED} is supported."
            )
        self.__dict__.update(_BLANK.__dict__)
        self._watch = watch
        self.dul: _Provider = _Provider(self, watch)
        self.dimse = MessageProvider(self, _Inbox(self.dul, self._is_over))
        self.network_timeout = None

    def _party(self, blank: ServiceUser) -> ServiceUser:
        party = copy.copy(blank)
        party.assoc = self
        return party

    def send_proposal(self) -> None:
        """Send the request for this association."""
        self.transport.send(self._request)

    def was_proposed(self, accepted: PresentationContext) -> bool:
        """Whether the transfer syntax of an accepted context is one that was proposed for it."""
        proposed = {context.context_id: context.transfer_syntax for context in self.requestor.requested_contexts}
        return bool(accepted.transfer_syntax) and accepted.transfer_syntax[0] in proposed[accepted.context_id]

    def send_data(self, context_id: int, kind: int, encoded: bytes) -> None:
        """Send an encoded command set or dataset (`kind`) in PDUs that fit the peer (P-DATA, PS3.8 9.3.5)."""
        for pdu in data_pdus(context_id, kind, encoded, self.dimse.maximum_pdu_size):
            self.transport.send(pdu)

    def receive_into(self, begin: Begin) -> None:
        """Say where the datasets of instances go that the peer stores with us."""
        self.dul.inflow.begin = begin

    def _is_over(self) -> bool:
        """Whether no message can come any more: one grew too long, or the association ended."""
        growing = self.dimse.message
        if growing and growing.data_set and growing.data_set.tell() > IDENTIFIER_LENGTH_MAX:
            self._watch.fail(Fault.BROKEN)
        if growing and growing.encoded_command_set.tell() > COMMAND_LENGTH_MAX:
            self._watch.fail(Fault.BROKEN)
        return bool(self.dul.to_user_queue.queue)

    def message_waits(self) -> bool:
        """Whether the next message has come; reads nothing that is not here yet."""
        while not self.dimse.msg_queue.queue and self.transport.holds_pdu() and self.dul.step():
            pass
        return self.dimse.peek_msg()[0] is not None

    def _serve_request(self, req: Any, context_id: int) -> None:
        # Called for what a peer has no business to ask of us, in a thread that the library makes for it.
        self._watch.fail(Fault.BROKEN)

    def _abort_blocking(self, block: bool = True) -> None:
        self.kill()

    def kill(self) -> None:
        """Go no further; `close` frees what is held."""
        self.is_established = False
        self.dul.kill_dul()

    def close(self) -> None:
        """End the association at once and leave no socket behind."""
        self._watch.fail(Fault.CLOSED)
        self.kill()
        try:
            self.transport.hang_up()
        finally:
            self.dul.inflow.drop()
            self._drop_untaken()

    def _drop_untaken(self) -> None:
        while self.dimse.msg_queue.queue:
            message: Any = self.dimse.msg_queue.get()[1]
            if isinstance(message, StoreRequest) and message.incoming:
                message.incoming.drop()
