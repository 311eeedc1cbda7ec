"""The courier as a process of its own, between demo hospitals on loopback and a cache on the disk."""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import psutil
import pytest

from priorline.archives.demo import story
from priorline.audit.trail import AuditTrail
from priorline.cache.verify import verify
from priorline.config import Settings
from priorline.domain.links import link_of
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import FetchState, HospitalState, StudyAnswer
from priorline.work.courier import BUG
from priorline.work.helper import Helper
from priorline.work.messages import (
    AskPresence,
    Cancel,
    CloseStudy,
    Configure,
    Confirm,
    Event,
    Fetch,
    FetchEnded,
    FetchPlace,
    HospitalEnded,
    InstanceArrived,
    LookAtPerson,
    OnRecord,
    OpenStudy,
    PatientKnown,
    PresenceItem,
    PresenceKnown,
    ReadFolder,
    Ready,
    RequestFailed,
    Revoke,
    Search,
    SearchEnded,
    StudiesFound,
    StudyContents,
    decode_courier_event,
)
from priorline.work.session import open_store
from small_hospitals import CURRENT, TODAY, SmallHospitals

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="only on Linux")

PATIENCE = 60.0
PATIENT = Patient(Identifier("999990007", "NLMINBIZA"), "JANSEN^Piet^^van der", date(1970, 3, 14), "M")
# Images of the current study that come before the gate is opened.
BEFORE_THE_GATE = 40
AT = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


@pytest.fixture
def hospitals(tmp_path: Path) -> Iterator[SmallHospitals]:
    with SmallHospitals(tmp_path, BEFORE_THE_GATE) as running:
        yield running


@dataclass
class Desk:
    """Stands for the window: asks a courier and collects its events by request."""

    configure: Configure
    heard: "queue.Queue[Event]" = field(default_factory=queue.Queue)

    def __post_init__(self) -> None:
        self.courier = Helper("priorline.work.courier", decode_courier_event, self.heard.put, self.configure)

    def next(self) -> Event:
        event = self.heard.get(timeout=PATIENCE)
        return event if not isinstance(event, Ready) else self.next()

    def until_the_end(self, number: int) -> list[Event]:
        """All events of a request up to the one that ends it."""
        events: list[Event] = []
        while not (events and events[-1].ends):
            event = self.next()
            if event.number == number:
                events.append(event)
        return events

    def until_some_arrived(self, number: int) -> None:
        while not (isinstance(event := self.next(), InstanceArrived) and event.number == number):
            assert not event.ends or event.number != number

    def find_current(self) -> StudyAnswer:
        self.courier.send(Search(1, None, CURRENT.study_uid))
        known = self.until_the_end(1)[0]
        assert isinstance(known, PatientKnown)
        assert known.current is not None
        return known.current


Open = Callable[..., Desk]


@pytest.fixture
def settings(tmp_path: Path, hospitals: SmallHospitals) -> Settings:
    return hospitals.settings(tmp_path / "cache")


@pytest.fixture
def open_desk(tmp_path: Path, settings: Settings) -> Iterator[Open]:
    opened: list[Desk] = []

    def open_one() -> Desk:
        opened.append(Desk(Configure(0, settings, str(tmp_path / "cache"), str(tmp_path / "state"))))
        return opened[-1]

    yield open_one
    for one in opened:
        one.courier.close()


