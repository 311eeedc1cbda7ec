"""What happens when a cache is opened: is the key the right one, and what did dead processes leave."""

import logging
import shutil
import sqlite3

from priorline.cache.files import CacheFiles, Owner
from priorline.cache.index import Index
from priorline.cache.vault import Vault
from priorline.errors import CacheError

log = logging.getLogger(__name__)


def enter(files: CacheFiles, index: Index, vault: Vault) -> Owner:
    """Check the key, sweep, and become one of the owners.

    In one transaction: nobody can take the new owner for a dead one before it holds its lock.
    """
    with index.transaction() as db:
        check_key(db, vault, files)
        sweep(db, files)
        return Owner(files)


def check_key(db: sqlite3.Connection, vault: Vault, files: CacheFiles) -> None:
    """Raise CacheError where the cache was made with another key; a new cache remembers this one.

    What a session left that has ended is dropped, since its key is gone. Only while the index is held.
    """
    known: dict[str, bytes] = dict(tuple(row) for row in db.execute("SELECT name, value FROM meta"))
    mine = {"check": vault.code("check"), "kept in": vault.kept_in.encode()}
    if known.get("check") == mine["check"]:
        return
    if known:
        _refuse_unless_dead_session(known, vault, files)
        db.execute("DELETE FROM study")
        sweep_orphans(db, files)
    db.executemany("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", mine.items())


def _refuse_unless_dead_session(known: dict[str, bytes], vault: Vault, files: CacheFiles) -> None:
    if known["kept in"] == b"session":
        if files.live_owners():
            raise CacheError("The cache belongs to a session that still runs; close its window first.")
        return
    if not known["kept in"]:
        raise CacheError("The cache is not encrypted; purge it before cache.encrypt is switched on.")
    if not vault.encrypted:
        raise CacheError("The cache is encrypted; purge it before cache.encrypt is switched off.")
    raise CacheError("The cache was sealed with another key; bring that key back, or purge the cache.")


def sweep(db: sqlite3.Connection, files: CacheFiles) -> None:
    """Remove what processes left that died: files written aside, objects without a row, leases.

    Only while the index is held: then no living process is between naming an object and entering it.
    """
    dead = files.dead_owners()
    if dead:
        sweep_orphans(db, files)
    for directory in dead:
        shutil.rmtree(directory, ignore_errors=True)
    live = files.live_owners()
    for (owner,) in db.execute("SELECT DISTINCT owner FROM lease").fetchall():
        if owner not in live:
            db.execute("DELETE FROM lease WHERE owner = ?", (owner,))


def sweep_orphans(db: sqlite3.Connection, files: CacheFiles) -> None:
    """Remove the objects that no row names; only while the index is held."""
    known = {row[0] for row in db.execute("SELECT handle FROM instance")}
    orphans = [path for path in files.found_objects() if path.stem not in known]
    for path in orphans:
        path.unlink(missing_ok=True)
    files.drop_empty_shards()
    if orphans:
        log.info("%d leftover objects were swept from the cache", len(orphans))
