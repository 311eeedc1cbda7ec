"""The shipped region table on what hospitals write, in three languages, and the table's own rules."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priorline.domain.region import Region, RegionTable, plain
from priorline.domain.region_words import one_slip
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
        ('chest = ["th*x"]', "a * may stand at the beginning or the end of a single word only"),
        ('chest = ["chest film*"]', "a * may stand at the beginning or the end of a single word only"),
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


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[LN]\nchest = 5", '"chest" needs a list of words'),
        ("LN = 5", '"LN" needs regions with lists of codes'),
        ('[LN]\nthigh = ["1-2"]', '"thigh" is not a region'),
    ],
)
def test_a_wrong_table_of_codes_says_what_is_wrong(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "procedures.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as caught:
        load_region_table(codes=path)
    assert str(caught.value).startswith(f"{path}: ")
    assert told in str(caught.value)


def test_a_hospital_adds_its_own_scheme(tmp_path: Path) -> None:
    path = tmp_path / "procedures.toml"
    path.write_text('[99NOORD]\nchest = ["THX1"]\nabdomen = ["THX1"]\n', "utf-8")
    assert load_region_table(codes=path).of_codes([("99noord ", " thx1")]) == (R.CHEST, R.ABDOMEN)


def test_words_that_only_look_like_a_part_of_the_body_are_passed_over() -> None:
    table = RegionTable.build({"no region": ["long axis"], "chest": ["long"], "abdomen": ["liver"]})
    assert table.regions("long axis liver") == (R.ABDOMEN,)
    assert table.regions("long axis") == (R.UNKNOWN,)
    assert table.regions("long") == (R.CHEST,)


def test_a_beginning_and_an_ending_of_one_word_both_count() -> None:
    table = RegionTable.build({"spine": ["*kolom"], "chest": ["borst*"], "no region": ["aan*", "*schap"]})
    assert table.regions("wervelkolom") == (R.SPINE,)
    assert table.regions("borstkolom") == (R.CHEST, R.SPINE)
    assert table.regions("kolommen") == table.regions("aankolom") == table.regions("borstschap") == (R.UNKNOWN,)


def test_a_doubtful_word_counts_only_where_no_other_names_a_region() -> None:
    table = RegionTable.build({"heart": ["cor?"], "lower limb": ["knie*"], "spine": ["thora*?"]})
    assert table.read("MRI cor") == ((R.HEART,), False)
    assert table.read("cor thoracaal") == ((R.HEART, R.SPINE), False)
    assert table.read("MRI knie cor") == ((R.LOWER_LIMB,), True)
    assert table.read("MRI cor", "knie") == ((R.LOWER_LIMB,), True)


def test_an_umlaut_matches_however_it_is_written() -> None:
    table = RegionTable.build({"lower limb": ["hüfte", "fuß"]})
    for written in ("Hüfte", "HUFTE", "Huefte", "Hu\u0308fte", "Fuß", "FUSS"):
        assert table.regions(written) == (R.LOWER_LIMB,)


@pytest.mark.parametrize(
    ("written", "region"),
    [
        ("Voetfoto's", R.LOWER_LIMB),
        ("Leberpunktion", R.ABDOMEN),
        ("CTTHORAX", R.CHEST),
        ("Xhals", R.HEAD_NECK),
        ("linkerhand", R.UPPER_LIMB),
        ("HAND3V", R.UPPER_LIMB),
        ("LWS2Eb", R.SPINE),
        ("Xhandfoto", R.UPPER_LIMB),
        ("Verlaufsthorax", R.CHEST),
    ],
)
def test_a_technique_a_side_or_a_number_glued_to_a_part_of_the_body_is_taken_off(
    written: str, region: Region
) -> None:
    assert TABLE.read(written) == ((region,), True)


@pytest.mark.parametrize(
    ("written", "regions"),
    [("MRI hersnen", (R.HEAD_NECK,)), ("X schouler", (R.UPPER_LIMB,)), ("MRI hten", (R.UNKNOWN,))],
)
def test_a_letter_wrong_in_a_description_is_forgiven_with_doubt(written: str, regions: tuple[Region, ...]) -> None:
    assert TABLE.read(written) == (regions, False)


@given(st.text("abcde", min_size=1, max_size=7), st.integers(0, 6), st.sampled_from("abcdez"))
def test_one_slip_is_one_letter(word: str, at: int, letter: str) -> None:
    at = min(at, len(word) - 1)
    for slip in (word[:at] + word[at + 1 :], word[:at] + letter + word[at:], word[:at] + letter + word[at + 1 :]):
        assert one_slip(word, slip) == one_slip(slip, word) == (slip != word)
    assert not one_slip(word, word + "yy")
    assert not one_slip(word, "yy" + word[2:] + "q")


def test_a_missing_table_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml"):
        load_region_table(tmp_path / "absent.toml")


@pytest.mark.parametrize(
    ("written", "regions"),
    [
        ("Femur neck", [R.LOWER_LIMB]),
        ("Caput humeri", [R.UPPER_LIMB]),
        ("Gebärmutterhals", [R.ABDOMEN]),
        ("Pankreaskopf", [R.ABDOMEN]),
        ("Nasenbein", [R.HEAD_NECK]),
        ("Brust- und Lendenwirbelsäule", [R.SPINE]),
        ("CT Leber arteriell/venös", [R.ABDOMEN]),
        ("Cholangiogram", [R.ABDOMEN]),
        ("MRI angiomyolipoom", [R.ABDOMEN]),
        ("MRI knie cor T2", [R.LOWER_LIMB]),
        ("X-thorax positie PICC", [R.CHEST]),
        ("MRI wervelkolom thoracaal", [R.SPINE]),
        ("CTA PE", [R.VESSELS, R.CHEST]),
        ("Nierarterie", [R.ABDOMEN, R.VESSELS]),
        ("Leverembolisatie", [R.ABDOMEN, R.VESSELS]),
        ("Handarterien", [R.UPPER_LIMB, R.VESSELS]),
    ],
)
def test_words_that_mean_another_part_of_the_body_than_they_seem(written: str, regions: list[Region]) -> None:
    assert list(TABLE.regions(written)) == regions


@pytest.mark.parametrize(
    "written",
    "Positionieren|Verschlüsselungs|Zeitleiste|hoofdbehandelaar|incidental finding|Herzzentrum|handout|footprint|"
    "iv contrast|intravenous|Klinikum Darmstadt|algemene toestand|Behandlung|RT planning|functionele opname".split(
        "|"
    ),
)
def test_ordinary_words_name_no_part_of_the_body(written: str) -> None:
    assert TABLE.regions(written) == (R.UNKNOWN,)
