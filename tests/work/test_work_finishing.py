"""Instances that are finished on another thread: all before the end, none after one that failed."""

import threading

import pytest

from priorline.archives.incoming import Announced, Growing, Incoming, put
from priorline.errors import ArchiveBroken, CacheDamaged, CacheFull
from priorline.work.finishing import WAITING_MAX, Finishing


class Noting:
    """A receiver that notes how each instance ended; the one called `fails` cannot be finished."""

    def __init__(self, fails: str = "", until: threading.Event | None = None, *, drops: bool = True) -> None:
        self.ends: list[str] = []
        self.fails, self.until, self.drops = fails, until, drops

    def __call__(self, announced: Announced) -> Incoming:
        return One(announced.sop_instance_uid, self)


class One(Growing):
    def __init__(self, name: str, noting: Noting) -> None:
        super().__init__()
        self._name, self._noting = name, noting

    def finish(self) -> None:
        if self._noting.until is not None:
            assert self._noting.until.wait(30)
        self._noting.ends.append(f"{self._name} {bytes(self.view()).decode()}")
        if self._name == self._noting.fails:
            raise CacheFull("no room")

    def drop(self) -> None:
        self._noting.ends.append(f"{self._name} dropped")
        if not self._noting.drops:
            raise CacheDamaged("not there")


def bring(finishing: Finishing, name: str) -> None:
    incoming = finishing(Announced("1.2", name, "1.3"))
    put(incoming, b"whole")
    incoming.finish()


def test_all_are_finished_in_turn() -> None:
    noting = Noting()
    with Finishing(noting) as finishing:
        for name in "abcdef":
            bring(finishing, name)
    assert noting.ends == [f"{name} whole" for name in "abcdef"]


def test_the_next_one_comes_meanwhile() -> None:
    noting = Noting(until=threading.Event())
    with Finishing(noting) as finishing:
        for name in "abcdef"[:WAITING_MAX]:
            bring(finishing, name)
        assert noting.ends == []
        assert noting.until is not None
        noting.until.set()
    assert len(noting.ends) == WAITING_MAX


def stream(receiver: Noting, names: str, problem: ArchiveBroken | None = None) -> None:
    with Finishing(receiver) as finishing:
        for name in names:
            bring(finishing, name)
        if problem is not None:
            raise problem


def test_none_is_finished_after_one_that_failed() -> None:
    noting = Noting("b")
    with pytest.raises(CacheFull):
        stream(noting, "abcdefgh")
    assert noting.ends[:2] == ["a whole", "b whole"]
    assert all(end.endswith("dropped") for end in noting.ends[2:])


def test_what_fails_is_raised_once_and_what_comes_after_it_is_dropped() -> None:
    noting = Noting("a")
    with Finishing(noting) as finishing:
        raised = []
        for name in "abcdef":
            try:
                bring(finishing, name)
            except CacheFull:
                raised.append(name)
    assert len(raised) == 1
    assert noting.ends == ["a whole", *(f"{name} dropped" for name in "bcdef")]


def test_one_that_cannot_even_be_dropped_keeps_nobody_waiting() -> None:
    noting = Noting("a", drops=False)
    with pytest.raises(CacheFull):
        stream(noting, "abcdefgh")
    assert noting.ends[:2] == ["a whole", "b dropped"]


def test_that_counts_before_what_ended_the_stream() -> None:
    with pytest.raises(CacheFull):
        stream(Noting("a"), "a", ArchiveBroken("The stream broke off."))
