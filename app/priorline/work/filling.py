"""The department's archives are filled in the background, behind everything that somebody waits for."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from priorline.domain.study import FetchReport
from priorline.errors import EnvironmentFault
from priorline.work.department import Turn, departments_of, owe, pay
from priorline.work.hospitals import Hospital
from priorline.work.session import Session

# Seconds before each further try of an archive that took nothing; then it has to wait for a next fetch or start.
PAUSES = (5.0, 30.0)
# How often it is looked whether a fetch still writes into the cache.
LOOK_SECONDS = 0.05


class Filling:
    """All that this process hands on in the background; one lane for each archive, so that none waits for another.

    `tell` is called with one sentence when an archive cannot be filled, and not again before it could be.
    """

    def __init__(self, session: Session, tell: Callable[[str], None], pauses: Sequence[float] = PAUSES) -> None:
        self._session, self._tell = session, tell
        self._lanes = {one.name: _Lane(session, one, tell, pauses) for one in departments_of(session)}
        for lane in self._lanes.values():
            lane.resume()

    def fetched(self, report: FetchReport) -> None:
        """Hand on what a fetch brought, later; returns at once, and raises nothing of the world."""
        try:
            names = owe(self._session, report)
        except EnvironmentFault as problem:
            self._tell(f"The department's archives were not filled. {problem}")
            return
        for name in names:
            self._lanes[name].add(report.study_uid)

    def close(self) -> None:
        """End at the next image; what is owed stays owed."""
        for lane in self._lanes.values():
            lane.close()


class _Lane:
    """One archive: studies one after another in a thread that ends when there is nothing to do."""

    def __init__(
        self, session: Session, department: Hospital, tell: Callable[[str], None], pauses: Sequence[float]
    ) -> None:
        self._session, self._department, self._tell, self._pauses = session, department, tell, pauses
        self._studies: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._over = threading.Event()
        self._is_told = False

    def resume(self) -> None:
        """Begin with what an earlier process left owing."""
        self._begin(self._resume)

    def add(self, study_uid: str) -> None:
        """One more study."""
        self._studies.put(study_uid)
        self._begin(lambda: None)

    def close(self) -> None:
        """End it and wait for that."""
        self._over.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _begin(self, first: Callable[[], None]) -> None:
        with self._lock:
            if self._thread is None and not self._over.is_set():
                self._thread = threading.Thread(target=self._run, args=(first,), name="department", daemon=True)
                self._thread.start()

    def _resume(self) -> None:
        with suppress(EnvironmentFault):
            for study_uid in self._session.store.owed(self._department.name):
                self._studies.put(study_uid)

    def _run(self, first: Callable[[], None]) -> None:
        first()
        while True:
            with self._lock:
                if self._studies.empty() or self._over.is_set():
                    self._thread = None
                    return
                study_uid = self._studies.get()
            self._pay(study_uid)

    def _pay(self, study_uid: str) -> None:
        # One that has just failed is tried once with each further study, so that many of them do not take hours.
        turn = _Turn(self._session, self._over, () if self._is_told else self._pauses)
        message = pay(self._session, self._department, study_uid, turn).message
        if self._over.is_set():
            return
        if message and not self._is_told:
            self._tell(message)
        self._is_told = bool(message)


class _Turn(Turn):
    """Fetches go first: as long as one writes into the cache, nothing is sent."""

    def __init__(self, session: Session, over: threading.Event, pauses: Sequence[float]) -> None:
        self._session, self._over = session, over
        self._pauses: Iterator[float] = iter(pauses)

    def wait(self) -> None:
        while self._session.store.pending and not self._over.wait(LOOK_SECONDS):
            pass

    def pause(self) -> bool:
        seconds = next(self._pauses, None)
        return seconds is not None and not self._over.wait(seconds)

    def is_over(self) -> bool:
        return self._over.is_set()
