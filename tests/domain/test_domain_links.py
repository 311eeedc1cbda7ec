"""A person confirms that a row is of this patient: for exactly this pair, visible on the card, and reversible."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, time

import pytest

from priorline.domain.identity import Identity, compare
from priorline.domain.links import PersonLink
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import StudyAnswer
from priorline.domain.timeline import Timeline
from priorline.errors import UsageError
from priorline.regions import load_region_table

TABLE = load_region_table()
PIET = Patient(Identifier("999990007", "NLMINBIZA"), "JANSEN^Piet^^van der", date(1970, 3, 14), "M")
RENAMED = replace(PIET, name="BAKKER^Piet")
AT = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
SAME, PROPOSED = Identity.SAME, Identity.PROPOSED


def row(uid: str, patient: Patient = RENAMED, hospital: str = "A") -> StudyAnswer:
    return StudyAnswer(
        hospital, uid, patient, date(2019, 3, 2), time(10, 21), ("DX",), "X-thorax", images=2, series=1
    )


def line(rows: Iterable[StudyAnswer], links: Iterable[PersonLink] = (), context: Patient = PIET) -> Timeline:
    timeline = Timeline(context, ["A", "B"], TABLE, links=links)
    timeline.add(rows)
    return timeline


def outcomes(timeline: Timeline) -> dict[str, Identity]:
    return {study.study_uid: study.match.outcome for study in timeline.studies()}


def confirmed(timeline: Timeline, uid: str = "1") -> tuple[PersonLink, ...]:
    links = timeline.confirmation(uid, reason="seen in the letter", user="a.smit", at=AT)
    timeline.confirm(links)
    return links


def test_confirming_makes_the_row_certain_and_says_who_when_and_why() -> None:
    timeline = line([row("1"), row("2"), row("3", PIET)])
    assert outcomes(timeline) == {"1": PROPOSED, "2": PROPOSED, "3": SAME}
    confirmed(timeline)
    assert outcomes(timeline) == {"1": SAME, "2": SAME, "3": SAME}
    card = next(study.match for study in timeline.studies() if study.study_uid == "1").card()
    assert card[0] == "Confirmed by a.smit on 24-11-2026 09:30, reason: seen in the letter."
    assert "Differ: name." in card


def test_a_name_that_was_confirmed_puts_nobody_else_in_doubt() -> None:
    timeline = line([row("1")])
    confirmed(timeline)
    timeline.add([row("2", PIET), row("3", PIET, "B")])
    assert set(outcomes(timeline).values()) == {SAME}


def test_revoking_shuts_the_row_again() -> None:
    timeline = line([row("1")])
    links = confirmed(timeline)
    assert timeline.links_of("1") == links
    timeline.revoke(links[0])
    assert outcomes(timeline) == {"1": PROPOSED}
    assert timeline.links_of("1") == ()


def test_stored_links_apply_from_the_first_row() -> None:
    links = line([row("1")]).confirmation("1", reason="r", user="u", at=AT)
    assert outcomes(line([row("1")], links)) == {"1": SAME}


CHANGED = [
    replace(RENAMED, name="BAKKER^Pieter"),
    replace(RENAMED, name="SMIT^Jan"),
    replace(RENAMED, birth_date=None),
    replace(RENAMED, sex=""),
    replace(RENAMED, identifier=Identifier("999990007")),
]


@pytest.mark.parametrize("changed", CHANGED)
def test_when_the_other_side_changes_the_link_does_not_apply_any_more(changed: Patient) -> None:
    links = line([row("1")]).confirmation("1", reason="r", user="u", at=AT)
    assert outcomes(line([row("1", changed)], links)) == {"1": PROPOSED}


def test_it_does_not_apply_to_another_hospital() -> None:
    links = line([row("1")]).confirmation("1", reason="r", user="u", at=AT)
    assert outcomes(line([row("1", hospital="B")], links)) == {"1": PROPOSED}


@pytest.mark.parametrize(
    "context",
    [
        replace(PIET, identifier=Identifier("999990007", "X")),
        replace(PIET, identifier=Identifier("999990019", "NLMINBIZA")),
        replace(PIET, name="VISSER^Kees"),
        replace(PIET, birth_date=date(1943, 11, 2)),
    ],
)
def test_it_does_not_apply_to_another_patient(context: Patient) -> None:
    links = line([row("1")]).confirmation("1", reason="r", user="u", at=AT)
    asked = replace(RENAMED, identifier=context.identifier, birth_date=context.birth_date)
    link = replace(links[0], other=asked.identifier, birth_date=asked.birth_date)
    assert outcomes(line([row("1", asked)], [link], context)) == {"1": PROPOSED}


def test_it_applies_where_the_launch_writes_the_patient_in_another_way() -> None:
    links = line([row("1")]).confirmation("1", reason="r", user="u", at=AT)
    assert outcomes(line([row("1")], links, replace(PIET, name="VAN DER JANSEN^P.", sex=""))) == {"1": SAME}


@pytest.mark.parametrize(
    "stranger",
    [
        replace(PIET, birth_date=date(1970, 4, 13)),
        replace(PIET, sex="F"),
        replace(PIET, identifier=Identifier("999990019", "NLMINBIZA")),
    ],
)
def test_what_conflicts_can_not_be_confirmed(stranger: Patient) -> None:
    timeline = line([row("1", stranger)])
    with pytest.raises(UsageError):
        timeline.confirmation("1", reason="r", user="u", at=AT)
    # Not even by a link that says so.
    link = PersonLink(
        PIET.identifier, stranger.identifier, "A", stranger.name, stranger.birth_date, stranger.sex, "r", "u", AT
    )
    assert outcomes(line([row("1", stranger)], [link])) == {}


def test_a_further_bsn_that_conflicts_ends_a_link() -> None:
    links = line([row("1")]).confirmation("1", reason="r", user="u", at=AT)
    two = replace(RENAMED, other_ids=(Identifier("999990019", "NLMINBIZA"),))
    assert outcomes(line([row("1", two)], links)) == {}


@pytest.mark.parametrize(("uid", "reason"), [("2", "r"), ("nowhere", "r"), ("1", " ")])
def test_only_what_is_in_question_is_confirmed_and_only_with_a_reason(uid: str, reason: str) -> None:
    with pytest.raises(UsageError):
        line([row("1"), row("2", PIET)]).confirmation(uid, reason=reason, user="u", at=AT)


THIN = [
    replace(PIET, identifier=Identifier("", "NLMINBIZA")),
    replace(PIET, identifier=Identifier("999990007"), name=""),
    replace(PIET, identifier=Identifier("999990007"), birth_date=None),
]


@pytest.mark.parametrize("thin", THIN)
def test_a_description_that_fits_many_is_confirmed_for_one_study_only(thin: Patient) -> None:
    timeline = line([row("1", thin), row("2", thin)])
    confirmed(timeline)
    assert outcomes(timeline) == {"1": SAME, "2": PROPOSED}


def test_every_copy_in_question_is_confirmed_and_a_later_one_asks_again() -> None:
    timeline = line([row("1"), row("1", replace(RENAMED, name="SMIT^Piet"), "B")])
    links = confirmed(timeline)
    assert {link.hospital for link in links} == {"A", "B"}
    assert outcomes(timeline) == {"1": SAME}
    timeline.revoke(links[1])
    assert outcomes(timeline) == {"1": PROPOSED}


def test_a_number_of_several_people_can_be_confirmed_row_by_row() -> None:
    bare = Patient(Identifier("5"))
    rows = [row("1", replace(bare, name="JANSEN^Piet", birth_date=date(1970, 3, 14)))]
    rows.append(row("2", replace(bare, name="BAKKER^Anna", birth_date=date(1943, 11, 2)), "B"))
    timeline = line(rows, context=bare)
    assert outcomes(timeline) == {"1": PROPOSED, "2": PROPOSED}
    assert "several people" in timeline.studies()[0].match.card()[-1]
    confirmed(timeline)
    assert outcomes(timeline) == {"1": SAME, "2": PROPOSED}


def test_links_of_one_pair_are_one_decision() -> None:
    timeline = line([row("1")])
    (link,) = confirmed(timeline)
    again = replace(link, user="b.vos", at=AT.replace(hour=12))
    timeline.confirm([again])
    assert timeline.links_of("1") == (again,)
    timeline.revoke(link)
    assert outcomes(timeline) == {"1": PROPOSED}


def test_the_card_says_every_field_once() -> None:
    match = compare(PIET, replace(RENAMED, sex=""))
    assert match.card() == (
        "Perhaps this patient: a person has to decide.",
        "The same BSN.",
        "Agree: number, birth date.",
        "Differ: name.",
        "Not known: sex.",
    )


def test_probable_copies_stay_on_the_line_as_they_are() -> None:
    rows = [row("1", PIET), row("2", PIET, "B"), row("3", replace(PIET, birth_date=date(1943, 11, 2)))]
    timeline = line(rows)
    assert (timeline.probable_copies("1"), timeline.probable_copies("2")) == (("2",), ("1",))
    assert timeline.probable_copies("3") == timeline.probable_copies("nowhere") == ()
    assert set(outcomes(timeline)) == {"1", "2"}
    timeline.add([row("4", PIET)])
    assert timeline.probable_copies("1") == ("2", "4")
