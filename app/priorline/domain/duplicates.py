"""Probably the same study under another UID: hospitals that copy studies sometimes give them new ones.

Only ever a proposal. Nothing is merged or hidden for it; the line marks both and says why.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, time
from itertools import combinations

from priorline.domain.region import Region
from priorline.domain.relevance import DOCUMENT_MODALITIES

CROWD_MAX = 4
"""Of more studies than this at one moment none is told to be a copy of another."""

Moment = tuple[date, time | None, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Sight:
    """What a study looks like without its UID; counts are None where nobody gives them."""

    study_uid: str
    study_date: date | None
    study_time: time | None
    modalities: tuple[str, ...]
    regions: tuple[Region, ...]
    series: int | None = None
    images: int | None = None


@dataclass(frozen=True, slots=True)
class ProbableCopy:
    """Two studies that are probably one, the smaller UID first, and why."""

    one_uid: str
    other_uid: str
    reasons: tuple[str, ...]


def probable_copies(studies: Iterable[Sight]) -> tuple[ProbableCopy, ...]:
    """All pairs that are probably one study, ordered by UID.

    They were made at the same second, or on the same day where neither says a time; they have the same modalities
    (documents aside), no count that differs and at least one that is equal, and no other region. Without a time,
    the region has to be known and the same, too.
    """
    moments: dict[Moment, list[Sight]] = defaultdict(list)
    for study in studies:
        moment = _moment(study)
        if moment is not None:
            moments[moment].append(study)
    pairs = (pair for crowd in moments.values() if 1 < len(crowd) <= CROWD_MAX for pair in combinations(crowd, 2))
    found = (_pair(*sorted(pair, key=lambda study: study.study_uid)) for pair in pairs)
    return tuple(sorted((copy for copy in found if copy), key=lambda copy: (copy.one_uid, copy.other_uid)))


def by_study(copies: Iterable[ProbableCopy]) -> Mapping[str, tuple[str, ...]]:
    """The UIDs of its probable copies by study."""
    found: dict[str, list[str]] = defaultdict(list)
    for copy in copies:
        found[copy.one_uid].append(copy.other_uid)
        found[copy.other_uid].append(copy.one_uid)
    return {uid: tuple(sorted(others)) for uid, others in found.items()}


def _moment(study: Sight) -> Moment | None:
    """What two copies have exactly in common; None where too little is known to tell."""
    pictures = frozenset(study.modalities) - DOCUMENT_MODALITIES
    if study.study_date is None or not pictures:
        return None
    made = study.study_time
    return study.study_date, None if made is None else made.replace(microsecond=0), pictures


def _pair(one: Sight, other: Sight) -> ProbableCopy | None:
    counts = {"images": (one.images, other.images), "series": (one.series, other.series)}
    known = {noun: pair for noun, pair in counts.items() if None not in pair}
    same_region = _same_region(one.regions, other.regions)
    if not known or any(ours != theirs for ours, theirs in known.values()) or same_region is False:
        return None
    if one.study_time is None and same_region is None:
        return None
    when = "same day, no time given" if one.study_time is None else "same date and time to the second"
    modalities = " ".join(sorted(set(one.modalities) - DOCUMENT_MODALITIES))
    equal = [f"{pair[0]} {noun} each" for noun, pair in known.items()]
    region = "same region" if same_region else "region not known"
    return ProbableCopy(one.study_uid, other.study_uid, (when, f"both {modalities}", *equal, region))


def _same_region(ours: tuple[Region, ...], theirs: tuple[Region, ...]) -> bool | None:
    if Region.UNKNOWN in ours or Region.UNKNOWN in theirs:
        return None
    return not set(ours).isdisjoint(theirs)
