"""A department's own archive on the line: asked first, shown last, and no proof of whose a bare number is."""

from dataclasses import replace
from datetime import date

import pytest

from priorline.domain.identity import Identity
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import HospitalReport, HospitalState, StudyAnswer
from priorline.domain.timeline import Timeline, TimelineStudy
from priorline.regions import load_region_table

OURS = "Archive 4"
PIET = Patient(Identifier("12345", "A"), "JANSEN^Piet", date(1970, 3, 14), "M")
AT_B = Identifier("B-99", "B")
ROW = StudyAnswer("A", "1.2.3", PIET, date(2019, 3, 2), None, ("DX",), "X-thorax", images=2)


def line(*rows: StudyAnswer, context: Patient = PIET, issuer: str = "B") -> Timeline:
    numbers = {"A": context.identifier, "B": Identifier(AT_B.value, issuer), OURS: context.identifier}
    timeline = Timeline(context, ("A", "B", OURS), load_region_table(), numbers, departments=[OURS])
    timeline.add(rows)
    return timeline


def only(timeline: Timeline) -> TimelineStudy:
    (study,) = timeline.studies()
    return study


def test_the_hospital_describes_the_study_and_the_department_is_asked_first() -> None:
    study = only(line(replace(ROW, hospital=OURS, images=9, description="copy"), ROW, replace(ROW, hospital="B")))
    assert (study.best.hospital, study.best.description, study.images) == ("A", "X-thorax", 9)
    assert study.hospitals == ("A", "B", OURS)
    assert study.places == ("A", "B", "Archive 4 (department archive)")
    assert [copy.hospital for copy in study.holders] == [OURS, "A", "B"]


def test_where_no_hospital_answers_the_copy_says_what_it_is() -> None:
    timeline = line(replace(ROW, hospital=OURS))
    timeline.report(HospitalReport(OURS, HospitalState.ANSWERED, 1))
    assert only(timeline).places == ("Archive 4 (department archive)",)
    told = {report.hospital: report.place for report in timeline.coverage().reports}
    assert told == {"A": "A", "B": "B", OURS: "Archive 4 (department archive)"}


def test_a_name_that_says_it_already_says_it_once() -> None:
    report = HospitalReport("Our Department Archive", HospitalState.NONE, department=True)
    assert report.place == "Our Department Archive"


@pytest.mark.parametrize("issuer", ["B", ""])
def test_a_copy_under_another_hospitals_number_is_the_same_patient(issuer: str) -> None:
    copy = replace(ROW, hospital=OURS, patient=replace(PIET, identifier=Identifier("B-99", "")))
    assert only(line(copy, issuer=issuer)).match.outcome is Identity.SAME
    named = replace(copy, patient=replace(PIET, identifier=AT_B))
    assert only(line(named)).match.outcome is Identity.SAME


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"birth_date": None}, Identity.PROPOSED),
        ({"name": ""}, Identity.PROPOSED),
        ({"name": "VRIES^Els"}, Identity.PROPOSED),
        ({"birth_date": date(1980, 1, 1)}, None),
    ],
)
def test_a_bare_number_there_is_a_number_of_anybody(changes: dict[str, object], outcome: Identity | None) -> None:
    """Also where no hospital says who issues its numbers."""
    context = replace(PIET, identifier=Identifier("12345"))
    who = replace(context, **changes)  # type: ignore[arg-type]
    timeline = line(replace(ROW, hospital=OURS, patient=who), context=context)
    assert [study.match.outcome for study in timeline.studies()] == ([] if outcome is None else [outcome])


def test_a_number_of_nobody_known_is_another_person() -> None:
    stranger = replace(PIET, identifier=Identifier("C-1", "C"))
    assert line(replace(ROW, hospital=OURS, patient=stranger)).studies() == ()
