"""One question to all hospitals at once: nobody waits for a slow one, and every one ends in a named state."""

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from priorline.archives.base import FindSummary, RetrieveSummary
from priorline.archives.incoming import Receiver
from priorline.audit.trail import AuditTrail
from priorline.config import HospitalSettings
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import FirstListed, HospitalReport, HospitalState, StudyAnswer, StudyListing
from priorline.errors import (
    ArchiveBroken,
    ArchiveRefused,
    ArchiveTimedOut,
    ArchiveUnreachable,
    EnvironmentFault,
    UsageError,
)
from priorline.work.hospitals import Hospital
from priorline.work.search import Listener, find_current, find_holders, search

WHO = Patient(Identifier("PL-0042"), "Jansen^Piet")
SECONDS = 20.0


def study(hospital: str, number: int, images: int | None = None) -> StudyAnswer:
    return StudyAnswer(hospital, f"1.2.3.{number}", WHO, images=images)


@dataclass
class Scripted:
    """An archive that answers with `rows`, raises `fault`, or waits for `until`; `asked` keeps the questions."""

    name: str
    rows: list[StudyAnswer] = field(default_factory=list)
    fault: Exception | None = None
    until: threading.Event | None = None
    summary: FindSummary = field(default_factory=FindSummary)
    asked: list[str] = field(default_factory=list)

    def echo(self) -> float:
        return 1.0

    def accepts_get(self) -> bool:
        return True

    def find_studies(
        self, patient: Patient, on_rows: Callable[[list[StudyAnswer]], None], cancelled: Callable[[], bool]
    ) -> FindSummary:
        self._answer(patient.identifier.value)
        for row in self.rows:
            on_rows([row])
        return self.summary

    def find_study(self, study_uid: str) -> StudyAnswer | None:
        self._answer(study_uid)
        return next((row for row in self.rows if row.study_uid == study_uid), None)

    def _answer(self, question: str) -> None:
        self.asked.append(question)
        if self.until is not None:
            assert self.until.wait(SECONDS)
        if self.fault is not None:
            raise self.fault

    def list_study(
        self, study_uid: str, on_first: Callable[[FirstListed], None], cancelled: Callable[[], bool]
    ) -> StudyListing:
        return StudyListing()

    def retrieve(
        self,
        study_uid: str,
        series_uid: str | None,
        sop_classes: Collection[str],
        receiver: Receiver,
        cancelled: Callable[[], bool],
    ) -> RetrieveSummary:
        return RetrieveSummary(0, 0, 0, 0, 0)


def hospital(archive: Scripted, **settings: Any) -> Hospital:
    known = HospitalSettings(name=archive.name, ae_title="X", host="127.0.0.1", port=104, **settings)
    return Hospital(known, archive)


class Ear:
    """Hears a search; thread-safe."""

    def __init__(self) -> None:
        self.studies: list[StudyAnswer] = []
        self.reports: dict[str, HospitalReport] = {}
        self.heard = threading.Condition()

    def take(self, rows: tuple[StudyAnswer, ...]) -> None:
        with self.heard:
            self.studies += rows
            self.heard.notify_all()

    def end(self, report: HospitalReport) -> None:
        with self.heard:
            assert report.hospital not in self.reports
            self.reports[report.hospital] = report
            self.heard.notify_all()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self.heard:
            assert self.heard.wait_for(condition, SECONDS)

    @property
    def listener(self) -> Listener:
        return Listener(self.take, self.end)


@pytest.fixture
def trail(tmp_path: Path) -> AuditTrail:
    return AuditTrail(tmp_path / "audit.jsonl")


def ask(hospitals: list[Hospital], trail: AuditTrail, who: Patient = WHO) -> Ear:
    ear = Ear()
    search(hospitals, who, ear.listener, trail)
    return ear


