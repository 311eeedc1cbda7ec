"""The program keeps its cache within the limits while it writes, and leaves a receipt for each study that goes."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from priorline.audit.trail import AuditTrail
from priorline.cache.clock import Moment
from priorline.cache.keys import MasterKey
from priorline.cache.store import Store
from priorline.domain.patient import Identifier, Patient
from priorline.domain.retention import Limits
from priorline.domain.study import StudyAnswer
from priorline.errors import CacheFull
from priorline.work.upkeep import EVERY, EVERY_IN_NEED, Upkeep

IMAGE = 10_000
CAP = 25 * IMAGE


class Seconds:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Wall(Seconds):
    """The computer's clock, a second later with every look."""

    def look(self) -> Moment:
        self.now += 1
        return Moment(1_770_000_000 + self.now)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "cache", MasterKey(b"k" * 32, "file"), Wall().look) as opened:
        yield opened


@pytest.fixture
def trail(tmp_path: Path) -> AuditTrail:
    return AuditTrail(tmp_path / "audit.jsonl")


def study(number: int) -> StudyAnswer:
    return StudyAnswer("A", f"1.2.{number}", Patient(Identifier(f"N{number}", "I")))


def fetch(store: Store, number: int, images: int = 5) -> None:
    store.begin_fetch(study(number), images)
    for image in range(images):
        store.add(study(number), f"1.2.{number}.{image}", "1.3", b"", bytes(IMAGE))
        on_disk = sum(path.stat().st_size for path in store.files.root.rglob("*.obj"))
        aside = sum(path.stat().st_size for path in store.files.root.rglob("*.part"))
        assert on_disk + aside <= CAP
    assert store.finish_fetch(f"1.2.{number}", complete=True)


def test_three_times_the_cap_never_takes_more_than_the_cap(store: Store, trail: AuditTrail) -> None:
    store.keep_within(Upkeep(store, Limits(max_size=CAP), trail).make_room)
    for number in range(15):
        fetch(store, number)
        store.touch_viewed("1.2.0")
    here = {one.study_uid for one in store.studies()}
    assert {"1.2.0", "1.2.14", "1.2.13"} <= here
    receipts = list(trail.records())
    assert {one["study"] for one in receipts} == {f"1.2.{number}" for number in range(15)} - here
    assert {one["reason"] for one in receipts} == {"the cache is larger than 250 kB"}
    assert all(one["key_destroyed"] and one["bytes"] > 5 * IMAGE and one["issuer"] == "I" for one in receipts)
    assert trail.verify() is None


def test_what_is_open_pinned_or_coming_stays_and_the_rest_is_said(store: Store, trail: AuditTrail) -> None:
    store.keep_within(Upkeep(store, Limits(max_size=CAP), trail).make_room)
    fetch(store, 1)
    fetch(store, 2)
    store.pin("1.2.1", "teaching")
    store.take_lease("1.2.2")
    with pytest.raises(CacheFull, match="at its limit"):
        fetch(store, 3, images=30)
    store.commit()
    assert {one.study_uid for one in store.studies()} == {"1.2.1", "1.2.2", "1.2.3"}
    assert list(trail.records()) == []
    store.release_lease("1.2.2")
    store.add(study(3), "1.2.3.99", "1.3", b"", bytes(IMAGE))
    assert {one.study_uid for one in store.studies()} == {"1.2.1", "1.2.3"}


def test_all_limits_are_looked_at_from_time_to_time(store: Store, trail: AuditTrail) -> None:
    fetch(store, 1)
    with store.index.transaction() as db:
        db.execute("UPDATE study SET viewed_at = viewed_at - 90 * 86400, fetched_at = fetched_at - 90 * 86400")
    seconds = Seconds()
    upkeep = Upkeep(store, Limits(max_age=timedelta(days=30)), trail, seconds)
    upkeep.make_room(0)
    assert store.studies() == []
    fetch(store, 2)
    with store.index.transaction() as db:
        db.execute("UPDATE study SET viewed_at = viewed_at - 90 * 86400, fetched_at = fetched_at - 90 * 86400")
    seconds.now = EVERY - 1
    upkeep.make_room(0)
    assert len(store.studies()) == 1
    seconds.now = EVERY
    upkeep.make_room(0)
    assert store.studies() == []


def test_room_on_the_disk_is_kept_and_never_refused_for(store: Store, trail: AuditTrail) -> None:
    fetch(store, 1)
    fetch(store, 2)
    with store.index.transaction() as db:
        db.execute("UPDATE study SET viewed_at = viewed_at - 86400, fetched_at = fetched_at - 86400")
    seconds = Seconds()
    upkeep = Upkeep(store, Limits(min_free=1 << 62), trail, seconds)
    upkeep.make_room(0)
    assert store.studies() == []
    fetch(store, 3)
    with store.index.transaction() as db:
        db.execute("UPDATE study SET viewed_at = viewed_at - 86400, fetched_at = fetched_at - 86400")
    seconds.now = EVERY_IN_NEED
    upkeep.make_room(0)
    assert store.studies() == []
