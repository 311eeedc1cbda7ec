"""Brings one study from a hospital into the cache: each instance checked on arrival, whole before it counts."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from priorline.archives.base import Archive
from priorline.archives.incoming import Announced, Incoming
from priorline.audit.trail import AuditEvent, AuditTrail
from priorline.cache.model import Added, AddOutcome, StoredInstance
from priorline.cache.spool import Spool
from priorline.cache.store import Store
from priorline.domain.study import FetchReport, FetchState, StudyAnswer, StudyListing
from priorline.errors import EnvironmentFault, ImageError
from priorline.imaging.instance import InstanceHeader
from priorline.imaging.read import read_header
from priorline.work.arrival import difference
from priorline.work.arriving import Arriving
from priorline.work.retrieval import Retrieval
from priorline.work.wanted import Wanted

# Instances become durable in groups: a cache owes no fsync per instance, the viewer is owed the first at once.
GROUP_INSTANCES = 16
GROUP_SECONDS = 0.3
Group = list[tuple[StoredInstance, InstanceHeader, int]]
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
    """The counts of one retrieval.

    `told` are the bytes of what was told of; `held` of what was asked for is in the cache at the end.
    `unreadable` and `apart` (quarantined) are SOP Instance UIDs as announced, as one may come more than once.
    """

    expected: int = 0
    already: int = 0
    stored: int = 0
    held: int = 0
    failed: int = 0
    unreadable: set[str] = field(default_factory=set)
    quarantined: int = 0
    apart: set[str] = field(default_factory=set)
    bytes: int = 0
    told: int = 0
    reasons: dict[str, None] = field(default_factory=dict)


class _Stopped(Exception):
    """It was cancelled before anybody knew what the study consists of."""


class StudyFetch:
    """One retrieval; `run` blocks until it has ended, and never raises for what an archive or a disk does.

    `pause` is called between two pieces of what comes, and may wait.
    """

    def __init__(
        self,
        archive: Archive,
        store: Store,
        study: StudyAnswer,
        on_arrived: Callable[[Arrived], None],
        cancelled: Callable[[], bool] = lambda: False,
        own_title: str = "PRIORLINE",
        pause: Callable[[], None] = lambda: None,
    ) -> None:
        self._archive, self._store, self._study = archive, store, study
        self._on_arrived, self._cancelled, self._own_title = on_arrived, cancelled, own_title
        self._pause = pause
        self._progress = Progress()
        self._waiting: Group = []
        self._committer: ThreadPoolExecutor | None = None
        self._committing: Future[None] | None = None
        self._to_begin: int | None = None
        self._wanted: Wanted | None = None
        self._committed_at = 0.0
        self._arrived, self._came = set[str](), set[str]()
        self._lock = threading.Lock()
        self._usual_size = 0
        self._retrieval = Retrieval(archive, study.study_uid, self._begin_one, self._arrived, self._came, cancelled)

    def run(
        self,
        trail: AuditTrail,
        series_uid: str = "",
        reason: str = "",
        event: AuditEvent = AuditEvent.TRANSFERRED,
    ) -> FetchReport:
        """Fetch what is missing; `series_uid` limits it to one series, `event` is what goes on record first."""
        started = time.monotonic()
        complete = False
        message = ""
        try:
            self._write_audit(trail, reason, event)
            complete = self._fetch(series_uid)
        except EnvironmentFault as problem:
            message = str(problem)
        finally:
            message = self._keep_what_arrived(series_uid) or message
        return self._report(complete, message, time.monotonic() - started)

    def _write_audit(self, trail: AuditTrail, reason: str, event: AuditEvent) -> None:
        identifier = self._study.patient.identifier
        trail.record(
            event,
            reason=reason,
            hospital=self._study.hospital,
            patient_id=identifier.value,
            issuer=identifier.issuer,
            study=self._study.study_uid,
        )

    def _fetch(self, series_uid: str) -> bool:
        """Retrieve what is missing; whether all that was asked for is then here."""
        uid = self._study.study_uid
        here = self._here(series_uid)
        # Making a group durable waits for the disk; the archive goes on sending meanwhile.
        wanted = None
        with ThreadPoolExecutor(1, thread_name_prefix="commit") as self._committer, suppress(_Stopped):
            if self._archive.streams_studies and self._study.images and not (here or series_uid):
                wanted = self._stream(self._study.images)
            else:
                wanted = self._ask(series_uid, here)
        self._settle_commit()
        self._commit(self._taken_waiting())
        if wanted is None:
            # Nothing is known that could be noted of the study; what was, stays.
            self._progress.reasons["Stopped."] = None
            return False
        whole = self._store.finish_fetch(uid, complete=wanted.is_study_in(self._here("")))
        # A group that was lost is found out by the store, and counts as not complete here too.
        return wanted.is_in(self._here(wanted.series_uid)) if wanted.series_uid else whole

    def prefer(self, series_uid: str, sop_uid: str = "") -> None:
        """Bring forward a series, and in it what lies around an instance, while this runs; from any thread."""
        self._retrieval.prefer(series_uid, sop_uid)

    def _ask(self, series_uid: str, here: set[str]) -> Wanted:
        """Retrieve what of the hospital's list is not `here`."""
        told = self._study.images or 0
        self._to_begin, self._progress.expected = told, 0 if series_uid else told
        with self._retrieval.scout:
            listing = self._retrieval.listing(series_uid, here)
            if listing.is_cut:
                raise _Stopped
            wanted = self._note_listed(listing, series_uid)
            self._progress.already = len(here if wanted.uids is None else here & wanted.uids)
            self._correct(told, wanted.study_count)
            if here:
                self._begin()
            self._retrieve(lambda: self._retrieval.run(wanted, here))
        return wanted

    def _note_listed(self, listing: StudyListing, series_uid: str) -> Wanted:
        self._wanted = wanted = Wanted(listing, self._study, series_uid)
        self._progress.expected = wanted.count
        return wanted

    def _stream(self, told: int) -> Wanted:
        """Retrieve the whole study, of which `told` images are said to be, while the hospital lists them."""
        self._progress.expected = self._to_begin = told
        with ThreadPoolExecutor(1, thread_name_prefix="list") as lister:
            listed = lister.submit(self._list_meanwhile, told)
            try:
                self._retrieve(self._retrieval.stream)
            finally:
                listed.result()
        if self._wanted is None:
            raise _Stopped
        return self._wanted

    def _list_meanwhile(self, told: int) -> None:
        listing = self._retrieval.listing("", set())
        if not listing.is_cut:
            wanted = self._note_listed(listing, "")
            self._correct(told, wanted.study_count)
            self._retrieval.accompany(wanted)

    def _correct(self, told: int, count: int) -> None:
        """The hospital's list counts, where it says another number than was begun with."""
        with self._lock:
            if self._to_begin is not None:
                self._to_begin = count
                return
        if count != told:
            self._store.expect(self._study, count)

    def _retrieve(self, act: Callable[[], None]) -> None:
        try:
            act()
        finally:
            self._progress.failed += self._retrieval.failed
            self._progress.reasons.update(dict.fromkeys(self._retrieval.messages))
            if self._retrieval.was_cancelled:
                self._progress.reasons["Stopped."] = None

    def _begin(self) -> None:
        """Note the fetch in the cache; only when something is there to be noted for."""
        if self._to_begin is not None:
            self._store.begin_fetch(self._study, self._to_begin)
            self._to_begin = None

    def _here(self, series_uid: str) -> set[str]:
        return self._store.sop_uids(self._study.study_uid, series_uid)

    def _begin_one(self, announced: Announced) -> Incoming:
        return Arriving(announced, self._own_title, self._take, self._new_spool, self._usual_size, self._pause)

    def _new_spool(self) -> Spool:
        with self._lock:
            self._begin()
        return self._store.spool(self._study)

    def _take(self, announced: Announced, data: memoryview | Spool) -> None:
        """Judge one whole instance and put it into the cache; several connections bring them at once."""
        self._came.add(announced.sop_instance_uid)
        try:
            header = read_header(data)
        except ImageError as problem:
            with self._lock:
                self._progress.unreadable.add(announced.sop_instance_uid)
                self._progress.reasons[str(problem)] = None
            return
        reason = difference(self._study, announced.sop_instance_uid, announced.sop_class_uid, header)
        with self._lock:
            self._begin()
        self._pause()
        added = self._store.add(
            self._study, header.sop_uid, header.series_uid, encode_header(header), data, quarantine=reason
        )
        with self._lock:
            self._note(added, header, len(data), reason, announced.sop_instance_uid)

    def _note(self, added: Added, header: InstanceHeader, size: int, reason: str, announced: str) -> None:
        self._usual_size = size + 1024
        if reason or added.outcome is AddOutcome.CONFLICTING:
            self._progress.quarantined += 1
            self._progress.apart.add(announced)
            self._progress.reasons[reason or "An object came twice with different content."] = None
            return
        self._arrived.add(header.sop_uid)
        if added.outcome is AddOutcome.STORED and added.instance is not None:
            self._progress.bytes += size
            self._waiting.append((added.instance, header, size))
            self._commit_when_due()

    def _commit_when_due(self) -> None:
        """Start making the group durable, unless the one before is still on its way to the disk."""
        due = time.monotonic() - self._committed_at > GROUP_SECONDS or len(self._waiting) >= GROUP_INSTANCES
        busy = self._committing is not None and not self._committing.done()
        if self._committer is not None and due and not busy:
            self._settle_commit()
            self._committed_at = time.monotonic()
            self._committing = self._committer.submit(self._commit, self._taken_waiting())

    def _settle_commit(self) -> None:
        """Raise what the last group met."""
        committing, self._committing = self._committing, None
        if committing is not None:
            committing.result()

    def _taken_waiting(self) -> Group:
        waiting, self._waiting = self._waiting, []
        return waiting

    def _commit(self, group: Group) -> None:
        self._store.commit()
        self._tell(group, lambda _instance: True)

    def _tell(self, group: Group, is_here: Callable[[StoredInstance], bool]) -> None:
        progress = self._progress
        for instance, header, size in group:
            if is_here(instance):
                progress.stored += 1
                progress.told += size
                here = progress.already + progress.stored
                self._on_arrived(Arrived(instance, header, here, progress.expected, progress.told))

    def _keep_what_arrived(self, series_uid: str) -> str:
        """Store what came before a failure, and count what is here; a sentence where even that is not possible."""
        message = ""
        try:
            self._store.commit()
        except EnvironmentFault as problem:
            message = str(problem)
        try:
            # A group that could not be written is gone, an earlier one may hold more than was told of yet: only the
            # store knows what is here.
            self._tell_what_stayed()
            here = self._here(series_uid)
        except EnvironmentFault as problem:
            self._progress.held = self._progress.already + self._progress.stored
            return message or str(problem)
        uids = self._wanted.uids if self._wanted else None
        self._progress.held = len(here if uids is None else here & uids)
        return message

    def _tell_what_stayed(self) -> None:
        waiting = self._taken_waiting()
        if waiting:
            handles = {one.handle for one in self._store.instances(self._study.study_uid)}
            self._tell(waiting, lambda instance: instance.handle in handles)

    def _report(self, complete: bool, message: str, seconds: float) -> FetchReport:
        progress = self._progress
        here = progress.held
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
            failed=max(missing - len(progress.apart), progress.failed + len(progress.unreadable), 0),
            quarantined=progress.quarantined,
            bytes=progress.bytes,
            seconds=round(seconds, 3),
            message=" ".join(told),
        )
