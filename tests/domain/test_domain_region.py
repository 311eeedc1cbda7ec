"""The shipped region table on what hospitals write, in three languages, and the table's own rules."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priorline.domain.region import Region, RegionTable, plain
from priorline.errors import ConfigError
from priorline.regions import load_region_table

TABLE = load_region_table()
R = Region
WRITTEN = [
    ("X-thorax PA", R.CHEST),
    ("X-thorax bed", R.CHEST),
    ("Thoraxfoto staand", R.CHEST),
    ("CT thorax/abdomen trauma", R.CHEST, R.ABDOMEN),
    ("CT longembolie", R.CHEST),
    ("CTA thorax", R.VESSELS, R.CHEST),
    ("Slokdarm passage", R.CHEST),
    ("Röntgen Thorax im Liegen", R.CHEST),
    ("CHEST PA AND LATERAL", R.CHEST),
    ("CXR portable", R.CHEST),
    ("X-BOZ", R.ABDOMEN),
    ("X-buikoverzicht", R.ABDOMEN),
    ("Echo bovenbuik", R.ABDOMEN),
    ("CT Oberbauch", R.ABDOMEN),
    ("CT abdomen with contrast", R.ABDOMEN),
    ("X-bekken", R.ABDOMEN),
    ("Becken a.p.", R.ABDOMEN),
    ("Echo nieren", R.ABDOMEN),
    ("X-heup rechts", R.LOWER_LIMB, R.ABDOMEN),
    ("Total hip prosthesis", R.LOWER_LIMB, R.ABDOMEN),
    ("Hüftgelenk axial", R.LOWER_LIMB, R.ABDOMEN),
    ("X-knie links", R.LOWER_LIMB),
    ("MRT Kniegelenk", R.LOWER_LIMB),
    ("OSG in 2 Ebenen", R.LOWER_LIMB),
    ("Fuß rechts", R.LOWER_LIMB),
    ("long leg film", R.LOWER_LIMB),
    ("X-hand rechts", R.UPPER_LIMB),
    ("Schulter links", R.UPPER_LIMB),
    ("X-pols", R.UPPER_LIMB),
    ("left wrist scaphoid", R.UPPER_LIMB),
    ("CT hersenen", R.HEAD_NECK),
    ("Schädel-CT", R.HEAD_NECK),
    ("Schaedel CT", R.HEAD_NECK),
    ("CT head without contrast", R.HEAD_NECK),
    ("OPG", R.HEAD_NECK),
    ("X-CWK", R.SPINE),
    ("X-TWK", R.SPINE),
    ("MRI LWK", R.SPINE),
    ("HWS seitlich", R.SPINE),
    ("Halswervelkolom", R.SPINE),
    ("Thoracale wervelkolom", R.SPINE),
    ("Whole spine MRI", R.SPINE),
    ("MRI lumbar spine", R.SPINE),
    ("Total body CT", R.WHOLE_BODY),
    ("Polytrauma-Spirale", R.WHOLE_BODY),
    ("Ganzkörper-CT", R.WHOLE_BODY),
    ("Mammografie screening", R.BREAST),
    ("Mamma Sono", R.BREAST),
    ("MRI cor", R.HEART),
    ("Koronar-CT", R.HEART),
    ("Echocardiografie", R.HEART),
    ("Duplex benen", R.VESSELS, R.LOWER_LIMB),
    ("Angiografie", R.VESSELS),
    ("Second opinion", R.UNKNOWN),
    ("Onbekend onderzoek", R.UNKNOWN),
    ("", R.UNKNOWN),
]


@pytest.mark.parametrize("case", WRITTEN, ids=lambda case: case[0])
def test_what_hospitals_write(case: tuple[str, *tuple[Region, ...]]) -> None:
    description, *regions = case
    assert list(TABLE.regions(description)) == regions


def test_body_part_decides_only_where_the_description_says_nothing() -> None:
    assert TABLE.regions("X-knie", "CHEST") == (R.LOWER_LIMB,)
    assert TABLE.regions("Second opinion", "CHEST") == (R.CHEST,)


@given(st.text(max_size=60))
def test_any_text_has_a_region_or_is_unknown_alone(text: str) -> None:
    regions = TABLE.regions(text)
    assert regions
    assert len(set(regions)) == len(regions)
    assert R.UNKNOWN not in regions or regions == (R.UNKNOWN,)


@given(st.text(max_size=40))
def test_plain_text_is_plain_and_stays_so(text: str) -> None:
    once = plain(text)
    assert plain(once) == once
    assert "  " not in once
    assert all(char.isalnum() or char == " " for char in once)


def test_the_longest_phrase_and_the_whole_word_win() -> None:
    table = RegionTable.build(
        {
            "chest": ["body", "th*"],
            "whole body": ["whole body"],
            "spine": ["thoracic spine", "thor*"],
            "heart": ["thora"],
        }
    )
    assert table.regions("whole body") == (R.WHOLE_BODY,)
    assert table.regions("a body") == (R.CHEST,)
    assert table.regions("thoracic spine") == (R.SPINE,)
    assert table.regions("thoracal") == (R.SPINE,)
    assert table.regions("thymus") == (R.CHEST,)
    assert table.regions("thora") == (R.HEART,)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('thigh = ["knee"]', '"thigh" is not a region; allowed are head and neck, chest'),
        ('unknown = ["knee"]', '"unknown" is not a region'),
        ('chest = "thorax"', '"chest" needs a list of words'),
        ("chest = [1]", '"chest" needs a list of words'),
        ('chest = ["--"]', '"chest" needs a list of words'),
        ("chest = ", "Invalid value"),
    ],
)
def test_a_wrong_table_says_what_is_wrong(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "regions.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as caught:
        load_region_table(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert told in str(caught.value)


def test_a_missing_table_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml"):
        load_region_table(tmp_path / "absent.toml")
