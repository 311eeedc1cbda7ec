"""Cleaning: what goes, what is spared, and why."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cache_tools import KEY, Clock, fill, handles, uids

from priorline.cache import cleanup
from priorline.cache.store import Store
from priorline.cache.verify import verify
from priorline.domain.retention import Limits


@pytest.fixture(params=[KEY, None], ids=["encrypted", "plain"])
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Store]:
    with Store.open(tmp_path / "cache", request.param, Clock()) as opened:
        yield opened


def test_the_plan_and_the_run_are_the_same(store: Store) -> None:
    for days in (0, 10, 20, 40, 50, 60, 70):
        fill(store, f"1.{days}", timedelta(days=days))
    store.pin("1.40", "teaching")
    assert store.take_lease("1.50")
    store.touch_viewed("1.70")
    size = store.studies()[0].held.bytes
    limits = Limits(max_age=timedelta(days=30), max_size=4 * size)
    planned, names = cleanup.plan(store.inventory, limits), handles(store)
    larger = f"the cache is larger than {4 * size / 1000:.3g} kB"
    assert uids(store, planned.removed) == {"1.60": "older than 30 d", "1.20": larger, "1.10": larger}
    assert uids(store, planned.kept) == {"1.40": "pinned", "1.50": "open in a window"}
    assert len(store.studies()) == 7
    report = cleanup.run(store.inventory, planned)
    assert (report.removed, report.kept) == (planned.removed, planned.kept)
    assert report.freed_bytes == planned.freed_bytes == 3 * size
    assert set(handles(store).values()) == {"1.0", "1.40", "1.50", "1.70"}
    assert not set(handles(store)) & {study.handle for study, _ in planned.removed}
    assert len(names) == 7
    assert verify(store).is_sound
    assert cleanup.plan(store.inventory, limits).removed == ()


def test_a_study_that_is_opened_after_the_plan_is_kept(tmp_path: Path, store: Store) -> None:
    fill(store, "1.1", timedelta(days=40))
    planned = cleanup.plan(store.inventory, Limits(max_age=timedelta(days=30)))
    other = Store.open(tmp_path / "cache", KEY if store.vault.encrypted else None, Clock())
    assert other.take_lease("1.1")
    report = cleanup.run(store.inventory, planned)
    assert (report.removed, uids(store, report.kept)) == ((), {"1.1": "open in a window"})
    other.close()
    names = handles(store)
    assert uids(store, cleanup.run(store.inventory, planned).removed, names) == {"1.1": "older than 30 d"}
    again = cleanup.run(store.inventory, planned)
    assert (again.removed, again.kept) == ((), ())


def test_a_lease_ends_when_it_is_released(store: Store) -> None:
    fill(store, "1.1")
    (handle,) = handles(store)
    assert store.take_lease("1.1")
    assert store.take_lease("1.1")
    assert store.inventory.leases.open_studies() == {handle}
    store.release_lease("1.1")
    assert store.inventory.leases.open_studies() == set()
    assert not store.take_lease("1.9")
