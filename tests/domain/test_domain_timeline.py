"""The line of a patient over all hospitals: merged, matched, ranked, and honest about what it does not know."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priorline.domain.identity import Identity
from priorline.domain.patient import Identifier, Patient
from priorline.domain.region import Region
from priorline.domain.study import HospitalReport, HospitalState, StudyAnswer
from priorline.domain.timeline import NAMES_MAX, Timeline
from priorline.regions import load_region_table

TABLE = load_region_table()
NUMBER = Identifier("999990007", "NLMINBIZA")
PIET = Patient(NUMBER, "JANSEN^Piet^^van der", date(1970, 3, 14), "M")
NAMESAKE = replace(PIET, birth_date=date(1943, 11, 2))
BARE = Patient(Identifier("999990007"))
HOSPITALS = ("A", "B", "C")


def row(
    uid: str, hospital: str = "A", written: str = "X-thorax PA", day: str = "2019-03-02", **more: object
) -> StudyAnswer:
    study_date = date.fromisoformat(day) if day else None
    answer = StudyAnswer(hospital, uid, PIET, study_date, time(10, 21), ("DX",), written, images=2)
    return replace(answer, **more)  # type: ignore[arg-type]


def line(rows: Iterable[StudyAnswer], context: Patient = PIET, current: str = "") -> Timeline:
    timeline = Timeline(context, HOSPITALS, TABLE)
    timeline.add(rows)
    timeline.set_current(current)
    return timeline


def uids(timeline: Timeline) -> list[str]:
    return [study.study_uid for study in timeline.studies()]


CT = row("ct", written="CT thorax/abdomen trauma", day="2026-03-01", modalities=("CT",))
STORY = (
    CT,
    row("film-2010", "B", "X-thorax preoperatief", "2010-03-09", modalities=("CR",)),
    row("film-2016", "B", "X-thorax", "2016-04-11", modalities=("CR",)),
    row("abdomen-2018", "C", "CT abdomen with contrast", "2018-01-09", modalities=("CT",)),
    row("film-2019", "B", "X-thorax PA", "2019-03-02"),
    row("hand-2021", "B", "X-hand rechts", "2021-06-01"),
    row("bed-2022", "C", "X-thorax bed", "2022-10-18", modalities=("CR",)),
    row("spine-2023", "A", "MRI LWK", "2023-12-05", modalities=("MR",)),
    row("head-2024", "A", "CT head", "2024-05-27", modalities=("CT",)),
    row("mystery-2025", "A", "Second opinion", "2025-01-01", modalities=("CT",)),
)


# --- merging and order


def test_one_study_at_several_hospitals_is_one_row_with_the_fullest_copy_first() -> None:
    timeline = line([row("1", "A", images=3), row("1", "C", images=5), row("1", "B", images=None)])
    (study,) = timeline.studies()
    assert study.hospitals == ("C", "A", "B")
    assert study.best.hospital == "C"
    assert study.images == 5


def test_holders_that_do_not_count_leave_the_count_unknown() -> None:
    (study,) = line([row("1", images=None)]).studies()
    assert study.images is None


def test_newest_first_and_dateless_last() -> None:
    rows = [row("old", day="2001-01-01"), row("dateless", day=""), row("new", day="2020-01-01")]
    early, late = (row(f"day-{hour}", day="2010-05-05", study_time=time(hour)) for hour in (8, 17))
    assert uids(line([*rows, early, late])) == ["new", "day-17", "day-8", "old", "dateless"]


def test_a_copy_without_date_or_description_takes_them_from_another_one() -> None:
    (study,) = line([row("1", "A", "", "", images=9), row("1", "B", "X-hand", "2015-01-01")]).studies()
    assert (study.best.hospital, study.best.study_date, study.best.description) == ("A", date(2015, 1, 1), "X-hand")
    assert study.regions == (Region.UPPER_LIMB,)


def test_modalities_of_pictures_come_before_those_of_documents() -> None:
    (study,) = line([row("1", modalities=("SR", "CT")), row("1", "B", modalities=("PR", "CT", "DX"))]).studies()
    assert study.modalities == ("CT", "DX", "SR", "PR")


def test_the_modality_names_the_region_where_no_word_does() -> None:
    (study,) = line([row("1", written="Screening", modalities=("MG",))]).studies()
    assert study.regions == (Region.BREAST,)


PEOPLE = (PIET, NAMESAKE, replace(PIET, name="BAKKER^Piet"), replace(PIET, birth_date=None), replace(PIET, name=""))
ROWS = st.builds(
    row,
    st.sampled_from("12345"),
    st.sampled_from(HOSPITALS),
    st.sampled_from(["X-thorax", "CT abdomen", "X-hand", "X-thorax bed", ""]),
    st.sampled_from(["2019-03-02", "2019-03-02", "2024-01-01", ""]),
    patient=st.sampled_from(PEOPLE),
    images=st.sampled_from([None, 1, 7]),
    modalities=st.sampled_from([("CT",), ("DX",), ("SR", "CR")]),
)
CONTEXTS = st.sampled_from([PIET, replace(PIET, name="", birth_date=None, sex="")])


@given(st.lists(ROWS, max_size=14), CONTEXTS, st.sampled_from("12"), st.randoms(use_true_random=False))
def test_answers_in_any_order_give_the_same_line(
    rows: list[StudyAnswer], context: Patient, current: str, chance: "object"
) -> None:
    shuffled = list(rows)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    at_once, one_by_one = line(rows, context, current), Timeline(context, HOSPITALS, TABLE)
    one_by_one.set_current(current)
    for answer in shuffled:
        one_by_one.add([answer])
        one_by_one.studies()
    assert one_by_one.studies() == at_once.studies()
    assert one_by_one.suggestion() == at_once.suggestion()
    assert one_by_one.coverage() == at_once.coverage()


@given(st.lists(ROWS, max_size=14), CONTEXTS, st.sampled_from(["", "1"]))
def test_nothing_is_hidden_and_nobody_else_is_shown(rows: list[StudyAnswer], context: Patient, current: str) -> None:
    timeline = line(rows, context, current)
    strangers = {(one.study_uid, one.hospital) for one in rows if context.birth_date and one.patient == NAMESAKE}
    expected = {one.study_uid for one in rows if not (context.birth_date and one.patient == NAMESAKE)}
    assert set(uids(timeline)) == expected
    shown = [copy.patient for study in timeline.studies() for copy in study.answers]
    assert not (context.birth_date and NAMESAKE in shown)
    withheld = sum(int(one.message.split()[0]) for one in timeline.coverage().reports if one.message)
    assert withheld == len(strangers)


# --- identity


def test_rows_of_another_person_are_withheld_and_counted_in_words() -> None:
    timeline = line(
        [row("1"), row("2", patient=NAMESAKE), row("3", patient=NAMESAKE), row("4", "B", patient=NAMESAKE)]
    )
    timeline.report(HospitalReport("A", HospitalState.ANSWERED, 3, message="Slow."))
    timeline.report(HospitalReport("B", HospitalState.ANSWERED, 1))
    assert uids(timeline) == ["1"]
    a, b, _c = timeline.coverage().reports
    assert (a.state, a.studies, a.message) == (
        HospitalState.ANSWERED,
        1,
        "Slow. 2 studies of another person left out.",
    )
    assert (b.state, b.studies, b.message) == (HospitalState.NONE, 0, "1 study of another person left out.")


def test_a_row_that_comes_twice_is_withheld_once() -> None:
    timeline = line([row("1", patient=NAMESAKE), row("1", patient=NAMESAKE)])
    assert timeline.coverage().reports[0].message == "1 study of another person left out."


def test_an_equal_number_of_another_issuer_is_withheld() -> None:
    assert uids(line([row("1", patient=replace(PIET, identifier=Identifier(NUMBER.value, "RIVIERLAND")))])) == []


def test_one_doubtful_copy_makes_the_study_a_proposal() -> None:
    timeline = line([row("1", "A"), row("1", "B", patient=replace(PIET, name="BAKKER^Piet")), row("2")])
    outcomes = {study.study_uid: study.match.outcome for study in timeline.studies()}
    assert outcomes == {"1": Identity.PROPOSED, "2": Identity.SAME}


def bare(**known: object) -> Patient:
    return replace(BARE, **known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (bare(birth_date=date(1970, 3, 14)), bare(birth_date=date(1943, 11, 2))),
        (bare(sex="M"), bare(sex="F")),
        (bare(name="JANSEN^Piet"), bare(name="BAKKER^Anna")),
        (bare(name="JANSEN^Piet"), bare(name="JANSEN^Paul")),
    ],
)
def test_two_persons_under_a_bare_number_are_both_only_proposed(one: Patient, other: Patient) -> None:
    timeline = line([row("1", patient=one)], BARE)
    assert [study.match.outcome for study in timeline.studies()] == [Identity.SAME]
    timeline.add([row("2", "B", patient=other), row("3", "C", patient=BARE)])
    assert [study.match.outcome for study in timeline.studies()] == [Identity.PROPOSED] * 3
    timeline.set_current("3")
    assert timeline.suggestion() is None


def test_an_initial_does_not_let_two_brothers_in() -> None:
    context = replace(PIET, name="JANSEN^P", birth_date=None)
    rows = [
        row("1", patient=replace(context, name="JANSEN^Piet")),
        row("2", patient=replace(context, name="JANSEN^Paul")),
    ]
    assert {study.match.outcome for study in line(rows, context).studies()} == {Identity.PROPOSED}


def test_one_person_under_a_bare_number_is_taken_as_that_person() -> None:
    people = [bare(name="JANSEN^Piet", birth_date=date(1970, 3, 14)), bare(name="JANSEN^P.^^van der", sex="M"), BARE]
    timeline = line([row(str(index), patient=person) for index, person in enumerate(people)], BARE)
    assert {study.match.outcome for study in timeline.studies()} == {Identity.SAME}


def test_a_crowd_under_one_number_is_several_people() -> None:
    names = [f"JANSEN^A{' B' * count}" for count in range(NAMES_MAX + 1)]
    timeline = line([row(name, patient=bare(name=name)) for name in names], BARE)
    assert {study.match.outcome for study in timeline.studies()} == {Identity.PROPOSED}


def test_hospitals_that_know_the_patient_under_numbers_of_their_own() -> None:
    numbers = {"B": Identifier("A-77", "B")}
    timeline = Timeline(PIET, HOSPITALS, TABLE, numbers)
    there = replace(PIET, identifier=Identifier("A-77", "B"))
    timeline.add([row("1"), row("2", "B", patient=there), row("3", "B"), row("4", "A", patient=there)])
    assert {study.study_uid: study.match.outcome for study in timeline.studies()} == {
        "1": Identity.SAME,
        "2": Identity.SAME,
        "3": Identity.SAME,
    }


# --- ranking


def test_the_standing_film_of_2019_wins_beside_the_trauma_ct() -> None:
    timeline = line(STORY, current="ct")
    found = timeline.suggestion()
    assert found is not None
    assert found.study_uid == "film-2019"
    assert found.relevance.reasons == ("same region", "film before the CT", "latest before this study")


@pytest.mark.parametrize("missing", [one.study_uid for one in STORY if one.study_uid not in ("ct", "film-2019")])
def test_it_wins_whatever_else_is_there(missing: str) -> None:
    found = line([one for one in STORY if one.study_uid != missing], current="ct").suggestion()
    assert found is not None
    assert found.study_uid == "film-2019"


def test_everything_on_the_line_is_ranked_with_reasons() -> None:
    timeline = line(STORY, current="ct")
    studies = {study.study_uid: study for study in timeline.studies()}
    assert set(studies) == {one.study_uid for one in STORY}
    assert studies.pop("ct").relevance.score == 0
    assert all(study.relevance.score > 0 and study.relevance.reasons for study in studies.values())
    assert "oldest of its kind" in studies["film-2010"].relevance.reasons
    order = sorted(studies, key=lambda uid: -studies[uid].relevance.score)
    assert set(order[-2:]) == {"hand-2021", "head-2024"}
    assert order.index("bed-2022") > order.index("film-2019")


def test_without_a_current_study_nothing_is_ranked_or_suggested() -> None:
    timeline = line(STORY)
    assert {study.relevance.score for study in timeline.studies()} == {0}
    assert timeline.suggestion() is None
    timeline.set_current("not on the line")
    assert timeline.suggestion() is None


def test_another_part_of_the_body_is_not_suggested_but_an_unknown_one_is() -> None:
    assert line([CT, row("hand", written="X-hand")], current="ct").suggestion() is None
    found = line([CT, row("hand", written="X-hand"), row("what", written="?")], current="ct").suggestion()
    assert found is not None
    assert found.study_uid == "what"


def test_only_certain_studies_count_as_oldest_or_latest() -> None:
    doubtful = row("doubtful", "C", day="2025-01-01", patient=replace(PIET, name="BAKKER^Piet"))
    ranked = {study.study_uid: study for study in line([*STORY, doubtful], current="ct").studies()}
    assert "latest before this study" in ranked["film-2019"].relevance.reasons
    assert "latest before this study" not in ranked["doubtful"].relevance.reasons


def test_what_was_made_after_the_current_study_is_not_the_latest_before_it() -> None:
    ranked = {
        study.study_uid: study for study in line([*STORY, row("after", day="2026-04-01")], current="ct").studies()
    }
    assert "latest before this study" in ranked["film-2019"].relevance.reasons
    assert ranked["after"].relevance.reasons == ("same region", "film after the CT")


@pytest.mark.parametrize("written", ["X-thorax bed", "Thorax op IC", "Röntgen Thorax im Liegen", "Chest PORTABLE"])
def test_films_taken_in_bed(written: str) -> None:
    (film,) = line([row("1", written=written)]).studies()
    (scan,) = line([row("1", written=written, modalities=("CT",))]).studies()
    assert (film.exam().bedside, scan.exam().bedside) == (True, False)


# --- coverage

S = HospitalState


@pytest.mark.parametrize(
    ("states", "complete", "asking", "sentence"),
    [
        ((S.ANSWERED, S.ANSWERED, S.NONE), True, False, "3 hospitals: 2 answered, 1 none."),
        ((S.NONE, S.NONE, S.NONE), True, False, "3 hospitals: 3 none."),
        ((S.ANSWERED, S.NONE, S.ASKING), False, True, "3 hospitals: 1 answered, 1 none, 1 still asking."),
        ((S.ANSWERED, S.NONE, S.FAILED), False, False, "3 hospitals: 1 answered, 1 none, 1 not reachable."),
        ((S.ANSWERED, S.NONE, S.TIMED_OUT), False, False, "3 hospitals: 1 answered, 1 none, 1 timed out."),
        ((S.ANSWERED, S.NONE, S.REFUSED), False, False, "3 hospitals: 1 answered, 1 none, 1 refused."),
        ((S.ANSWERED, S.NONE, S.NOT_ASKED), False, False, "3 hospitals: 1 answered, 1 none, 1 not asked."),
        ((S.ASKING, S.ASKING, S.ASKING), False, True, "3 hospitals: 3 still asking."),
    ],
)
def test_coverage(states: tuple[HospitalState, ...], complete: bool, asking: bool, sentence: str) -> None:
    timeline = line([])
    for hospital, state in zip(HOSPITALS, states, strict=True):
        timeline.report(HospitalReport(hospital, state))
    coverage = timeline.coverage()
    assert (coverage.complete, coverage.asking) == (complete, asking)
    assert coverage.sentence() == sentence + ("" if complete else " The line below may be incomplete.")
    assert [report.hospital for report in coverage.reports] == list(HOSPITALS)


def test_a_list_that_was_cut_is_not_complete() -> None:
    timeline = Timeline(PIET, ["A"], TABLE)
    timeline.report(HospitalReport("A", S.ANSWERED, 5000, cut=True))
    assert not timeline.coverage().complete
    assert timeline.coverage().sentence() == "1 hospital: 1 answered. The line below may be incomplete."


def test_before_anybody_answers_all_are_being_asked() -> None:
    assert {report.state for report in line([]).coverage().reports} == {S.ASKING}


def test_without_hospitals_nothing_is_complete() -> None:
    coverage = Timeline(PIET, [], TABLE).coverage()
    assert not coverage.complete
    assert coverage.sentence() == "No hospital is configured."