def bend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Change what the courier is made of, in its own process."""
    start = 'import sys\nif "priorline.work.courier" in sys.orig_argv:\n'
    (tmp_path / "bent").mkdir()
    (tmp_path / "bent" / "sitecustomize.py").write_text(
        start + "".join(f"    {line}\n" for line in code.splitlines())
    )
    paths = (str(tmp_path / "bent"), os.environ.get("PYTHONPATH", ""))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid)


# Asking


def test_every_hospital_answers_and_ends_by_name(open_desk: Open, settings: Settings) -> None:
    desk = open_desk()
    desk.courier.send(Search(7, PATIENT))
    events = desk.until_the_end(7)
    assert isinstance(events[0], PatientKnown)
    assert isinstance(events[-1], SearchEnded)
    ended = {event.report.hospital: event.report for event in events if isinstance(event, HospitalEnded)}
    assert set(ended) == {hospital.name for hospital in settings.hospital}
    assert ended["De Heuvel"].state is HospitalState.FAILED
    assert ended["OLV Clinic"].state is HospitalState.ANSWERED
    found = [answer for event in events if isinstance(event, StudiesFound) for answer in event.answers]
    assert {one.study_uid for one in found if one.hospital == "OLV Clinic"} == {
        study.study_uid for study in story.hospitals(TODAY)[1].studies
    }
    assert ended["OLV Clinic"].studies == 5


def test_the_hospital_says_who_the_current_study_belongs_to(open_desk: Open) -> None:
    current = open_desk().find_current()
    assert (current.patient.identifier.value, current.images) == (PATIENT.identifier.value, CURRENT.images)


def test_a_current_study_that_nobody_has_is_said(open_desk: Open) -> None:
    desk = open_desk()
    desk.courier.send(Search(1, None, "1.2.3.4"))
    assert isinstance(desk.until_the_end(1)[-1], RequestFailed)


def test_a_fetch_from_an_unknown_hospital_is_refused(open_desk: Open) -> None:
    desk = open_desk()
    desk.courier.send(Fetch(1, StudyAnswer("Elsewhere", "1.2.3", PATIENT)))
    assert desk.until_the_end(1) == [RequestFailed(1, "Elsewhere is not a hospital that can be fetched from.")]


# Fetching, and dying over it


def test_killed_in_the_middle_of_a_fetch_the_study_ends_whole(
    open_desk: Open, hospitals: SmallHospitals, settings: Settings, tmp_path: Path
) -> None:
    desk = open_desk()
    current = desk.find_current()
    desk.courier.send(Fetch(2, current))
    desk.until_some_arrived(2)
    first = desk.courier.pid
    os.kill(first, signal.SIGKILL)
    hospitals.open_gate()
    ended = desk.until_the_end(2)[-1]
    assert isinstance(ended, FetchEnded)
    assert (ended.report.state, ended.report.received) == (FetchState.COMPLETE, CURRENT.images)
    assert ended.report.already_cached > 0
    assert desk.courier.pid != first
    desk.courier.send(OpenStudy(3, current.study_uid))
    contents = desk.until_the_end(3)[-1]
    assert isinstance(contents, StudyContents)
    assert contents.complete
    assert {one.header.sop_uid for one in contents.instances} == {
        CURRENT.sop_uid(0, image) for image in range(CURRENT.images)
    }
    desk.courier.close()
    with open_store(settings, tmp_path / "cache", tmp_path / "state") as store:
        report = verify(store)
    assert report.is_sound
    assert report.checked == CURRENT.images


def test_killed_twice_the_fetch_fails_and_the_next_one_ends_whole(open_desk: Open, hospitals: SmallHospitals) -> None:
    desk = open_desk()
    current = desk.find_current()
    desk.courier.send(Fetch(2, current))
    desk.until_some_arrived(2)
    first = desk.courier.pid
    desk.courier.kill()
    # The second life has the first images already; it is known to be at work by its answer to something else.
    desk.courier.send(AskPresence(3, (current.study_uid,)))
    desk.until_the_end(3)
    assert desk.courier.pid != first
    desk.courier.kill()
    assert isinstance(desk.until_the_end(2)[-1], RequestFailed)
    hospitals.open_gate()
    desk.courier.send(Fetch(4, current))
    ended = desk.until_the_end(4)[-1]
    assert isinstance(ended, FetchEnded)
    assert ended.report.state is FetchState.COMPLETE


def test_killed_in_the_middle_of_a_search_every_hospital_still_ends(open_desk: Open, settings: Settings) -> None:
    desk = open_desk()
    desk.courier.send(Search(1, PATIENT))
    while not isinstance(desk.next(), PatientKnown):
        pass
    desk.courier.kill()
    events = desk.until_the_end(1)
    assert isinstance(events[-1], SearchEnded)
    assert {event.report.hospital for event in events if isinstance(event, HospitalEnded)} == {
        hospital.name for hospital in settings.hospital
    }


def test_a_later_click_goes_before_what_a_hospital_is_still_sending_and_both_end_whole(
    open_desk: Open, hospitals: SmallHospitals, tmp_path: Path
) -> None:
    desk = open_desk()
    current = desk.find_current()
    desk.courier.send(Fetch(2, current, reason="trauma"))
    desk.until_some_arrived(2)
    other = next(one for one in story.hospitals(TODAY)[0].studies if one.study_uid != current.study_uid)
    desk.courier.send(Fetch(3, StudyAnswer(current.hospital, other.study_uid, current.patient), reason="trauma"))
    events: list[Event] = []
    while not (events and events[-1].number == 3 and events[-1].ends):
        events.append(desk.next())
    assert isinstance(events[-1], FetchEnded)
    assert (events[-1].report.state, events[-1].report.received) == (FetchState.COMPLETE, other.images)
    places = [(event.number, event.ahead) for event in events if isinstance(event, FetchPlace)]
    assert set(places) == {(3, 1), (3, 0), (2, 1)}
    assert not any(event.number == 2 and event.ends for event in events)
    hospitals.open_gate()
    ended = desk.until_the_end(2)[-1]
    assert isinstance(ended, FetchEnded)
    assert (ended.report.state, ended.report.received) == (FetchState.COMPLETE, CURRENT.images)
    assert ended.report.already_cached == 0
    transfers = [one["study"] for one in AuditTrail(tmp_path / "state" / "audit.jsonl").records() if one["reason"]]
    assert transfers == [current.study_uid, other.study_uid, current.study_uid]


def test_a_stopped_fetch_keeps_what_came(open_desk: Open, hospitals: SmallHospitals) -> None:
    desk = open_desk()
    current = desk.find_current()
    desk.courier.send(Fetch(2, current))
    desk.until_some_arrived(2)
    desk.courier.tell(Cancel(2))
    desk.courier.send(AskPresence(3, (current.study_uid, "1.2.3")))
    presence = desk.until_the_end(3)[-1]
    hospitals.open_gate()
    ended = desk.until_the_end(2)[-1]
    assert isinstance(ended, FetchEnded)
    assert ended.report.state is FetchState.PARTIAL
    assert 0 < ended.report.received < CURRENT.images
    assert isinstance(presence, PresenceKnown)
    assert presence.studies["1.2.3"] == PresenceItem(0, complete=False)
    desk.courier.send(AskPresence(4, (current.study_uid,)))
    assert desk.until_the_end(4) == [
        PresenceKnown(4, {current.study_uid: PresenceItem(ended.report.received, False, current.hospital)})
    ]


def test_it_ends_with_the_window_although_a_hospital_keeps_it_waiting(open_desk: Open) -> None:
    desk = open_desk()
    desk.courier.send(Fetch(2, desk.find_current()))
    desk.until_some_arrived(2)
    pid = desk.courier.pid
    desk.courier.close()
    assert is_gone(pid)


# What is wrong around it


def test_without_a_cache_every_question_fails_with_the_reason_until_it_is_there(
    open_desk: Open, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("not a folder")
    desk = open_desk()
    study = StudyAnswer("St. Elisabeth", CURRENT.study_uid, PATIENT)
    asked = [
        Search(1, PATIENT),
        ReadFolder(2, str(tmp_path)),
        Fetch(3, study),
        OpenStudy(4, study.study_uid),
        AskPresence(5, (study.study_uid,)),
    ]
    sentences = set()
    for request in asked:
        desk.courier.send(request)
        (failed,) = desk.until_the_end(request.number)
        assert isinstance(failed, RequestFailed)
        sentences.add(failed.message)
    assert len(sentences) == 1
    assert "cache" in sentences.pop()
    (tmp_path / "cache").unlink()
    desk.courier.send(Search(6, PATIENT))
    assert isinstance(desk.until_the_end(6)[-1], SearchEnded)


def test_what_libraries_print_garbles_nothing(
    open_desk: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    noisy = """
