"""`priorline cache …`: what IT sees of the cache, keeps, verifies and takes out; removing is in `cache_removal`."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from priorline.audit.trail import AuditEvent, AuditTrail
from priorline.cache.export import export
from priorline.cache.files import drop_index
from priorline.cache.inventory import Inventory
from priorline.cache.model import Holding, StoredStudy
from priorline.cache.store import Store
from priorline.cache.verify import VerifyReport, verify
from priorline.cli.output import NOTHING, OK, PARTLY, print_json, say, show_table
from priorline.config import Settings, parse_age
from priorline.domain.retention import OPEN, PINNED, expires_at, size_words
from priorline.domain.study import StudyAnswer
from priorline.errors import CacheDamaged, CacheError, UsageError
from priorline.work.session import open_store, open_trail

KEY_PLACES = {
    "keyring": "the system's key store",
    "file": "a file that only you can read",
    "session": "memory only",
}


@contextmanager
def opened(settings: Settings) -> Iterator[tuple[Store, AuditTrail]]:
    """The cache and the audit trail."""
    with open_store(settings, settings.cache_directory, settings.state_directory) as store:
        yield store, open_trail(settings.state_directory)


class Unread:
    """The cache for what needs no right to read it; whose studies these are it tells only where there is one."""

    def __init__(self, inventory: Inventory, store: Store | None) -> None:
        self.inventory = inventory
        self._store = store

    def answer(self, study: Holding) -> StudyAnswer | None:
        """What the hospital says of a study, None without the right to read it."""
        record = self._store.catalogue.record(study.handle) if self._store else None
        return record.answer if record else None

    def pin_reason(self, study: Holding) -> str:
        """Why a study is pinned; nothing without the right to read it."""
        record = self._store.catalogue.record(study.handle) if self._store else None
        return record.pin_reason if record else ""


@contextmanager
def opened_unread(settings: Settings) -> Iterator[Unread]:
    """The cache with the right to read where this user has it, else without."""
    try:
        store = open_store(settings, settings.cache_directory, settings.state_directory)
    except CacheError:
        with Inventory.open(settings.cache_directory) as inventory:
            yield Unread(inventory, None)
        return
    with store:
        yield Unread(store.inventory, store)


def run_stats(settings: Settings, *, as_json: bool) -> int:
    """The cache in numbers."""
    with opened_unread(settings) as cache:
        stats = cache.inventory.stats()
    if as_json:
        facts = {
            "directory": str(stats.directory),
            "studies": stats.studies,
            "series": stats.series,
            "instances": stats.instances,
            "bytes": stats.bytes,
            "encrypted": stats.encrypted,
            "quarantined": stats.quarantined,
            "key": stats.key,
        }
        print_json(facts)
        return OK
    rows = [
        ("folder", stats.directory),
        ("studies", stats.studies),
        ("images", stats.instances),
        ("size", f"{size_words(stats.bytes)} of {settings.cache.max_size}"),
        ("quarantined", stats.quarantined),
        ("encrypted", f"yes, the key is in {KEY_PLACES.get(stats.key, stats.key)}" if stats.encrypted else "NO"),
    ]
    show_table(("", ""), rows)
    return OK


def run_list(settings: Settings, limit: int, *, anonymous: bool, as_json: bool) -> int:
    """What is in the cache, last viewed first; `anonymous`: without names, and without the right to read them."""
    if anonymous:
        with Inventory.open(settings.cache_directory) as inventory:
            held, open_now = inventory.latest(limit), inventory.leases.open_studies()
        listed: list[StoredStudy | Holding] = list(held)
    else:
        with opened(settings) as (store, _trail):
            listed = list(store.studies(limit=limit))
            open_now = store.inventory.leases.open_studies()
    if as_json:
        print_json({"studies": [_document(one, settings, open_now) for one in listed]})
        return OK
    columns = ("date", "kind", "study", "hospital", "images", "size", "viewed", "pinned")
    show_table(columns, [_line(one) for one in listed])
    return OK


def _line(study: StoredStudy | Holding) -> tuple[object, ...]:
    held = study if isinstance(study, Holding) else study.held
    named: tuple[object, ...] = ("", "", held.handle)
    kept = PINNED if held.pinned else ""
    if isinstance(study, StoredStudy):
        named = (study.answer.study_date or "", "+".join(study.answer.modalities), study.answer.description)
        kept = study.pin_reason
    images = f"{held.instances} of {held.expected}" if held.expected else held.instances
    return (*named, held.hospital, images, size_words(held.bytes), held.viewed_at.date(), kept)


def _document(study: StoredStudy | Holding, settings: Settings, open_now: set[str]) -> dict[str, Any]:
    held = study if isinstance(study, Holding) else study.held
    keep = PINNED if held.pinned else ""
    expires = expires_at(held, timedelta(seconds=parse_age(settings.cache.max_age)))
    facts: dict[str, Any] = {
        "handle": held.handle,
        "hospital": held.hospital,
        "instances": held.instances,
        "bytes": held.bytes,
        "complete": held.complete,
        "fetched_at": held.fetched_at.isoformat(timespec="seconds"),
        "viewed_at": held.viewed_at.isoformat(timespec="seconds"),
        "pinned": held.pinned,
        "expires_at": expires.isoformat(timespec="seconds") if expires else "",
    }
    if isinstance(study, StoredStudy):
        facts |= _names(study.answer)
        keep = f"{PINNED}: {study.pin_reason}" if held.pinned else ""
    return facts | {"keep_reason": OPEN if held.handle in open_now else keep}


def _names(answer: StudyAnswer) -> dict[str, Any]:
    return {
        "study_uid": answer.study_uid,
        "patient_id": answer.patient.identifier.value,
        "issuer": answer.patient.identifier.issuer,
        "patient_name": answer.patient.name,
        "date": answer.study_date.isoformat() if answer.study_date else "",
        "modalities": list(answer.modalities),
        "description": answer.description,
    }


def run_pin(settings: Settings, study: str, reason: str, *, off: bool) -> int:
    """Keep a study whatever the limits say, or no longer."""
    if not off and not reason:
        raise UsageError("Say why the study is kept: --reason TEXT.")
    with opened(settings) as (store, trail):
        if store.named(study):
            # It takes a study out of every limit, so it is on record like a removal.
            trail.record(AuditEvent.ACCESSED, reason=reason, action="unpinned" if off else "pinned", study=study)
        found = store.pin(study, reason, not off)
    say(("No longer pinned." if off else "Pinned.") if found else "The study is not in the cache.")
    return OK if found else NOTHING


def run_verify(settings: Settings, *, repair: bool, as_json: bool) -> int:
    """Every file against its digest, and index against files; a repair makes a damaged index anew."""
    try:
        report = _verified(settings, repair)
    except CacheDamaged:
        if not repair:
            raise
        drop_index(settings.cache_directory)
        report = _verified(settings, repair)
    if as_json:
        names = ("checked", "damaged", "missing", "unknown_files", "repaired")
        print_json({name: getattr(report, name) for name in names})
    else:
        say(
            f"{report.checked} checked, {len(report.damaged)} damaged, {len(report.missing)} missing, "
            f"{len(report.unknown_files)} unknown files, {len(report.repaired)} repaired."
        )
    return OK if report.is_sound or repair else PARTLY


def _verified(settings: Settings, repair: bool) -> VerifyReport:
    with opened(settings) as (store, _trail):
        return verify(store, repair)


def run_export(settings: Settings, study: str, directory: Path) -> int:
    """The study as ordinary DICOM files."""
    with opened(settings) as (store, trail):
        trail.record(AuditEvent.EXPORTED, study=study, directory=str(directory))
        try:
            count = export(store, study, directory)
        except CacheDamaged as problem:
            say(str(problem))
            return PARTLY
    say(f"{count} files written to {directory}. They are not encrypted.")
    return OK
