"""`priorline cache clean` and `purge`: studies go, each with a receipt in the audit trail."""

import typer

from priorline.audit.trail import AuditEvent
from priorline.cache import cleanup
from priorline.cache.files import erase
from priorline.cache.keys import destroy_master_key
from priorline.cache.model import Holding, StoredStudy
from priorline.cli.cache import opened, opened_unread
from priorline.cli.output import NOTHING, OK, PARTLY, print_json, say, show_table
from priorline.config import Settings
from priorline.domain.retention import PINNED, size_words
from priorline.domain.study import StudyAnswer
from priorline.errors import CacheError, UsageError
from priorline.work.session import KEY_FILE, open_trail
from priorline.work.upkeep import limits_of, write_receipt


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
        named = store.studies(patient_id) if patient_id else store.named(study)
        chosen = {one.held.handle: one for one in named if study or _is_of(one, patient_id, issuer)}
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
        with opened_unread(settings) as cache:
            handles = cache.inventory.everything()
            size = size_words(cache.inventory.bytes())
            if handles and not _agreed(f"Remove {len(handles)} studies ({size}) from the cache?", yes):
                return NOTHING
            held = {study.handle: study for study in cache.inventory.latest()}

            def tell(handle: str) -> None:
                if handle in held:
                    write_receipt(trail, held[handle], cache.answer(held[handle]), "purged on request")

            gone = cache.inventory.remove(handles, before=tell)
    except CacheError as problem:
        return _erase(settings, problem, yes)
    say(f"Removed {len(gone)} studies ({size}); their keys are destroyed.")
    return _forget_key(settings)


def _forget_key(settings: Settings) -> int:
    """The key that opened all of it goes too, so that what was copied before opens no more."""
    try:
        erase(settings.cache_directory)
        destroy_master_key(settings.state_directory / KEY_FILE)
    except CacheError as problem:
        say(f"The key of the cache stays. {problem}")
        return PARTLY
    say("The cache is empty, and its key is destroyed.")
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
    return _forget_key(settings)


def _is_of(stored: StoredStudy, patient_id: str, issuer: str | None) -> bool:
    identifier = stored.answer.patient.identifier
    return identifier.value == patient_id and issuer in (None, identifier.issuer)
