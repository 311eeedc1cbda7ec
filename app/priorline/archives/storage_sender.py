"""One connection to our storage SCP: who is there, what it brings, and what it is told."""

import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from pynetdicom.dimse_primitives import C_ECHO
from pynetdicom.presentation import PresentationContext

from priorline.archives import storage_handshake
from priorline.archives.base import SecurityAlert
from priorline.archives.incoming import Announced, Incoming
from priorline.archives.inflow import StoreRequest
from priorline.archives.sockets import FOREIGN_FAULTS
from priorline.archives.storage_association import AcceptedAssociation
from priorline.archives.storage_expected import (
    DOES_NOT_MATCH,
    NOT_AUTHORISED,
    SUCCESS,
    Caller,
    Expected,
    Handover,
)
from priorline.archives.storage_judged import Judged
from priorline.archives.tls import CLEAR, ServerContext, proof
from priorline.archives.tls_failures import fault_of_caller
from priorline.archives.translate import cleaned
from priorline.archives.watch import Fault, Watch
from priorline.domain.study import is_uid

SILENT = "connected and did not ask for an association"
BROKE_PROTOCOL = "sent what the protocol does not allow"
WRONG_TITLE = "asked for an association under an AE title that is not expected"
IN_CLEAR, BY_TLS = "spoke in clear where only TLS is expected", "spoke TLS where it is not expected"
NAMES_NOBODY = "showed a certificate that names none of the hosts it may send from; tls.pins can bind it instead"
NOT_PROVEN = "asked for an association under the AE title of a hospital that it does not prove to be"
NOT_ASKED_FOR = "sent an instance of a study that nobody asked for"
MISNAMED = "sent an instance under a name that is not its own"
# What a connection has shown of itself before it asks for an association.
NOTHING, SPEAKS, IS_PROVEN = range(3)
STATEMENTS = {Fault.ACSE_SILENT: SILENT, Fault.TOO_SLOW: SILENT, Fault.BROKEN: BROKE_PROTOCOL}


class Door(Protocol):
    """What a connection may ask of the storage SCP that it came to."""

    ae_title: str

    def open_for(self, caller: Caller) -> tuple[Expected, ...]:
        """The open retrievals for which somebody may send, as far as it is known who that is."""

    def admit(self, sender: "Sender") -> bool:
        """Whether there is room for one more association."""

    def alert(self, alert: SecurityAlert) -> None:
        """Report what was refused."""


class _SenderWatch(Watch):
    """A watch whose progress is progress of the retrievals, too."""

    def __init__(self, cancelled: Callable[[], bool], expected: Callable[[], tuple[Expected, ...]]) -> None:
        super().__init__(cancelled)
        self._expected = expected

    def progress(self) -> None:
        super().progress()
        for expected in self._expected():
            expected.progress()


