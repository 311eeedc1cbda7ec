"""Many hospitals, some of them mute; equal numbers of different people; a patient who is no longer the one."""

import random
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pytest

from priorline.archives.base import FindSummary, RetrieveSummary
from priorline.archives.incoming import Receiver
from priorline.audit.trail import AuditTrail
from priorline.config import HospitalSettings
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import FirstListed, HospitalReport, HospitalState, StudyAnswer, StudyListing
from priorline.domain.timeline import Timeline
from priorline.regions import load_region_table
from priorline.work.hospitals import Hospital
from priorline.work.search import Listener, search

SECONDS = 20.0
SWITCHES, HOSPITALS = 100, 20


@dataclass
class Answering:
    """An archive that answers what `of` says about a patient, in batches of one, and waits while `mute`."""

    name: str
    of: Callable[[Patient], list[StudyAnswer]]
    mute: threading.Event | None = None
    pause: Callable[[], None] = field(default=lambda: None)

    def find_studies(
        self, patient: Patient, on_rows: Callable[[list[StudyAnswer]], None], cancelled: Callable[[], bool]
    ) -> FindSummary:
        if self.mute is not None:
            assert self.mute.wait(SECONDS)
        rows = self.of(patient)
        for row in rows:
            self.pause()
            if cancelled():
                return FindSummary(cancelled=True)
            on_rows([row])
        return FindSummary(len(rows))

    def echo(self) -> float:
        return 1.0

    def accepts_get(self) -> bool:
        return True

    def find_study(self, study_uid: str) -> StudyAnswer | None:
        return None

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


def hospital(archive: Answering, issuer: str = "") -> Hospital:
    settings = HospitalSettings(name=archive.name, ae_title="X", host="127.0.0.1", port=104, patient_id_issuer=issuer)
    return Hospital(settings, archive)


@pytest.fixture
def trail(tmp_path: Path) -> AuditTrail:
    return AuditTrail(tmp_path / "audit.jsonl")


def test_fifteen_answers_are_there_while_five_are_mute(trail: AuditTrail) -> None:
    who, speak, answered = Patient(Identifier("1")), threading.Event(), threading.Event()
    rows: list[StudyAnswer] = []
    reports: dict[str, HospitalReport] = {}

    def ended(report: HospitalReport) -> None:
        reports[report.hospital] = report
        if len(reports) == 15:
            answered.set()

    asked = [
        hospital(
            Answering(f"H{place}", lambda _, at=place: [StudyAnswer(f"H{at}", f"1.2.{at + 1}", who)],  # type: ignore[misc]
                      speak if place % 4 == 0 else None)
        )
        for place in range(20)
    ]  # fmt: skip
    asking = threading.Thread(target=search, args=(asked, who, Listener(rows.extend, ended), trail))
    asking.start()
    try:
        assert answered.wait(SECONDS)
        assert len(rows) == 15
        assert {report.state for report in reports.values()} == {HospitalState.ANSWERED}
    finally:
        speak.set()
        asking.join(SECONDS)
    assert len(reports) == 20


OURS = Patient(Identifier("12345", "NORTH"), "JANSEN^Piet", date(1970, 3, 14), "M")
THEIRS = Patient(Identifier("12345", "SOUTH"), "DE VRIES^Anna", date(1980, 1, 1), "F")
NOBODY = Patient(Identifier("12345"), "DE VRIES^Anna", date(1980, 1, 1), "F")


@pytest.mark.parametrize("issuers", [("NORTH", "SOUTH"), ("NORTH", ""), ("", "")], ids=["both", "one", "none"])
@pytest.mark.parametrize("theirs", [THEIRS, NOBODY], ids=["issuer told", "issuer not told"])
def test_one_number_at_two_hospitals_never_makes_two_people_one(
    trail: AuditTrail, issuers: tuple[str, str], theirs: Patient
) -> None:
    table = load_region_table()
    north = Answering("North", lambda _: [StudyAnswer("North", "1.2.1", OURS)])
    south = Answering("South", lambda _: [StudyAnswer("South", "1.2.2", theirs)])
    hospitals = [hospital(north, issuers[0]), hospital(south, issuers[1])]
    timeline = Timeline(OURS, ["North", "South"], table)
    search(hospitals, OURS, Listener(timeline.add, timeline.report), trail)
    assert [study.study_uid for study in timeline.studies()] == ["1.2.1"]


def test_a_switch_of_patient_in_the_middle_mixes_nothing(trail: AuditTrail) -> None:
    """What is heard under a question's number is of the patient of that question, in any order of answers."""
    dice, going_on = random.Random(7), threading.Event()
    heard: dict[int, list[StudyAnswer]] = {number: [] for number in range(SWITCHES)}
    current = [0]

    def of(name: str) -> Callable[[Patient], list[StudyAnswer]]:
        return lambda who: [StudyAnswer(name, f"1.2.{who.identifier.value}.{part}", who) for part in (1, 2, 3)]

    def wait_a_little() -> None:
        going_on.wait(dice.random() / 1000)

    asked = [hospital(Answering(f"H{place}", of(f"H{place}"), pause=wait_a_little)) for place in range(HOSPITALS)]
    asking: list[threading.Thread] = []
    for number in range(SWITCHES):
        current[0] = number
        listener = Listener(heard[number].extend, lambda _: None)
        who = Patient(Identifier(str(number + 1)))
        arguments = (asked, who, listener, trail, lambda mine=number: current[0] != mine)
        asking.append(threading.Thread(target=search, args=arguments))
        asking[-1].start()
        going_on.wait(dice.random() / 100)
    for thread in asking:
        thread.join(SECONDS)
    assert all(row.patient.identifier.value == str(number + 1) for number, rows in heard.items() for row in rows)
    assert sum(map(len, heard.values())) < SWITCHES * HOSPITALS * 3
    assert len(heard[SWITCHES - 1]) == HOSPITALS * 3
