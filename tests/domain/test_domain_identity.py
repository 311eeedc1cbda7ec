"""Identity across hospitals: (number, issuer) decides, what else is known can only make it less certain."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priorline.domain.identity import Identity, compare
from priorline.domain.patient import Identifier, Patient

PIET = Patient(Identifier("999990007", "NLMINBIZA"), "JANSEN^Piet^^van der", date(1970, 3, 14), "M")
SAME, PROPOSED, CONFLICT = Identity.SAME, Identity.PROPOSED, Identity.CONFLICT


def under(issuer: str, number: str = "999990007") -> Patient:
    return replace(PIET, identifier=Identifier(number, issuer))


@pytest.mark.parametrize(
    ("candidate", "outcome", "conflicting"),
    [
        (PIET, SAME, ()),
        (replace(PIET, name="VAN DER JANSEN^P."), SAME, ()),
        (replace(PIET, name="", birth_date=None, sex=""), SAME, ()),
        (replace(PIET, sex="O"), SAME, ()),
        (replace(PIET, name="BAKKER^Piet"), PROPOSED, ("name",)),
        (replace(PIET, name="JANSEN^Paul"), PROPOSED, ("name",)),
        (replace(PIET, birth_date=date(1970, 4, 14)), CONFLICT, ("birth date",)),
        (replace(PIET, sex="F"), CONFLICT, ("sex",)),
        (replace(PIET, name="BAKKER^Anna", sex="F", birth_date=None), CONFLICT, ("name", "sex")),
        (under("NLMINBIZA", "999990008"), CONFLICT, ("number",)),
        (under("NLMINBIZA", "0999990007"), CONFLICT, ("number",)),
    ],
)
def test_within_one_issuer(candidate: Patient, outcome: Identity, conflicting: tuple[str, ...]) -> None:
    match = compare(PIET, candidate)
    assert (match.outcome, match.conflicting) == (outcome, conflicting)


def test_an_equal_number_of_another_issuer_is_another_person() -> None:
    match = compare(PIET, under("RIVIERLAND"))
    assert match.outcome is CONFLICT
    assert match.conflicting == ("number",)
    assert match.agreeing == ("name", "birth date", "sex")


@pytest.mark.parametrize(
    ("candidate", "outcome"),
    [
        (under(""), SAME),
        (replace(under(""), name="VAN DER JANSEN^PIET J."), SAME),
        (replace(under(""), name="VAN DER JANSEN^P"), PROPOSED),
        (replace(under(""), name="JANSEN"), PROPOSED),
        (replace(under(""), name=""), PROPOSED),
        (replace(under(""), birth_date=None), PROPOSED),
        (replace(under(""), name="BAKKER^Piet"), PROPOSED),
        (replace(under(""), name="", birth_date=None, sex=""), PROPOSED),
        (replace(under(""), birth_date=date(1943, 11, 2)), CONFLICT),
    ],
)
def test_an_unknown_issuer_needs_name_and_birth_date(candidate: Patient, outcome: Identity) -> None:
    assert compare(PIET, candidate).outcome is outcome
    assert compare(candidate, PIET).outcome is outcome


@pytest.mark.parametrize(
    ("candidate", "outcome"),
    [
        (under("NLMINBIZA", ""), PROPOSED),
        (replace(under("NLMINBIZA", ""), birth_date=None), PROPOSED),
        (replace(under("NLMINBIZA", ""), name="BAKKER^Piet"), CONFLICT),
        (Patient(Identifier("", "NLMINBIZA"), sex="M"), CONFLICT),
        (Patient(Identifier("")), CONFLICT),
    ],
)
def test_without_a_number_name_and_birth_date_only_propose(candidate: Patient, outcome: Identity) -> None:
    assert compare(PIET, candidate).outcome is outcome


def test_numbers_of_the_workstation_itself_are_one_issuer() -> None:
    assert compare(Patient(Identifier("1")), Patient(Identifier("1"))).outcome is SAME


PEOPLE = st.builds(
    Patient,
    st.builds(Identifier, st.sampled_from(["1", "2", ""]), st.sampled_from(["A", "B", ""])),
    st.sampled_from(["", "JANSEN^Piet", "JANSEN^P", "JANSEN^Paul", "BAKKER^Anna", "JANSEN-BAKKER^Anna"]),
    st.sampled_from([None, date(1970, 3, 14), date(1943, 11, 2)]),
    st.sampled_from(["", "M", "F", "O"]),
)


@given(PEOPLE, PEOPLE)
def test_never_a_silent_wrong_accept(one: Patient, other: Patient) -> None:
    match = compare(one, other)
    if match.outcome is SAME:
        assert one.identifier.value == other.identifier.value != ""
        assert not match.conflicting
        if one.identifier.issuer != other.identifier.issuer:
            assert "" in (one.identifier.issuer, other.identifier.issuer)
            assert {"number", "name", "birth date"} <= set(match.agreeing)


@given(PEOPLE, PEOPLE)
def test_the_order_of_comparing_does_not_matter(one: Patient, other: Patient) -> None:
    assert compare(one, other) == compare(other, one)


@given(PEOPLE, PEOPLE)
def test_every_field_is_said_once(one: Patient, other: Patient) -> None:
    match = compare(one, other)
    assert not set(match.agreeing) & set(match.conflicting)
    assert {*match.agreeing, *match.conflicting} <= {"number", "name", "birth date", "sex"}
