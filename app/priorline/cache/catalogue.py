"""The words of the index: rows that name nobody into studies and instances, and back."""

import secrets
import sqlite3
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

import msgspec

from priorline.cache.inventory import Inventory, holding
from priorline.cache.model import Presence, StoredInstance, StoredStudy
from priorline.cache.study_file import ObjectRecord, StudyKey, StudyRecord, read_study, write_study
from priorline.cache.vault import Vault
from priorline.domain.study import StudyAnswer
from priorline.errors import CacheDamaged

_KEYS_KEPT = 256
# An instance is looked for several times on its way, the last time when its group is entered.
_CODES_KEPT = 1024
_ALL_STUDIES = "SELECT * FROM study ORDER BY viewed_at DESC, id DESC LIMIT ?"
_STUDIES_OF = "SELECT * FROM study WHERE patient = ? ORDER BY viewed_at DESC, id DESC LIMIT ?"
_SHOWN = (
    "SELECT instance.* FROM instance JOIN study ON study.id = instance.study"
    " WHERE instance.study = ? AND instance.apart = 0 AND study.withheld = 0 ORDER BY instance.id"
)
_SHOWN_AS = "SELECT * FROM instance WHERE study = ? AND code = ? AND apart = 0"


@dataclass(frozen=True, slots=True)
class OpenStudy:
    """A study's row, opened: its number, its random handle and its key (empty where nothing is encrypted)."""

    row: int
    handle: str
    uid: str
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Entry:
    """An instance before it has a row; `size` is that of its file."""

    handle: str
    study: OpenStudy
    record: ObjectRecord
    size: int

    @property
    def is_apart(self) -> bool:
        """Whether it must not be shown."""
        return bool(self.record.reason)


