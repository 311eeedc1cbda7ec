"""What can be done with a cache without a right to read it: count, list, and remove studies by their handles."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from priorline.cache.clock import Clock, Reading, Watch, look
from priorline.cache.files import INDEX, CacheFiles
from priorline.cache.index import Index, faults
from priorline.cache.leases import Leases
from priorline.cache.model import CacheStats, Holding
from priorline.cache.owners import Owner
from priorline.errors import CacheError

# Studies that are removed in one transaction: each costs the disk little once the first has been waited for.
BATCH = 100
_PAGE = 500


class Inventory:
    """The studies of one cache as numbers and times; several processes may have it open.

    `on_removed` is called when studies were removed by this process.
    """

    def __init__(self, files: CacheFiles, index: Index, owner: Owner, clock: Clock) -> None:
        self.files = files
        self.index = index
        self.owner = owner
        self.watch = Watch(clock)
        self.leases = Leases(files.incoming, index, owner.name)
        self.on_removed: Callable[[], None] = lambda: None

    @classmethod
    def open(cls, directory: Path, clock: Clock = look) -> Self:
        """Open a cache that somebody with its key has made; raises CacheError where its index is lost."""
        files = CacheFiles.open(directory)
        index = files.in_need(lambda: Index(files.root / INDEX))
        try:
            return cls(files, index, files.in_need(lambda: _enter(files, index)), clock)
        except BaseException:
            index.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close, which ends the leases too; a second call does nothing."""
        if self.index.has_failed:
            self.owner.leave()
        try:
            self.owner.close()
        finally:
            self.index.close()

    def stats(self) -> CacheStats:
        """The cache in numbers."""
        row = self.index.rows(
            "SELECT count(*) AS studies, total(shown) AS shown, total(apart) AS apart, total(bytes) AS bytes,"
            " (SELECT count(*) FROM series) AS series FROM study"
        )[0]
        check = self.files.read_key_check()
        return CacheStats(
            directory=self.files.root,
            studies=row["studies"],
            series=row["series"],
            instances=int(row["shown"]),
            bytes=int(row["bytes"]),
            quarantined=int(row["apart"]),
            key=check[0] if check else "",
        )

    def bytes(self) -> int:
        """Bytes of all instances on the disk."""
        return int(self.index.rows("SELECT bytes FROM total")[0]["bytes"])

    def by_hospital(self) -> list[tuple[str, int, int]]:
        """Name, studies and bytes of each hospital, the one that takes most first."""
        rows = self.index.rows(
            "SELECT hospital, count(*) AS studies, total(bytes) AS bytes FROM study"
            " GROUP BY hospital ORDER BY bytes DESC, hospital"
        )
        return [(row["hospital"], row["studies"], int(row["bytes"])) for row in rows]

    def latest(self, limit: int = 0) -> list[Holding]:
        """The studies, last viewed first, at most `limit` of them (0: all)."""
        rows = self.index.rows("SELECT * FROM study ORDER BY viewed_at DESC, id DESC LIMIT ?", limit or -1)
        return list(self._holdings(rows))

    def oldest(self) -> Iterator[Holding]:
        """The studies, longest unviewed first; read as far as they are asked for."""
        query = "SELECT * FROM study WHERE (viewed_at, id) > (?, ?) ORDER BY viewed_at, id LIMIT ?"
        last = (-(1 << 62), 0)
        while rows := self.index.rows(query, *last, _PAGE):
            yield from self._holdings(rows)
            last = (rows[-1]["viewed_at"], rows[-1]["id"])

    def _holdings(self, rows: list[sqlite3.Row]) -> Iterator[Holding]:
        reading = self.watch.read(self.index)
        for row in rows:
            yield holding(row, reading)

    def remove(
        self, studies: Sequence[str], *, spare_open: bool = False, before: Callable[[str], None] = lambda _study: None
    ) -> list[str]:
        """Remove studies for good, and say which went; `spare_open`: none that a living process has open.

        `before` is told of each study that goes, while it is still there; where it raises, none of its batch goes.

        The key of a study is gone from the disk before anything else of it: what a crash leaves is noise, and is
        swept.
        """
        gone = []
        for start in range(0, len(studies), BATCH):
            batch = studies[start : start + BATCH]
            gone += self.files.in_need(lambda: self._remove(batch, spare_open, before))  # noqa: B023 - called at once
        return gone

    def _remove(self, studies: Sequence[str], spare_open: bool, before: Callable[[str], None]) -> list[str]:
        with self.index.transaction() as db:
            closed = [one for one in studies if not (spare_open and self.leases.is_open(db, one))]
            # One that has lost its key is being removed by another process, or was by one that died.
            going = [one for one in closed if self._is_there(db, one)]
            for one in going:
                before(one)
            self.bury(db, going)
        # Outside of the transaction: whoever listens may be about to begin one.
        self.on_removed()
        self._sweep(closed)
        return going

    def _sweep(self, studies: Sequence[str]) -> None:
        try:
            with faults():
                for one in studies:
                    self.files.remove_rest(one)
                    if self.files.study_directory(one).exists():
                        self.owner.leave()
                    else:
                        self.owner.settle(one)
        except CacheError:
            self.owner.leave()
            raise

    def _is_there(self, db: sqlite3.Connection, study: str) -> bool:
        row = db.execute("SELECT 1 FROM study WHERE handle = ?", (bytes.fromhex(study),)).fetchone()
        return row is not None or self.files.study_path(study).exists()

    def bury(self, db: sqlite3.Connection, studies: Sequence[str]) -> None:
        """Destroy the keys of studies and take them out of the index; within a transaction."""
        for one in studies:
            self.owner.touch(one)
        self.files.destroy_keys(studies)
        db.executemany("DELETE FROM study WHERE handle = ?", [(bytes.fromhex(one),) for one in studies])

    def everything(self) -> list[str]:
        """The handles of all studies, also of those that the index does not know."""
        known = [row["handle"].hex() for row in self.index.rows("SELECT handle FROM study")]
        return sorted({*known, *self.files.studies()})


def holding(row: sqlite3.Row, reading: Reading) -> Holding:
    """A row of the studies as a value."""
    return Holding(
        handle=row["handle"].hex(),
        hospital=row["hospital"],
        instances=row["shown"],
        quarantined=row["apart"],
        bytes=row["bytes"],
        expected=row["expected"],
        complete=bool(row["complete"]),
        fetched_at=reading.shown(row["fetched_at"]),
        viewed_at=reading.shown(row["viewed_at"]),
        pinned=bool(row["pinned"]),
    )


def _enter(files: CacheFiles, index: Index) -> Owner:
    with index.transaction() as db:
        if index.is_new(db):
            if files.studies():
                raise CacheError("The cache's index is lost; run “priorline cache verify --repair” with its key.")
            index.make(db)
        return Owner(files.incoming)
