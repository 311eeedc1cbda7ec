"""The courier: the process that holds every archive and writes into the cache; may be killed at any time.

Started as `python -m priorline.work.courier`; speaks the messages of `work.messages` over its standard streams.
"""

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from priorline.audit.trail import AuditEvent
from priorline.domain.patient import Patient
from priorline.domain.study import HospitalReport, HospitalState, StudyAnswer
from priorline.errors import PriorlineError
from priorline.work.cache_page import tell_of_cache
from priorline.work.decided import Decided
from priorline.work.desk_cache import contents
from priorline.work.fetch_lanes import FetchLanes
from priorline.work.filling import Filling
from priorline.work.folder import read_folder
from priorline.work.hospitals import Hospital, local_numbers
from priorline.work.looked_at import LookedAt
from priorline.work.messages import (
    AskCache,
    AskPresence,
    Cancel,
    CloseStudy,
    Configure,
    Confirm,
    CourierRequest,
    Discard,
    Event,
    Fetch,
    HospitalEnded,
    LookAtPerson,
    Notice,
    OpenStudy,
    PatientKnown,
    Prefer,
    PresenceItem,
    PresenceKnown,
    ReadFolder,
    Ready,
    Request,
    RequestFailed,
    Revoke,
    Search,
    SearchEnded,
    StudiesFound,
    decode_courier_request,
    encode,
)
from priorline.work.own_process import BUG, settle_in
from priorline.work.pipes import read_message, take_over_standard_streams, write_message
from priorline.work.search import Listener, find_current, search
from priorline.work.session import Session, open_session


class Courier:
    """Carries out requests, each in a lane of its own, and sends events; one per process."""

    def __init__(self, events: BinaryIO, session: Session) -> None:
        self._events = events
        self._session = session
        self._writing = threading.Lock()
        self._cancelled: set[int] = set()
        self._looked_at = LookedAt(session.store)
        self._filling = Filling(session, self._notice)
        # One study at a time and hospital; searches never wait behind one.
        self._fetches = FetchLanes(session, self.send, self._looked_at.arrived, self._filling.fetched)
        decided = Decided(session, self.send)
        self._ways: dict[type[Request], Callable[[Any], None]] = {
            Search: self._search,
            ReadFolder: self._read_folder,
            OpenStudy: self._open_study,
            CloseStudy: self._close_study,
            AskPresence: self._presence,
            Discard: self._discard,
            LookAtPerson: decided.look_at_person,
            Confirm: decided.confirm,
            Revoke: decided.revoke,
            AskCache: self._tell_of_cache,
        }

    def send(self, event: Event) -> None:
        """Send one event; the process ends where nobody listens any more."""
        with self._writing:
            try:
                write_message(self._events, encode(event))
            except OSError:
                os._exit(0)

    def _notice(self, message: str) -> None:
        self.send(Notice(0, message))

    def take(self, request: CourierRequest) -> None:
        """Start on a request; returns at once, but for what a person decided, which is short."""
        match request:
            case Cancel():
                self._cancelled.add(request.number)
                self._fetches.cancel(request.number)
            case Fetch():
                self._fetches.ask(request)
            case Prefer():
                self._fetches.prefer(request)
            case Confirm() | Revoke():
                # Here and now: a later question must find it kept, and so must whoever closes the window next.
                self._carry_out(request)
            case _:
                self._start(request)

    def _start(self, request: CourierRequest) -> None:
        lane = threading.Thread(target=self._carry_out, args=(request,), name=type(request).__name__, daemon=True)
        lane.start()

    def _carry_out(self, request: CourierRequest) -> None:
        # A bug ends this thread with its place on standard error; whoever asked is told all the same.
        problem = BUG
        try:
            self._answer(request)
            problem = ""
        except PriorlineError as told:
            problem = str(told)
        finally:
            if problem:
                self.send(RequestFailed(request.number, problem))

    def _answer(self, request: CourierRequest) -> None:
        way = self._ways.get(type(request))
        if way is None:
            self.send(RequestFailed(request.number, "This request is not for the courier."))
        else:
            way(request)

    def _is_cancelled(self, number: int) -> Callable[[], bool]:
        return lambda: number in self._cancelled

    def _search(self, request: Search) -> None:
        hospitals, number, trail = self._asked(request), request.number, self._session.trail
        current: StudyAnswer | None = None
        patient = request.patient
        if patient is None:
            current = find_current(hospitals, request.study_uid, trail)
            if current is None:
                self.send(RequestFailed(number, "No hospital that answered has the current study."))
                return
            patient = current.patient
        self._tell_patient(number, patient, current)
        silent = {hospital.name for hospital in hospitals}

        def on_report(report: HospitalReport) -> None:
            silent.discard(report.hospital)
            self.send(HospitalEnded(number, report))

        listener = Listener(lambda rows: self.send(StudiesFound(number, rows)), on_report)
        search(hospitals, patient, listener, trail, self._is_cancelled(number), request.reason)
        for name in sorted(silent):
            self.send(HospitalEnded(number, HospitalReport(name, HospitalState.FAILED, message=BUG)))
        self.send(SearchEnded(number))

    def _asked(self, request: Search) -> tuple[Hospital, ...]:
        every = self._session.hospitals
        return tuple(one for one in every if not request.hospitals or one.name in request.hospitals)

    def _tell_patient(self, number: int, patient: Patient, current: StudyAnswer | None) -> None:
        numbers = local_numbers(self._session.hospitals, patient)
        self.send(PatientKnown(number, patient, numbers, current, self._session.links_of(patient)))

    def _read_folder(self, request: ReadFolder) -> None:
        study = read_folder(self._session.store, Path(request.directory), self._session.trail).study
        self._tell_patient(request.number, study.patient, study)
        self.send(SearchEnded(request.number))

    def _open_study(self, request: OpenStudy) -> None:
        """What is here of a study; that somebody looks at it is on record before the pictures are."""
        self._looked_at.open(request.study_uid)
        answer = contents(self._session.store, request)
        if answer.instances:
            identifier = answer.instances[0].header.patient.identifier
            self._session.trail.record(
                AuditEvent.ACCESSED,
                reason=request.reason,
                patient_id=identifier.value,
                issuer=identifier.issuer,
                study=request.study_uid,
            )
        self.send(answer)

    def _close_study(self, request: CloseStudy) -> None:
        self._looked_at.close(request.study_uid)

    def _tell_of_cache(self, request: AskCache) -> None:
        session = self._session
        self.send(tell_of_cache(session.store, session.settings.cache, session.trail, request))

    def _discard(self, request: Discard) -> None:
        self._session.store.discard(request.study_uid, request.handles)
        self._presence(AskPresence(request.number, (request.study_uid,)))

    def _presence(self, request: AskPresence) -> None:
        found = self._session.store.presence(request.study_uids)
        items = {uid: PresenceItem(here.images, here.complete, here.hospital) for uid, here in found.items()}
        self.send(PresenceKnown(request.number, items))


