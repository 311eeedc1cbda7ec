"""The index of the cache: one SQLite file that several processes use at once, and that tells no identifier.

It holds random handles, sizes, times and states in clear; identifiers only as keyed codes or in sealed boxes.
A rollback journal, not WAL: SQLite before 3.51.3 can corrupt a WAL database that two processes use.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from priorline.errors import CacheDamaged, CacheError, CacheFull

BUSY_SECONDS = 5.0

# Named steps; user_version counts those that were taken. A step that was released is never changed, only followed.
MIGRATIONS: tuple[tuple[str, str], ...] = (
    (
        "studies, instances and leases",
        """
        CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
        CREATE TABLE study (
            handle TEXT PRIMARY KEY, uid_mac BLOB NOT NULL UNIQUE, patient_mac BLOB NOT NULL,
            wrapped_key BLOB NOT NULL, hospital TEXT NOT NULL, sealed BLOB NOT NULL, pin_reason BLOB NOT NULL,
            expected INTEGER NOT NULL DEFAULT 0, complete INTEGER NOT NULL DEFAULT 0,
            pinned INTEGER NOT NULL DEFAULT 0, fetched_at INTEGER NOT NULL, viewed_at INTEGER NOT NULL);
        CREATE INDEX study_patient ON study (patient_mac);
        CREATE TABLE instance (
            handle TEXT PRIMARY KEY, study TEXT NOT NULL REFERENCES study (handle) ON DELETE CASCADE,
            uid_mac BLOB NOT NULL, series_mac BLOB NOT NULL, sealed BLOB NOT NULL,
            size INTEGER NOT NULL, digest BLOB NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('ok', 'quarantined', 'withheld')));
        CREATE UNIQUE INDEX instance_once ON instance (study, uid_mac) WHERE state = 'ok';
        CREATE INDEX instance_study ON instance (study, uid_mac);
        CREATE TABLE lease (
            study TEXT NOT NULL REFERENCES study (handle) ON DELETE CASCADE, owner TEXT NOT NULL,
            PRIMARY KEY (study, owner)) WITHOUT ROWID;
        """,
    ),
)


class Index:
    """One connection, used by all threads of a process in turn; every transaction is short."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        if path.is_symlink():
            raise CacheError("The cache's index is a link to somewhere else; remove the link.")
        with faults():
            # Made here, since SQLite would make it readable for others where the umask allows.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            path.chmod(0o600)
            self._db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        with faults():
            self._db.row_factory = sqlite3.Row
            for setting in ("journal_mode = DELETE", "secure_delete = ON", "synchronous = FULL", "foreign_keys = ON"):
                self._db.execute(f"PRAGMA {setting}").fetchall()
        with self.transaction() as db:
            self._migrate(db)

    @staticmethod
    def _migrate(db: sqlite3.Connection) -> None:
        taken: int = db.execute("PRAGMA user_version").fetchone()[0]
        if taken > len(MIGRATIONS):
            raise CacheError("The cache was made by a newer version of the program; update it or purge the cache.")
        for number, (_name, script) in enumerate(MIGRATIONS[taken:], start=taken + 1):
            # Not executescript: that would end the transaction around all steps.
            for statement in filter(str.strip, script.split(";")):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {number}")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, alone among all processes; raises CacheFull or CacheError where the disk says no."""
        with self._lock, faults():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def rows(self, query: str, *values: str | bytes | int) -> list[sqlite3.Row]:
        """All rows that one reading statement gives."""
        with self._lock, faults():
            return self._db.execute(query, values).fetchall()

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        with self._lock:
            self._db.close()


@contextmanager
def faults() -> Iterator[None]:
    """Foreign errors of the disk and the database become errors of the cache."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _translated(error) from error
    except OSError as error:
        raise disk_error(error) from error


def disk_error(error: OSError) -> CacheError:
    """What an error of the operating system means for the cache: CacheFull or CacheError."""
    if error.errno in FULL:
        return CacheFull("There is no room left for the cache; clean it or make room on its disk.")
    return CacheError(f"The cache cannot be read or written ({error.strerror}); look at its disk and its rights.")


def _full_codes() -> frozenset[int]:
    import errno

    names = ("ENOSPC", "EDQUOT", "EFBIG")
    return frozenset(getattr(errno, name) for name in names if hasattr(errno, name))


FULL = _full_codes()


def _translated(error: sqlite3.DatabaseError) -> CacheError:
    # Only the low byte is the kind; the rest says where it happened.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return CacheFull("There is no room left for the cache; clean it or make room on its disk.")
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return CacheDamaged("The cache's index is damaged; run “priorline cache purge --all” and fetch anew.")
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return CacheError("Another program holds the cache for too long; try again.")
    if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM}:
        return CacheError("The cache's index cannot be read or written; look at its disk and its rights.")
    raise error  # wrong use of the database is a bug of ours, not a fault of the world
