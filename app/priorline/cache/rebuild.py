"""Making the index true again from what lies on the disk: after a crash for some studies, after a loss for all."""

import logging
import os
import sqlite3
from pathlib import Path

import msgspec

from priorline.cache.catalogue import Catalogue, Entry, OpenStudy
from priorline.cache.disk import remove
from priorline.cache.inventory import Inventory
from priorline.cache.sealed_file import read_head
from priorline.cache.study_file import ObjectRecord, StudyRecord, read_study, unpack
from priorline.cache.vault import Vault
from priorline.cache.writer import CONFLICT
from priorline.errors import CacheDamaged

log = logging.getLogger(__name__)


class Rebuilder:
    """Compares studies on the disk with their rows; only while the index is held, so that none is in between."""

    def __init__(self, inventory: Inventory, vault: Vault, catalogue: Catalogue) -> None:
        self._inventory = inventory
        self._files = inventory.files
        self._vault = vault
        self._catalogue = catalogue

    def all(self, db: sqlite3.Connection) -> list[str]:
        """Make every study true; the handles of what was changed."""
        known = [row["handle"].hex() for row in db.execute("SELECT handle FROM study")]
        changed: list[str] = []
        for handle in sorted({*known, *self._files.studies()}):
            changed += self.study(db, handle)
        return changed

    def study(self, db: sqlite3.Connection, handle: str) -> list[str]:
        """Make one study true: whole objects get rows, rows without objects go, and so does a study without its key.

        The answer is the handles of what was changed.
        """
        try:
            key, record = read_study(self._files, self._vault, handle)
        except CacheDamaged:
            return self._bury(db, handle)
        row, changed = self._row(db, handle, record)
        if row is None:
            return self._bury(db, handle)
        opened = OpenStudy(row, handle, record.answer.study_uid, key.key)
        changed += self._match(db, opened)
        db.execute(
            "UPDATE study SET expected = ?, pinned = ?, withheld = ?, complete = (? > 0 AND shown >= ?) WHERE id = ?",
            (record.expected, record.pinned, record.withheld, record.whole, record.whole, row),
        )
        return changed

    def _bury(self, db: sqlite3.Connection, handle: str) -> list[str]:
        there = handle in self._files.studies()
        gone = db.execute("SELECT 1 FROM study WHERE handle = ?", (bytes.fromhex(handle),)).fetchone()
        self._inventory.bury(db, [handle])
        self._files.remove_rest(handle)
        return [handle] if there or gone else []

    def _row(self, db: sqlite3.Connection, handle: str, record: StudyRecord) -> tuple[int | None, list[str]]:
        """The row of a study, made where there is none; None where another study has its UID already."""
        code = self._catalogue.code("study", record.answer.study_uid)
        row = db.execute("SELECT id, handle FROM study WHERE code = ?", (code,)).fetchone()
        if row is not None and row["handle"].hex() == handle:
            return row["id"], []
        if row is not None and self._catalogue.record(row["handle"].hex()) is not None:
            return None, []
        # A row whose study is gone holds no place, and a row of this handle under another UID is none of ours.
        changed = self._bury(db, row["handle"].hex()) if row is not None else []
        db.execute("DELETE FROM study WHERE handle = ?", (bytes.fromhex(handle),))
        return self._catalogue.insert_study(db, handle, record, self._inventory.watch.tell(db)), [*changed, handle]

    def _match(self, db: sqlite3.Connection, study: OpenStudy) -> list[str]:
        rows = db.execute("SELECT id, handle, size FROM instance WHERE study = ?", (study.row,)).fetchall()
        found = self._files.objects_of(study.handle)
        held = {row["handle"].hex(): row for row in rows}
        missing = [name for name in held if name not in found]
        db.executemany("DELETE FROM instance WHERE id = ?", [(held[name]["id"],) for name in missing])
        new = [
            (entry.stat(follow_symlinks=False).st_mtime_ns, name) for name, entry in found.items() if name not in held
        ]
        for _time, name in sorted(new):
            self._adopt(db, study, name, found[name])
        return missing + [name for _time, name in new]

    def _adopt(self, db: sqlite3.Connection, study: OpenStudy, name: str, found: "os.DirEntry[str]") -> None:
        """Give an object its row; one that is damaged, or is here already, is removed."""
        try:
            ticket = self._vault.ticket_key(study.key, study.handle, name)
            head = read_head(Path(found.path), ticket, bytes.fromhex(study.handle + name))
            record = unpack(head, ObjectRecord)
        except CacheDamaged:
            remove(Path(found.path))
            return
        others = self._catalogue.digests(study, record.sop_uid)
        if others.get(record.digest) is not None:
            remove(Path(found.path))
            return
        if not record.reason and False in others.values():
            record = msgspec.structs.replace(record, reason=CONFLICT)
        self._catalogue.insert(db, Entry(name, study, record, found.stat(follow_symlinks=False).st_size))
