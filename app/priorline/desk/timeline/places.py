"""Where the blocks lie, so that none covers another and none is far from its date.

All blocks are worked out at once for one scale; panning only moves them. Positions are pixels from day 0.
"""

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

WIDTH, NARROW, THIN = 38.0, 9.0, 3.0
SPACE = 4.0
FARTHEST = 60.0
"""No block is moved more than this many pixels from its date; what would be shares a block with others."""


@dataclass(frozen=True, slots=True)
class LanePlaces:
    """The blocks of one lane from right to left.

    `left` and `width` are pixels; block k stands for the rows of the lane from `first[k]` on, `count[k]` of them.
    """

    left: Floats
    width: Floats
    first: Ints
    count: Ints

    def visible(self, start: float, end: float) -> range:
        """The blocks that reach into the pixels from `start` to `end`."""
        ascending = self.left[::-1]
        total = len(ascending)
        low = int(np.searchsorted(ascending, start - WIDTH, side="left"))
        high = int(np.searchsorted(ascending, end, side="right"))
        return range(total - high, total - low)


def place(days: Floats, special: Flags, scale: float) -> LanePlaces:
    """Lay out one lane at `scale` pixels a day; `days` come newest first, `special` ones stay on their own.

    Blocks that overlap fan out to the left, the newest at its date. Where that would move one too far, those that
    touch become narrow, then thin; where even that is too far, neighbours share a block with their number.
    """
    centre = days * scale
    total = len(days)
    if not total:
        none = np.zeros(0, dtype=np.int64)
        return LanePlaces(centre, centre, none, none)
    starts = _starts_of_stretches(centre)
    lengths = np.diff(np.append(starts, total))
    width = np.zeros(total)
    for one in (WIDTH, NARROW, THIN):
        tried = np.where(special, WIDTH, one)
        moved = np.maximum.reduceat(centre - tried / 2 - _fan_out(centre, tried), starts)
        width = np.where((width == 0) & np.repeat(moved <= FARTHEST, lengths), tried, width)
    shared = width == 0
    width[shared] = WIDTH
    first = _first_of_blocks(centre, shared, special) if shared.any() else np.arange(total)
    count = np.diff(np.append(first, total))
    return LanePlaces(_fan_out(centre[first], width[first]), width[first], first, count)


def _fan_out(centre: Floats, widths: Floats) -> Floats:
    """Left edges: each at its date, or just left of the next newer block where that is farther left."""
    used = np.cumsum(widths + SPACE)
    used -= used[0]
    edges: Floats = np.minimum.accumulate(centre - widths / 2 + used) - used
    return edges


def _starts_of_stretches(centre: Floats) -> Ints:
    """The first of each stretch of blocks that push each other when all have their full width.

    Narrower blocks keep within their stretch, so that each stretch can have its own width.
    """
    left = _fan_out(centre, np.full(len(centre), WIDTH))
    return np.flatnonzero(left >= centre - WIDTH / 2 - 1e-6)


def _first_of_blocks(centre: Floats, shared: Flags, special: Flags) -> Ints:
    """The first row of each block, where neighbours in shared stretches that would overlap it join a block."""
    backwards = (-centre).tolist()  # Ascending, so that it can be searched.
    alone = np.flatnonzero(~shared | special).tolist()
    joins = (shared & ~special).tolist()
    total, number, taken = len(backwards), 0, float("inf")
    first: list[int] = []
    while number < total:
        first.append(number)
        taken = min(-backwards[number] - WIDTH / 2, taken - WIDTH - SPACE)
        if not joins[number]:
            number += 1
            continue
        overlapped = bisect_left(backwards, SPACE - WIDTH / 2 - taken, number + 1)
        next_alone = bisect_left(alone, number)
        stop = alone[next_alone] if next_alone < len(alone) else total
        number = min(overlapped, stop)
    return np.array(first, dtype=np.int64)