class Sender:
    """One connection; `run` serves it in the thread that is its own."""

    def __init__(self, door: Door, sock: socket.socket, address: str) -> None:
        self.address, self.standing = address, NOTHING
        self.agreed, self.over = False, False
        self.join: Callable[[float], None] = lambda _seconds: None
        self._door, self._socket = door, sock
        self._caller, self._calling, self._called = Caller(address), "", ""
        self._answering = False
        self._watch = _SenderWatch(self._is_unwanted, self._retrievals)

    def run(self) -> None:
        """Serve until the peer goes, or nobody waits for anything from it."""
        association: AcceptedAssociation | None = None
        try:
            if self._is_let_in():
                association = AcceptedAssociation(self._door.ae_title, self._socket, self._watch)
                association.store_with(self._begin)
                self._serve(association)
        except FOREIGN_FAULTS:
            self._watch.fail(Fault.BROKEN)
        finally:
            statement = STATEMENTS.get(self._watch.fault) if self._watch.fault else None
            if statement:
                self._alert(statement)
            if association is not None:
                association.close()
            self._socket.close()
            self.over = True

    def end(self) -> None:
        """End it at once, from another thread."""
        self._watch.fail(Fault.CLOSED)
        storage_handshake.shut(self._socket)

    def _is_unwanted(self) -> bool:
        # What was taken, or could not be, is still answered.
        return not self._answering and not self._door.open_for(self._caller)

    def _retrievals(self) -> tuple[Expected, ...]:
        return self._door.open_for(self._caller) if self.agreed else ()

    def _is_let_in(self) -> bool:
        """Find out what is spoken; whether that is what an open retrieval expects from there."""
        seconds = max((one.peer.timeouts.acse for one in self._door.open_for(self._caller)), default=0.0)
        self._watch.phase(Fault.ACSE_SILENT, seconds, seconds)
        first = storage_handshake.first_byte(self._socket, self._watch)
        if not first:
            return False
        self.standing = SPEAKS
        by_tls = first == storage_handshake.TLS_HANDSHAKE
        contexts = [one.context for one in self._door.open_for(self._caller)]
        expected = [context for context in contexts if by_tls == (context is not None)]
        if contexts and not expected:
            self._alert(BY_TLS if by_tls else IN_CLEAR)
        if not expected:
            return False
        if expected[0] is not None:
            return self._is_proven(expected[0])
        self._caller = replace(self._caller, proof=CLEAR)
        return True

    def _is_proven(self, context: ServerContext) -> bool:
        """Agree on encryption; whether the certificate is of a hospital that may send from there."""
        try:
            secure = self._socket = storage_handshake.begin_tls(self._socket, context)
            if not storage_handshake.agree(secure, self._watch):
                return False
        except OSError as problem:
            if self._watch.fault is None:
                self._alert(fault_of_caller(problem))
            return False
        proven = replace(self._caller, proof=proof(secure, context))
        if not self._door.open_for(proven):
            self._alert(NAMES_NOBODY)
            return False
        self._caller, self.standing = proven, IS_PROVEN
        return True

    def _serve(self, association: AcceptedAssociation) -> None:
        request = association.await_request()
        if request is None:
            return
        self._calling, self._called = str(request.calling_ae_title).strip(), str(request.called_ae_title).strip()
        waiting = self._door.open_for(self._caller)
        callers = {title for expected in waiting for title in expected.callers}
        if not callers:
            return
        if not self._door.admit(self):
            association.reject_for_now()
        elif association.negotiate(request, callers):
            self._caller = replace(self._caller, ae_title=self._calling)
            self._watch.phase(Fault.STALLED, max(expected.peer.timeouts.progress for expected in waiting))
            while (message := association.receive()) is not None:
                self._answer(association, *message)
            return
        else:
            self._alert(self._misnamed(callers))
        association.transport.part()

    def _misnamed(self, callers: set[str]) -> str:
        is_somebodys = self._door.open_for(Caller(self.address, ae_title=self._calling))
        return NOT_PROVEN if is_somebodys and self._calling not in callers else WRONG_TITLE

    def _answer(self, association: AcceptedAssociation, context_id: int, message: Any) -> None:
        context = association.context(context_id)
        self._watch.progress()
        if context is not None and isinstance(message, C_ECHO) and message.is_valid_request:
            association.answer_echo(context_id, message)
        elif context is not None and isinstance(message, StoreRequest) and isinstance(message.incoming, Judged):
            self._answering = True
            try:
                association.answer_store(context_id, message, self._status(context, message.incoming))
            finally:
                self._answering = False
        else:
            self._watch.fail(Fault.BROKEN)

    def _begin(self, context: PresentationContext, asked: StoreRequest) -> Incoming:
        syntax = str(context.transfer_syntax[0])
        return Judged(Announced(asked.sop_class_uid, asked.sop_instance_uid, syntax), self._judge)

    def _judge(self, study_uid: str) -> Expected | None:
        """The retrieval that asked for a study."""
        expected = next((one for one in self._retrievals() if one.study_uid == study_uid), None)
        if expected is None:
            self._alert(NOT_ASKED_FOR, study_uid)
        return expected

    def _status(self, context: PresentationContext, stored: Judged) -> int:
        expected, told = stored.settle(), stored.announced
        if expected is None or stored.incoming is None:
            return NOT_AUTHORISED
        names = (stored.head.uid("SOPClassUID"), stored.head.uid("SOPInstanceUID"), context.abstract_syntax)
        status = SUCCESS
        if names != (told.sop_class_uid, told.sop_instance_uid, told.sop_class_uid):
            self._alert(MISNAMED, expected.study_uid)
            status = DOES_NOT_MATCH
        if not (is_uid(told.sop_class_uid) and is_uid(told.sop_instance_uid)):
            stored.drop()
            return DOES_NOT_MATCH
        # One under a wrong name goes on to where such are kept apart and shown; the sender is told no all the same.
        with self._watch.held():
            return expected.offer(Handover(stored.incoming, status))

    def _alert(self, problem: str, study_uid: str = "") -> None:
        hospital = next((one.peer.name for one in self._door.open_for(self._caller)), "")
        names = (hospital, cleaned(self._calling), cleaned(self._called), study_uid)
        self._door.alert(SecurityAlert(problem, self.address, *names))
