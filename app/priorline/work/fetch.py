"""Brings one study from a hospital into the cache: each instance checked on arrival, whole before it counts."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import msgspec

from priorline.archives.base import Archive, Received, part10
from priorline.audit.trail import AuditEvent, AuditTrail
from priorline.cache.model import AddOutcome, StoredInstance
from priorline.cache.store import Store
from priorline.domain.study import FetchReport, FetchState, SeriesAnswer, StudyAnswer
from priorline.errors import EnvironmentFault, ImageError
from priorline.imaging.instance import InstanceHeader
from priorline.imaging.read import read_header
from priorline.work.arrival import difference

# Instances become durable in groups: a cache owes no fsync per instance, the viewer is owed the first at once.
GROUP_INSTANCES = 16
GROUP_SECONDS = 0.3
encode_header = msgspec.msgpack.Encoder().encode
decode_header = msgspec.msgpack.Decoder(InstanceHeader).decode


@dataclass(frozen=True, slots=True)
class Arrived:
    """One instance that is whole in the cache, with the counts at that moment."""

    instance: StoredInstance
    header: InstanceHeader
    received: int
    expected: int
    bytes: int


@dataclass(slots=True)
class Progress:
    """The counts of one retrieval."""

    expected: int = 0
    already: int = 0
    stored: int = 0
    failed: int = 0
    quarantined: int = 0
    bytes: int = 0
    reasons: dict[str, None] = field(default_factory=dict)


class StudyFetch:
    """One retrieval; `run` blocks until it has ended, and never raises for what an archive or a disk does."""

    def __init__(
        self,
        archive: Archive,
        store: Store,
        study: StudyAnswer,
        on_arrived: Callable[[Arrived], None],
        cancelled: Callable[[], bool] = lambda: False,
        own_title: str = "PRIORLINE",
    ) -> None:
        self._archive, self._store, self._study = archive, store, study
        self._on_arrived, self._cancelled, self._own_title = on_arrived, cancelled, own_title
        self._progress = Progress()
        self._waiting: list[tuple[StoredInstance, InstanceHeader]] = []
        self._committed_at = 0.0

    def run(self, trail: AuditTrail, series_uid: str = "", reason: str = "") -> FetchReport:
        """Fetch what is missing; `series_uid` limits it to one series."""
        started = time.monotonic()
        complete = False
        message = ""
        try:
            self._write_audit(trail, reason)
            complete = self._fetch(series_uid)
            self._store.finish_fetch(self._study.study_uid, complete=complete and not series_uid)
        except EnvironmentFault as problem:
            message = str(problem)
        finally:
            message = self._keep_what_arrived() or message
        return self._report(complete, message, time.monotonic() - started)

    def _write_audit(self, trail: AuditTrail, reason: str) -> None:
        identifier = self._study.patient.identifier
        trail.record(
            AuditEvent.TRANSFERRED,
            reason=reason,
            hospital=self._study.hospital,
            patient_id=identifier.value,
            issuer=identifier.issuer,
            study=self._study.study_uid,
        )

    def _fetch(self, series_uid: str) -> bool:
        uid = self._study.study_uid
        series = [one for one in self._archive.list_series(uid) if series_uid in ("", one.series_uid)]
        listed = self._archive.list_instances(uid)
        wanted = _wanted(listed, series_uid)
        here = self._store.sop_uids(uid)
        progress = self._progress
        progress.expected = len(wanted) if wanted is not None else _count(series, self._study, series_uid)
        progress.already = len(here if wanted is None else here & wanted)
        self._store.begin_fetch(self._study, progress.expected)
        for part in _parts(series, listed, here, series_uid):
            summary = self._archive.retrieve(uid, part.series_uid, part.classes, self._take, self._cancelled)
            progress.failed += summary.failed
            if summary.cancelled:
                progress.reasons["Stopped."] = None
                break
        self._commit()
        return self._is_complete(wanted)

    def _take(self, received: Received) -> None:
        data = part10(received, self._own_title)
        try:
            header = read_header(data)
        except ImageError as problem:
            self._progress.failed += 1
            self._progress.reasons[str(problem)] = None
            return
        reason = difference(self._study, received.sop_instance_uid, received.sop_class_uid, header)
        added = self._store.add(
            self._study, header.sop_uid, header.series_uid, encode_header(header), data, quarantine=reason
        )
        if reason or added.outcome is AddOutcome.CONFLICTING:
            self._progress.quarantined += 1
            self._progress.reasons[reason or "An object came twice with different content."] = None
        elif added.outcome is AddOutcome.STORED and added.instance is not None:
            self._progress.bytes += len(data)
            self._waiting.append((added.instance, header))
            self._commit_when_due()

    def _commit_when_due(self) -> None:
        due = time.monotonic() - self._committed_at > GROUP_SECONDS
        if due or len(self._waiting) >= GROUP_INSTANCES:
            self._commit()

    def _commit(self) -> None:
        self._store.commit()
        self._committed_at = time.monotonic()
        progress = self._progress
        waiting, self._waiting = self._waiting, []
        for instance, header in waiting:
            progress.stored += 1
            here = progress.already + progress.stored
            self._on_arrived(Arrived(instance, header, here, progress.expected, progress.bytes))

    def _keep_what_arrived(self) -> str:
        """Store what came before a failure; returns a sentence where even that is not possible."""
        if not self._waiting:
            return ""
        try:
            self._commit()
        except EnvironmentFault as problem:
            return str(problem)
        return ""

    def _is_complete(self, wanted: set[str] | None) -> bool:
        """By list where the hospital gives one, else by count; never by the final status alone."""
        if wanted is not None:
            return wanted <= self._store.sop_uids(self._study.study_uid)
        progress = self._progress
        here = progress.already + progress.stored
        return progress.expected > 0 and here >= progress.expected

    def _report(self, complete: bool, message: str, seconds: float) -> FetchReport:
        progress = self._progress
        here = progress.already + progress.stored
        state = FetchState.PARTIAL if here else FetchState.FAILED
        if complete and not message:
            state = FetchState.COMPLETE
        missing = max(progress.expected - here, 0)
        told = [message, *progress.reasons] if message else list(progress.reasons)
        if state is not FetchState.COMPLETE and not told:
            told.append(f"{missing} images did not arrive." if missing else "The hospital sent nothing.")
        return FetchReport(
            study_uid=self._study.study_uid,
            hospital=self._study.hospital,
            state=state,
            expected=progress.expected,
            received=here,
            already_cached=progress.already,
            failed=max(missing - progress.quarantined, progress.failed, 0),
            quarantined=progress.quarantined,
            bytes=progress.bytes,
            seconds=round(seconds, 3),
            message=" ".join(told),
        )


@dataclass(frozen=True, slots=True)
class _Part:
    """One retrieve request: a whole study (`series_uid` None) or one series, and what is negotiated for it."""

    series_uid: str | None
    classes: frozenset[str]


def _parts(
    series: list[SeriesAnswer], listed: dict[str, set[str]] | None, here: set[str], series_uid: str
) -> list[_Part]:
    """Ask for the study in one request, or only for the series of which something is missing."""
    classes = frozenset(name for one in series for name in one.sop_classes)
    if series_uid:
        return [_Part(series_uid, classes)]
    if listed is None:
        return [_Part(None, classes)]
    missing = [uid for uid, uids in listed.items() if not uids <= here]
    if len(missing) == len(listed) and missing:
        return [_Part(None, classes)]
    return [_Part(uid, classes) for uid in missing]


def _wanted(listed: dict[str, set[str]] | None, series_uid: str) -> set[str] | None:
    if listed is None:
        return None
    return {uid for series, uids in listed.items() if series_uid in ("", series) for uid in uids}


def _count(series: Collection[SeriesAnswer], study: StudyAnswer, series_uid: str) -> int:
    counted = sum(one.images or 0 for one in series)
    return counted if series_uid else (study.images or counted)
