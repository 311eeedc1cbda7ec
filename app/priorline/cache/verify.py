"""Verifying: every object against its recorded digest, and index against files, both ways."""

import hmac
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from priorline.cache.index import faults
from priorline.cache.seal import read_object
from priorline.cache.store import Store
from priorline.errors import CacheDamaged


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a verification found: handles of damaged and missing objects, and files that no row names.

    `repaired` are those of the three that were taken out. Handles and paths name nobody.
    """

    checked: int
    damaged: tuple[str, ...]
    missing: tuple[str, ...]
    unknown_files: tuple[str, ...]
    repaired: tuple[str, ...] = ()

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong, or nothing any more."""
        return not self.damaged and not self.missing and not self.unknown_files


def verify(store: Store, repair: bool = False) -> VerifyReport:
    """Check the whole cache; with `repair` take out what is damaged, so that it can be fetched again.

    Links are never followed or removed, only told.
    """
    unknown, foreign = _unknown(store)
    rows = store.index.rows(
        "SELECT instance.handle, instance.study, size, digest, wrapped_key"
        " FROM instance JOIN study ON study.handle = instance.study"
    )
    damaged: list[str] = []
    missing: list[str] = []
    for row in rows:
        path = store.files.object_path(row["study"], row["handle"])
        with faults():
            there = path.is_file() and not path.is_symlink()
        if not there:
            missing.append(row["handle"])
        elif not _is_sound(store, row, path):
            damaged.append(row["handle"])
    # What another process removed in the meantime was no fault.
    held = {row["handle"] for row in store.index.rows("SELECT handle FROM instance")}
    damaged, missing = [h for h in damaged if h in held], [h for h in missing if h in held]
    repaired = _repair(store, damaged + missing, unknown) if repair else []
    return VerifyReport(len(rows), tuple(damaged), tuple(missing), _names(store, unknown + foreign), tuple(repaired))


def _is_sound(store: Store, row: sqlite3.Row, path: Path) -> bool:
    vault = store.vault
    try:
        study_key = vault.study_key(row["study"], row["wrapped_key"])
        content = read_object(path, vault.ticket_key(study_key, row["study"], row["handle"]), row["handle"])
    except CacheDamaged:
        return False
    return len(content) == row["size"] and hmac.compare_digest(vault.digest(content), row["digest"])


def _unknown(store: Store) -> tuple[list[Path], list[Path]]:
    """Objects that no row names, and things that are no objects; the index is held, so that none is in between."""
    with store.index.transaction() as db:
        known = {row["handle"]: row["study"] for row in db.execute("SELECT handle, study FROM instance")}
        unknown = [
            path
            for path in store.files.found_objects()
            if path.stem not in known or path.parent.name != known[path.stem][:2]
        ]
        return unknown, list(store.files.unknown())


def _repair(store: Store, handles: list[str], unknown: list[Path]) -> list[str]:
    store.discard(handles)
    with faults():
        for path in unknown:
            store.files.remove_object(path)
    return handles + list(_names(store, unknown))


def _names(store: Store, paths: list[Path]) -> tuple[str, ...]:
    return tuple(str(path.relative_to(store.files.root)) for path in paths)
