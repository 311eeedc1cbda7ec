"""The courier: the process that holds every archive and writes into the cache; may be killed at any time.

Started as `python -m priorline.work.courier`; speaks the messages of `work.messages` over its standard streams.
"""

import faulthandler
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import msgspec

from priorline.domain.patient import Patient
from priorline.domain.study import StudyAnswer
from priorline.errors import PriorlineError
from priorline.work.desk_cache import cached_instance, contents
from priorline.work.fetch import Arrived, StudyFetch
from priorline.work.folder import read_folder
from priorline.work.hospitals import Hospital, local_numbers
from priorline.work.messages import (
    AskPresence,
    Cancel,
    Configure,
    CourierRequest,
    Event,
    Fetch,
    FetchEnded,
    HospitalEnded,
    InstanceArrived,
    OpenStudy,
    PatientKnown,
    PresenceItem,
    PresenceKnown,
    ReadFolder,
    RequestFailed,
    Search,
    SearchEnded,
    StudiesFound,
    decode_courier_request,
    encode,
)
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
        # One fetch at a time and hospital; searches never wait behind one.
        self._fetch_lanes = {hospital.name: threading.Lock() for hospital in session.hospitals}

    def send(self, event: Event) -> None:
        """Send one event; the process ends where nobody listens any more."""
        with self._writing:
            try:
                write_message(self._events, encode(event))
            except OSError:
                os._exit(0)

    def take(self, request: CourierRequest) -> None:
        """Start on a request; returns at once."""
        if isinstance(request, Cancel):
            self._cancelled.add(request.number)
            return
        lane = threading.Thread(target=self._carry_out, args=(request,), name=type(request).__name__, daemon=True)
        lane.start()

    def _carry_out(self, request: CourierRequest) -> None:
        try:
            match request:
                case Search():
                    self._search(request)
                case ReadFolder():
                    self._read_folder(request)
                case Fetch():
                    self._fetch(request)
                case OpenStudy():
                    self.send(contents(self._session.store, request))
                case AskPresence():
                    self._presence(request)
                case _:
                    self.send(RequestFailed(request.number, "This request is not for the courier."))
        except PriorlineError as problem:
            self.send(RequestFailed(request.number, str(problem)))

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
        listener = Listener(
            on_studies=lambda rows: self.send(StudiesFound(number, rows)),
            on_report=lambda report: self.send(HospitalEnded(number, report)),
        )
        search(hospitals, patient, listener, trail, self._is_cancelled(number), request.reason)
        self.send(SearchEnded(number))

    def _asked(self, request: Search) -> tuple[Hospital, ...]:
        every = self._session.hospitals
        return tuple(one for one in every if not request.hospitals or one.name in request.hospitals)

    def _tell_patient(self, number: int, patient: Patient, current: StudyAnswer | None) -> None:
        numbers = local_numbers(self._session.hospitals, patient)
        self.send(PatientKnown(number, patient, numbers, current))

    def _read_folder(self, request: ReadFolder) -> None:
        study = read_folder(self._session.store, Path(request.directory), self._session.trail)
        self._tell_patient(request.number, study.patient, study)
        self.send(SearchEnded(request.number))

    def _fetch(self, request: Fetch) -> None:
        study, number = request.study, request.number
        hospital = next((one for one in self._session.hospitals if one.name == study.hospital), None)
        if hospital is None or hospital.archive is None:
            self.send(RequestFailed(number, f"{study.hospital} is not a hospital that can be fetched from."))
            return

        def tell(arrived: Arrived) -> None:
            instance = cached_instance(arrived.instance, arrived.header)
            counts = (arrived.received, arrived.expected, arrived.bytes)
            self.send(InstanceArrived(number, study.study_uid, instance, *counts))

        with self._fetch_lanes[hospital.name]:
            title = self._session.settings.workstation.ae_title
            fetch = StudyFetch(hospital.archive, self._session.store, study, tell, self._is_cancelled(number), title)
            report = fetch.run(self._session.trail, request.series_uid)
        self.send(FetchEnded(number, report))

    def _presence(self, request: AskPresence) -> None:
        found = self._session.store.presence(request.study_uids)
        items = {uid: PresenceItem(here.images, here.complete) for uid, here in found.items() if here.images}
        self.send(PresenceKnown(request.number, items))


def main() -> None:
    """Serve until the window closes the pipe."""
    faulthandler.enable()
    os.umask(0o077)
    requests, events = take_over_standard_streams()
    first = read_message(requests)
    if first is None:
        return
    try:
        configure = decode_courier_request(first)
        assert isinstance(configure, Configure)  # noqa: S101 - the window always greets
        courier: Courier | None = Courier(events, open_session(configure))
    except PriorlineError as problem:
        courier, failure = None, str(problem)
    while (message := read_message(requests)) is not None:
        try:
            request = decode_courier_request(message)
        except msgspec.DecodeError:
            break
        if courier is not None:
            courier.take(request)
        elif not isinstance(request, Cancel):
            write_message(events, encode(RequestFailed(request.number, failure)))
    # Lanes may hang in a dead peer; nothing that matters is in this process, so it does not wait for them.
    os._exit(0)


if __name__ == "__main__":
    main()
