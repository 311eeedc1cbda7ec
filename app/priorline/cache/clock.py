"""The time of the cache: it runs on like a watch, whatever is done to the computer's clock.

Times in the index count from this watch. At every look it goes on by what has passed since the look before: measured
by the time since start-up where the computer was not started anew, else by its clock. A clock that was put back, or
put on by more than `UNBELIEVABLE`, does not move it: so neither empties the cache nor freezes it.
"""

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from priorline.cache.index import Index

# Longer than a workstation stands switched off, shorter than a clock is off without a battery or by a mistyped year.
UNBELIEVABLE = 200 * 86400.0


@dataclass(frozen=True, slots=True)
class Moment:
    """A look at the computer's clocks: seconds since 1970, which start-up it is ("": unknown), seconds since then."""

    wall: float
    boot: str = ""
    since_boot: float = 0.0


Clock = Callable[[], Moment]


def look() -> Moment:
    """What the clocks of this computer say now."""
    kind = getattr(time, "CLOCK_BOOTTIME", None)  # counts on while the computer sleeps
    return Moment(time.time(), _boot() if kind is not None else "", time.clock_gettime(kind) if kind else 0.0)


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def elapsed(before: Moment, now: Moment) -> float:
    """Seconds that are believed to have passed between two looks, never less than 0."""
    same_start = now.boot != "" and now.boot == before.boot
    passed = now.since_boot - before.since_boot if same_start else now.wall - before.wall
    return passed if 0 <= passed <= UNBELIEVABLE else 0.0


@dataclass(frozen=True, slots=True)
class Reading:
    """What the watch says: the cache's time, and how far the computer's clock is ahead of it, both in seconds."""

    now: int
    ahead: int

    def shown(self, stamp: int) -> datetime:
        """A time of the cache as the computer's clock counts today."""
        return datetime.fromtimestamp(stamp + self.ahead, UTC)


class Watch:
    """The watch of one index, shared by all processes through it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def read(self, index: Index) -> Reading:
        """The time now, without noting that it was looked at."""
        moment = self._clock()
        seen = self._seen(index.rows("SELECT * FROM watch"), moment)
        return Reading(int(seen), round(moment.wall - seen))

    def tell(self, db: sqlite3.Connection) -> int:
        """The cache's time now, noted as seen; within a transaction."""
        moment = self._clock()
        seen = self._seen(db.execute("SELECT * FROM watch").fetchall(), moment)
        db.execute("DELETE FROM watch")
        db.execute("INSERT INTO watch VALUES (?, ?, ?, ?)", (moment.wall, moment.boot, moment.since_boot, seen))
        return int(seen)

    @staticmethod
    def _seen(rows: list[sqlite3.Row], moment: Moment) -> float:
        for row in rows:
            # Not rounded: looks that follow close upon each other would stop the watch.
            return float(row["seen"] + elapsed(Moment(row["wall"], row["boot"], row["since_boot"]), moment))
        return moment.wall
