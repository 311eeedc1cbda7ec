"""Which studies are fetched ahead, and from whom: settings, order and hours."""

from datetime import date, time

import pytest

from priorline.config import Prefetch
from priorline.domain.patient import Identifier, Patient
from priorline.domain.region import Region
from priorline.domain.study import StudyAnswer
from priorline.domain.timeline import Timeline, TimelineStudy
from priorline.regions import load_region_table
from priorline.work.prefetch import plan

JANSEN = Patient(Identifier("1", "A"), "JANSEN^Piet", date(1970, 3, 14), "M")
OTHER = Patient(Identifier("1", "A"), "BAKKER^Piet", date(1970, 3, 14), "M")
NOON = time(12)


def answer(
    uid: str,
    hospital: str = "A",
    year: int = 2020,
    description: str = "CT thorax",
    images: int | None = None,
    patient: Patient = JANSEN,
) -> StudyAnswer:
    return StudyAnswer(hospital, uid, patient, date(year, 1, 1), None, ("CT",), description, images=images)


def line(*answers: StudyAnswer) -> Timeline:
    """The line with a current chest CT of today."""
    timeline = Timeline(JANSEN, ("A", "B", "C"), load_region_table())
    timeline.add((answer("now", year=2026), *answers))
    timeline.set_current("now")
    return timeline


def uids(studies: list[TimelineStudy]) -> list[str]:
    return [study.study_uid for study in studies]


PRIORS = line(
    answer("third", year=2001, description="CT abdomen"),
    answer("first", "A", 2025, images=5),
    answer("first", "B", 2025, images=9),
    answer("second", "B", 2010),
).priors(9)


def test_priors_come_with_the_suggestion_first_and_only_those_of_the_patient() -> None:
    timeline = line(
        answer("old", year=2010),
        answer("new", year=2025),
        answer("knee", year=2025, description="MR knie rechts"),
        answer("perhaps", year=2025, patient=OTHER),
    )
    suggestion = timeline.suggestion()
    assert suggestion is not None
    assert uids(timeline.priors(9))[0] == suggestion.study_uid
    assert set(uids(timeline.priors(9))) == {"old", "new"}
    assert uids(timeline.priors(1)) == [suggestion.study_uid]
    assert Region.CHEST in suggestion.regions


def test_without_a_certain_current_study_there_are_none() -> None:
    timeline = line(answer("old", year=2010))
    timeline.add((answer("now", "B", 2026, patient=OTHER),))
    assert timeline.priors(9) == []


def test_each_hospital_sends_of_the_first_priors_those_that_it_holds() -> None:
    settings = {"A": Prefetch(studies=1), "B": Prefetch(studies=2), "C": Prefetch(studies=9)}
    planned = plan(PRIORS, settings, NOON)
    assert list(planned) == ["first", "second"]
    assert [copy.hospital for copy in planned["first"]] == ["B", "A"]
    assert [copy.hospital for copy in planned["second"]] == ["B"]


def test_a_hospital_that_sends_nothing_ahead_is_passed_over_for_another_holder() -> None:
    planned = plan(PRIORS, {"A": Prefetch(studies=3), "B": Prefetch(studies=0)}, NOON)
    assert [(uid, [copy.hospital for copy in copies]) for uid, copies in planned.items()] == [
        ("first", ["A"]),
        ("third", ["A"]),
    ]


@pytest.mark.parametrize(("at", "count"), [(time(6, 59), 0), (time(7), 2), (time(21, 59), 2), (time(22), 0)])
def test_nothing_begins_outside_the_hours(at: time, count: int) -> None:
    settings = dict.fromkeys("AB", Prefetch(studies=2, hours="07:00-22:00"))
    assert len(plan(PRIORS, settings, at)) == count


def test_a_hospital_that_is_not_configured_is_never_asked() -> None:
    assert plan(PRIORS, {}, NOON) == {}
