"""What one hospital sends next: a queue of retrievals in which who is waiting decides, not who came first.

Knows no thread, no clock and no archive; `work.fetch_lanes` drives it.
"""

from dataclasses import dataclass, field

from priorline.work.messages import Fetch

Rank = tuple[bool, int]
"""The greater goes first: what a person asked for, the later the better; then what nobody did, the first asked."""


@dataclass(slots=True, eq=False)
class Job:
    """One retrieval and all the requests that it answers, by number.

    `first` says which study or series it is. `limit` bounds the bytes of one that only the program wants (0: no
    bound); `bytes` and `seconds` count those of all its runs, `already` what was here before the first of them.
    `stopping` says that its run has to end now; `leaving` are the requests that were taken back while it ran, to be
    answered when the run has ended. `looked_at` is the series and image that somebody looked at last.
    """

    first: Fetch
    limit: int = 0
    requests: dict[int, tuple[Rank, Fetch]] = field(default_factory=dict)
    leaving: list[int] = field(default_factory=list)
    bytes: int = 0
    seconds: float = 0.0
    already: int | None = None
    stopping: bool = False
    looked_at: tuple[str, str] | None = None

    @property
    def rank(self) -> Rank:
        """That of the most urgent request; there is one."""
        return max(rank for rank, _fetch in self.requests.values())

    @property
    def wanted(self) -> Fetch:
        """The most urgent request, which says why it is fetched."""
        return max(self.requests.values(), key=lambda asked: asked[0])[1] if self.requests else self.first

    @property
    def is_over(self) -> bool:
        """Whether it has brought as much as may be fetched before a person asks."""
        return 0 < self.limit <= self.bytes and all(fetch.prefetch for _rank, fetch in self.requests.values())

    def is_same(self, fetch: Fetch) -> bool:
        """Whether it brings what `fetch` asks for."""
        ours, theirs = self.first, fetch
        return (ours.study.study_uid, ours.series_uid) == (theirs.study.study_uid, theirs.series_uid)


class FetchQueue:
    """The retrievals of one hospital: at most one runs, the others wait; to be used by one thread at a time.

    A retrieval that is asked for again is the same one, with a higher rank. One that is outranked while it runs is
    told to stop, and waits again when it has. `limit` is that of each `Job`.
    """

    def __init__(self, limit: int = 0) -> None:
        self._limit = limit
        self._waiting: list[Job] = []
        self._running: Job | None = None
        self._asked = 0

    def ask(self, fetch: Fetch) -> None:
        """Take a request in."""
        self._asked += 1
        job = next((job for job in self._jobs() if job.is_same(fetch)), None)
        if job is None:
            job = Job(fetch, self._limit)
            self._waiting.append(job)
        job.requests[fetch.number] = (not fetch.prefetch, -self._asked if fetch.prefetch else self._asked), fetch
        self._judge()

    def cancel(self, number: int) -> bool:
        """Take a request back; whether it is over with that, instead of when a run has ended."""
        job = next((job for job in self._jobs() if number in job.requests), None)
        if job is None:
            return False
        del job.requests[number]
        ends_later = job is self._running and not job.requests
        if ends_later:
            job.leaving.append(number)
        elif not job.requests:
            self._waiting.remove(job)
        self._judge()
        return not ends_later

    def start(self) -> Job | None:
        """The most urgent retrieval that waits, which runs from now on; None where one runs or none waits."""
        if self._running is not None or not self._waiting:
            return None
        job = max(self._waiting, key=lambda one: one.rank)
        self._waiting.remove(job)
        self._running, job.stopping = job, job.is_over
        return job

    def receive(self, job: Job, count: int) -> None:
        """The runs of `job` have brought `count` bytes by now."""
        job.bytes = count
        job.stopping = job.stopping or job.is_over

    def end(self, job: Job, *, complete: bool) -> tuple[int, ...]:
        """The run has ended; the requests to be answered now, the others wait again because it had to stop."""
        self._running = None
        answered, job.leaving = job.leaving, []
        if job.requests and job.stopping and not complete and not job.is_over:
            self._waiting.append(job)
            return tuple(answered)
        return *answered, *job.requests

    def places(self) -> dict[int, int]:
        """How many retrievals go before the one of each request; 0 for one that runs."""
        running = [] if self._running is None else [self._running]
        line = [*running, *sorted(self._waiting, key=lambda job: job.rank, reverse=True)]
        return {number: place for place, job in enumerate(line) for number in job.requests}

    def find(self, study_uid: str) -> list[Job]:
        """The retrievals of a study."""
        return [job for job in self._jobs() if job.first.study.study_uid == study_uid]

    def _jobs(self) -> list[Job]:
        return self._waiting if self._running is None else [self._running, *self._waiting]

    def _judge(self) -> None:
        job = self._running
        if job is not None and (not job.requests or any(other.rank > job.rank for other in self._waiting)):
            job.stopping = True
