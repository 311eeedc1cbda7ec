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
from priorline.cache.files import erase
from priorline.cache.model import StoredStudy
from priorline.cache.store import Store
from priorline.cache.verify import verify
from priorline.cli.output import NOTHING, OK, PARTLY, print_json, say, show_table, size_words
from priorline.config import Settings, parse_age, parse_size
from priorline.domain.retention import Limits, expires_at
from priorline.errors import CacheDamaged, CacheError, UsageError
from priorline.work.session import open_store, open_trail


@contextmanager
def opened(settings: Settings) -> Iterator[tuple[Store, AuditTrail]]:
    """The cache and the audit trail."""
    with open_store(settings, settings.cache_directory, settings.state_directory) as store:
        yield store, open_trail(settings.state_directory)


def run_stats(settings: Settings, *, as_json: bool) -> int:
    """The cache in numbers."""
    with opened(settings) as (store, _trail):
        stats = store.stats()
        key = store.vault.kept_in
    if as_json:
        facts = {
            "directory": str(stats.directory),
            "studies": stats.studies,
            "series": stats.series,
            "instances": stats.instances,
            "bytes": stats.bytes,
            "encrypted": stats.encrypted,
            "quarantined": stats.quarantined,
            "key": key,
        }
        print_json(facts)
        return OK
    where = {"keyring": "the system's key store", "file": "a file that only you can read", "session": "memory only"}
    rows = [
        ("folder", stats.directory),
        ("studies", stats.studies),
        ("images", stats.instances),
        ("size", f"{size_words(stats.bytes)} of {settings.cache.max_size}"),
        ("quarantined", stats.quarantined),
        ("encrypted", f"yes, the key is in {where.get(key, key)}" if stats.encrypted else "NO"),
    ]
    show_table(("", ""), rows)
    return OK


def run_list(settings: Settings, limit: int, *, as_json: bool) -> int:
    """What is in the cache, last viewed first."""
    with opened(settings) as (store, _trail):
        studies = sorted(store.studies(), key=lambda study: study.viewed_at, reverse=True)
        open_now = store.leases.open_studies()
    shown = studies[:limit] if limit else studies
    if as_json:
        print_json({"studies": [_document(study, settings, open_now) for study in shown]})
        return OK
    rows = [
        (
            study.answer.study_date or "",
            "+".join(study.answer.modalities),
            study.answer.description,
            study.answer.hospital,
            f"{study.instances} of {study.expected}" if study.expected else study.instances,
            size_words(study.bytes),
            study.viewed_at.date(),
            study.pin_reason,
        )
        for study in shown
    ]
    show_table(("date", "kind", "study", "hospital", "images", "size", "viewed", "pinned"), rows)
    return OK


def _document(study: StoredStudy, settings: Settings, open_now: Any) -> dict[str, Any]:
    answer, identifier = study.answer, study.answer.patient.identifier
    keep = f"pinned: {study.pin_reason}" if study.pinned else ""
    if study.study_uid in open_now:
        keep = cleanup.OPEN
    expires = expires_at(study, timedelta(seconds=parse_age(settings.cache.max_age)))
    return {
        "study_uid": study.study_uid,
        "patient_id": identifier.value,
        "issuer": identifier.issuer,
        "patient_name": answer.patient.name,
        "date": answer.study_date.isoformat() if answer.study_date else "",
        "modalities": list(answer.modalities),
        "description": answer.description,
        "hospital": answer.hospital,
        "instances": study.instances,
        "bytes": study.bytes,
        "complete": study.complete,
        "fetched_at": study.fetched_at.isoformat(timespec="seconds"),
        "viewed_at": study.viewed_at.isoformat(timespec="seconds"),
        "pinned": study.pinned,
        "keep_reason": keep,
        "expires_at": expires.isoformat(timespec="seconds") if expires else "",
    }


