"""How much a prior matters for the current study, and why, in words.

Nothing is ever hidden by a low score, and an unknown region never ranks as irrelevant.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from priorline.domain.region import Region

FILM_MODALITIES = frozenset({"CR", "DX", "RF", "XR"})
SLICE_MODALITIES = frozenset({"CT", "MR", "PT"})
NEIGHBOURS: dict[Region, frozenset[Region]] = {
    Region.CHEST: frozenset({Region.ABDOMEN, Region.HEART, Region.SPINE, Region.BREAST}),
    Region.ABDOMEN: frozenset({Region.CHEST, Region.SPINE}),
    Region.SPINE: frozenset({Region.CHEST, Region.ABDOMEN, Region.HEAD_NECK}),
    Region.HEAD_NECK: frozenset({Region.SPINE}),
    Region.HEART: frozenset({Region.CHEST}),
    Region.BREAST: frozenset({Region.CHEST}),
}
# Half of the recency weight is left after this many days; the tail is long because old films decide "new or old".
HALF_LIFE_DAYS = 5 * 365.25


@dataclass(frozen=True, slots=True)
class Relevance:
    """A score from 0 to 1 and its reasons in words."""

    score: float
    reasons: tuple[str, ...] = ()


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
    modality, modality_reason = _modality_weight(current.modalities, prior.modalities)
    reasons = [reason for reason in (region_reason, modality_reason) if reason]
    if prior.bedside:
        modality *= 0.85
        reasons.append("bedside film")
    score = 0.7 * region * modality + 0.1 * _recency(current.study_date, prior.study_date)
    if oldest_of_kind and region >= 0.8:
        score += 0.08
        reasons.append("oldest of its kind")
    if latest_before and region >= 0.8:
        score += 0.12
        reasons.append("latest before this study")
    return Relevance(round(min(score, 1.0), 4), tuple(reasons))


def _region_weight(current: tuple[Region, ...], prior: tuple[Region, ...]) -> tuple[float, str]:
    if Region.UNKNOWN in current or Region.UNKNOWN in prior:
        return 0.5, "region not known"
    if current[0] in prior:
        return 1.0, "same region"
    if set(current) & set(prior):
        return 0.85, "shared region"
    if Region.WHOLE_BODY in current or Region.WHOLE_BODY in prior:
        return 0.8, "whole body"
    if any(NEIGHBOURS.get(region, frozenset()) & set(prior) for region in current):
        return 0.6, "neighbouring region"
    return 0.1, ""


def _modality_weight(current: Collection[str], prior: Collection[str]) -> tuple[float, str]:
    ours, theirs = set(current), set(prior)
    if ours & theirs:
        return 1.0, "same kind of images"
    if "CT" in ours and theirs & FILM_MODALITIES:
        return 0.95, "film before the CT"
    if ours & FILM_MODALITIES and theirs & FILM_MODALITIES:
        return 1.0, "film"
    if ours & SLICE_MODALITIES and theirs & SLICE_MODALITIES:
        return 0.9, "slices"
    return 0.6, ""


def _recency(current: date | None, prior: date | None) -> float:
    if current is None or prior is None:
        return 0.5
    days = abs((current - prior).days)
    return HALF_LIFE_DAYS / (HALF_LIFE_DAYS + days)