class Catalogue:
    """Reads and writes rows; the caller holds the transaction where one is passed in."""

    def __init__(self, inventory: Inventory, vault: Vault) -> None:
        self._inventory = inventory
        self._index = inventory.index
        self._files = inventory.files
        self._vault = vault
        self._code = lru_cache(maxsize=_CODES_KEPT)(vault.code)
        self._keys: OrderedDict[str, StudyKey] = OrderedDict()

    # --- studies ---

    def code(self, kind: str, uid: str) -> bytes:
        """The code under which the row of a "study", "series", "instance" or "patient" is found."""
        return self._code(kind, uid)

    def study(self, study_uid: str) -> OpenStudy | None:
        """The study with this UID, None where the cache has none that can be read."""
        rows = self._index.rows("SELECT id, handle FROM study WHERE code = ?", self.code("study", study_uid))
        return self._opened(rows[0], study_uid) if rows else None

    def _opened(self, row: sqlite3.Row, study_uid: str) -> OpenStudy | None:
        handle = row["handle"].hex()
        key = self._keys.get(handle)
        if key is None:
            try:
                key, record = read_study(self._files, self._vault, handle)
            except CacheDamaged:
                return None
            if record.answer.study_uid != study_uid:
                return None
            self._keep_key(handle, key)
        return OpenStudy(row["id"], handle, study_uid, key.key)

    def _keep_key(self, handle: str, key: StudyKey) -> None:
        self._keys[handle] = key
        while len(self._keys) > _KEYS_KEPT:
            self._keys.popitem(last=False)

    def begin(self, answer: StudyAnswer, expected: int) -> OpenStudy:
        """The row of a study that is being fetched, made where there is none, with what its hospital says now."""
        with self._index.transaction() as db:
            now = self._inventory.watch.tell(db)
            known = self._known(db, answer.study_uid)
            if known is None:
                return self._new_study(db, StudyRecord(answer, expected, now))
            self.amend(db, known, answer=answer, expected=expected, fetched_at=now, whole=0, withheld=False)
            db.execute(
                "UPDATE study SET expected = ?, complete = 0, fetched_at = ?, viewed_at = ? WHERE id = ?",
                (expected, now, now, known.row),
            )
            return known

    def ensure(self, answer: StudyAnswer) -> OpenStudy:
        """The row of the study, made where there is none."""
        known = self.study(answer.study_uid)
        if known is not None:
            return known
        with self._index.transaction() as db:
            known = self._known(db, answer.study_uid)
            return known or self._new_study(db, StudyRecord(answer, 0, self._inventory.watch.tell(db)))

    def _known(self, db: sqlite3.Connection, study_uid: str) -> OpenStudy | None:
        """The study, None where there is none or its key is lost: then what is left of it goes."""
        row = db.execute("SELECT id, handle FROM study WHERE code = ?", (self.code("study", study_uid),)).fetchone()
        if row:
            # Who was removing it may have died between its key and its row.
            self._keys.pop(row["handle"].hex(), None)
        known = self._opened(row, study_uid) if row else None
        if row and known is None:
            self._inventory.bury(db, [row["handle"].hex()])
            self._files.remove_rest(row["handle"].hex())
        return known

    def _new_study(self, db: sqlite3.Connection, record: StudyRecord) -> OpenStudy:
        handle = secrets.token_hex(16)
        key = StudyKey(*self._vault.new_study_key(handle))
        self._inventory.owner.touch(handle)
        try:
            write_study(self._files, self._vault, self._inventory.owner, handle, key, record)
            row = self.insert_study(db, handle, record, record.fetched_at)
        except BaseException:
            self._files.destroy_keys([handle])
            self._files.remove_rest(handle)
            raise
        self._keep_key(handle, key)
        return OpenStudy(row, handle, record.answer.study_uid, key.key)

    def insert_study(self, db: sqlite3.Connection, handle: str, record: StudyRecord, now: int) -> int:
        """Give a study its row; the number of it."""
        answer = record.answer
        values = (
            bytes.fromhex(handle),
            self.code("study", answer.study_uid),
            self.code("patient", answer.patient.identifier.value),
            answer.hospital,
            record.expected,
            record.pinned,
            min(record.fetched_at, now),
            now,
        )
        cursor = db.execute(
            "INSERT INTO study (handle, code, patient, hospital, expected, complete, pinned, fetched_at, viewed_at)"
            " VALUES (?, ?, ?, ?, ?, 0, ?, ?, ?)",
            values,
        )
        return int(cursor.lastrowid or 0)

    def amend(self, db: sqlite3.Connection, study: OpenStudy, **changes: object) -> bool:
        """Change the record of a study in its file, and what the index repeats of it; False where it is gone."""
        try:
            key, record = read_study(self._files, self._vault, study.handle)
        except CacheDamaged:
            return False
        record = msgspec.structs.replace(record, **changes)
        write_study(self._files, self._vault, self._inventory.owner, study.handle, key, record)
        patient = self.code("patient", record.answer.patient.identifier.value)
        db.execute(
            "UPDATE study SET patient = ?, hospital = ?, pinned = ?, withheld = ? WHERE id = ?",
            (patient, record.answer.hospital, record.pinned, record.withheld, study.row),
        )
        return True

    def studies(self, patient_id: str | None = None, limit: int = 0) -> list[StoredStudy]:
        """All studies that can be read, or those of one patient number under any issuer, the last viewed first."""
        values = () if patient_id is None else (self.code("patient", patient_id),)
        return self._stored(
            self._index.rows(_ALL_STUDIES if patient_id is None else _STUDIES_OF, *values, limit or -1)
        )

    def named(self, study_uid: str) -> list[StoredStudy]:
        """The study with this UID, nothing where there is none that can be read."""
        return self._stored(self._index.rows("SELECT * FROM study WHERE code = ?", self.code("study", study_uid)))

    def _stored(self, rows: list[sqlite3.Row]) -> list[StoredStudy]:
        reading = self._inventory.watch.read(self._index)
        found = []
        for row in rows:
            record = self.record(row["handle"].hex())
            if record is not None:
                found.append(StoredStudy(holding(row, reading), record.answer, record.pin_reason))
        return found

    def owed(self, archive: str) -> list[str]:
        """The UIDs of the studies that are owed to an archive, the longest known first."""
        handles = (row["handle"].hex() for row in self._index.rows("SELECT handle FROM study ORDER BY id"))
        records = filter(None, map(self.record, handles))
        return [record.answer.study_uid for record in records if archive in record.owed]

    def record(self, handle: str) -> StudyRecord | None:
        """What is sealed of a study, None where it cannot be read."""
        try:
            return read_study(self._files, self._vault, handle)[1]
        except CacheDamaged:
            return None

    def presence(self, study_uid: str) -> Presence:
        """How much of the study is here."""
        opened = self.study(study_uid)
        query = "SELECT shown, complete, expected, hospital FROM study WHERE id = ? AND withheld = 0"
        rows = self._index.rows(query, opened.row) if opened else []
        if not rows:
            return Presence()
        row = rows[0]
        return Presence(row["shown"], bool(row["complete"]), row["expected"], row["hospital"])

    # --- instances ---

    def insert(self, db: sqlite3.Connection, entry: Entry) -> None:
        """Give an instance its row."""
        study, record, handle = entry.study, entry.record, bytes.fromhex(entry.handle)
        code = self.code("instance", record.sop_uid)
        apart = 0
        if entry.is_apart:
            query = "SELECT max(0, coalesce(max(apart), 0)) + 1 FROM instance WHERE study = ? AND code = ?"
            apart = db.execute(query, (study.row, code)).fetchone()[0]
        sealed = self._vault.close_box(study.key, handle, record.sop_uid.encode())
        series = self._series(db, study, record.series_uid)
        db.execute(
            "INSERT INTO instance (study, code, apart, series, handle, sealed, size, digest)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (study.row, code, apart, series, handle, sealed, entry.size, record.digest),
        )

    def _series(self, db: sqlite3.Connection, study: OpenStudy, series_uid: str) -> int:
        code = self.code("series", series_uid)
        row = db.execute("SELECT id FROM series WHERE study = ? AND code = ?", (study.row, code)).fetchone()
        if row is not None:
            return int(row["id"])
        # The code of a UID never stands for another one, so it can be the box's handle.
        sealed = self._vault.close_box(study.key, code, series_uid.encode())
        cursor = db.execute("INSERT INTO series (study, code, sealed) VALUES (?, ?, ?)", (study.row, code, sealed))
        return int(cursor.lastrowid or 0)

    def instances(self, study: OpenStudy, sop_uid: str | None = None) -> list[StoredInstance]:
        """The instances of a study that may be shown, or the one with this UID, in the order in which they came."""
        values = () if sop_uid is None else (self.code("instance", sop_uid),)
        rows = self._index.rows(_SHOWN if sop_uid is None else _SHOWN_AS, study.row, *values)
        return [
            self.instance(study, row["handle"].hex(), uid, series_uid, row["size"])
            for row, uid, series_uid in self._named(study, rows)
        ]

    def sop_uids(self, study: OpenStudy, series_uid: str = "") -> set[str]:
        """The SOP Instance UIDs of `instances`, or of those in one series."""
        named = self._named(study, self._index.rows(_SHOWN, study.row))
        return {uid for _row, uid, series in named if series_uid in ("", series)}

    def _named(self, study: OpenStudy, rows: list[sqlite3.Row]) -> Iterator[tuple[sqlite3.Row, str, str]]:
        """The rows of instances, each with its SOP and Series Instance UID."""
        series = {
            row["id"]: self._text(study, row["code"], row["sealed"])
            for row in self._index.rows("SELECT * FROM series WHERE study = ?", study.row)
        }
        for row in rows:
            yield row, self._text(study, row["handle"], row["sealed"]), series.get(row["series"], "")

    def _text(self, study: OpenStudy, handle: bytes, box: bytes) -> str:
        return self._vault.open_box(study.key, handle, box).decode("utf-8", "replace")

    def codes(self, study: OpenStudy) -> set[bytes]:
        """The codes of all that claims to be an instance of a study."""
        return {row["code"] for row in self._index.rows("SELECT code FROM instance WHERE study = ?", study.row)}

    def digests(self, study: OpenStudy, sop_uid: str) -> dict[bytes, bool]:
        """The digests of what claims to be this instance, and whether each is set apart."""
        query = "SELECT digest, apart FROM instance WHERE study = ? AND code = ?"
        rows = self._index.rows(query, study.row, self.code("instance", sop_uid))
        return {row["digest"]: row["apart"] > 0 for row in rows}

    def instance(self, study: OpenStudy, handle: str, sop_uid: str, series_uid: str, size: int) -> StoredInstance:
        """The instance `handle` with the key that opens it alone."""
        return StoredInstance(
            handle=handle,
            study_uid=study.uid,
            sop_uid=sop_uid,
            series_uid=series_uid,
            path=self._files.object_name(study.handle, handle),
            key=self._vault.ticket_key(study.key, study.handle, handle),
            size=size,
        )