import os
import priorline.work.hospitals as hospitals
quiet = hospitals.local_numbers
def local_numbers(*arguments):
    print("noise of a library", flush=True)
    os.write(1, b"noise of its C part")
    return quiet(*arguments)
hospitals.local_numbers = local_numbers
"""
    bend(tmp_path, monkeypatch, noisy)
    desk = open_desk()
    desk.courier.send(Search(1, PATIENT))
    assert isinstance(desk.until_the_end(1)[-1], SearchEnded)
    assert capfd.readouterr().err.count("noise of") == 2


def test_a_bug_costs_its_own_question_and_tells_no_names(
    open_desk: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    buggy = """
import priorline.work.folder as folder
import priorline.work.search as search
right = search._ask
def read_folder(*arguments):
    raise KeyError("JAN" + "SEN")
def ask(hospital, *arguments):
    if hospital.name == "OLV Clinic":
        raise KeyError("JAN" + "SEN")
    right(hospital, *arguments)
folder.read_folder, search._ask = read_folder, ask
"""
    bend(tmp_path, monkeypatch, buggy)
    desk = open_desk()
    desk.courier.send(ReadFolder(1, str(tmp_path)))
    assert desk.until_the_end(1) == [RequestFailed(1, BUG)]
    desk.courier.send(Search(2, PATIENT))
    events = desk.until_the_end(2)
    ended = {event.report.hospital: event.report for event in events if isinstance(event, HospitalEnded)}
    assert isinstance(events[-1], SearchEnded)
    assert (ended["OLV Clinic"].state, ended["OLV Clinic"].message) == (HospitalState.FAILED, BUG)
    assert ended["UMC West"].state is HospitalState.ANSWERED
    told = capfd.readouterr().err
    assert told.splitlines().count("KeyError") == 2
    assert "JANSEN" not in told


@pytest.mark.parametrize(
    "data", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\5\0\0\0hello", b"\x12\0\0\0\x82\xa4kind\xa6Cancel"]
)
def test_a_window_that_is_none_is_left(data: bytes) -> None:
    command = [sys.executable, "-m", "priorline.work.courier"]
    done = subprocess.run(command, input=data, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


# Whose it is


def test_what_is_taken_back_is_not_shown_and_what_is_confirmed_again_is(open_desk: Open, tmp_path: Path) -> None:
    desk = open_desk()
    study = desk.find_current()
    hospitals_gate = tmp_path / "gate"
    hospitals_gate.touch()
    desk.courier.send(Fetch(2, study))
    desk.until_the_end(2)
    link = link_of(PATIENT, study.hospital, study.patient, study.study_uid, reason="letter", user="a", at=AT)
    uids = (study.study_uid,)
    desk.courier.send(Confirm(3, (link,), uids))
    assert desk.until_the_end(3) == [OnRecord(3)]
    assert shown(desk, 4, study.study_uid) > BEFORE_THE_GATE
    desk.courier.send(Revoke(5, (link,), uids, "another man"))
    assert desk.until_the_end(5) == [OnRecord(5)]
    assert shown(desk, 6, study.study_uid) == 0
    desk.courier.send(AskPresence(7, uids))
    assert desk.until_the_end(7) == [PresenceKnown(7, {study.study_uid: PresenceItem(0, complete=False)})]
    desk.courier.send(Search(8, PATIENT))
    known = desk.until_the_end(8)[0]
    assert isinstance(known, PatientKnown)
    assert known.links == ()
    desk.courier.send(Confirm(9, (link,), uids))
    desk.until_the_end(9)
    assert shown(desk, 10, study.study_uid) > BEFORE_THE_GATE
    desk.courier.send(Search(11, PATIENT))
    known = desk.until_the_end(11)[0]
    assert isinstance(known, PatientKnown)
    assert known.links == (link,)
    told = [record for record in AuditTrail(tmp_path / "state" / "audit.jsonl").records() if "action" in record]
    assert [record["action"] for record in told] == ["linked", "unlinked", "linked"]


def test_looking_at_a_person_is_on_record_before_the_answer(open_desk: Open, tmp_path: Path) -> None:
    desk = open_desk()
    desk.courier.send(LookAtPerson(2, PATIENT.identifier, "1.2.3", ("A", "B"), "maiden name"))
    assert desk.until_the_end(2) == [OnRecord(2)]
    last = list(AuditTrail(tmp_path / "state" / "audit.jsonl").records())[-1]
    assert (last["action"], last["hospital"], last["reason"]) == ("compared", "A, B", "maiden name")


def shown(desk: Desk, number: int, study_uid: str) -> int:
    desk.courier.send(OpenStudy(number, study_uid))
    contents = desk.until_the_end(number)[0]
    assert isinstance(contents, StudyContents)
    return len(contents.instances)


# Who looks at it


def test_a_study_is_kept_open_as_long_as_a_pane_shows_it(open_desk: Open, settings: Settings, tmp_path: Path) -> None:
    desk = open_desk()
    study = desk.find_current()
    (tmp_path / "gate").touch()
    assert shown(desk, 2, study.study_uid) == 0  # opened before it is here
    desk.courier.send(Fetch(3, study))
    desk.until_the_end(3)
    with open_store(settings, tmp_path / "cache", tmp_path / "state") as seen:
        assert len(seen.inventory.leases.open_studies()) == 1
        assert shown(desk, 4, study.study_uid) > BEFORE_THE_GATE  # the other pane
        for number in (5, 6):
            desk.courier.tell(CloseStudy(number, study.study_uid))
        until(lambda: not seen.inventory.leases.open_studies())


def until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit
        threading.Event().wait(0.01)
