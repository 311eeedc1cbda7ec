"""`priorline cache …`: what IT does with the cache."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import typer

from priorline.audit.trail import AuditEvent, AuditTrail
from priorline.cache import cleanup
from priorline.cache.export import export
from priorline.cache.files import drop_index, erase
from priorline.cache.inventory import Inventory
from priorline.cache.model import Holding, StoredStudy
from priorline.cache.store import Store
from priorline.cache.verify import VerifyReport, verify
from priorline.cli.output import NOTHING, OK, PARTLY, print_json, say, show_table, size_words
from priorline.config import Settings, parse_age
from priorline.domain.retention import OPEN, PINNED, expires_at
from priorline.domain.study import StudyAnswer
from priorline.errors import CacheDamaged, CacheError, UsageError
from priorline.work.session import open_store, open_trail
from priorline.work.upkeep import limits_of, write_receipt

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


def run_clean(settings: Settings, max_age: str, max_size: str, min_free: str, *, dry_run: bool, as_json: bool) -> int:
    """Let go what is over the limits; a dry run says the same and does nothing."""
    try:
        limits = limits_of(settings.cache, max_age, max_size, min_free)
    except ValueError as problem:
        raise UsageError(str(problem)) from problem
    trail = open_trail(settings.state_directory)
    with opened_unread(settings) as cache:

        def tell(study: Holding, reason: str) -> None:
            write_receipt(trail, study, cache.answer(study), reason)

        planned = cleanup.plan(cache.inventory, limits)
        kept_why = {study.handle: cache.pin_reason(study) for study, _ in planned.kept if study.pinned}
        answers = {study.handle: cache.answer(study) for study, _ in (*planned.removed, *planned.kept)}
        if dry_run:
            removed, kept = planned.removed, planned.kept
        else:
            done = cleanup.run(cache.inventory, planned, tell)
            removed, kept = done.removed, done.kept
    freed = sum(study.bytes for study, _ in removed)
    if as_json:
        gone = [{**_which(study, answers), "bytes": study.bytes, "reason": reason} for study, reason in removed]
        held = [{**_which(study, answers), "reason": _full(study, why, kept_why)} for study, why in kept]
        print_json({"dry_run": dry_run, "removed": gone, "kept": held, "freed_bytes": freed})
        return OK
    rows = [(_words(study, answers[study.handle]), size_words(study.bytes), why) for study, why in removed]
    rows += [(_words(study, answers[study.handle]), "kept", _full(study, why, kept_why)) for study, why in kept]
    show_table(("study", "size", "why"), rows)
    say(f"{'Would free' if dry_run else 'Freed'} {size_words(freed)}: {len(removed)} removed, {len(kept)} kept.")
    return OK


def _which(study: Holding, answers: dict[str, StudyAnswer | None]) -> dict[str, str]:
    answer = answers.get(study.handle)
    return {"study_uid": answer.study_uid if answer else "", "handle": study.handle}


def _full(study: Holding, why: str, pin_reasons: dict[str, str]) -> str:
    reason = pin_reasons.get(study.handle, "") if why == PINNED else ""
    return f"{why}: {reason}" if reason else why


def _words(study: Holding, answer: StudyAnswer | None) -> str:
    if answer is None:
        return f"{study.handle} {study.hospital}"
    date = answer.study_date.isoformat() if answer.study_date else "date unknown"
    return f"{date} {'+'.join(answer.modalities)} {study.hospital}"


def run_purge(
    settings: Settings, patient_id: str, issuer: str | None, study: str, everything: bool, yes: bool
) -> int:
    """Remove studies for good; asks before it acts."""
    if sum((bool(patient_id), bool(study), everything)) != 1:
        raise UsageError("Name what to purge: --patient-id ID, --study UID or --all.")
    if everything:
        return _purge_all(settings, yes)
    trail = open_trail(settings.state_directory)
    with opened(settings) as (store, _trail):
        named = store.studies(patient_id or None)
        chosen = {one.held.handle: one for one in named if _is_meant(one, patient_id, issuer, study)}
        if not chosen:
            say("Nothing in the cache matches.")
            return NOTHING
        size = size_words(sum(one.held.bytes for one in chosen.values()))
        if not _agreed(f"Remove {len(chosen)} studies ({size}) from the cache?", yes):
            return NOTHING

        def tell(handle: str) -> None:
            write_receipt(trail, chosen[handle].held, chosen[handle].answer, "purged on request")

        gone = store.inventory.remove(list(chosen), before=tell)
    say(f"Removed {len(gone)} studies ({size}); their keys are destroyed.")
    return OK


def _purge_all(settings: Settings, yes: bool) -> int:
    """Everything, by handle; a cache whose index is lost or of another version is removed unread."""
    trail = open_trail(settings.state_directory)
    try:
        opening = opened_unread(settings)
        with opening as cache:
            handles = cache.inventory.everything()
            if not handles:
                say("Nothing in the cache matches.")
                return NOTHING
            size = size_words(cache.inventory.bytes())
            if not _agreed(f"Remove {len(handles)} studies ({size}) from the cache?", yes):
                return NOTHING
            held = {study.handle: study for study in cache.inventory.latest()}

            def tell(handle: str) -> None:
                if handle in held:
                    write_receipt(trail, held[handle], cache.answer(held[handle]), "purged on request")

            gone = cache.inventory.remove(handles, before=tell)
    except CacheError as problem:
        return _erase(settings, problem, yes)
    say(f"Removed {len(gone)} studies ({size}); their keys are destroyed.")
    return OK


def _agreed(question: str, yes: bool) -> bool:
    if yes or typer.confirm(question, err=True):
        return True
    say("Nothing was removed.")
    return False


def _erase(settings: Settings, problem: CacheError, yes: bool) -> int:
    """Remove a cache that cannot be opened any more."""
    say(str(problem))
    if not _agreed("Remove everything in the cache, unread?", yes):
        return NOTHING
    directory = str(settings.cache_directory)
    open_trail(settings.state_directory).record(AuditEvent.DELETED, reason="purged unread", directory=directory)
    erase(settings.cache_directory)
    say("The cache is empty.")
    return OK


def _is_meant(stored: StoredStudy, patient_id: str, issuer: str | None, study: str) -> bool:
    identifier = stored.answer.patient.identifier
    if study:
        return stored.study_uid == study
    return identifier.value == patient_id and issuer in (None, identifier.issuer)


def run_pin(settings: Settings, study: str, reason: str, *, off: bool) -> int:
    """Keep a study whatever the limits say, or no longer."""
    if not off and not reason:
        raise UsageError("Say why the study is kept: --reason TEXT.")
    with opened(settings) as (store, _trail):
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
