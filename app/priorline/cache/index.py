"""The index of the cache: one SQLite file that several processes use at once, and that tells no identifier.

It holds random handles, sizes, times, states and the hospital's name in clear, so that a cache can be listed, cleaned
and purged without a right to read; of identifiers only keyed codes and sealed boxes. All of it can be had anew from
the objects. Counts and sizes of a study are kept by triggers, so that no question reads all instances.
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

# Nothing is carried over from another version: the objects tell all that is in here, and are read anew.
VERSION = 2
SCHEMA = """
    CREATE TABLE watch (wall REAL NOT NULL, boot TEXT NOT NULL, since_boot REAL NOT NULL, seen REAL NOT NULL);
    CREATE TABLE total (bytes INTEGER NOT NULL);
    INSERT INTO total VALUES (0);
    CREATE TABLE study (
        id INTEGER PRIMARY KEY, handle BLOB NOT NULL UNIQUE, code BLOB NOT NULL UNIQUE, patient BLOB NOT NULL,
        hospital TEXT NOT NULL, expected INTEGER NOT NULL, complete INTEGER NOT NULL, pinned INTEGER NOT NULL,
        fetched_at INTEGER NOT NULL, viewed_at INTEGER NOT NULL, withheld INTEGER NOT NULL DEFAULT 0,
        shown INTEGER NOT NULL DEFAULT 0, apart INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0);
    CREATE INDEX study_patient ON study (patient);
    CREATE INDEX study_viewed ON study (viewed_at, id);
    CREATE TABLE series (
        id INTEGER PRIMARY KEY, study INTEGER NOT NULL REFERENCES study ON DELETE CASCADE, code BLOB NOT NULL,
        sealed BLOB NOT NULL, UNIQUE (study, code));
    CREATE TABLE instance (
        id INTEGER PRIMARY KEY, study INTEGER NOT NULL REFERENCES study ON DELETE CASCADE, code BLOB NOT NULL,
        apart INTEGER NOT NULL, series INTEGER NOT NULL, handle BLOB NOT NULL, sealed BLOB NOT NULL,
        size INTEGER NOT NULL, digest BLOB NOT NULL, UNIQUE (study, code, apart));
    CREATE TABLE lease (
        study INTEGER NOT NULL REFERENCES study ON DELETE CASCADE, owner TEXT NOT NULL,
        PRIMARY KEY (study, owner)) WITHOUT ROWID;
    CREATE TRIGGER instance_came AFTER INSERT ON instance BEGIN
        UPDATE study SET shown = shown + (new.apart = 0), apart = apart + (new.apart > 0), bytes = bytes + new.size
        WHERE id = new.study; END;
    CREATE TRIGGER instance_went AFTER DELETE ON instance BEGIN
        UPDATE study SET shown = shown - (old.apart = 0), apart = apart - (old.apart > 0), bytes = bytes - old.size,
        complete = 0 WHERE id = old.study; END;
    CREATE TRIGGER study_changed AFTER UPDATE OF bytes ON study BEGIN
        UPDATE total SET bytes = bytes + new.bytes - old.bytes; END;
    CREATE TRIGGER study_went AFTER DELETE ON study BEGIN
        UPDATE total SET bytes = bytes - old.bytes; END;
"""


class Index:
    """One connection, used by all threads of a process in turn; every transaction is short.

    `has_failed`: a transaction did, so that files may have changed and their rows have not.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self.has_failed = False
        with faults():
            if path.is_symlink():
                raise CacheError("The cache's index is a link to somewhere else; remove the link.")
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
            # A journal that is cut to nothing, not removed: its removal would outlive a power cut only with the
            # directory synced once more.
            settings = ("journal_mode = TRUNCATE", "secure_delete = ON", "synchronous = FULL", "foreign_keys = ON")
            for setting in settings:
                self._db.execute(f"PRAGMA {setting}").fetchall()

    @staticmethod
    def is_new(db: sqlite3.Connection) -> bool:
        """Whether nothing was made in it yet; raises CacheError where another version of the program did."""
        version: int = db.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, VERSION):
            raise CacheError(
                "The cache's index was made by another version of the program; use that one, or purge the cache with"
                " “priorline cache purge --all”."
            )
        return version == 0

    @staticmethod
    def make(db: sqlite3.Connection) -> None:
        """Make the tables of a new index; within the transaction that also fills them."""
        # Not executescript: that would end the transaction.
        for statement in _statements(SCHEMA):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {VERSION}")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, alone among all processes; raises CacheFull or CacheError where the disk says no."""
        with self._lock, faults():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                self.has_failed = True
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


def _statements(script: str) -> Iterator[str]:
    part = ""
    for piece in script.split(";"):
        part += piece + ";"
        if sqlite3.complete_statement(part):
            yield part
            part = ""


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
        return CacheDamaged("The cache's index is damaged; run “priorline cache verify --repair”.")
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return CacheError("Another program holds the cache for too long; try again.")
    if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM}:
        return CacheError("The cache's index cannot be read or written; look at its disk and its rights.")
    raise error  # wrong use of the database is a bug of ours, not a fault of the world
