"""The store: whole instances in sealed files, and an index that says only what is true of them."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from priorline.cache.catalogue import Catalogue, OpenStudy
from priorline.cache.clock import Clock, look
from priorline.cache.files import INDEX, CacheFiles
from priorline.cache.index import Index, faults
from priorline.cache.intake import Intake
from priorline.cache.inventory import Inventory
from priorline.cache.keys import MasterKey
from priorline.cache.model import Added, CacheStats, Presence, StoredInstance, StoredStudy
from priorline.cache.opening import check_key, settle
from priorline.cache.owners import Owner
from priorline.cache.rebuild import Rebuilder
from priorline.cache.seal import Data
from priorline.cache.sealed_file import ahead, read_head, read_object
from priorline.cache.spool import Spool
from priorline.cache.study_file import ObjectRecord, unpack
from priorline.cache.vault import Vault
from priorline.cache.writer import Writer
from priorline.domain.study import StudyAnswer
from priorline.errors import CacheDamaged


class Store:
    """The cache as one process sees it; several processes may have it open, and all threads may use one.

    What is added becomes visible, here and elsewhere, with `commit` at the latest. All methods raise CacheError
    (CacheFull, CacheDamaged) and no other error of the world.
    """

    def __init__(self, inventory: Inventory, vault: Vault) -> None:
        self.inventory = inventory
        self.vault = vault
        self.files = inventory.files
        self.index = inventory.index
        self.catalogue = Catalogue(inventory, vault)
        self.rebuilder = Rebuilder(inventory, vault, self.catalogue)
        self._writer = Writer(inventory, self.catalogue)
        self._intake = Intake(self.catalogue, vault, self._writer, self.discard)
        inventory.on_removed = self._intake.forget

    @classmethod
    def open(cls, directory: Path, key: MasterKey | None, clock: Clock = look) -> Self:
        """Open or make the cache at `directory`; without a `key` its objects are not encrypted, only checked.

        An index that is lost is made anew from the objects. Raises CacheError where the directory holds other things
        than a cache, or where the cache was made with another key or by another version of the program.
        """
        files, vault = CacheFiles.open(directory), Vault(key)
        index = files.in_need(lambda: Index(files.root / INDEX))
        try:
            return files.in_need(lambda: cls._enter(files, index, vault, clock))
        except BaseException:
            index.close()
            raise

    @classmethod
    def _enter(cls, files: CacheFiles, index: Index, vault: Vault, clock: Clock) -> Self:
        # In one transaction: nobody can take the new owner for a dead one before it holds its lock.
        with index.transaction() as db:
            owner = Owner(files.incoming)
            try:
                is_new = index.is_new(db)
                if is_new:
                    index.make(db)
                everything = check_key(files, vault, owner) or is_new
                store = cls(Inventory(files, index, owner, clock), vault)
                settled = settle(db, store.inventory, store.rebuilder, everything=everything)
            except BaseException:
                owner.leave()
                owner.close()
                raise
        for directory in settled:
            shutil.rmtree(directory, ignore_errors=True)
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Commit what is pending and close, which ends the leases too; a second call does nothing."""
        if not self.inventory.owner.is_open:
            return
        try:
            self.commit()
        finally:
            self._writer.abandon()
            self.inventory.close()

    # --- writing ---

    def begin_fetch(self, study: StudyAnswer, expected: int) -> None:
        """Note that a study is being fetched, of which `expected` images are to come (0: nobody said)."""
        self._intake.forget()
        opened = self.catalogue.begin(study, expected)
        self._writer.forget_lost(opened.handle)

    def expect(self, study: StudyAnswer, expected: int) -> None:
        """Correct, while a study is being fetched, how many images are to come."""
        self.catalogue.begin(study, expected)

    def finish_fetch(self, study_uid: str, complete: bool) -> bool:
        """Commit, and note whether the study is whole; the answer is what was noted.

        It is never noted as whole while fewer images are here than were expected, or where a write was lost.
        It counts as viewed now, so that its age starts here.
        """
        self.commit()
        self._intake.forget()
        opened = self.catalogue.study(study_uid)
        if opened is None:
            return False
        with self.index.transaction() as db:
            held = self.catalogue.presence(study_uid)
            whole = complete and held.images >= held.expected and not self._writer.has_lost(opened.handle)
            now = self.inventory.watch.tell(db)
            if not self.catalogue.amend(db, opened, fetched_at=now, whole=held.images if whole else 0):
                return False
            db.execute(
                "UPDATE study SET complete = ?, fetched_at = ?, viewed_at = ? WHERE id = ?",
                (whole, now, now, opened.row),
            )
        return whole

    def add(
        self,
        study: StudyAnswer,
        sop_uid: str,
        series_uid: str,
        header: bytes,
        data: Data | Spool,
        quarantine: str = "",
    ) -> Added:
        """Write one instance with its opaque `header`; `commit` makes it visible.

        `data` is a whole Part 10 file, or the closed spool of one.
        The same SOP Instance UID with the same bytes is left as it is (identical); with other bytes the first is
        kept and the new one set apart (conflicting). With a reason in `quarantine` it is set apart and never shown.
        Raises CacheFull where the disk is full; then what was committed before is still there.
        """
        return self._intake.add(study, sop_uid, series_uid, header, data, quarantine)

    def spool(self, study: StudyAnswer) -> Spool:
        """A place for an instance that is too large to wait in memory; to be given to `add`, or dropped."""
        return self._intake.spool(study)

    def keep_within(self, make_room: Callable[[int], None]) -> None:
        """Call `make_room` with the size of every file that is to come; it may clean, or refuse with CacheFull."""
        self._intake.make_room = make_room

    def commit(self) -> int:
        """Make all that was added durable and visible; how many instances that were."""
        return self._writer.commit()

    @property
    def pending(self) -> int:
        """How many added instances wait for a commit."""
        return self._writer.pending

    @property
    def pending_bytes(self) -> int:
        """What they take on the disk."""
        return self._writer.pending_bytes

    # --- reading ---

    def instances(self, study_uid: str) -> list[StoredInstance]:
        """The committed instances of a study that may be shown, in the order in which they came."""
        opened = self.catalogue.study(study_uid)
        return self.catalogue.instances(opened) if opened else []

    def sop_uids(self, study_uid: str, series_uid: str = "") -> set[str]:
        """The SOP Instance UIDs of `instances`, or of those in one series."""
        opened = self.catalogue.study(study_uid)
        return self.catalogue.sop_uids(opened, series_uid) if opened else set()

    def read(self, instance: StoredInstance) -> bytes:
        """The bytes of an instance as they were added, checked.

        Raises CacheDamaged where they are not; the instance is then taken out, so that it is fetched again.
        """
        try:
            return read_object(Path(instance.path), instance.key, instance.handle)
        except CacheDamaged:
            self.discard(instance.study_uid, [instance.handle])
            raise

    def read_each(self, instances: Iterable[StoredInstance]) -> Iterator[tuple[StoredInstance, bytes | None]]:
        """The instances with their bytes, None for one that was damaged and taken out; the disk works one ahead."""
        for instance in ahead(instances, lambda one: Path(one.path)):
            try:
                yield instance, self.read(instance)
            except CacheDamaged:
                yield instance, None

    def header(self, instance: StoredInstance) -> bytes:
        """The header that an instance was added with, read from its file; raises and takes out as `read`."""
        try:
            path = Path(instance.path)
            head = read_head(path, instance.key, bytes.fromhex(path.parent.name + instance.handle))
            return unpack(head, ObjectRecord).header
        except CacheDamaged:
            self.discard(instance.study_uid, [instance.handle])
            raise

    def presence(self, study_uids: Iterable[str]) -> dict[str, Presence]:
        """How much of each study is here; an entry for every UID asked."""
        return {uid: self.catalogue.presence(uid) for uid in study_uids}

    def studies(self, patient_id: str | None = None, limit: int = 0) -> list[StoredStudy]:
        """All studies, or those under one patient number of any issuer, last viewed first; 0: without a limit."""
        return self.catalogue.studies(patient_id, limit)

    def named(self, study_uid: str) -> list[StoredStudy]:
        """The study with this UID, nothing where the cache has none."""
        return self.catalogue.named(study_uid)

    def stats(self) -> CacheStats:
        """The cache in numbers."""
        return self.inventory.stats()

    # --- keeping and removing ---

    def take_lease(self, study_uid: str) -> bool:
        """Mark a study as open in a window of this process, until `release_lease` or the process's end.

        False where the cache does not have it.
        """
        opened = self.catalogue.study(study_uid)
        return opened is not None and self.inventory.leases.take(opened.handle)

    def release_lease(self, study_uid: str) -> None:
        """End the lease of this process on a study."""
        opened = self.catalogue.study(study_uid)
        if opened is not None:
            self.inventory.leases.release(opened.handle)

    def pin(self, study_uid: str, reason: str, on: bool = True) -> bool:
        """Keep a study from being cleaned, or (`on` False) no longer; False where the cache has no such study."""
        opened = self.catalogue.study(study_uid)
        if opened is None:
            return False
        with self.index.transaction() as db:
            # The reason is sealed since people write names into it.
            return self.catalogue.amend(db, opened, pinned=on, pin_reason=reason if on else "")

    def withhold(self, study_uid: str, on: bool = True) -> None:
        """Show nothing of a study any more without losing it, as somebody took back whose it is; or show it again.

        Whoever fetches it shows it again, too.
        """
        opened = self.catalogue.study(study_uid)
        if opened is not None:
            with self.index.transaction() as db:
                self.catalogue.amend(db, opened, withheld=on)

    def owe(self, study_uid: str, archives: Iterable[str]) -> None:
        """Note durably that a study is still to be sent to these archives; nothing for a study that is not here."""
        self._amend_owed(study_uid, lambda owed: dict.fromkeys((*owed, *archives)))

    def settle(self, study_uid: str, archive: str) -> None:
        """Note that nothing of a study is owed to this archive any more."""
        self._amend_owed(study_uid, lambda owed: (one for one in owed if one != archive))

    def owed(self, archive: str) -> list[str]:
        """The UIDs of the studies that are still to be sent to this archive; reads the record of every study."""
        return self.catalogue.owed(archive)

    def _amend_owed(self, study_uid: str, change: Callable[[tuple[str, ...]], Iterable[str]]) -> None:
        opened = self.catalogue.study(study_uid)
        if opened is None:
            return
        with self.index.transaction() as db:
            record = self.catalogue.record(opened.handle)
            owed = tuple(change(record.owed)) if record else ()
            if record and owed != record.owed:
                self.catalogue.amend(db, opened, owed=owed)

    def touch_viewed(self, study_uid: str) -> None:
        """Note that a study was looked at now."""
        code = self.catalogue.code("study", study_uid)
        with self.index.transaction() as db:
            db.execute("UPDATE study SET viewed_at = ? WHERE code = ?", (self.inventory.watch.tell(db), code))

    def remove(self, study_uid: str) -> int:
        """Remove a study, also an open one, and say how many instances went."""
        opened = self.catalogue.study(study_uid)
        if opened is None:
            return 0
        held = self.index.rows("SELECT shown + apart AS held FROM study WHERE id = ?", opened.row)
        self.inventory.remove([opened.handle])
        return int(held[0]["held"]) if held else 0

    def discard(self, study_uid: str, handles: Iterable[str]) -> int:
        """Take damaged or missing instances of a study out, so that it is partial and they are fetched again.

        This is what a reader calls that found an object damaged. The answer is how many were still there.
        """
        opened = self.catalogue.study(study_uid)
        return self._discard(opened, list(handles)) if opened else 0

    def _discard(self, study: OpenStudy, handles: list[str]) -> int:
        self._intake.forget()
        with self.index.transaction() as db:
            with faults():
                for handle in handles:
                    self.files.remove_object(study.handle, handle)
            values = [(study.row, bytes.fromhex(handle)) for handle in handles]
            gone = db.executemany("DELETE FROM instance WHERE study = ? AND handle = ?", values).rowcount
            db.execute(
                "DELETE FROM series WHERE study = ? AND id NOT IN (SELECT series FROM instance WHERE study = ?)",
                (study.row, study.row),
            )
        return max(gone, 0)
