"""Verifying: every object against its recorded digest, and index against files, both ways."""

import hmac
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from priorline.cache.catalogue import OpenStudy
from priorline.cache.sealed_file import ahead, read_object
from priorline.cache.store import Store
from priorline.cache.study_file import read_study
from priorline.errors import CacheDamaged


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a verification found: handles of damaged and missing objects and studies, and files that no row names.

    `repaired` are those of the three that were put right: damaged and missing ones taken out, so that they are
    fetched again; whole objects that the index had lost entered anew. Handles and paths name nobody.
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


class _Findings:
    """What was found so far, with what it needs to be repaired."""

    def __init__(self) -> None:
        self.checked = 0
        self.damaged: dict[str, OpenStudy | None] = {}
        self.missing: dict[str, OpenStudy | None] = {}


def verify(store: Store, repair: bool = False) -> VerifyReport:
    """Check the whole cache; with `repair` put right what can be, and take out what is damaged.

    What is foreign, and links, are never followed or removed, only told.
    """
    found = _Findings()
    for row in store.index.rows("SELECT id, handle FROM study ORDER BY id"):
        _verify_study(store, row, found)
    unlisted = _unlisted(store)
    foreign = [str(path.relative_to(store.files.root)) for path in store.files.unknown()]
    repaired = _repair(store, found, unlisted) if repair else []
    unknown = (*unlisted, *foreign)
    return VerifyReport(found.checked, tuple(found.damaged), tuple(found.missing), unknown, tuple(repaired))


def _verify_study(store: Store, row: sqlite3.Row, found: _Findings) -> None:
    handle = row["handle"].hex()
    objects = store.files.objects_of(handle)
    try:
        key, record = read_study(store.files, store.vault, handle)
    except CacheDamaged:
        # What another process removed in the meantime is no fault.
        if store.index.rows("SELECT 1 FROM study WHERE id = ? AND handle = ?", row["id"], row["handle"]):
            (found.damaged if store.files.study_path(handle).exists() else found.missing)[handle] = None
        return
    study = OpenStudy(row["id"], handle, record.answer.study_uid, key.key)
    rows = store.index.rows("SELECT handle, size, digest FROM instance WHERE study = ?", study.row)
    for one in ahead(rows, lambda row: store.files.object_path(handle, row["handle"].hex())):
        found.checked += 1
        name = one["handle"].hex()
        sound = name in objects and _is_sound(store, study, name, one["digest"])
        if not sound and store.index.rows(
            "SELECT 1 FROM instance WHERE study = ? AND handle = ?", study.row, one["handle"]
        ):
            (found.damaged if name in objects else found.missing)[name] = study


def _is_sound(store: Store, study: OpenStudy, name: str, digest: bytes) -> bool:
    try:
        path = store.files.object_path(study.handle, name)
        content = read_object(path, store.vault.ticket_key(study.key, study.handle, name), name)
    except CacheDamaged:
        return False
    return hmac.compare_digest(store.vault.digest(content), digest)


def _unlisted(store: Store) -> list[str]:
    """Studies and objects that no row names; the index is held, so that none is in between."""
    names = []
    with store.index.transaction() as db:
        known = {row["handle"].hex(): row["id"] for row in db.execute("SELECT id, handle FROM study")}
        for study in store.files.studies():
            directory = Path(store.files.objects.name) / study
            if study not in known:
                names.append(str(directory))
                continue
            rows = db.execute("SELECT handle FROM instance WHERE study = ?", (known[study],))
            held = {row["handle"].hex() for row in rows}
            names += [str(directory / f"{name}.obj") for name in store.files.objects_of(study) if name not in held]
    return names


def _repair(store: Store, found: _Findings, unlisted: list[str]) -> list[str]:
    for name, study in {**found.damaged, **found.missing}.items():
        if study is not None:
            store.discard(study.uid, [name])
    with store.index.transaction() as db:
        store.rebuilder.all(db)
    return [*found.damaged, *found.missing, *unlisted]
