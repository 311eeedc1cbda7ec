"""Cleaning: what goes, what is spared, and why."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from cache_tools import KEY, Clock, fill, handles, uids
from priorline.cache import cleanup
from priorline.cache.files import CacheFiles
from priorline.cache.inventory import Inventory
from priorline.cache.model import Holding
from priorline.cache.owners import touched_studies
from priorline.cache.store import Store
from priorline.cache.verify import verify
from priorline.domain.retention import Limits
from priorline.errors import AuditError


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


def test_the_key_goes_before_the_rest(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after the first step, what is left is noise; the next opening takes it away."""
    fill(store, "1.1", timedelta(days=40))
    (handle,) = handles(store)
    objects = list(store.files.objects_of(handle))

    def dies(_files: CacheFiles, _study: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(CacheFiles, "remove_rest", dies)
        with pytest.raises(KeyboardInterrupt):
            store.remove("1.1")
    assert not store.files.study_path(handle).exists()
    assert list(store.files.objects_of(handle)) == objects
    assert store.studies() == []
    assert touched_studies(store.inventory.owner.directory) == [handle]


def test_without_the_right_to_read_it_is_counted_listed_cleaned_and_purged(tmp_path: Path) -> None:
    root = tmp_path / "cache"
    with Store.open(root, KEY, Clock()) as store:
        for days in (0, 40, 50):
            fill(store, f"1.{days}", timedelta(days=days))
        store.pin("1.50", "teaching")
        expected, names, held = store.stats(), handles(store), [study.held for study in store.studies()]
    with Inventory.open(root, Clock()) as inventory:
        assert inventory.stats() == expected
        assert inventory.latest() == held
        assert inventory.latest(1) == held[:1]
        planned = cleanup.plan(inventory, Limits(max_age=timedelta(days=30)))
        assert {names[study.handle] for study, _reason in cleanup.run(inventory, planned).removed} == {"1.40"}
        assert len(inventory.remove(inventory.everything())) == 2
        assert inventory.stats().studies == inventory.bytes() == 0
    with Store.open(root, KEY, Clock()) as store:
        assert verify(store).is_sound
        assert list(store.files.objects.iterdir()) == []


def test_two_cleanings_at_once_share_the_work(tmp_path: Path) -> None:
    root = tmp_path / "cache"
    with Store.open(root, KEY, Clock()) as store:
        for number in range(40):
            fill(store, f"1.{number}", timedelta(days=40), images=1)
        reader = store.instances("1.7")[0]
        assert store.take_lease("1.7")
        removed: list[list[str]] = []

        def clean() -> None:
            with Inventory.open(root, Clock()) as inventory:
                planned = cleanup.plan(inventory, Limits(max_age=timedelta(days=30)))
                done = cleanup.run(inventory, planned)
                removed.append([study.handle for study, _reason in done.removed])

        threads = [threading.Thread(target=clean) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        together = [handle for one in removed for handle in one]
        assert len(together) == len(set(together)) == 39
        assert store.read(reader) == bytes(1000)
        assert [study.study_uid for study in store.studies()] == ["1.7"]


def test_a_receipt_that_cannot_be_written_stops_the_removal(store: Store) -> None:
    fill(store, "1.1", timedelta(days=40))
    planned = cleanup.plan(store.inventory, Limits(max_age=timedelta(days=30)))

    def refuse(_study: Holding, _reason: str) -> None:
        raise AuditError("The audit trail cannot be written.")

    with pytest.raises(AuditError):
        cleanup.run(store.inventory, planned, refuse)
    assert verify(store).is_sound
    assert len(store.instances("1.1")) == 2