class Desk:
    """What the main thread does: hand requests to the courier, and open the cache as soon as that is possible."""

    def __init__(self, events: BinaryIO, configure: Configure) -> None:
        self._events, self._configure = events, configure
        self._courier: Courier | None = None
        self._failure = ""
        self._open()

    def take(self, request: CourierRequest) -> None:
        """Pass a request on; without a cache it fails with what is wrong."""
        if self._courier is None and isinstance(request, Search | ReadFolder):
            # A person asks again: perhaps the folder or the key is there now.
            self._open()
        if self._courier is not None:
            self._courier.take(request)
        elif not isinstance(request, Cancel):
            write_message(self._events, encode(RequestFailed(request.number, self._failure)))

    def _open(self) -> None:
        try:
            self._courier = Courier(self._events, open_session(self._configure))
        except PriorlineError as problem:
            self._failure = str(problem)


def _serve(requests: BinaryIO, events: BinaryIO) -> None:
    first = read_message(requests)
    configure = decode_courier_request(first) if first is not None else None
    if not isinstance(configure, Configure):
        return
    desk = Desk(events, configure)
    write_message(events, encode(Ready(0)))
    while (message := read_message(requests)) is not None:
        desk.take(decode_courier_request(message))


def main() -> None:
    """Serve until the window closes the pipe."""
    settle_in()
    # What does not keep to the format is no window of ours, and a window that is gone needs no answer.
    with contextlib.suppress(msgspec.DecodeError, OSError):
        _serve(*take_over_standard_streams())
    # Lanes may hang in a dead peer; what must not be lost is done by this thread, so it does not wait for them.
    os._exit(0)


if __name__ == "__main__":
    main()