def run_clean(settings: Settings, max_age: str, max_size: str, min_free: str, *, dry_run: bool, as_json: bool) -> int:
    """Let go what is over the limits; a dry run says the same and does nothing."""
    cache = settings.cache
    try:
        limits = Limits(
            max_age=timedelta(seconds=parse_age(max_age or cache.max_age)),
            max_size=parse_size(max_size or cache.max_size),
            min_free=parse_size(min_free or cache.min_free),
        )
    except ValueError as problem:
        raise UsageError(str(problem)) from problem
    with opened(settings) as (store, trail):
        planned = cleanup.plan(store, limits)
        if dry_run:
            removed, kept = planned.removed, planned.kept
        else:
            for study, reason in planned.removed:
                _write_deletion(trail, study, reason)
            done = cleanup.run(store, planned)
            removed, kept = done.removed, done.kept
    freed = sum(study.bytes for study, _ in removed)
    if as_json:
        gone = [{"study_uid": study.study_uid, "bytes": study.bytes, "reason": reason} for study, reason in removed]
        held = [{"study_uid": study.study_uid, "reason": reason} for study, reason in kept]
        print_json({"dry_run": dry_run, "removed": gone, "kept": held, "freed_bytes": freed})
        return OK
    show_table(("study", "size", "why"), [(_words(study), size_words(study.bytes), why) for study, why in removed])
    say(f"{'Would free' if dry_run else 'Freed'} {size_words(freed)}: {len(removed)} removed, {len(kept)} kept.")
    return OK


def run_purge(
    settings: Settings, patient_id: str, issuer: str | None, study: str, everything: bool, yes: bool
) -> int:
    """Remove studies for good; asks before it acts."""
    if sum((bool(patient_id), bool(study), everything)) != 1:
        raise UsageError("Name what to purge: --patient-id ID, --study UID or --all.")
    try:
        store = open_store(settings, settings.cache_directory, settings.state_directory)
    except CacheError as problem:
        if not everything:
            raise
        return _erase(settings, problem, yes)
    trail = open_trail(settings.state_directory)
    with store:
        chosen = [one for one in store.studies() if _is_meant(one, patient_id, issuer, study)]
        if not chosen:
            say("Nothing in the cache matches.")
            return NOTHING
        size = size_words(sum(one.bytes for one in chosen))
        if not yes and not typer.confirm(f"Remove {len(chosen)} studies ({size}) from the cache?", err=True):
            say("Nothing was removed.")
            return NOTHING
        for one in chosen:
            _write_deletion(trail, one, "purged on request")
            store.remove(one.study_uid)
    say(f"Removed {len(chosen)} studies ({size}); their keys are destroyed.")
    return OK


def _erase(settings: Settings, problem: CacheError, yes: bool) -> int:
    """Remove a cache that cannot be opened any more: its key is lost, or its index is damaged."""
    say(str(problem))
    if not yes and not typer.confirm("Remove everything in the cache, unread?", err=True):
        say("Nothing was removed.")
        return NOTHING
    open_trail(settings.state_directory).record(
        AuditEvent.DELETED, reason="purged unread", directory=str(settings.cache_directory)
    )
    erase(settings.cache_directory)
    say("The cache is empty.")
    return OK


def _is_meant(stored: StoredStudy, patient_id: str, issuer: str | None, study: str) -> bool:
    identifier = stored.answer.patient.identifier
    if study:
        return stored.study_uid == study
    return not patient_id or (identifier.value == patient_id and issuer in (None, identifier.issuer))


def run_pin(settings: Settings, study: str, reason: str, *, off: bool) -> int:
    """Keep a study whatever the limits say, or no longer."""
    if not off and not reason:
        raise UsageError("Say why the study is kept: --reason TEXT.")
    with opened(settings) as (store, _trail):
        found = store.pin(study, reason, not off)
    say(("No longer pinned." if off else "Pinned.") if found else "The study is not in the cache.")
    return OK if found else NOTHING


def run_verify(settings: Settings, *, repair: bool, as_json: bool) -> int:
    """Every file against its digest, and index against files."""
    with opened(settings) as (store, _trail):
        report = verify(store, repair)
    if as_json:
        names = ("checked", "damaged", "missing", "unknown_files", "repaired")
        print_json({name: getattr(report, name) for name in names})
    else:
        say(
            f"{report.checked} checked, {len(report.damaged)} damaged, {len(report.missing)} missing, "
            f"{len(report.unknown_files)} unknown files, {len(report.repaired)} repaired."
        )
    return OK if report.is_sound or repair else PARTLY


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


def _write_deletion(trail: AuditTrail, study: StoredStudy, reason: str) -> None:
    identifier = study.answer.patient.identifier
    trail.record(
        AuditEvent.DELETED,
        reason=reason,
        patient_id=identifier.value,
        issuer=identifier.issuer,
        study=study.study_uid,
        bytes=study.bytes,
        key_destroyed=True,
    )


def _words(study: StoredStudy) -> str:
    date = study.answer.study_date.isoformat() if study.answer.study_date else "date unknown"
    return f"{date} {'+'.join(study.answer.modalities)} {study.answer.hospital}"
