"""The words of the index: rows that name nobody into studies and instances, and back."""

import secrets
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from priorline.cache.files import CacheFiles
from priorline.cache.index import Index
from priorline.cache.model import CacheStats, Presence, StoredInstance, StoredStudy
from priorline.cache.vault import Vault
from priorline.domain.study import StudyAnswer
from priorline.errors import CacheDamaged, CacheError

T = TypeVar("T")

OK = "ok"
QUARANTINED = "quarantined"

_STUDIES = """
    SELECT study.*, count(instance.handle) AS held, total(instance.size) AS bytes,
           count(CASE WHEN instance.state = 'ok' THEN 1 END) AS shown
    FROM study LEFT JOIN instance ON instance.study = study.handle
"""


class Box(msgspec.Struct, array_like=True, frozen=True):
    """What the index keeps sealed of one instance."""

    sop_uid: str
    series_uid: str
    header: bytes
    reason: str = ""


@dataclass(frozen=True, slots=True)
class OpenStudy:
    """A study's row, opened: its random handle and its key (empty where nothing is encrypted)."""

    handle: str
    uid: str
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Entry:
    """An instance before it has a row."""

    handle: str
    study: OpenStudy
    box: Box
    size: int
    digest: bytes
    state: str = OK


class Catalogue:
    """Reads and writes rows; the caller holds the transaction where one is passed in."""

    def __init__(self, index: Index, vault: Vault, files: CacheFiles) -> None:
        self._index = index
        self._vault = vault
        self._files = files

    def study(self, study_uid: str) -> OpenStudy | None:
        """The study with this UID, None where the cache has none."""
        rows = self._index.rows("SELECT handle, wrapped_key FROM study WHERE uid_mac = ?", self.study_code(study_uid))
        return self._opened(rows[0], study_uid) if rows else None

    def _opened(self, row: sqlite3.Row, study_uid: str) -> OpenStudy:
        return OpenStudy(row["handle"], study_uid, self._vault.study_key(row["handle"], row["wrapped_key"]))

    def study_code(self, study_uid: str) -> bytes:
        """The code under which the study's row is found."""
        return self._vault.code("study", study_uid)

    def instance_code(self, sop_uid: str) -> bytes:
        """The code under which the instance's row is found within its study."""
        return self._vault.code("instance", sop_uid)

    def ensure_study(self, answer: StudyAnswer, now: int) -> OpenStudy:
        """The row of the study, made where there is none."""
        known = self.study(answer.study_uid)
        if known is not None:
            return known
        with self._index.transaction() as db:
            row = db.execute(
                "SELECT handle, wrapped_key FROM study WHERE uid_mac = ?", (self.study_code(answer.study_uid),)
            ).fetchone()
            return self._opened(row, answer.study_uid) if row else self._new_study(db, answer, now)

    def _new_study(self, db: sqlite3.Connection, answer: StudyAnswer, now: int) -> OpenStudy:
        handle = secrets.token_hex(16)
        key, wrapped = self._vault.new_study_key(handle)
        db.execute(
            "INSERT INTO study (handle, uid_mac, patient_mac, wrapped_key, hospital, sealed, pin_reason,"
            " fetched_at, viewed_at) VALUES (?, ?, x'', ?, '', x'', x'', ?, ?)",
            (handle, self.study_code(answer.study_uid), wrapped, now, now),
        )
        study = OpenStudy(handle, answer.study_uid, key)
        self.describe(db, study, answer)
        return study

    def describe(self, db: sqlite3.Connection, study: OpenStudy, answer: StudyAnswer) -> None:
        """Write what a hospital says of the study into its row."""
        sealed = self._vault.close_box(study.key, study.handle, pack(answer))
        patient = self._vault.code("patient", answer.patient.identifier.value)
        db.execute(
            "UPDATE study SET sealed = ?, patient_mac = ?, hospital = ? WHERE handle = ?",
            (sealed, patient, answer.hospital, study.handle),
        )

    def pin(self, db: sqlite3.Connection, study: OpenStudy, reason: str, on: bool) -> None:
        """Pin or unpin; the reason is sealed since people write names into it."""
        sealed = self._vault.close_box(study.key, f"pin {study.handle}", reason.encode())
        db.execute("UPDATE study SET pinned = ?, pin_reason = ? WHERE handle = ?", (on, sealed, study.handle))

    def studies(self, patient_id: str | None = None) -> list[StoredStudy]:
        """All studies, or those of one patient number under any issuer, the latest fetched first."""
        where: str = ""
        values: tuple[bytes, ...] = ()
        if patient_id is not None:
            where, values = "WHERE study.patient_mac = ?", (self._vault.code("patient", patient_id),)
        order = "GROUP BY study.handle ORDER BY study.fetched_at DESC, study.handle"
        return [self._stored_study(row) for row in self._index.rows(f"{_STUDIES} {where} {order}", *values)]

    def _stored_study(self, row: sqlite3.Row) -> StoredStudy:
        handle = row["handle"]
        key = self._vault.study_key(handle, row["wrapped_key"])
        return StoredStudy(
            handle=handle,
            answer=_decode(self._vault.open_box(key, handle, row["sealed"]), StudyAnswer),
            instances=row["shown"],
            quarantined=row["held"] - row["shown"],
            bytes=int(row["bytes"]),
            expected=row["expected"],
            complete=bool(row["complete"]),
            fetched_at=datetime.fromtimestamp(row["fetched_at"], UTC),
            viewed_at=datetime.fromtimestamp(row["viewed_at"], UTC),
            pinned=bool(row["pinned"]),
            pin_reason=self._vault.open_box(key, f"pin {handle}", row["pin_reason"]).decode()
            if row["pinned"]
            else "",
        )

    def presence(self, study_uid: str) -> Presence:
        """How much of the study is here."""
        rows = self._index.rows(
            "SELECT expected, complete, (SELECT count(*) FROM instance WHERE study = study.handle AND state = 'ok')"
            " AS images FROM study WHERE uid_mac = ?",
            self.study_code(study_uid),
        )
        return Presence(rows[0]["images"], bool(rows[0]["complete"]), rows[0]["expected"]) if rows else Presence()

    def stats(self) -> CacheStats:
        """The cache in numbers."""
        row = self._index.rows(
            "SELECT (SELECT count(*) FROM study) AS studies, count(DISTINCT study || hex(series_mac)) AS series,"
            " count(CASE WHEN state = 'ok' THEN 1 END) AS shown, count(*) AS held, total(size) AS bytes FROM instance"
        )[0]
        apart = row["held"] - row["shown"]
        root, encrypted = self._files.root, self._vault.encrypted
        return CacheStats(root, row["studies"], row["series"], row["shown"], int(row["bytes"]), encrypted, apart)

    def insert(self, db: sqlite3.Connection, entry: Entry) -> None:
        """Give an instance its row."""
        sealed = self._vault.close_box(entry.study.key, entry.handle, pack(entry.box))
        code, series = self.instance_code(entry.box.sop_uid), self._vault.code("series", entry.box.series_uid)
        db.execute(
            "INSERT INTO instance (handle, study, uid_mac, series_mac, sealed, size, digest, state)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (entry.handle, entry.study.handle, code, series, sealed, entry.size, entry.digest, entry.state),
        )

    def instances(self, study: OpenStudy) -> list[StoredInstance]:
        """The instances of a study that may be shown, in the order in which they came."""
        rows = self._index.rows(
            "SELECT * FROM instance WHERE study = ? AND state = 'ok' ORDER BY rowid", study.handle
        )
        return [self.instance(study, row["handle"], row["size"], self._box(study, row)) for row in rows]

    def _box(self, study: OpenStudy, row: sqlite3.Row) -> Box:
        return _decode(self._vault.open_box(study.key, row["handle"], row["sealed"]), Box)

    def same(self, study: OpenStudy, sop_uid: str) -> list[sqlite3.Row]:
        """The rows that claim to be this instance: at most one that is shown, and any number in quarantine."""
        return self._index.rows(
            "SELECT * FROM instance WHERE study = ? AND uid_mac = ?", study.handle, self.instance_code(sop_uid)
        )

    def from_row(self, study: OpenStudy, row: sqlite3.Row) -> StoredInstance:
        """The instance that a row of `same` stands for."""
        return self.instance(study, row["handle"], row["size"], self._box(study, row))

    def instance(self, study: OpenStudy, handle: str, size: int, box: Box) -> StoredInstance:
        """The instance `handle` with the key that opens it alone."""
        return StoredInstance(
            handle=handle,
            study_uid=study.uid,
            sop_uid=box.sop_uid,
            series_uid=box.series_uid,
            header=box.header,
            path=str(self._files.object_path(study.handle, handle)),
            key=self._vault.ticket_key(study.key, study.handle, handle),
            size=size,
        )

    def drop(self, db: sqlite3.Connection, handles: Iterable[str]) -> None:
        """Take instances out of the index; their studies are no longer complete."""
        for handle in handles:
            db.execute(
                "UPDATE study SET complete = 0 WHERE handle = (SELECT study FROM instance WHERE handle = ?)",
                (handle,),
            )
            db.execute("DELETE FROM instance WHERE handle = ?", (handle,))


def pack(value: StudyAnswer | Box) -> bytes:
    """The bytes of a value for its sealed box; raises CacheError where a text in it is no text."""
    try:
        return msgspec.msgpack.encode(value)
    except UnicodeEncodeError as error:
        raise CacheError("The hospital sent text that is no text, so this image or study is not kept.") from error


def _decode(content: bytes, kind: type[T]) -> T:
    try:
        return msgspec.msgpack.decode(content, type=kind)
    except msgspec.DecodeError as error:
        raise CacheDamaged(
            "An entry of the cache's index is damaged; run “priorline cache verify --repair”."
        ) from error