def test_a_mute_hospital_delays_no_other(trail: AuditTrail) -> None:
    speak = threading.Event()
    mute = Scripted("Mute", [study("Mute", 9)], until=speak)
    quick = Scripted("Quick", [study("Quick", 1), study("Quick", 2)])
    ear = Ear()
    asking = threading.Thread(target=search, args=([hospital(mute), hospital(quick)], WHO, ear.listener, trail))
    asking.start()
    try:
        ear.wait_for(lambda: "Quick" in ear.reports)
        assert len(ear.studies) == 2
        assert "Mute" not in ear.reports
    finally:
        speak.set()
        asking.join(SECONDS)
    assert ear.reports["Mute"].state is HospitalState.ANSWERED
    assert len(ear.studies) == 3


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        (ArchiveUnreachable("It cannot be reached."), HospitalState.FAILED),
        (ArchiveBroken("It answered nonsense."), HospitalState.FAILED),
        (ArchiveTimedOut("It stopped answering."), HospitalState.TIMED_OUT),
        (ArchiveRefused("It refused."), HospitalState.REFUSED),
        (UsageError("This number cannot be asked for."), HospitalState.NOT_ASKED),
    ],
    ids=lambda value: str(getattr(value, "value", type(value).__name__)),
)
def test_every_way_of_failing_is_a_state_with_a_sentence(
    trail: AuditTrail, fault: Exception, state: HospitalState
) -> None:
    ear = ask([hospital(Scripted("Bad", fault=fault)), hospital(Scripted("Good", [study("Good", 1)]))], trail)
    assert (ear.reports["Bad"].state, ear.reports["Bad"].message) == (state, str(fault))
    assert ear.reports["Good"].state is HospitalState.ANSWERED


def test_an_answer_without_studies_is_none_and_says_what_was_left_out(trail: AuditTrail) -> None:
    empty = ask([hospital(Scripted("A"))], trail).reports["A"]
    assert (empty.state, empty.studies, empty.message) == (HospitalState.NONE, 0, "")
    noisy = ask([hospital(Scripted("A", summary=FindSummary(dropped=3, cut=True)))], trail).reports["A"]
    assert (noisy.dropped, noisy.cut) == (3, True)
    assert "3 rows of other patients" in noisy.message


def test_a_study_that_comes_twice_is_counted_once(trail: AuditTrail) -> None:
    ear = ask([hospital(Scripted("A", [study("A", 1), study("A", 1), study("A", 2)]))], trail)
    assert ear.reports["A"].studies == 2


def test_a_fault_of_our_own_leaves_no_hospital_without_a_state(
    trail: AuditTrail, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda told: faults.append(told.exc_type.__name__))
    ear = ask([hospital(Scripted("A", fault=KeyError("a bug")))], trail)
    assert ear.reports["A"].state is HospitalState.FAILED
    assert faults == ["KeyError"], "a bug is not hushed up"


