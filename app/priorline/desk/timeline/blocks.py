"""All studies as blocks: what lies in which lane, where for which scale, and which study is under a pixel."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QRectF

from priorline.desk import theme
from priorline.desk.held import Presence
from priorline.desk.timeline.lanes import LaneBy, groups, lanes
from priorline.desk.timeline.looks import SHARES, Look
from priorline.desk.timeline.places import WIDTH, Floats, LanePlaces, place
from priorline.desk.timeline.rows import TimelineRow

NOTHING = (0.0, False, False)
"""The state of a study that is certain and of which nothing is here: of nearly all."""


@dataclass(frozen=True, slots=True)
class Block:
    """What is drawn in one box (pixels of the scene): one study, or several that share it.

    It stands for `count` rows of its lane from `start` on, the newest first.
    """

    blocks: "Blocks"
    lane: int
    start: int
    count: int
    box: QRectF

    @property
    def rows(self) -> tuple[TimelineRow, ...]:
        """The studies in it, the newest first."""
        numbers = self.blocks.in_lane[self.lane][self.start : self.start + self.count]
        return tuple(self.blocks.rows[number] for number in numbers)

    @property
    def row(self) -> TimelineRow:
        """The newest study in it."""
        return self.blocks.rows[self.blocks.in_lane[self.lane][self.start]]

    def has(self, lane: int, place: int) -> bool:
        """Whether the row at a place in a lane is in it."""
        return lane == self.lane and self.start <= place < self.start + self.count


class Blocks:
    """The studies in their lanes; asking again for the same scale costs nothing.

    `in_lane` has the numbers of the rows of each lane, the newest first, `undated` where those without a date start.
    """

    def __init__(self, rows: Sequence[TimelineRow] = (), by: LaneBy = LaneBy.REGION) -> None:
        self.rows, self.by = tuple(rows), by
        self.lanes, numbers_of_lanes = lanes(rows, by)
        self.numbers = {row.study_uid: number for number, row in enumerate(self.rows)}
        self.lane_of = np.array(numbers_of_lanes, dtype=np.int64)
        self.days: Floats = np.array([row.when.toordinal() if row.when else np.nan for row in rows], dtype=float)
        # Rows come newest first, those without a date last.
        members = [np.flatnonzero(self.lane_of == lane) for lane in range(len(self.lanes))]
        self._dated = [numbers[~np.isnan(self.days[numbers])] for numbers in members]
        self.undated = [len(numbers) for numbers in self._dated]
        self.in_lane: list[list[int]] = [numbers.tolist() for numbers in members]
        plain = Presence.REMOTE
        states = np.array(
            [_state(row) if row.shut or row.presence is not plain else NOTHING for row in rows], dtype=float
        ).reshape(-1, 3)
        self._sums = [_running_sums(states[numbers]) for numbers in members]
        self._special = np.array([row.current or row.suggested for row in rows], dtype=np.bool_)
        self._scale = 0.0
        self._prior = -1
        self._places: list[LanePlaces] = []

    def takes(self, rows: Sequence[TimelineRow]) -> bool:
        """Tell of these rows from now on if they make the same blocks as before, and say whether they do."""
        alike = len(rows) == len(self.rows) and all(
            old is new or new.is_drawn_like(old) for old, new in zip(self.rows, rows, strict=True)
        )
        if alike:
            self.rows = tuple(rows)
        return alike

    @property
    def has_undated(self) -> bool:
        """Whether any study has no date."""
        return bool(np.isnan(self.days).any())

    def place_in_lane(self, study_uid: str) -> tuple[int, int]:
        """Lane and place in it of a study, (-1, -1) where it is not on the line."""
        number = self.numbers.get(study_uid)
        if number is None:
            return -1, -1
        lane = int(self.lane_of[number])
        return lane, bisect_left(self.in_lane[lane], number)

    def places(self, scale: float, prior_uid: str) -> list[LanePlaces]:
        """The blocks of all lanes at `scale` pixels a day."""
        prior = self.numbers.get(prior_uid, -1)
        if scale != self._scale or prior != self._prior:
            self._scale, self._prior = scale, prior
            special = self._special.copy()
            if prior >= 0:
                special[prior] = True
            self._places = [place(self.days[rows], special[rows], scale) for rows in self._dated]
        return self._places

    def look_of_several(self, block: Block, *, pointed: bool) -> Look:
        """How a block is drawn that several studies share."""
        sums, count = self._sums[block.lane], block.count
        before, after = sums[block.start], sums[block.start + count]
        # Four steps are enough to see, and keep the number of looks small.
        share = round(4 * (after[0] - before[0]) / count) / 4
        damaged, shut = after[1] > before[1], after[2] - before[2] == count
        height = block.box.height()
        return Look(WIDTH, height, str(count), theme.QUIET, share, damaged, shut, pile=True, pointed=pointed)

    def other_lanes(self, row: TimelineRow) -> Iterator[int]:
        """The lanes that a study also belongs to, but is not drawn in."""
        main, *others = groups(row, self.by)
        for name in others:
            if name != main and name in self.lanes:
                yield self.lanes.index(name)


def _state(row: TimelineRow) -> tuple[float, bool, bool]:
    """What a block that several share shows of each: how much is here, damage, whether it is shut."""
    return SHARES[row.presence], row.presence is Presence.DAMAGED, row.shut


def _running_sums(states: Floats) -> list[list[float]]:
    sums: list[list[float]] = np.vstack([np.zeros((1, 3)), np.cumsum(states, axis=0)]).tolist()
    return sums


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
