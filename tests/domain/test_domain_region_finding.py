"""Which of code, body part, description and kind of images decides the region, and how sure that is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priorline.domain.region import Region, RegionTable
from priorline.domain.region_finding import RegionSource, Written, find_region
from priorline.regions import load_region_table

TABLE = load_region_table()
R, S = Region, RegionSource


def found(
    *, code: str = "", part: str = "", text: str = "", kind: str = ""
) -> tuple[list[Region], RegionSource, bool]:
    codes = (tuple(code.split(" ", 1)),) if code else ()
    written = Written(codes, *((one,) if one else () for one in (part, text, kind)))  # type: ignore[arg-type]
    finding = find_region(TABLE, written)
    return list(finding.regions), finding.source, finding.certain


@pytest.mark.parametrize(
    ("code", "regions"),
    [
        ("SCT 774007", [R.HEAD_NECK]),
        ("SNOMED 774007", [R.HEAD_NECK]),
        ("SCT 67734004", [R.CHEST]),
        ("SCT 63337009", [R.ABDOMEN]),
        ("SCT 53120007", [R.UPPER_LIMB]),
        ("SCT 61685007", [R.LOWER_LIMB]),
        ("SCT 38266002", [R.WHOLE_BODY]),
        ("SCT 113257007", [R.VESSELS]),
        ("SCT 80891009", [R.HEART]),
        ("SCT 76752008", [R.BREAST]),
        ("SCT 1141981001", [R.SPINE]),
    ],
)
def test_codes_decide(code: str, regions: list[Region]) -> None:
    assert found(code=code) == (regions, S.CODE, True)


def test_a_hospitals_own_code_may_show_several_regions_and_the_first_is_the_main_one() -> None:
    table = RegionTable.build({}, {"99LOCAL": {"chest": ["TA1"], "vessels": ["TA1"]}})
    finding = find_region(table, Written((("99LOCAL", "ta1"),), (), (), ()))
    assert (finding.regions, finding.source) == ((R.CHEST, R.VESSELS), S.CODE)


def test_a_code_of_another_scheme_is_another_code() -> None:
    assert found(code="99LOCAL 67734004") == ([R.UNKNOWN], S.NOTHING, False)


def test_a_description_adds_to_the_code_it_agrees_with() -> None:
    agreed = found(code="SCT 67734004", text="CT thorax/abdomen")
    assert agreed == ([R.CHEST, R.ABDOMEN], S.CODE, True)


def test_a_code_stands_against_body_part_and_description_but_not_with_certainty() -> None:
    assert found(code="SCT 67734004", part="KNEE", text="X-knie") == ([R.CHEST], S.CODE, False)


def test_body_part_and_description_that_agree_are_surer_than_either() -> None:
    both, text, part = (
        find_region(TABLE, Written((), *more)).confidence
        for more in ((("CHEST",), ("X-thorax",)), ((), ("X-thorax",)), (("CHEST",), ()))
    )
    assert both > text > part > 0.75


def test_a_description_wins_over_a_body_part_that_contradicts_it_and_is_then_not_certain() -> None:
    assert found(part="CHEST", text="X-knie links") == ([R.LOWER_LIMB], S.DESCRIPTION, False)
    assert found(part="CHEST", text="CTA thorax")[1:] == (S.DESCRIPTION, True)


def test_a_doubtful_description_gives_way_to_a_body_part_and_adds_nothing_to_a_code() -> None:
    assert found(text="MRI cor")[:2] == ([R.HEART], S.DESCRIPTION)
    assert found(text="MRI cor", part="KNEE") == ([R.LOWER_LIMB], S.BODY_PART, True)
    assert found(text="MRI cor", code="SCT 67734004") == ([R.CHEST], S.CODE, True)
    doubtful, sure = (find_region(TABLE, Written((), (), (text,))).confidence for text in ("MRI cor", "MRI hart"))
    assert doubtful < sure


def test_vessels_and_the_whole_body_contradict_no_part_of_it() -> None:
    assert found(part="LEG", text="Angiografie") == ([R.VESSELS], S.DESCRIPTION, True)
    assert found(part="WHOLEBODY", text="CT thorax") == ([R.CHEST], S.DESCRIPTION, True)


@pytest.mark.parametrize(
    ("part", "regions"),
    [
        ("CHEST", [R.CHEST]),
        ("TSPINE", [R.SPINE]),
        ("HEADNECK", [R.HEAD_NECK]),
        ("CHESTABDPELVIS", [R.CHEST, R.ABDOMEN]),
        ("ABDOMN", [R.ABDOMEN]),
        ("CHSET", [R.CHEST]),
        ("SHOULDDER", [R.UPPER_LIMB]),
        ("PELIVS", [R.ABDOMEN]),
    ],
)
def test_body_parts_also_mistyped(part: str, regions: list[Region]) -> None:
    assert found(part=part, text="Second opinion") == (regions, S.BODY_PART, True)


@pytest.mark.parametrize("part", ["EXTREMITY", "OTHER", "HANG", "XXXXX", "UNKNOWN", "CHANT"])
def test_body_parts_that_say_nothing_are_not_guessed(part: str) -> None:
    assert found(part=part) == ([R.UNKNOWN], S.NOTHING, False)


def test_the_kind_of_images_decides_where_no_word_does() -> None:
    assert found(text="Screening", kind="MG") == ([R.BREAST], S.MODALITY, True)
    assert found(kind="PT") == ([R.WHOLE_BODY], S.MODALITY, False)
    assert found(kind="CT") == ([R.UNKNOWN], S.NOTHING, False)
    assert found(text="Echo oksel", kind="MG")[1] is S.DESCRIPTION


TEXTS = st.sampled_from(["", "X-thorax", "consult", "MRI LWK", "CT total body", "Duplex", "X-hand"]) | st.text(
    max_size=20
)


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=2), TEXTS, TEXTS, st.sampled_from(["", "MG", "CT"]))
def test_every_finding_has_regions_and_a_confidence_that_fit(
    codes: list[tuple[str, str]], part: str, text: str, kind: str
) -> None:
    finding = find_region(TABLE, Written(tuple(codes), (part,), (text,), (kind,)))
    assert finding.regions
    assert (finding.regions == (R.UNKNOWN,)) == (finding.source is S.NOTHING) == (finding.confidence == 0)
    assert 0 <= finding.confidence <= 1
