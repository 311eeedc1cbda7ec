"""Person names: shown to people, and compared across hospitals that write them in their own ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priorline.domain.patient import display_name, names_agree

AGREE = [
    ("JANSEN^Piet^^van der", "jansen^piet"),
    ("JANSEN^Piet^^van der", "VAN DER JANSEN^Piet"),
    ("JANSEN^Piet^^van der", "Jansen, van der^Piet"),
    ("BERG^Jan^^van den", "VANDENBERG^Jan"),
    ("BERG^Jan^^van den", "VAN DEN BERG^J."),
    ("HOF^Els^^van 't", "VAN 'T HOF^Els"),
    ("HOF^Els^^van ’t", "HOF^Els"),
    ("JANSEN-DE VRIES^Anna", "VRIES^Anna^^de"),
    ("JANSEN-DE VRIES^Anna", "JANSEN^Anna"),
    ("JANSEN-DE VRIES^Anna", "VRIES-JANSEN^Anna^^de"),
    ("JANSEN^P", "JANSEN^Piet"),
    ("JANSEN^P.J.", "JANSEN^Piet^Johannes"),
    ("JANSEN^Piet", "JANSEN^Piet^J"),
    ("JANSEN", "JANSEN^Piet"),
    ("JANSEN^Piet^^^MSc", "JANSEN^Piet^^dr."),
    ("BÖHM^Jürgen", "BOEHM^Juergen"),
    ("BÖHM^Jürgen", "Bohm^Jurgen"),
    ("BO\u0308HM^Ju\u0308rgen", "BOEHM^Juergen"),
    ("GROSS^Ute", "GROß^Ute"),
    ("CÉLIE^André", "Celie^Andre"),
    ("SØRENSEN^Søren", "SORENSEN^SOREN"),
    ("O'NEILL^Sean", "ONEILL^Sean"),
    ("NGUYEN^Anh", "ANH^Nguyen"),
    ("LE^Van", "LE^Van"),
    ("Yamada^Tarou=山田^太郎=やまだ^たろう", "YAMADA^TAROU"),
    ("=山田^太郎", "Yamada^Tarou=山田^太郎"),
]
DISAGREE = [
    ("JANSEN^Piet", "JANSEN^Paul"),
    ("JANSEN^P", "JANSEN^Anna"),
    ("JANSEN^Jan^Piet", "JANSEN^Jan^Klaas"),
    ("JANSEN^Piet", "JANSSEN^Piet"),
    ("JANSEN^Piet", "BAKKER^Piet"),
    ("JANSEN^Piet", "^Piet"),
    ("JANSEN^Piet", "J^Piet"),
    ("JANSEN-DE VRIES^Anna", "BAKKER-DE VRIES^Anna"),
    ("VRIES^Anna^^de", "JANSEN^Anna"),
    ("JAN^Jan", "JAN^Piet"),
    ("JAN^Jan", "JAN-SMIT^Piet"),
    ("J^Piet", "J-SMIT^Piet"),
    ("VANDENBERG^Jan", "BERG^Piet^^van den"),
    ("LE^Van", "LE^Anh"),
]
UNKNOWN = [("", "JANSEN"), ("JANSEN", "^^^"), ("=山田^太郎", "YAMADA^TAROU"), ("", "")]


@pytest.mark.parametrize(("one", "other"), AGREE)
def test_ways_to_write_one_name_agree(one: str, other: str) -> None:
    assert names_agree(one, other) is True
    assert names_agree(other, one) is True


@pytest.mark.parametrize(("one", "other"), DISAGREE)
def test_other_names_disagree(one: str, other: str) -> None:
    assert names_agree(one, other) is False
    assert names_agree(other, one) is False


@pytest.mark.parametrize(("one", "other"), UNKNOWN)
def test_what_cannot_be_compared_is_neither(one: str, other: str) -> None:
    assert names_agree(one, other) is None
    assert names_agree(other, one) is None


NAMES = st.text(alphabet="ABab Zzäöß'-.^=山éø", max_size=24)


@given(NAMES, NAMES)
def test_the_order_of_comparing_does_not_matter(one: str, other: str) -> None:
    assert names_agree(one, other) is names_agree(other, one)


@given(st.lists(st.sampled_from(["Jansen", "Bakker", "Smit", "Visser"]), min_size=2, max_size=2, unique=True), NAMES)
def test_two_family_names_never_agree(families: list[str], given_name: str) -> None:
    rest = given_name.replace("^", "").replace("=", "")
    assert names_agree(f"{families[0]}^{rest}", f"{families[1]}^{rest}") is False


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("JANSEN^Piet^^van der", "JANSEN, Piet van der"),
        ("JANSEN^Piet^Johannes^^Jr", "JANSEN, Piet Johannes"),
        ("JANSEN", "JANSEN"),
        ("^Piet", "Piet"),
        ("JANSEN  DE^ Piet ", "JANSEN DE, Piet"),
        ("=山田^太郎=やまだ", "山田, 太郎"),
        ("", "name unknown"),
        ("^^^", "name unknown"),
    ],
)
def test_a_name_for_people(name: str, shown: str) -> None:
    assert display_name(name) == shown
