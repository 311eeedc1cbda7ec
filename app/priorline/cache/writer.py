"""Writing into the cache: aside, made durable in groups, then named and entered in the index in one step."""

import dataclasses
import logging
import os
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from priorline.cache.catalogue import Catalogue, Entry, OpenStudy
from priorline.cache.disk import replace, sync_directory
from priorline.cache.index import faults
from priorline.cache.inventory import Inventory
from priorline.cache.seal import Data
from priorline.errors import PriorlineError

# A group is closed by itself when it gets this big: open files and what a crash can lose stay bounded.
GROUP_FILES = 200
GROUP_BYTES = 256 << 20

CONFLICT = "The hospital sent another image under a number that is taken."

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Part:
    """A written file that has no name and no row yet."""

    entry: Entry
    path: str
    descriptor: int


class Writer:
    """The instances of this process that are written and not yet committed."""

    def __init__(self, inventory: Inventory, catalogue: Catalogue) -> None:
        self._inventory = inventory
        self._files = inventory.files
        self._index = inventory.index
        self._catalogue = catalogue
        self._owner = inventory.owner
        self._lock = threading.Lock()
        self._commit_lock = threading.Lock()
        self._parts: list[Part] = []
        self._claims: dict[tuple[str, str], bytes] = {}
        self._lost: set[str] = set()
        self.on_failure: Callable[[], None] = lambda: None

    @property
    def pending(self) -> int:
        """How many instances wait for a commit."""
        with self._lock:
            return len(self._parts)

    @property
    def pending_bytes(self) -> int:
        """How much they take on the disk."""
        with self._lock:
            return sum(part.entry.size for part in self._parts)

    def claim(self, study: str, sop_uid: str, digest: bytes) -> bytes | None:
        """Take a SOP Instance UID for a coming write; where it is taken, the digest of the one that has it."""
        with self._lock:
            taken = self._claims.get((study, sop_uid))
            if taken is None:
                self._claims[study, sop_uid] = digest
            return taken

    def release(self, study: str, sop_uid: str) -> None:
        """Give a claim back after a write that failed."""
        with self._lock:
            self._claims.pop((study, sop_uid), None)

    def claimed(self, study: str) -> set[str]:
        """The SOP Instance UIDs that are taken and not committed."""
        with self._lock:
            return {sop_uid for handle, sop_uid in self._claims if handle == study}

    def has_lost(self, study: str) -> bool:
        """Whether a group with an instance of this study failed since `forget_lost`."""
        with self._lock:
            return study in self._lost

    def forget_lost(self, study: str) -> None:
        """A new fetch of the study begins."""
        with self._lock:
            self._lost.discard(study)

    def write(self, entry: Entry, pieces: Iterable[Data]) -> None:
        """Write one container aside; raises CacheFull or CacheError, and then leaves nothing behind."""
        aside = self.aside(entry.handle)
        try:
            aside.write(pieces)
        except BaseException:
            aside.drop()
            raise
        self.take(entry, aside)

    def aside(self, handle: str) -> "Aside":
        """A new file that has no name in the cache yet; to be given to `take`, or dropped."""
        return Aside(f"{self._owner.directory}{os.sep}{handle}.part")

    def take(self, entry: Entry, aside: "Aside") -> None:
        """Take a file that is written to its end into the group of the next commit."""
        part = Part(entry, aside.path, aside.descriptor)
        with self._lock:
            self._parts.append(part)
            full = len(self._parts) >= GROUP_FILES or sum(p.entry.size for p in self._parts) >= GROUP_BYTES
        if full:
            self.commit()

    def commit(self) -> int:
        """Make all that was written durable and visible, and say how many instances that were.

        Raises CacheFull or CacheError; then nothing of this group is in the cache, and all earlier groups are.
        """
        # One at a time: who returns from here may rely on all that was written before, also by another thread.
        with self._commit_lock:
            with self._lock:
                parts, self._parts = self._parts, []
            try:
                _make_durable(parts)
                self._enter(parts)
            except BaseException:
                # A group holds what several lanes wrote, and only one of them sees this error.
                with self._lock:
                    self._lost.update(part.entry.study.handle for part in parts)
                self.on_failure()
                raise
            finally:
                with self._lock:
                    for part in parts:
                        self._claims.pop((part.entry.study.handle, part.entry.record.sop_uid), None)
        return len(parts)

    def _enter(self, parts: list[Part]) -> None:
        named: list[Entry] = []
        try:
            with self._index.transaction() as db:
                here = {study for study in {part.entry.study for part in parts} if self._is_here(db, study)}
                for part in parts:
                    self._enter_one(db, part, here, named)
                # Names become durable before the row that promises them.
                for study in {entry.study.handle for entry in named}:
                    sync_directory(self._files.study_directory(study))
                now = self._inventory.watch.tell(db)
                for row in {part.entry.study.row for part in parts}:
                    db.execute("UPDATE study SET fetched_at = ?, viewed_at = ? WHERE id = ?", (now, now, row))
            if any(part.entry.study not in here for part in parts):
                # Another process removed it: what still comes of it makes it anew.
                self.on_failure()
        except BaseException:
            _remove(part.path for part in parts)
            _remove(self._not_entered(parts, named))
            raise

    def _not_entered(self, parts: list[Part], named: list[Entry]) -> list[str]:
        """Which of the named files have no row: a commit can fail at its last step and have happened all the same."""
        try:
            rows = [
                row["handle"].hex()
                for study in {part.entry.study.row for part in parts}
                for row in self._index.rows("SELECT handle FROM instance WHERE study = ?", study)
            ]
        except PriorlineError:
            return []  # left for the next opening, which looks after what this process worked on
        left = (entry for entry in named if entry.handle not in rows)
        return [self._files.object_name(entry.study.handle, entry.handle) for entry in left]

    def _is_here(self, db: sqlite3.Connection, study: OpenStudy) -> bool:
        """Whether images of a study are still wanted; then it is noted that this process works on it."""
        held = db.execute("SELECT handle FROM study WHERE id = ?", (study.row,)).fetchone()
        if held is None or held["handle"].hex() != study.handle:
            log.info("a study was removed from the cache while it was being fetched")
            return False
        self._files.study_directory(study.handle)
        self._owner.touch(study.handle)
        return True

    def _enter_one(self, db: sqlite3.Connection, part: Part, here: set[OpenStudy], named: list[Entry]) -> None:
        entry = self._judged(db, part.entry) if part.entry.study in here else None
        if entry is None:
            _remove([part.path])
            return
        replace(part.path, self._files.object_name(entry.study.handle, entry.handle))
        named.append(entry)
        self._catalogue.insert(db, entry)

    def _judged(self, db: sqlite3.Connection, entry: Entry) -> Entry | None:
        """The entry as it is to be entered, given what other processes did meanwhile; None where it is not wanted."""
        if entry.is_apart:
            return entry
        shown = db.execute(
            "SELECT digest FROM instance WHERE study = ? AND code = ? AND apart = 0",
            (entry.study.row, self._catalogue.code("instance", entry.record.sop_uid)),
        ).fetchone()
        if shown is None:
            return entry
        if shown["digest"] == entry.record.digest:
            return None
        return dataclasses.replace(entry, record=msgspec.structs.replace(entry.record, reason=CONFLICT))

    def abandon(self) -> None:
        """Drop what was not committed."""
        with self._lock:
            parts, self._parts = self._parts, []
        for part in parts:
            os.close(part.descriptor)
        _remove(part.path for part in parts)