def test_without_an_audit_trail_nobody_is_asked(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    archives = [Scripted("A", [study("A", 1)]), Scripted("B", [study("B", 2)])]
    broken = AuditTrail(tmp_path / "file" / "audit.jsonl")
    ear = ask([hospital(archive) for archive in archives], broken)
    assert {report.state for report in ear.reports.values()} == {HospitalState.NOT_ASKED}
    assert all("audit trail" in report.message for report in ear.reports.values())
    assert [archive.asked for archive in archives] == [[], []]
    with pytest.raises(EnvironmentFault, match="audit trail"):
        find_current([hospital(archive) for archive in archives], "1.2.3.1", broken)
    holders = find_holders([hospital(archive) for archive in archives], "1.2.3.1", broken)
    assert (holders.found, len(holders.problems)) == ((), 1)
    assert [archive.asked for archive in archives] == [[], []]


def test_each_question_is_in_the_trail_when_it_is_asked(trail: AuditTrail) -> None:
    seen: list[int] = []

    class Watching(Scripted):
        def _answer(self, question: str) -> None:
            seen.append(sum(record["hospital"] == self.name for record in trail.records()))

    ask([hospital(Watching("A")), hospital(Watching("B"))], trail)
    find_current([hospital(Watching("A"))], "1.2.3.1", trail)
    find_holders([hospital(Watching("A"))], "1.2.3.1", trail)
    assert seen == [1, 1, 2, 3]


def test_all_questions_are_in_the_trail_before_the_first_goes_out(trail: AuditTrail) -> None:
    seen: list[list[str]] = []

    class Watching(Scripted):
        def _answer(self, question: str) -> None:
            seen.append([record["hospital"] for record in trail.records()])

    hospitals = [hospital(Watching("A")), hospital(Watching("B")), hospital(Watching("C"))]
    ask(hospitals, trail)
    find_holders(hospitals, "1.2.3.1", trail)
    assert seen == [list("ABC")] * 3 + [list("ABCABC")] * 3


def test_a_hospital_is_asked_under_its_own_number_or_not_at_all(trail: AuditTrail) -> None:
    local = Scripted("Local", [study("Local", 1)])
    other = Scripted("Other", [study("Other", 2)])
    who = Patient(Identifier("PL-0042", "HOME"))
    hospitals = [
        hospital(local, patient_id_issuer="LOC", patient_id={"PL-0042": "A-77"}),
        hospital(other, patient_id_issuer="ELSEWHERE"),
    ]
    ear = ask(hospitals, trail, who)
    assert (local.asked, other.asked) == (["A-77"], [])
    assert ear.reports["Other"].state is HospitalState.NOT_ASKED
    assert "other patient numbers" in ear.reports["Other"].message


def test_the_current_study_comes_from_whoever_answers_first(trail: AuditTrail) -> None:
    speak = threading.Event()
    mute = Scripted("Mute", [study("Mute", 1)], until=speak)
    try:
        found = find_current([hospital(mute), hospital(Scripted("Quick", [study("Quick", 1)]))], "1.2.3.1", trail)
        assert found is not None
        assert found.hospital == "Quick"
    finally:
        speak.set()


def test_nobody_has_the_current_study(trail: AuditTrail) -> None:
    hospitals = [hospital(Scripted("A")), hospital(Scripted("B", fault=ArchiveUnreachable("It is off.")))]
    assert find_current(hospitals, "1.2.3.1", trail) is None


def test_holders_have_the_most_complete_first_and_silence_is_told(trail: AuditTrail) -> None:
    hospitals = [
        hospital(Scripted("Few", [study("Few", 1, 3)])),
        hospital(Scripted("Off", fault=ArchiveUnreachable("Off cannot be reached."))),
        hospital(Scripted("Many", [study("Many", 1, 8)])),
        hospital(Scripted("None")),
    ]
    holders = find_holders(hospitals, "1.2.3.1", trail)
    assert [one.name for one, _study in holders.found] == ["Many", "Few"]
    assert holders.problems == ("Off cannot be reached.",)


def test_hospitals_that_disagree_about_the_current_study_decide_nothing(trail: AuditTrail) -> None:
    ours = study("A", 1)
    ours = replace(ours, patient=replace(WHO, birth_date=date(1950, 1, 1)))
    theirs = replace(study("B", 1), patient=replace(WHO, birth_date=date(1901, 1, 1)))
    hospitals = [hospital(Scripted("A", [ours])), hospital(Scripted("B", [theirs]))]
    with pytest.raises(EnvironmentFault, match="disagree"):
        find_current(hospitals, ours.study_uid, trail)


def test_of_hospitals_that_agree_the_first_configured_one_counts(trail: AuditTrail) -> None:
    other_number = replace(study("B", 1), patient=replace(WHO, identifier=Identifier("B-9", "B")))
    hospitals = [hospital(Scripted("A", [study("A", 1)])), hospital(Scripted("B", [other_number]))]
    found = find_current(hospitals, study("A", 1).study_uid, trail)
    assert found is not None
    assert found.hospital == "A"


def test_a_department_is_asked_under_every_number_that_is_known_and_recorded_so(trail: AuditTrail) -> None:
    same, other = hospital(Scripted("A")), hospital(Scripted("B"), patient_id={"PL-0042": "B-99"})
    ours = Scripted("Ours", [study("Ours", 1)])
    department = replace(hospital(ours, role="department"), others=(same, other))
    ear = ask([same, other, department], trail)
    assert ours.asked == ["PL-0042", "B-99"]
    assert ear.reports["Ours"].studies == 1
    asked = [(one["hospital"], one["patient_id"]) for one in trail.records()]
    assert asked == [("A", "PL-0042"), ("B", "B-99"), ("Ours", "PL-0042"), ("Ours", "B-99")]


def test_a_department_says_whose_a_study_is_only_where_no_hospital_does(trail: AuditTrail) -> None:
    ours = hospital(Scripted("Ours", [study("Ours", 1)]), role="department")
    found = find_current([ours, hospital(Scripted("A", [study("A", 1)]))], "1.2.3.1", trail)
    assert found is not None
    assert found.hospital == "A"
    alone = find_current([ours, hospital(Scripted("A"))], "1.2.3.1", trail)
    assert alone is not None
    assert alone.hospital == "Ours"


def test_a_department_is_fetched_from_first(trail: AuditTrail) -> None:
    many = hospital(Scripted("A", [study("A", 1, 9)]))
    ours = hospital(Scripted("Ours", [study("Ours", 1, 2)]), role="department")
    found = find_holders([many, ours], "1.2.3.1", trail).found
    assert [held.name for held, _ in found] == ["Ours", "A"]
