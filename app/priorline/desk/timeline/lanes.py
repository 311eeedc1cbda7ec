"""Which lane a study lies in: by part of the body, by kind of images, or by hospital."""

from collections import Counter
from collections.abc import Sequence
from enum import Enum

from priorline.desk.timeline.rows import TimelineRow
from priorline.domain.region import Region

MOST_LANES = 12
OTHERS = "others"


class LaneBy(Enum):
    """What the lanes stand for; the value is the word in the control."""

    REGION = "region"
    MODALITY = "modality"
    HOSPITAL = "hospital"


def groups(row: TimelineRow, by: LaneBy) -> tuple[str, ...]:
    """Every lane that a study belongs to, the one it is drawn in first."""
    if by is LaneBy.REGION:
        return row.regions
    return row.hospitals if by is LaneBy.HOSPITAL else (row.modality, *row.modalities)


def lanes(rows: Sequence[TimelineRow], by: LaneBy) -> tuple[tuple[str, ...], list[int]]:
    """The lanes from top to bottom, and the number of the lane of each row.

    Where there are too many lanes, the smallest share the last one, "others".
    """
    mains = [groups(row, by)[0] for row in rows]
    counts = Counter(mains)
    kept = sorted(counts, key=lambda name: (-counts[name], name))
    many = len(kept) > MOST_LANES
    kept = kept[: MOST_LANES - 1] if many else kept
    if by is LaneBy.REGION:
        kept = [region.value for region in Region if region.value in kept]
    elif by is LaneBy.HOSPITAL:
        kept.sort(key=str.casefold)
    names = (*kept, OTHERS) if many else tuple(kept)
    numbers = {name: number for number, name in enumerate(names)}
    others = len(names) - 1
    return names, [numbers.get(main, others) for main in mains]
