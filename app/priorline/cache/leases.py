"""Leases: a study that is open in a window is not cleaned away under it; a dead process holds none."""

import sqlite3

from priorline.cache.catalogue import Catalogue
from priorline.cache.files import CacheFiles
from priorline.cache.index import Index


class Leases:
    """The leases of one process, and what it sees of the others'."""

    def __init__(self, files: CacheFiles, index: Index, catalogue: Catalogue, owner: str) -> None:
        self._files = files
        self._index = index
        self._catalogue = catalogue
        self._owner = owner

    def take(self, study_uid: str) -> bool:
        """Mark a study as open in a window of this process, until `release` or the process's end.

        False where the cache does not have it.
        """
        study = self._catalogue.study(study_uid)
        if study is None:
            return False
        with self._index.transaction() as db:
            added = db.execute(
                "INSERT OR IGNORE INTO lease (study, owner) SELECT handle, ? FROM study WHERE handle = ?",
                (self._owner, study.handle),
            )
            return added.rowcount > 0 or bool(self._live(db, study.handle))

    def release(self, study_uid: str) -> None:
        """End the lease of this process on a study."""
        study = self._catalogue.study(study_uid)
        if study is not None:
            with self._index.transaction() as db:
                db.execute("DELETE FROM lease WHERE owner = ? AND study = ?", (self._owner, study.handle))

    def open_studies(self) -> set[str]:
        """The UIDs of the studies that a living process has open."""
        live = self._files.live_owners()
        held = {row["study"] for row in self._index.rows("SELECT study, owner FROM lease") if row["owner"] in live}
        return {study.study_uid for study in self._catalogue.studies() if study.handle in held} if held else set()

    def is_open(self, db: sqlite3.Connection, study_handle: str) -> bool:
        """Whether a living process has the study open; within a transaction, so that it stays so until its end."""
        return bool(self._live(db, study_handle))

    def _live(self, db: sqlite3.Connection, study_handle: str) -> set[str]:
        owners = {row["owner"] for row in db.execute("SELECT owner FROM lease WHERE study = ?", (study_handle,))}
        return owners & self._files.live_owners() if owners else set()
