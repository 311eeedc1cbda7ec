"""The eleven-test of the Dutch citizen service number: form, never identity."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priorline.domain.bsn import is_bsn, is_well_formed_bsn, usual_form
from priorline.domain.patient import Identifier


@pytest.mark.parametrize("value", ["999990007", "999990019", "12345672", "012345672", "123456782", "111222333"])
def test_well_formed(value: str) -> None:
    assert is_bsn(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "0",
        "00000000",
        "000000000",
        "999990008",
        "99999007",
        "0999990007",
        "99999 007",
        "-99999007",
        "٩٩٩٩٩٠٠٠٧",
        "9e9",
    ],
)
def test_not_well_formed(value: str) -> None:
    assert not is_bsn(value)


@given(st.integers(10_000_000, 999_999_999), st.integers(0, 8), st.integers(1, 9))
def test_one_wrong_digit_is_always_noticed(number: int, place: int, change: int) -> None:
    digits = [*str(number).zfill(9)]
    digits[place] = str((int(digits[place]) + change) % 10)
    assert not (is_bsn(str(number).zfill(9)) and is_bsn("".join(digits)))


@pytest.mark.parametrize("issuer", ["NLMINBIZA", "nlminbiza", "2.16.840.1.113883.2.4.6.3"])
def test_one_form_for_one_number(issuer: str) -> None:
    assert usual_form(Identifier("12345672", issuer)) == Identifier("012345672", "NLMINBIZA")


@pytest.mark.parametrize(
    "identifier", [Identifier("12345672", "NOORD"), Identifier("12345672"), Identifier("12345673", "NLMINBIZA")]
)
def test_without_the_issuer_or_the_form_it_is_any_number(identifier: Identifier) -> None:
    assert not is_well_formed_bsn(identifier)
    assert usual_form(identifier) is identifier
