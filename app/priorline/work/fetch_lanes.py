"""Carries out the queues of retrievals: one study at a time from each hospital, and no hospital waits for another."""

import threading
from collections.abc import Callable
from dataclasses import replace

from priorline.archives.base import Archive
from priorline.domain.retention import size_words
from priorline.domain.study import FetchReport, FetchState
from priorline.errors import PriorlineError
from priorline.settings import parse_size
from priorline.work.desk_cache import cached_instance
from priorline.work.fetch import Arrived, StudyFetch
from priorline.work.fetch_queue import FetchQueue, Job
from priorline.work.helper import STOPPED
from priorline.work.hospitals import Hospital
from priorline.work.messages import (
    Event,
    Fetch,
    FetchEnded,
    FetchPlace,
    InstanceArrived,
    Prefer,
    RequestFailed,
)
from priorline.work.own_process import BUG, work_behind
from priorline.work.session import Session

Send = Callable[[Event], None]
Arrival = Callable[[str], None]
Ended = Callable[[FetchReport], None]


class FetchLanes:
    """All hospitals' retrievals; every method returns at once.

    `send` is called from any thread, in order for each request; `arrived` is told the UID of a study of which a run
    has ended, and may raise CacheError; `ended` what each fetch brought, once for all runs of it.
    """

    def __init__(self, session: Session, send: Send, arrived: Arrival, ended: Ended = lambda _report: None) -> None:
        self._send = send
        self._lanes = {
            hospital.name: _Lane(hospital, hospital.archive, session, send, arrived, ended)
            for hospital in session.hospitals
            if hospital.archive is not None
        }

    def ask(self, request: Fetch) -> None:
        """Fetch, now or behind what is more urgent; every request ends with `FetchEnded` or `RequestFailed`."""
        name = request.study.hospital
        if name in self._lanes:
            self._lanes[name].ask(request)
        else:
            self._send(RequestFailed(request.number, f"{name} is not a hospital that can be fetched from."))

    def cancel(self, number: int) -> None:
        """Nobody waits for this request any more."""
        for lane in self._lanes.values():
            lane.cancel(number)

    def prefer(self, request: Prefer) -> None:
        """Bring what somebody looks at first, where that study is being fetched or waits for it."""
        for lane in self._lanes.values():
            lane.prefer(request)


class _Lane:
    """The retrievals of one hospital, each run in a thread of its own, one after another."""

    def __init__(
        self,
        hospital: Hospital,
        archive: Archive,
        session: Session,
        send: Send,
        arrived: Arrival,
        ended: Ended,
    ) -> None:
        self._archive, self._session, self._send, self._arrived = archive, session, send, arrived
        self._ended = ended
        self._lock = threading.Lock()
        self._queue = FetchQueue(parse_size(hospital.settings.prefetch.size))
        self._told: dict[int, int] = {}
        self._running: tuple[Job, StudyFetch] | None = None

    def ask(self, request: Fetch) -> None:
        with self._lock:
            self._queue.ask(request)
            self._go_on()

    def cancel(self, number: int) -> None:
        with self._lock:
            if self._queue.cancel(number):
                self._send(RequestFailed(number, STOPPED))
            self._go_on()

    def prefer(self, request: Prefer) -> None:
        place = (request.series_uid, request.sop_uid)
        with self._lock:
            for job in self._queue.find(request.study_uid):
                job.looked_at = place
                if self._running is not None and self._running[0] is job:
                    _steer(self._running[1], place)

    def _go_on(self) -> None:
        """Start what is due and tell everybody whose place is another now; under the lock, so in order."""
        job = self._queue.start()
        if job is not None:
            thread = threading.Thread(target=self._carry_out, args=(job,), name="fetch", daemon=True)
            thread.start()
        places = self._queue.places()
        for number, ahead in places.items():
            if self._told.get(number) != ahead:
                self._send(FetchPlace(number, ahead))
        self._told = places

    def _carry_out(self, job: Job) -> None:
        work_behind()
        # A bug ends this thread with its place on standard error; whoever asked is told, and the lane goes on.
        report, problem = None, BUG
        try:
            report = self._run(job)
        except PriorlineError as told:
            problem = str(told)
        finally:
            self._end(job, report, problem)

    def _run(self, job: Job) -> FetchReport:
        wanted, before = job.wanted, job.bytes
        if job.stopping:
            # Outranked or left before it began: nobody is asked, and there is nothing to put on record.
            return FetchReport(wanted.study.study_uid, self._archive.name, FetchState.FAILED, message=STOPPED)

        def tell(arrived: Arrived) -> None:
            brought = before + arrived.bytes
            with self._lock:
                self._queue.receive(job, brought)
                numbers = tuple(job.requests)
            instance = cached_instance(arrived.instance, arrived.header)
            counts = (arrived.received, arrived.expected, brought)
            for number in numbers:
                self._send(InstanceArrived(number, wanted.study.study_uid, instance, *counts))

        session = self._session
        title = session.settings.workstation.ae_title
        fetch = StudyFetch(
            self._archive, session.store, wanted.study, tell, lambda: job.stopping, title, session.way.pause
        )
        with self._lock:
            self._running = (job, fetch)
            _steer(fetch, job.looked_at)
        report = fetch.run(session.trail, wanted.series_uid, wanted.reason)
        self._arrived(wanted.study.study_uid)
        return _of_all_runs(job, report, before)

    def _end(self, job: Job, report: FetchReport | None, problem: str) -> None:
        with self._lock:
            self._running = None
            # A fault of the program would only come again.
            over = report is None or report.state is FetchState.COMPLETE
            numbers = self._queue.end(job, complete=over)
            for number in numbers:
                self._send(RequestFailed(number, problem) if report is None else FetchEnded(number, report))
            self._go_on()
        if numbers and report is not None:
            self._ended(report)


def _of_all_runs(job: Job, report: FetchReport, before: int) -> FetchReport:
    """The report of the last run as one of all; `before` it, so many bytes had come."""
    job.bytes, job.seconds = before + report.bytes, round(job.seconds + report.seconds, 3)
    job.already = report.already_cached if job.already is None else job.already
    report = replace(report, bytes=job.bytes, seconds=job.seconds, already_cached=job.already)
    if job.is_over and report.state is not FetchState.COMPLETE:
        told = f"The first {size_words(job.limit)} are here; the rest comes when somebody opens it."
        return replace(report, message=told)
    return report


def _steer(fetch: StudyFetch, place: tuple[str, str] | None) -> None:
    if place is not None:
        fetch.prefer(*place)
