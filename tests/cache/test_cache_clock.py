"""A clock that jumps neither empties the cache nor makes it immortal."""

from datetime import timedelta
from pathlib import Path

import pytest

from cache_tools import KEY, NOW, Clock, fill, handles
from priorline.cache import cleanup
from priorline.cache.clock import UNBELIEVABLE, Moment, elapsed, look
from priorline.cache.store import Store
from priorline.domain.retention import Limits

DAY = timedelta(days=1)
LIMITS = Limits(max_age=30 * DAY)
JUMPS = [3650 * DAY, -365 * DAY, -3650 * DAY, timedelta(hours=1), timedelta(hours=-1)]


def clean(root: Path, clock: Clock) -> set[str]:
    """A run of the cleaning as a command makes it; the studies that went."""
    with Store.open(root, KEY, clock) as store:
        names = handles(store)
        store.touch_viewed("1.9")  # somebody looks at something on every day
        done = cleanup.run(store.inventory, cleanup.plan(store.inventory, LIMITS))
        return {names[study.handle] for study, _reason in done.removed}


@pytest.fixture(params=["running", "started anew"])
def clock(request: pytest.FixtureRequest) -> Clock:
    return Clock(boot="one", since_boot=1000.0) if request.param == "running" else Clock()


@pytest.mark.parametrize("jump", JUMPS, ids=str)
def test_nothing_goes_too_early_and_nothing_stays_for_ever(tmp_path: Path, clock: Clock, jump: timedelta) -> None:
    root = tmp_path / "cache"
    with Store.open(root, KEY, clock) as store:
        fill(store, "1.1", 29 * DAY - timedelta(hours=2))
        fill(store, "1.2", timedelta())
        fill(store, "1.9", timedelta())
    clock.now += jump
    assert clean(root, clock) == set()
    with Store.open(root, KEY, clock) as store:
        fill(store, "1.3", timedelta())  # fetched while the clock is wrong
    for _ in range(2):
        clock.run(DAY)
        gone = clean(root, clock)
    assert gone == {"1.1"}
    clock.now -= jump
    assert clean(root, clock) == set()
    for _ in range(27):
        clock.run(DAY)
        assert clean(root, clock) == set()
    gone = set()
    for _ in range(4):
        clock.run(DAY)
        gone |= clean(root, clock)
    assert gone == {"1.2", "1.3"}


def test_a_computer_that_was_switched_off_catches_up_in_one_run(tmp_path: Path) -> None:
    clock = Clock(boot="one", since_boot=1000.0)
    with Store.open(tmp_path / "cache", KEY, clock) as store:
        fill(store, "1.1")
        fill(store, "1.9")
    clock.now, clock.boot, clock.since_boot = NOW + 60 * DAY, "two", 5.0
    with Store.open(tmp_path / "cache", KEY, clock) as store:
        assert len(cleanup.run(store.inventory, cleanup.plan(store.inventory, LIMITS)).removed) == 2


def test_looks_that_follow_closely_do_not_stop_the_watch(tmp_path: Path) -> None:
    clock = Clock()
    with Store.open(tmp_path / "cache", KEY, clock) as store:
        fill(store, "1.1")
        for _ in range(100):
            clock.run(timedelta(milliseconds=300))
            store.touch_viewed("1.1")
        held = store.studies()[0].held
    assert held.viewed_at - held.fetched_at == timedelta(seconds=30)


def test_what_has_passed_is_measured_by_the_best_witness() -> None:
    before = Moment(1000.0, "one", 10.0)
    assert elapsed(before, Moment(9e9, "one", 25.0)) == 15
    assert elapsed(before, Moment(900.0, "one", 25.0)) == 15
    assert elapsed(before, Moment(1060.0, "two", 5.0)) == 60
    assert elapsed(before, Moment(900.0, "two", 5.0)) == 0
    assert elapsed(before, Moment(1000.0 + UNBELIEVABLE + 1, "two", 5.0)) == 0


def test_this_computer_can_be_asked() -> None:
    first, second = look(), look()
    assert 0 <= elapsed(first, second) < 60
    assert second.wall > 1_700_000_000
