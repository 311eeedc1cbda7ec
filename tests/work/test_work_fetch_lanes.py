"""Retrievals of several hospitals into a real cache: who goes first, who waits, and that nothing comes twice."""

import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gated_archive import GatedArchive, image, row
from priorline.audit.trail import AuditTrail
from priorline.config import CacheSettings, HospitalSettings, Prefetch, Settings
from priorline.domain.study import FetchReport, FetchState
from priorline.work import fetch_lanes, right_of_way
from priorline.work.fetch import GROUP_INSTANCES, StudyFetch
from priorline.work.fetch_lanes import FetchLanes
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
from priorline.work.own_process import BEHIND, BUG, LAST
from priorline.work.right_of_way import GivingWay, RightOfWay
from priorline.work.session import Session, open_links, open_store, open_trail

PATIENCE = 30.0
SIZE = len(image("1.2", 0).dataset)


def until(holds: Callable[[], bool]) -> None:
    limit = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < limit
        threading.Event().wait(0.005)


@dataclass
class Bench:
    """The lanes of two hospitals, and what they told."""

    lanes: FetchLanes
    session: Session
    north: GatedArchive
    south: GatedArchive
    window: RightOfWay
    told: list[Event] = field(default_factory=list)
    arrived: list[str] = field(default_factory=list)

    def ask(self, number: int, study: str, hospital: str = "North", *, prefetch: bool = False) -> None:
        reason = "prefetch of a suggested prior" if prefetch else "trauma"
        self.lanes.ask(Fetch(number, row(study, hospital), reason=reason, prefetch=prefetch))

    def of(self, number: int) -> list[Event]:
        return [event for event in self.told if event.number == number]

    def is_over(self, *numbers: int) -> bool:
        return all(any(event.ends for event in self.of(number)) for number in numbers)

    def images(self, number: int) -> int:
        return sum(isinstance(event, InstanceArrived) for event in self.of(number))

    def places(self, number: int) -> list[int]:
        return [event.ahead for event in self.of(number) if isinstance(event, FetchPlace)]

    def report(self, number: int) -> FetchReport:
        (ended,) = [event for event in self.of(number) if event.ends]
        assert isinstance(ended, FetchEnded)
        return ended.report


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    peers = tuple(
        HospitalSettings(name=name, ae_title=name, host="x", port=1, prefetch=Prefetch(size=f"{3 * SIZE} B"))
        for name in ("North", "South", "Silent")
    )
    settings = Settings(cache=CacheSettings(encrypt=False, key="session"), hospital=peers)
    archives = {"North": GatedArchive("North"), "South": GatedArchive("South"), "Silent": None}
    hospitals = tuple(Hospital(one, archives[one.name]) for one in peers)
    with open_store(settings, tmp_path / "cache", tmp_path) as store:
        window = RightOfWay()
        trail, links, way = open_trail(tmp_path), open_links(settings, tmp_path), GivingWay(window.descriptor)
        session = Session(settings, hospitals, store, trail, links, way)
        told: list[Event] = []
        arrived: list[str] = []
        lanes = FetchLanes(session, told.append, arrived.append)
        north, south = archives["North"], archives["South"]
        assert north is not None
        assert south is not None
        yield Bench(lanes, session, north, south, window, told, arrived)
        for archive in (north, south):
            archive.open()
        until(lambda: not any(thread.name == "fetch" for thread in threading.enumerate()))
        window.close()


def test_a_click_goes_before_a_running_prefetch_which_then_brings_only_what_is_missing(bench: Bench) -> None:
    bench.ask(1, "1.1", prefetch=True)
    bench.north.let(2)
    until(lambda: len(bench.north.sent) == 2)
    bench.ask(2, "1.2")
    until(lambda: bench.places(1) == [0, 1])
    assert not bench.is_over(1)
    bench.north.let(6)
    until(lambda: bench.is_over(2))
    assert bench.report(2).state is FetchState.COMPLETE
    assert not bench.is_over(1)
    bench.ask(3, "1.1")  # and now somebody wants that one, too
    bench.north.open()
    until(lambda: bench.is_over(1, 3))
    assert bench.north.sent == [f"1.1.{n}.1" for n in (0, 1)] + [f"1.2.{n}.1" for n in range(6)] + [
        f"1.1.{n}.1" for n in (2, 3, 4, 5)
    ]
    assert bench.places(1) == [0, 1, 0]
    report = bench.report(1)
    assert (report.state, report.received, report.already_cached) == (FetchState.COMPLETE, 6, 0)
    assert report.bytes > 6 * SIZE
    assert bench.report(3) == report


