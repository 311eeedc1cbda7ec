"""How much a prior matters for the current study, and why, in words.

Region x kind of images x side, with a bonus for recent ones that fades slowly, and one for the oldest of its kind or
the latest before today. Nothing is ever hidden by a low score, and an unknown region never ranks as irrelevant.
"""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from priorline.domain.laterality import Side
from priorline.domain.region import Region, Regions
from priorline.domain.region_finding import CERTAIN

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
# Where left and right are two different things; of a chest or a head, the other side is mostly in the picture too.
PAIRED = frozenset({Region.UPPER_LIMB, Region.LOWER_LIMB, Region.BREAST})
# Half of the recency weight is left after this many days; the tail is long because old films decide "new or old".
HALF_LIFE_DAYS = 5 * 365.25
UNKNOWN_REGION = 0.5
OTHER_REGION = 0.1
OTHER_SIDE = 0.6
OTHER_SIDE_OF_ONE = 0.9


@dataclass(frozen=True, slots=True)
class Relevance:
    """A score from 0 to 1 and its reasons in words; `related` is False where it shows another part of the body."""

    score: float
    reasons: tuple[str, ...] = ()
    related: bool = True


@dataclass(frozen=True, slots=True)
class Exam:
    """What the score looks at: regions (the first is the main one), modalities, date and side of one study.

    `bedside` marks films taken in bed, which show less than those taken standing. `confidence` is how sure the
    regions are, from 0 to 1.
    """

    regions: Regions
    modalities: tuple[str, ...]
    study_date: date | None
    bedside: bool = False
    side: Side = Side.UNKNOWN
    confidence: float = 1.0


def relevance(current: Exam, prior: Exam, *, oldest_of_kind: bool, latest_before: bool) -> Relevance:
    """Score `prior` for reading `current`; the two flags are facts about its place on the line."""
    region, region_reason = _region_weight(current.regions, prior.regions)
    modality, modality_reason = _modality_weight(current, prior)
    side, side_reason = _side_weight(current, prior)
    confidence = _confidence(current, prior)
    # A region that is not certain counts for what it is worth: the weight expected, with the rest as unknown.
    weight = confidence * region + (1 - confidence) * UNKNOWN_REGION
    score = 0.7 * weight * modality * side * (0.85 if prior.bedside else 1.0)
    score += 0.1 * _recency(current.study_date, prior.study_date)
    # The larger bonus alone: the only study of its kind is both, which makes it no better than one of several.
    ends = region >= 0.8 and side > OTHER_SIDE
    score += (0.12 if latest_before else 0.08 if oldest_of_kind else 0.0) if ends else 0.0
    reasons = (
        (True, region_reason),
        (confidence < 1, "region not certain"),
        (True, modality_reason),
        (bool(side_reason), side_reason),
        (prior.bedside, "bedside film"),
        (ends and oldest_of_kind, "oldest of its kind"),
        (ends and latest_before, "latest before this study"),
    )
    told = tuple(reason for holds, reason in reasons if holds)
    return Relevance(round(min(score, 1.0), 4), told, related=region > OTHER_REGION or confidence < 1)


@lru_cache(maxsize=1024)
def _region_weight(current: Regions, prior: Regions) -> tuple[float, str]:
    if Region.UNKNOWN in current or Region.UNKNOWN in prior:
        return UNKNOWN_REGION, "region not known"
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


def _covered(whole: Regions, part: Regions) -> bool:
    return Region.WHOLE_BODY in whole and not TRUNK.isdisjoint(part)


def _confidence(current: Exam, prior: Exam) -> float:
    """How sure both regions are, 1 where nothing speaks against them; an unknown one is weighed as such already."""
    if Region.UNKNOWN in (*current.regions, *prior.regions):
        return 1.0
    least = min(current.confidence, prior.confidence)
    return 1.0 if least >= CERTAIN else least


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


def _side_weight(current: Exam, prior: Exam) -> tuple[float, str]:
    """The other side is often the best comparison there is, so it counts for less but never for nothing."""
    shared = set(current.regions) & set(prior.regions)
    if not shared or not current.side or not prior.side:
        return 1.0, ""
    if Side.BOTH in (current.side, prior.side):
        return 1.0, "both sides"
    if current.side is prior.side:
        return 1.0, f"same side ({prior.side.value})"
    return OTHER_SIDE if shared & PAIRED else OTHER_SIDE_OF_ONE, f"other side ({prior.side.value})"


def _is_later(one: Exam, other: Exam) -> bool:
    return one.study_date is not None and other.study_date is not None and one.study_date > other.study_date


def _recency(current: date | None, prior: date | None) -> float:
    if current is None or prior is None:
        return 0.5
    days = abs((current - prior).days)
    return HALF_LIFE_DAYS / (HALF_LIFE_DAYS + days)
