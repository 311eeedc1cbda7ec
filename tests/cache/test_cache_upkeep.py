"""Cleaning, verifying and exporting."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file

from priorline.cache import cleanup
from priorline.cache.export import export
from priorline.cache.keys import MasterKey
from priorline.cache.model import AddOutcome
from priorline.cache.store import Store
from priorline.cache.verify import verify
from priorline.domain.patient import Identifier, Patient
from priorline.domain.retention import Limits
from priorline.domain.study import StudyAnswer
from priorline.errors import CacheDamaged, CacheError, UsageError

KEY = MasterKey(b"k" * 32, "file")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now.timestamp()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=[KEY, None], ids=["encrypted", "plain"])
def store(tmp_path: Path, clock: Clock, request: pytest.FixtureRequest) -> Iterator[Store]:
    with Store.open(tmp_path / "cache", request.param, clock) as opened:
        yield opened


def fill(store: Store, clock: Clock, uid: str, age: timedelta, images: int = 2) -> None:
    clock.now = NOW - age
    study = StudyAnswer("A", uid, Patient(Identifier("1")))
    store.begin_fetch(study, images)
    for number in range(images):
        assert store.add(study, f"{uid}.{number}", uid, b"", bytes(1000)).outcome is AddOutcome.STORED
    assert store.finish_fetch(uid, complete=True)
    clock.now = NOW


def uids(pairs: tuple[tuple[object, str], ...]) -> dict[str, str]:
    return {study.study_uid: reason for study, reason in pairs}  # type: ignore[attr-defined]


def test_the_plan_and_the_run_are_the_same(store: Store, clock: Clock) -> None:
    for days in (0, 10, 20, 40, 50, 60, 70):
        fill(store, clock, f"1.{days}", timedelta(days=days))
    store.pin("1.40", "teaching")
    assert store.leases.take("1.50")
    clock.now = NOW
    store.touch_viewed("1.70")
    limits = Limits(max_age=timedelta(days=30), max_size=8000)
    planned = cleanup.plan(store, limits, NOW)
    assert uids(planned.removed) == {
        "1.60": "older than 30 d",
        "1.20": "the cache is larger than 8 kB",
        "1.10": "the cache is larger than 8 kB",
    }
    assert uids(planned.kept) == {
        "1.0": "fetched within the last 1 h",
        "1.40": "pinned: teaching",
        "1.50": "open in a window",
        "1.70": "within the limits",
    }
    assert len(store.studies()) == 7
    report = cleanup.run(store, planned)
    assert (report.removed, report.kept) == (planned.removed, planned.kept)
    assert report.freed_bytes == planned.freed_bytes == 6000
    assert {study.study_uid for study in store.studies()} == set(uids(planned.kept))
    assert verify(store).is_sound
    assert cleanup.plan(store, limits, NOW).removed == ()


def test_a_study_that_is_opened_after_the_plan_is_kept(tmp_path: Path, store: Store, clock: Clock) -> None:
    fill(store, clock, "1.1", timedelta(days=40))
    planned = cleanup.plan(store, Limits(max_age=timedelta(days=30)), NOW)
    other = Store.open(tmp_path / "cache", KEY if store.vault.encrypted else None, clock)
    assert other.leases.take("1.1")
    report = cleanup.run(store, planned)
    assert (report.removed, uids(report.kept)) == ((), {"1.1": "open in a window"})
    other.close()
    assert uids(cleanup.run(store, planned).removed) == {"1.1": "older than 30 d"}


def test_a_lease_ends_when_it_is_released(store: Store, clock: Clock) -> None:
    fill(store, clock, "1.1", timedelta())
    assert store.leases.take("1.1")
    assert store.leases.take("1.1")
    assert store.leases.open_studies() == {"1.1"}
    store.leases.release("1.1")
    assert store.leases.open_studies() == set()
    assert not store.leases.take("1.9")


def test_a_clock_that_was_wrong_makes_no_study_immortal(store: Store, clock: Clock) -> None:
    fill(store, clock, "1.1", timedelta(days=-3650))
    limits = Limits(max_age=timedelta(days=30))
    cleanup.run(store, cleanup.plan(store, limits, NOW))
    assert [study.viewed_at for study in store.studies()] == [NOW]
    assert uids(cleanup.plan(store, limits, NOW + timedelta(days=31)).removed) == {"1.1": "older than 30 d"}


def test_a_sound_cache_is_called_sound(store: Store, clock: Clock) -> None:
    fill(store, clock, "1.1", timedelta(), images=3)
    report = verify(store)
    assert report.is_sound
    assert report.checked == 3


def test_every_kind_of_fault_is_found_and_repaired(store: Store, clock: Clock) -> None:
    fill(store, clock, "1.1", timedelta(), images=4)
    flipped, missing, cut, good = store.instances("1.1")
    content = bytearray(Path(flipped.path).read_bytes())
    content[-1] ^= 1
    Path(flipped.path).write_bytes(content)
    Path(missing.path).unlink()
    Path(cut.path).write_bytes(Path(cut.path).read_bytes()[:-5])
    unknown = Path(good.path).with_name("f" * 32 + ".obj")
    unknown.write_bytes(b"?")
    name = str(unknown.relative_to(store.files.root))
    report = verify(store)
    assert set(report.damaged) == {flipped.handle, cut.handle}
    assert (report.missing, report.unknown_files, report.repaired) == ((missing.handle,), (name,), ())
    repaired = verify(store, repair=True)
    assert set(repaired.repaired) == {flipped.handle, cut.handle, missing.handle, name}
    assert verify(store).is_sound
    assert store.sop_uids("1.1") == {good.sop_uid}
    assert not store.presence(["1.1"])["1.1"].complete
    study = store.studies()[0].answer
    assert store.add(study, flipped.sop_uid, "1.1", b"", bytes(1000)).outcome is AddOutcome.STORED


def test_a_replayed_older_object_is_found(store: Store, clock: Clock) -> None:
    fill(store, clock, "1.1", timedelta())
    first, second = store.instances("1.1")
    Path(first.path).write_bytes(Path(second.path).read_bytes())
    assert verify(store).damaged == (first.handle,)


def test_a_digest_that_does_not_fit_is_damage(store: Store, clock: Clock) -> None:
    fill(store, clock, "1.1", timedelta(), images=1)
    with store.index.transaction() as db:
        db.execute("UPDATE instance SET digest = zeroblob(32)")
    assert verify(store).damaged == (store.instances("1.1")[0].handle,)


def test_the_key_of_another_study_is_damage(tmp_path: Path, clock: Clock) -> None:
    with Store.open(tmp_path / "sealed", KEY, clock) as store:
        for uid in ("1.1", "1.2"):
            fill(store, clock, uid, timedelta())
        with store.index.transaction() as db:
            db.execute("UPDATE study SET wrapped_key = (SELECT max(wrapped_key) FROM study)")
        faults = [uid for uid in ("1.1", "1.2") if not readable(store, uid)]
        assert len(faults) == 1


def readable(store: Store, uid: str) -> bool:
    try:
        return bool(store.instances(uid))
    except CacheDamaged:
        return False


def test_a_planted_link_is_told_and_left_alone(store: Store, clock: Clock, tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("keep")
    fill(store, clock, "1.1", timedelta())
    path = Path(store.instances("1.1")[0].path)
    path.with_name("planted").symlink_to(outside)
    report = verify(store, repair=True)
    assert report.unknown_files == (str(path.with_name("planted").relative_to(store.files.root)),)
    assert outside.read_text() == "keep"


def test_export_writes_what_came_under_numbers(store: Store, tmp_path: Path) -> None:
    files = [Path(str(get_testdata_file(name))) for name in ("CT_small.dcm", "MR_small.dcm")]
    study = StudyAnswer("A", "1.1", Patient(Identifier("1")))
    for number, file in enumerate(files):
        store.add(study, f"1.1.{number}", "1.1", b"", file.read_bytes())
    store.add(study, "1.1.9", "1.1", b"", b"not to be shown", quarantine="another person")
    store.commit()
    target = tmp_path / "out" / "study"
    assert export(store, "1.1", target) == 2
    written = sorted(target.iterdir())
    assert [path.name for path in written] == ["IM000001.dcm", "IM000002.dcm"]
    assert [path.read_bytes() for path in written] == [file.read_bytes() for file in files]
    assert pydicom.dcmread(io.BytesIO(written[0].read_bytes())).Modality == "CT"


def test_export_never_writes_into_a_full_directory(store: Store, clock: Clock, tmp_path: Path) -> None:
    fill(store, clock, "1.1", timedelta())
    target = tmp_path / "out"
    target.mkdir()
    (target / "mine.txt").write_text("mine")
    with pytest.raises(UsageError):
        export(store, "1.1", target)
    assert [path.name for path in target.iterdir()] == ["mine.txt"]
    with pytest.raises(CacheError, match="fetch it first"):
        export(store, "1.9", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_export_tells_what_it_had_to_leave_out(store: Store, clock: Clock, tmp_path: Path) -> None:
    fill(store, clock, "1.1", timedelta(), images=3)
    Path(store.instances("1.1")[1].path).write_bytes(b"spoilt")
    with pytest.raises(CacheDamaged, match="1 of 3"):
        export(store, "1.1", tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == 2
