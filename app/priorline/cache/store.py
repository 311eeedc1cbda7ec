"""The store: whole instances in sealed files, and an index that says only what is true of them."""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from priorline.cache.catalogue import OK, QUARANTINED, Box, Catalogue, Entry, OpenStudy, pack
from priorline.cache.files import INDEX, CacheFiles, Owner
from priorline.cache.index import Index, faults
from priorline.cache.keys import MasterKey
from priorline.cache.leases import Leases
from priorline.cache.model import Added, AddOutcome, CacheStats, Presence, StoredInstance, StoredStudy
from priorline.cache.opening import enter
from priorline.cache.seal import Data, container_size, read_object, segments
from priorline.cache.vault import Vault
from priorline.cache.writer import CONFLICT, Writer, new_handle
from priorline.domain.study import StudyAnswer
from priorline.errors import CacheDamaged, CacheFull


class Store:
    """The cache as one process sees it; several processes may have it open, and all threads may use one.

    What is added becomes visible, here and elsewhere, with `commit` at the latest. All methods raise CacheError
    (CacheFull, CacheDamaged) and no other error of the world.
    """

    def __init__(self, files: CacheFiles, index: Index, vault: Vault, owner: Owner) -> None:
        self.files = files
        self.index = index
        self.vault = vault
        self._owner = owner
        self.catalogue = Catalogue(index, vault, files)
        self.leases = Leases(files, index, self.catalogue, owner.name)
        self._writer = Writer(files, index, self.catalogue, owner)
        self._clock: Callable[[], float] = time.time

    @classmethod
    def open(cls, directory: Path, key: MasterKey | None, clock: Callable[[], float] = time.time) -> Self:
        """Open or make the cache at `directory`; without a `key` its objects are not encrypted, only checked.

        `clock` gives seconds since 1970 in UTC. Raises CacheError where the directory holds other things than a
        cache, or where the cache was made with another key.
        """
        files, vault = CacheFiles.open(directory), Vault(key)
        index = files.in_need(lambda: Index(files.root / INDEX))
        try:
            store = cls(files, index, vault, files.in_need(lambda: enter(files, index, vault)))
        except BaseException:
            index.close()
            raise
        store._clock = clock
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Commit what is pending and close, which ends the leases too; a second call does nothing."""
        if not self._owner.is_open:
            return
        try:
            self.commit()
        finally:
            self._writer.abandon()
            self._owner.close()
            self.index.close()

    # --- writing ---

    def begin_fetch(self, study: StudyAnswer, expected: int) -> None:
        """Note that a study is being fetched, of which `expected` images are to come (0: nobody said)."""
        opened = self.catalogue.ensure_study(study, self._now())
        self._writer.forget_lost(opened.handle)
        with self.index.transaction() as db:
            self.catalogue.describe(db, opened, study)
            db.execute(
                "UPDATE study SET expected = ?, complete = 0, fetched_at = ? WHERE handle = ?",
                (expected, self._now(), opened.handle),
            )

    def finish_fetch(self, study_uid: str, complete: bool) -> bool:
        """Commit, and note whether the study is whole; the answer is what was noted.

        It is never noted as whole while fewer images are here than were expected, or where a write was lost.
        It counts as viewed now, so that its age starts here.
        """
        self.commit()
        opened = self.catalogue.study(study_uid)
        if opened is None:
            return False
        held = self.catalogue.presence(study_uid)
        whole = complete and held.images >= held.expected and not self._writer.has_lost(opened.handle)
        now = self._now()
        with self.index.transaction() as db:
            db.execute(
                "UPDATE study SET complete = ?, fetched_at = ?, viewed_at = ? WHERE handle = ?",
                (whole, now, now, opened.handle),
            )
        return whole

    def add(
        self, study: StudyAnswer, sop_uid: str, series_uid: str, header: bytes, data: Data, quarantine: str = ""
    ) -> Added:
        """Write one instance (`data`: a whole Part 10 file) with its opaque `header`; `commit` makes it visible.

        The same SOP Instance UID with the same bytes is left as it is (identical); with other bytes the first is
        kept and the new one set apart (conflicting). With a reason in `quarantine` it is set apart and never shown.
        Raises CacheFull where the disk is full; then what was committed before is still there.
        """
        box = Box(sop_uid, series_uid, header, quarantine)
        pack(box)  # fails here, for this one alone, rather than in the commit of its group
        opened = self.catalogue.ensure_study(study, self._now())
        entry = Entry(new_handle(), opened, box, memoryview(data).nbytes, self.vault.digest(data))
        if quarantine:
            return self._set_apart(entry, data, AddOutcome.QUARANTINED, quarantine)
        taken = self._writer.claim(opened.handle, sop_uid, entry.digest)
        if taken is not None:
            return self._second(entry, data, taken, None)
        try:
            shown = self._shown(entry)
            if shown is None:
                self._write(entry, data)
                return Added(AddOutcome.STORED, self.catalogue.instance(opened, entry.handle, entry.size, entry.box))
            digest, instance = shown
        except BaseException:
            self._writer.release(opened.handle, sop_uid)
            raise
        self._writer.release(opened.handle, sop_uid)
        return self._second(entry, data, digest, instance)

    def _shown(self, entry: Entry) -> tuple[bytes, StoredInstance] | None:
        """The digest and the instance that the index shows under this UID, if its file is still there."""
        for row in self.catalogue.same(entry.study, entry.box.sop_uid):
            if row["state"] == OK:
                instance = self.catalogue.from_row(entry.study, row)
                if self._is_whole(instance):
                    return row["digest"], instance
                self.discard([instance.handle])
        return None

    def _is_whole(self, instance: StoredInstance) -> bool:
        try:
            held = Path(instance.path).lstat().st_size
        except OSError:
            return False
        return held == container_size(instance.size, self.vault.encrypted)

    def _second(self, entry: Entry, data: Data, digest: bytes, instance: StoredInstance | None) -> Added:
        if digest == entry.digest:
            return Added(AddOutcome.IDENTICAL, instance)
        return self._set_apart(entry, data, AddOutcome.CONFLICTING, CONFLICT)

    def _set_apart(self, entry: Entry, data: Data, outcome: AddOutcome, reason: str) -> Added:
        rows = self.catalogue.same(entry.study, entry.box.sop_uid)
        if not any(row["state"] == QUARANTINED and row["digest"] == entry.digest for row in rows):
            box = Box(entry.box.sop_uid, entry.box.series_uid, entry.box.header, reason)
            apart = Entry(entry.handle, entry.study, box, entry.size, entry.digest, QUARANTINED)
            self._write(apart, data)
        return Added(outcome)

    def _write(self, entry: Entry, data: Data) -> None:
        study = entry.study
        key = self.vault.ticket_key(study.key, study.handle, entry.handle)
        self._writer.write(entry, segments(data, key, bytes.fromhex(study.handle + entry.handle)))

    def commit(self) -> int:
        """Make all that was added durable and visible; how many instances that were."""
        return self._writer.commit()

    @property
    def pending(self) -> int:
        """How many added instances wait for a commit."""
        return self._writer.pending

    # --- reading ---

    def instances(self, study_uid: str) -> list[StoredInstance]:
        """The committed instances of a study that may be shown, in the order in which they came."""
        opened = self.catalogue.study(study_uid)
        return self.catalogue.instances(opened) if opened else []

    def sop_uids(self, study_uid: str) -> set[str]:
        """The SOP Instance UIDs of `instances`."""
        return {instance.sop_uid for instance in self.instances(study_uid)}

    def read(self, instance: StoredInstance) -> bytes:
        """The bytes of an instance as they were added, checked.

        Raises CacheDamaged where they are not; the instance is then taken out, so that it is fetched again.
        """
        try:
            return read_object(Path(instance.path), instance.key, instance.handle)
        except CacheDamaged:
            self.discard([instance.handle])
            raise

    def presence(self, study_uids: Iterable[str]) -> dict[str, Presence]:
        """How much of each study is here; an entry for every UID asked."""
        return {uid: self.catalogue.presence(uid) for uid in study_uids}

    def studies(self, patient_id: str | None = None) -> list[StoredStudy]:
        """All studies, or those under one patient number of any issuer, the latest fetched first."""
        return self.catalogue.studies(patient_id)

    def stats(self) -> CacheStats:
        """The cache in numbers."""
        return self.catalogue.stats()

    # --- keeping and removing ---

    def pin(self, study_uid: str, reason: str, on: bool = True) -> bool:
        """Keep a study from being cleaned, or (`on` False) no longer; False where the cache has no such study."""
        opened = self.catalogue.study(study_uid)
        if opened is None:
            return False
        with self.index.transaction() as db:
            self.catalogue.pin(db, opened, reason if on else "", on)
        return True

    def withhold(self, study_uid: str) -> None:
        """Show nothing of a study any more, without losing it: somebody took back whose it is. `admit` ends that."""
        self.commit()
        opened = self.catalogue.study(study_uid)
        if opened is not None:
            with self.index.transaction() as db:
                db.execute(
                    "UPDATE instance SET state = 'withheld' WHERE study = ? AND state = 'ok'", (opened.handle,)
                )
                db.execute("UPDATE study SET complete = 0 WHERE handle = ?", (opened.handle,))

    def admit(self, study_uid: str) -> None:
        """Show again what was withheld, unless it was fetched once more meanwhile; the next fetch tells the rest."""
        opened = self.catalogue.study(study_uid)
        if opened is not None:
            with self.index.transaction() as db:
                admitted = "UPDATE OR IGNORE instance SET state = 'ok' WHERE study = ? AND state = 'withheld'"
                db.execute(admitted, (opened.handle,))

    def touch_viewed(self, study_uid: str) -> None:
        """Note that a study was looked at now."""
        values = (self._now(), self.catalogue.study_code(study_uid))
        with self.index.transaction() as db:
            db.execute("UPDATE study SET viewed_at = ? WHERE uid_mac = ?", values)

    def settle_clock(self) -> None:
        """Times that lie in the future (the clock was wrong once) become now, or those studies would never age."""
        now = self._now()
        with self.index.transaction() as db:
            db.execute("UPDATE study SET viewed_at = min(viewed_at, ?), fetched_at = min(fetched_at, ?)", (now, now))

    def remove(self, study_uid: str) -> int:
        """Remove a study, also an open one, and say how many instances went."""
        opened = self.catalogue.study(study_uid)
        return self.files.in_need(lambda: self._remove(opened, spare_open=False)) if opened else 0

    def remove_unless_open(self, study_uid: str) -> bool:
        """Remove a study that no living process has open; False where one has, or where it is not here."""
        opened = self.catalogue.study(study_uid)
        if opened is None:
            return False
        return self.files.in_need(lambda: self._remove(opened, spare_open=True)) >= 0

    def _remove(self, study: OpenStudy, *, spare_open: bool) -> int:
        with self.index.transaction() as db:
            if spare_open and self.leases.is_open(db, study.handle):
                return -1
            rows = db.execute("SELECT handle FROM instance WHERE study = ?", (study.handle,)).fetchall()
            # The wrapped key goes with this row, first of all: what a crash leaves of the files is then noise.
            db.execute("DELETE FROM study WHERE handle = ?", (study.handle,))
        with faults():
            for row in rows:
                self.files.remove_object(self.files.object_path(study.handle, row["handle"]))
        return len(rows)

    def purge(self, patient_id: str | None = None, issuer: str | None = None) -> int:
        """Remove all studies of a patient number (of any issuer where None), or all there are; how many went."""
        with suppress(CacheFull):  # what does not fit any more is dropped, which is what is wanted
            self.commit()
        wanted = [
            study.study_uid
            for study in self.studies(patient_id)
            if issuer is None or study.answer.patient.identifier.issuer == issuer
        ]
        for study_uid in wanted:
            self.remove(study_uid)
        with self.index.transaction():
            self.files.drop_empty_shards()
        return len(wanted)

    def discard(self, handles: Iterable[str]) -> None:
        """Take damaged or missing instances out, so that they are fetched again."""
        for handle in handles:
            rows = self.index.rows("SELECT study FROM instance WHERE handle = ?", handle)
            with self.index.transaction() as db:
                self.catalogue.drop(db, [handle])
            for row in rows:
                with faults(), suppress(FileNotFoundError):
                    self.files.remove_object(self.files.object_path(row["study"], handle))

    def _now(self) -> int:
        return int(self._clock())
