"""Leases: a study that is open in a window is not cleaned away under it; a dead process holds none."""

import sqlite3
from pathlib import Path

from priorline.cache.index import Index
from priorline.cache.owners import live_owners


class Leases:
    """The leases of one process, and what it sees of the others'; studies by their handles."""

    def __init__(self, incoming: Path, index: Index, owner: str) -> None:
        self._incoming = incoming
        self._index = index
        self._owner = owner

    def take(self, study: str) -> bool:
        """Mark a study as open in a window of this process, until `release` or the process's end.

        False where the cache does not have it.
        """
        with self._index.transaction() as db:
            row = db.execute("SELECT id FROM study WHERE handle = ?", (bytes.fromhex(study),)).fetchone()
            if row is not None:
                db.execute("INSERT OR IGNORE INTO lease VALUES (?, ?)", (row["id"], self._owner))
            return row is not None

    def release(self, study: str) -> None:
        """End the lease of this process on a study."""
        with self._index.transaction() as db:
            db.execute(
                "DELETE FROM lease WHERE owner = ? AND study = (SELECT id FROM study WHERE handle = ?)",
                (self._owner, bytes.fromhex(study)),
            )

    def open_studies(self) -> set[str]:
        """The handles of the studies that a living process has open."""
        rows = self._index.rows("SELECT handle, owner FROM lease JOIN study ON study.id = lease.study")
        live = live_owners(self._incoming) if rows else set()
        return {row["handle"].hex() for row in rows if row["owner"] in live}

    def is_open(self, db: sqlite3.Connection, study: str) -> bool:
        """Whether a living process has the study open; within a transaction, so that it stays so until its end."""
        query = "SELECT owner FROM lease WHERE study = (SELECT id FROM study WHERE handle = ?)"
        owners = {row["owner"] for row in db.execute(query, (bytes.fromhex(study),))}
        return bool(owners & live_owners(self._incoming)) if owners else False

    def forget_dead(self, db: sqlite3.Connection) -> None:
        """Drop the leases of processes that are gone."""
        owners = {row["owner"] for row in db.execute("SELECT DISTINCT owner FROM lease")}
        for owner in owners - live_owners(self._incoming) if owners else ():
            db.execute("DELETE FROM lease WHERE owner = ?", (owner,))
