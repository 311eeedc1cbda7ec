"""How much a prior matters for the current study, and why, in words.

Nothing is ever hidden by a low score, and an unknown region never ranks as irrelevant.
"""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from priorline.domain.region import Region

FILM_MODALITIES = frozenset({"CR", "DX", "RF", "XR"})
SLICE_MODALITIES = frozenset({"CT", "MR", "PT"})
# Reports, marks and plans come with any study; that two studies have them does not make them alike.
DOCUMENT_MODALITIES = frozenset("SR PR KO SEG DOC PLAN REG RWV RTSTRUCT RTPLAN RTDOSE RTRECORD AU".split())
NEIGHBOURS: dict[Region, frozenset[Region]] = {
    Region.CHEST: frozenset({Region.ABDOMEN, Region.HEART, Region.SPINE, Region.BREAST}),
    Region.ABDOMEN: frozenset({Region.CHEST, Region.SPINE}),
    Region.SPINE: frozenset({Region.CHEST, Region.ABDOMEN, Region.HEAD_NECK}),
    Region.HEAD_NECK: frozenset({Region.SPINE}),
    Region.HEART: frozenset({Region.CHEST}),
    Region.BREAST: frozenset({Region.CHEST}),
}
# What a scan of the whole body shows well; limbs are often cut off.
TRUNK = frozenset({Region.HEAD_NECK, Region.CHEST, Region.ABDOMEN, Region.SPINE, Region.HEART, Region.VESSELS})
# Half of the recency weight is left after this many days; the tail is long because old films decide "new or old".
HALF_LIFE_DAYS = 5 * 365.25
OTHER_REGION = 0.1


@dataclass(frozen=True, slots=True)
class Relevance:
    """A score from 0 to 1 and its reasons in words; `related` is False where it shows another part of the body."""

    score: float
    reasons: tuple[str, ...] = ()
    related: bool = True


@dataclass(frozen=True, slots=True)
class Exam:
    """What the score looks at: regions (the first is the main one), modalities and date of one study.

    `bedside` marks films taken in bed, which show less than those taken standing.
    """

    regions: tuple[Region, ...]
    modalities: tuple[str, ...]
    study_date: date | None
    bedside: bool = False


def relevance(current: Exam, prior: Exam, *, oldest_of_kind: bool, latest_before: bool) -> Relevance:
    """Score `prior` for reading `current`; the two flags are facts about its place on the line."""
    region, region_reason = _region_weight(current.regions, prior.regions)
    modality, modality_reason = _modality_weight(current, prior)
    reasons = [region_reason, modality_reason]
    if prior.bedside:
        modality *= 0.85
        reasons.append("bedside film")
    score = 0.7 * region * modality + 0.1 * _recency(current.study_date, prior.study_date)
    # The larger bonus alone: the only study of its kind is both, which makes it no better than one of several.
    if region >= 0.8:
        score += 0.12 if latest_before else 0.08 if oldest_of_kind else 0.0
        reasons += ["oldest of its kind"] * oldest_of_kind + ["latest before this study"] * latest_before
    return Relevance(round(min(score, 1.0), 4), tuple(reasons), related=region > OTHER_REGION)


@lru_cache(maxsize=1024)
def _region_weight(current: tuple[Region, ...], prior: tuple[Region, ...]) -> tuple[float, str]:
    if Region.UNKNOWN in current or Region.UNKNOWN in prior:
        return 0.5, "region not known"
    whole = Region.WHOLE_BODY in (*current, *prior)
    near = any(NEIGHBOURS.get(region, frozenset()) & set(prior) for region in current)
    steps = (
        (current[0] in prior, 1.0, "same region"),
        (bool(set(current) & set(prior)), 0.85, "shared region"),
        (_covered(current, prior) or _covered(prior, current), 0.8, "whole body"),
        (near, 0.6, "neighbouring region"),
        (whole, 0.5, "part of the whole body"),
    )
    return next(((weight, reason) for holds, weight, reason in steps if holds), (OTHER_REGION, "other region"))


def _covered(whole: tuple[Region, ...], part: tuple[Region, ...]) -> bool:
    return Region.WHOLE_BODY in whole and not TRUNK.isdisjoint(part)


def _modality_weight(current: Exam, prior: Exam) -> tuple[float, str]:
    ours, theirs = set(current.modalities) - DOCUMENT_MODALITIES, set(prior.modalities) - DOCUMENT_MODALITIES
    if ours & theirs:
        return 1.0, "same kind of images"
    if "CT" in ours and theirs & FILM_MODALITIES:
        return 0.95, "film after the CT" if _is_later(prior, current) else "film before the CT"
    if ours & FILM_MODALITIES and theirs & FILM_MODALITIES:
        return 1.0, "film"
    if ours & SLICE_MODALITIES and theirs & SLICE_MODALITIES:
        return 0.9, "slices"
    return 0.6, "other kind of images"


def _is_later(one: Exam, other: Exam) -> bool:
    return one.study_date is not None and other.study_date is not None and one.study_date > other.study_date


def _recency(current: date | None, prior: date | None) -> float:
    if current is None or prior is None:
        return 0.5
    days = abs((current - prior).days)
    return HALF_LIFE_DAYS / (HALF_LIFE_DAYS + days)
