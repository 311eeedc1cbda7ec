"""All studies as blocks: what lies in which lane, where for which scale, and which study is under a pixel."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QRectF

from priorline.desk import theme
from priorline.desk.timeline.lanes import LaneBy, groups, lane_numbers, lanes
from priorline.desk.timeline.looks import SHARES, Look
from priorline.desk.timeline.places import WIDTH, Floats, Ints, LanePlaces, place
from priorline.desk.timeline.rows import Presence, TimelineRow


@dataclass(frozen=True, slots=True)
class Block:
    """What is drawn in one box (pixels of the scene): one study, or several that share it."""

    rows: tuple[TimelineRow, ...]
    box: QRectF

    @property
    def row(self) -> TimelineRow:
        """The newest study in it."""
        return self.rows[0]


class Blocks:
    """The studies in their lanes; asking again for the same scale costs nothing."""

    def __init__(self, rows: Sequence[TimelineRow] = (), by: LaneBy = LaneBy.REGION) -> None:
        self.rows, self.by = tuple(rows), by
        self.lanes = lanes(rows, by)
        self.numbers = {row.study_uid: number for number, row in enumerate(self.rows)}
        self.lane_of = np.array(lane_numbers(rows, by, self.lanes), dtype=np.int64)
        self.days: Floats = np.array([row.when.toordinal() if row.when else np.nan for row in rows], dtype=float)
        self._dated = [self._in_lane(number, dated=True) for number in range(len(self.lanes))]
        self.undated = [self._in_lane(number, dated=False) for number in range(len(self.lanes))]
        self._special = np.array([row.current or row.suggested for row in rows], dtype=np.bool_)
        self._scale = 0.0
        self._prior = -1
        self._places: list[LanePlaces] = []

    @property
    def has_undated(self) -> bool:
        """Whether any study has no date."""
        return bool(np.isnan(self.days).any())

    def places(self, scale: float, prior_uid: str) -> list[LanePlaces]:
        """The blocks of all lanes at `scale` pixels a day."""
        prior = self.numbers.get(prior_uid, -1)
        if scale != self._scale or prior != self._prior:
            self._scale, self._prior = scale, prior
            special = self._special.copy()
            if prior >= 0:
                special[prior] = True
            self._places = [place(self.days[rows], special[rows], rows, scale) for rows in self._dated]
        return self._places

    def by_time(self) -> Ints:
        """Numbers of all rows from old to new, those without a date first."""
        return np.arange(len(self.rows))[::-1]

    def other_lanes(self, row: TimelineRow) -> Iterator[int]:
        """The lanes that a study also belongs to, but is not drawn in."""
        main, *others = groups(row, self.by)
        for name in others:
            if name != main and name in self.lanes:
                yield self.lanes.index(name)

    def _in_lane(self, lane: int, *, dated: bool) -> Ints:
        # Rows come newest first, those without a date last.
        return np.flatnonzero((self.lane_of == lane) & (np.isnan(self.days) != dated))


def look_of(rows: Sequence[TimelineRow], width: float, height: float, colour: str, *, pointed: bool) -> Look:
    """How the block of one study, or of several, is drawn."""
    if len(rows) == 1:
        return look_of_row(rows[0], width, height, colour, pointed=pointed)
    states = Counter(row.presence for row in rows)
    share = sum(SHARES[state] * count for state, count in states.items()) / len(rows)
    shut = all(row.shut for row in rows)
    damaged = states[Presence.DAMAGED] > 0
    # Five steps are enough to see, and keep the number of looks small.
    return Look(
        WIDTH, height, str(len(rows)), colour, round(share * 4) / 4, damaged, shut, pile=True, pointed=pointed
    )


def look_of_row(row: TimelineRow, width: float, height: float, colour: str, *, pointed: bool) -> Look:
    """How the block of a study is drawn."""
    return Look(
        width,
        height,
        ("?" if row.shut else row.modality) if width >= WIDTH else "",
        colour,
        SHARES[row.presence],
        row.presence is Presence.DAMAGED,
        row.shut,
        row.copies > 1,
        row.report_only,
        pointed=pointed,
    )


def colour_of(row: TimelineRow, prior_uid: str) -> str:
    """Current and prior have their colours, all else is quiet."""
    if row.current:
        return theme.CURRENT
    return theme.PRIOR if row.suggested or row.study_uid == prior_uid else theme.QUIET