@pytest.mark.skipif(sys.platform == "win32", reason="only on Linux")
def test_what_is_fetched_waits_while_an_image_is_due_in_the_window_and_comes_whole(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(right_of_way, "LONGEST_MILLISECONDS", round(PATIENCE * 1000))
    bench.ask(1, "1.1")
    bench.north.let(1)
    until(lambda: len(bench.north.sent) == 1 and bench.north.waiting.is_set())
    bench.window.take()
    bench.north.open()
    until(lambda: not bench.north.waiting.is_set())
    threading.Event().wait(0.05)
    assert len(bench.north.sent) == 1
    bench.window.leave()
    until(lambda: bench.is_over(1))
    assert (bench.report(1).state, bench.images(1)) == (FetchState.COMPLETE, 6)


@pytest.mark.skipif(sys.platform != "linux", reason="only there threads have priorities of their own")
def test_whoever_paints_goes_before_what_is_fetched(bench: Bench) -> None:
    ours = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    bench.ask(1, "1.1")
    bench.north.let(1)
    until(lambda: len(bench.north.sent) == 1)
    fetching = {thread.name.partition("_")[0]: thread.native_id for thread in threading.enumerate()}
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == ours
    for name in ("fetch", "commit"):  # what a retrieval starts is as quiet as itself
        assert os.getpriority(os.PRIO_PROCESS, fetching[name] or 0) == min(ours + BEHIND, LAST)
        assert os.sched_getscheduler(fetching[name] or 0) == os.SCHED_BATCH
    bench.north.open()
    until(lambda: bench.is_over(1))
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == ours


def test_the_newer_of_two_clicks_goes_first_and_the_older_only_waits(bench: Bench) -> None:
    bench.ask(1, "1.1")
    bench.north.let(1)
    until(lambda: len(bench.north.sent) == 1)
    bench.ask(2, "1.2")
    bench.ask(3, "1.3")
    bench.north.open()
    until(lambda: bench.is_over(1, 2, 3))
    ends = [event.number for event in bench.told if isinstance(event, FetchEnded)]
    assert ends == [3, 2, 1]
    assert set(Counter(bench.north.sent).values()) == {1}
    assert all(bench.report(number).state is FetchState.COMPLETE for number in (1, 2, 3))


def test_the_second_click_on_a_study_is_the_same_retrieval_and_both_hear_of_it(bench: Bench) -> None:
    bench.ask(1, "1.1")
    bench.north.let(1)
    until(lambda: bench.images(1) == 1)
    bench.ask(2, "1.1")
    bench.north.open()
    until(lambda: bench.is_over(1, 2))
    assert len(bench.north.sent) == 6
    assert (bench.images(1), bench.images(2)) == (6, 5)
    assert bench.report(1) == bench.report(2)
    last = [event for event in bench.of(2) if isinstance(event, InstanceArrived)][-1]
    assert (last.received, last.expected) == (6, 6)


def test_bytes_stop_when_it_is_cancelled_and_what_came_stays(bench: Bench) -> None:
    bench.ask(1, "1.1")
    bench.north.let(3)
    until(lambda: len(bench.north.sent) == 3)
    bench.lanes.cancel(1)
    until(lambda: bench.is_over(1))
    bench.north.open()
    assert (bench.report(1).state, bench.report(1).received) == (FetchState.PARTIAL, 3)
    bench.ask(2, "1.1")
    until(lambda: bench.is_over(2))
    assert len(bench.north.sent) == 6
    assert bench.report(2).already_cached == 3


def test_what_waits_is_cancelled_at_once_and_never_asked_for(bench: Bench) -> None:
    bench.ask(1, "1.1")
    until(bench.north.waiting.is_set)
    bench.ask(2, "1.2", prefetch=True)
    bench.lanes.cancel(2)
    assert bench.of(2)[-1] == RequestFailed(2, STOPPED)
    bench.north.open()
    until(lambda: bench.is_over(1))
    assert not any(uid.startswith("1.2.") for uid in bench.north.sent)


def test_one_of_two_may_leave_and_the_other_gets_all(bench: Bench) -> None:
    bench.ask(1, "1.1", prefetch=True)
    bench.north.let(1)
    until(lambda: bench.images(1) == 1)
    bench.ask(2, "1.1")
    bench.lanes.cancel(1)
    assert bench.of(1)[-1] == RequestFailed(1, STOPPED)
    bench.north.open()
    until(lambda: bench.is_over(2))
    assert (bench.report(2).state, len(bench.north.sent)) == (FetchState.COMPLETE, 6)


def test_what_is_outranked_before_it_began_asks_nobody_and_is_not_on_record(bench: Bench) -> None:
    lane = bench.lanes._lanes["North"]
    lane._queue.ask(Fetch(1, row("1.1"), prefetch=True))
    job = lane._queue.start()
    assert job is not None
    lane._queue.ask(Fetch(2, row("1.2")))
    report = lane._run(job)
    assert report.state is FetchState.FAILED
    assert bench.north.sent == []
    assert list(AuditTrail(bench.session.trail.path).records()) == []
    bench.north.open()
    lane._end(job, report, "")
    until(lambda: bench.is_over(1, 2))
    assert [bench.report(number).state for number in (1, 2)] == [FetchState.COMPLETE] * 2


def test_no_hospital_waits_for_another(bench: Bench) -> None:
    bench.ask(1, "1.1")
    until(bench.north.waiting.is_set)
    bench.south.open()
    bench.ask(2, "1.2", "South")
    until(lambda: bench.is_over(2))
    assert not bench.is_over(1)


def test_a_prefetch_ends_at_the_size_that_the_hospital_allows_and_says_so(bench: Bench) -> None:
    bench.north.images = 60
    bench.ask(1, "1.1", prefetch=True)
    # What came counts when it is durable, which one group of images is not yet.
    while not bench.is_over(1):
        seen = len(bench.north.sent)
        bench.north.let(1)
        until(lambda seen=seen: len(bench.north.sent) > seen or bench.is_over(1))
    report = bench.report(1)
    assert report.state is FetchState.PARTIAL
    assert 3 <= report.received <= 3 + 2 * GROUP_INSTANCES
    assert report.message.endswith("the rest comes when somebody opens it.")


def test_each_transfer_is_on_record_with_its_own_reason(bench: Bench) -> None:
    bench.ask(1, "1.1", prefetch=True)
    bench.north.let(1)
    until(lambda: bench.images(1) == 1)
    bench.ask(2, "1.2")
    bench.north.let(7)
    until(lambda: bench.is_over(2))
    bench.north.open()
    until(lambda: bench.is_over(1))
    records = [(one["study"], one["reason"]) for one in AuditTrail(bench.session.trail.path).records()]
    ahead = ("1.1", "prefetch of a suggested prior")
    assert records == [ahead, ("1.2", "trauma"), ahead]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_mistake_of_the_program_is_told_and_costs_only_its_own_study(bench: Bench) -> None:
    bench.north.bugs = ("1.1",)
    bench.north.open()
    bench.ask(1, "1.1")
    until(lambda: bench.is_over(1))
    assert bench.of(1)[-1] == RequestFailed(1, BUG)
    bench.ask(2, "1.2")
    until(lambda: bench.is_over(2))
    assert bench.report(2).state is FetchState.COMPLETE


@pytest.mark.parametrize("hospital", ["Elsewhere", "Silent"])
def test_whoever_cannot_be_fetched_from_is_named(bench: Bench, hospital: str) -> None:
    bench.ask(1, "1.1", hospital)
    assert bench.of(1) == [RequestFailed(1, f"{hospital} is not a hospital that can be fetched from.")]


def test_the_cache_learns_of_each_study_of_which_a_run_has_ended(bench: Bench) -> None:
    bench.north.open()
    bench.ask(1, "1.1")
    until(lambda: bench.is_over(1))
    assert bench.arrived == ["1.1"]


def test_what_somebody_looks_at_is_told_to_the_retrieval_at_once_or_when_its_turn_comes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    preferred: list[tuple[str, str, str]] = []

    class Steered(StudyFetch):
        def prefer(self, series_uid: str, sop_uid: str) -> None:
            preferred.append((self._study.study_uid, series_uid, sop_uid))

    monkeypatch.setattr(fetch_lanes, "StudyFetch", Steered)
    bench.ask(1, "1.1")
    until(bench.north.waiting.is_set)
    bench.ask(2, "1.2", prefetch=True)
    bench.lanes.prefer(Prefer(8, "1.1", "1.1.4", "1.1.4.1"))
    bench.lanes.prefer(Prefer(9, "1.2", "1.2.3", "1.2.3.1"))
    bench.lanes.prefer(Prefer(10, "1.3", "1.3.3", "1.3.3.1"))
    assert preferred == [("1.1", "1.1.4", "1.1.4.1")]
    bench.north.open()
    until(lambda: bench.is_over(1, 2))
    assert preferred[1:] == [("1.2", "1.2.3", "1.2.3.1")]
