"""Ranking: what matters for the current study comes first, with reasons, and nothing is ranked away."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priorline.domain.laterality import Side
from priorline.domain.region import Region
from priorline.domain.relevance import Exam, relevance

TRAUMA_CT = Exam((Region.CHEST, Region.ABDOMEN), ("CT",), date(2026, 3, 1))
FILM = Exam((Region.CHEST,), ("DX",), date(2019, 3, 2))
SPINE = replace(FILM, regions=(Region.SPINE,))

KNOWN = [region for region in Region if region is not Region.UNKNOWN]
EXAMS = st.builds(
    Exam,
    st.lists(st.sampled_from(KNOWN), min_size=1, max_size=3, unique=True).map(tuple) | st.just((Region.UNKNOWN,)),
    st.lists(st.sampled_from(["CT", "MR", "DX", "CR", "US", "MG", "SR", "PR"]), max_size=3, unique=True).map(tuple),
    st.none() | st.dates(date(1980, 1, 1), date(2026, 12, 31)),
    st.booleans(),
    st.sampled_from(Side),
    st.sampled_from([0.5, 0.6, 0.85, 1.0]),
)


def score(current: Exam, prior: Exam, *, oldest: bool = False, latest: bool = False) -> float:
    return relevance(current, prior, oldest_of_kind=oldest, latest_before=latest).score


@given(EXAMS, EXAMS, st.booleans(), st.booleans())
def test_every_score_is_between_0_and_1_and_has_reasons(
    current: Exam, prior: Exam, oldest: bool, latest: bool
) -> None:
    found = relevance(current, prior, oldest_of_kind=oldest, latest_before=latest)
    assert 0 < found.score <= 1
    assert found.reasons
    assert all(found.reasons)


@given(EXAMS, EXAMS, EXAMS, st.booleans(), st.booleans())
def test_an_unknown_region_is_never_below_another_region(
    current: Exam, unknown: Exam, other: Exam, oldest: bool, latest: bool
) -> None:
    found = relevance(current, other, oldest_of_kind=oldest, latest_before=latest)
    unknown = replace(unknown, regions=(Region.UNKNOWN,))
    assert relevance(current, unknown, oldest_of_kind=False, latest_before=False).related
    if not found.related:
        assert score(current, unknown) > found.score


@given(EXAMS, EXAMS)
def test_newer_is_never_worse(current: Exam, prior: Exam) -> None:
    current = replace(current, study_date=date(2026, 3, 1))
    older, newer = (replace(prior, study_date=date(year, 1, 1)) for year in (2001, 2020))
    assert score(current, newer) >= score(current, older)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        pytest.param(FILM, replace(FILM, bedside=True), id="standing over bedside"),
        pytest.param(FILM, replace(FILM, bedside=True, study_date=date(2025, 1, 1)), id="even a newer bedside film"),
        pytest.param(FILM, replace(FILM, regions=(Region.LOWER_LIMB,)), id="chest over knee"),
        pytest.param(FILM, SPINE, id="chest over spine"),
        pytest.param(SPINE, replace(FILM, regions=(Region.UPPER_LIMB,)), id="spine over hand"),
        pytest.param(replace(FILM, modalities=("CT",)), FILM, id="CT over film"),
        pytest.param(FILM, replace(FILM, modalities=("US",)), id="film over ultrasound"),
        pytest.param(FILM, replace(FILM, modalities=("SR",)), id="film over report"),
        pytest.param(FILM, replace(FILM, regions=(Region.UNKNOWN,)), id="known over unknown"),
    ],
)
def test_what_is_better_beside_a_trauma_ct(better: Exam, worse: Exam) -> None:
    assert score(TRAUMA_CT, better) > score(TRAUMA_CT, worse)


def test_a_whole_body_scan_is_compared_with_the_trunk_before_the_limbs() -> None:
    scan = replace(TRAUMA_CT, regions=(Region.WHOLE_BODY,))
    knee = replace(FILM, regions=(Region.LOWER_LIMB,), study_date=date(2025, 1, 1))
    assert score(scan, FILM) > score(scan, knee) > score(TRAUMA_CT, knee)


def test_documents_do_not_make_two_studies_alike() -> None:
    current = replace(TRAUMA_CT, modalities=("CT", "SR"))
    assert score(current, replace(FILM, modalities=("US", "SR"))) == score(current, replace(FILM, modalities=("US",)))


@pytest.mark.parametrize(
    ("prior", "flags", "reasons"),
    [
        (FILM, (False, True), ("same region", "film before the CT", "latest before this study")),
        (FILM, (True, True), ("same region", "film before the CT", "oldest of its kind", "latest before this study")),
        (replace(FILM, study_date=date(2026, 3, 2)), (False, False), ("same region", "film after the CT")),
        (replace(FILM, bedside=True), (False, False), ("same region", "film before the CT", "bedside film")),
        (replace(FILM, regions=(Region.UPPER_LIMB,)), (True, True), ("other region", "film before the CT")),
    ],
)
def test_reasons_in_words(prior: Exam, flags: tuple[bool, bool], reasons: tuple[str, ...]) -> None:
    assert relevance(TRAUMA_CT, prior, oldest_of_kind=flags[0], latest_before=flags[1]).reasons == reasons


KNEE = Exam((Region.LOWER_LIMB,), ("DX",), date(2026, 3, 1), side=Side.LEFT)


@pytest.mark.parametrize(
    ("side", "reason"),
    [
        (Side.LEFT, "same side (left)"),
        (Side.RIGHT, "other side (right)"),
        (Side.BOTH, "both sides"),
        (Side.UNKNOWN, ""),
    ],
)
def test_sides_have_a_reason_in_words(side: Side, reason: str) -> None:
    found = relevance(KNEE, replace(KNEE, side=side), oldest_of_kind=False, latest_before=False)
    assert ("side" in " ".join(found.reasons)) == bool(reason)
    assert not reason or reason in found.reasons


@given(st.sampled_from(KNOWN), st.booleans(), st.booleans())
def test_the_other_side_counts_for_less_but_stays_related_and_above_another_region(
    region: Region, oldest: bool, latest: bool
) -> None:
    current = replace(KNEE, regions=(region,), study_date=date(2026, 3, 1))
    prior = replace(current, study_date=date(2020, 1, 1))
    other = relevance(current, replace(prior, side=Side.RIGHT), oldest_of_kind=oldest, latest_before=latest)
    assert other.related
    assert other.score < score(current, replace(prior, side=Side.UNKNOWN), oldest=oldest, latest=latest)
    assert score(current, replace(prior, side=Side.UNKNOWN)) == score(current, prior)
    elsewhere = Region.UPPER_LIMB if region is Region.LOWER_LIMB else Region.LOWER_LIMB
    if region is not Region.WHOLE_BODY:
        assert other.score > score(current, replace(prior, regions=(elsewhere,), side=Side.LEFT), oldest=oldest)


def test_the_other_side_matters_more_for_limbs_than_for_a_chest() -> None:
    chest = replace(KNEE, regions=(Region.CHEST,))
    assert score(KNEE, replace(KNEE, side=Side.RIGHT)) < score(chest, replace(chest, side=Side.RIGHT))


def test_a_region_that_is_not_certain_says_so_and_is_never_irrelevant() -> None:
    doubtful = replace(FILM, regions=(Region.LOWER_LIMB,), confidence=0.6)
    found = relevance(TRAUMA_CT, doubtful, oldest_of_kind=False, latest_before=False)
    assert found.related
    assert "region not certain" in found.reasons
    assert found.score > score(TRAUMA_CT, replace(doubtful, confidence=1.0))
    assert score(TRAUMA_CT, replace(FILM, confidence=0.6)) < score(TRAUMA_CT, FILM)


@given(EXAMS, EXAMS, st.booleans(), st.booleans())
def test_nothing_is_unrelated_without_a_certain_region_elsewhere(
    current: Exam, prior: Exam, oldest: bool, latest: bool
) -> None:
    found = relevance(current, prior, oldest_of_kind=oldest, latest_before=latest)
    if not found.related:
        assert Region.UNKNOWN not in (*current.regions, *prior.regions)
        assert not set(current.regions) & set(prior.regions)
        assert min(current.confidence, prior.confidence) >= 0.75
