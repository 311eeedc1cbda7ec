"""Beside a stream: a sample and what is looked at come by name, and nothing of it outlives the stream."""

import threading
from collections.abc import Callable, Iterable

import pytest

from priorline.domain.fetch_order import BATCH_LEAST, SAMPLE, Batch, FetchOrder
from priorline.errors import ArchiveBroken, CacheFull
from priorline.work import companion as module
from priorline.work.companion import Companion

LISTED = {name: [f"{name}.{number}" for number in range(100)] for name in ("a", "b")}
SECONDS = 10.0


class Beside:
    """A companion in a thread of its own; what it asks for comes at once, and `stops_at` so many it waits."""

    def __init__(self, stops_at: int, came: Iterable[str] = ()) -> None:
        self.came = set(came)
        self.asked: list[Batch] = []
        self.companion = Companion(self.came)
        self.order = FetchOrder(LISTED, ())
        self._stops_at, self._stopped = stops_at, threading.Event()
        self._thread = threading.Thread(target=lambda: self.companion.run(self.order, self._ask))
        self._thread.start()

    def _ask(self, next_batch: Callable[[], Batch | None]) -> None:
        while (batch := next_batch()) is not None:
            self.asked.append(batch)
            self.came.update(batch.sop_uids)
            if len(self.asked) == self._stops_at:
                self._stopped.set()

    def wait(self) -> None:
        assert self._stopped.wait(SECONDS)

    def wait_for(self, count: int) -> None:
        self._stopped.clear()
        self._stops_at = count

    def end(self) -> None:
        self.companion.end()
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.01)


def test_a_sample_of_each_series_and_then_what_is_looked_at() -> None:
    beside = Beside(stops_at=2)
    beside.wait()
    assert [batch.sop_uids for batch in beside.asked] == [(f"{one}.0", f"{one}.50", f"{one}.99") for one in "ab"]
    beside.wait_for(3)
    beside.order.prefer("b", "b.70")
    beside.companion.wake()
    beside.wait()
    looked_at = beside.asked[2]
    assert looked_at.sop_uids[0] == "b.70"
    assert (looked_at.series_uid, len(looked_at.sop_uids)) == ("b", BATCH_LEAST)
    beside.end()
    assert len(beside.asked) == 3


def test_what_came_with_the_stream_is_not_asked_for() -> None:
    beside = Beside(stops_at=1, came=LISTED["a"])
    beside.wait()
    beside.end()
    assert [batch.series_uid for batch in beside.asked] == ["b"]
    assert len(beside.asked[0].sop_uids) == SAMPLE


def test_a_stream_that_has_ended_is_not_accompanied() -> None:
    companion = Companion(set())
    companion.end()
    companion.run(FetchOrder(LISTED, ()), lambda _next: pytest.fail("asked"))


def test_what_the_hospital_refuses_is_left_to_the_stream_and_a_full_disk_is_not() -> None:
    def refusing(_next: object) -> None:
        raise ArchiveBroken("no")

    def full(_next: object) -> None:
        raise CacheFull("full")

    companion = Companion(set())
    companion.run(FetchOrder(LISTED, ()), refusing)
    assert not companion.has_failed
    with pytest.raises(CacheFull):
        companion.run(FetchOrder(LISTED, ()), full)
    assert companion.has_failed