def new_handle() -> str:
    """A random name for an object: 32 hexadecimal digits that say nothing."""
    return secrets.token_hex(16)


class Aside:
    """A file on its way into the cache; its faults are those of the cache."""

    def __init__(self, path: str) -> None:
        self.path = path
        with faults():
            self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)

    def write(self, pieces: Iterable[Data]) -> None:
        """Write at the end, each as it is made; raises CacheFull or CacheError."""
        with faults():
            for piece in pieces:
                view = memoryview(piece).cast("B")
                while view:
                    view = view[os.write(self.descriptor, view) :]

    def drop(self) -> None:
        """Remove it, as it will not be taken."""
        os.close(self.descriptor)
        _remove([self.path])


def _make_durable(parts: list[Part]) -> None:
    """Bring every file of the group to the disk; where that fails once, the whole group is given up.

    A failed fsync is never tried again: the system may have dropped the pages and then reports success.
    """
    try:
        with faults():
            for part in parts:
                os.fsync(part.descriptor)
    except PriorlineError:
        _remove(part.path for part in parts)
        raise
    finally:
        for part in parts:
            os.close(part.descriptor)


def _remove(paths: Iterable[str]) -> None:
    for path in paths:
        try:
            Path(path).unlink(missing_ok=True)
        except OSError:
            log.warning("a leftover in the cache could not be removed; it is swept later")
