"""The objects are the truth, not the index: lost, old or damaged, it is made anew and attributes nothing wrongly."""

import os
import shutil
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from cache_tools import KEY, fill, flip
from priorline.cache.files import drop_index
from priorline.cache.inventory import Inventory
from priorline.cache.keys import MasterKey
from priorline.cache.model import Presence, StoredStudy
from priorline.cache.store import Store
from priorline.cache.verify import verify
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import StudyAnswer
from priorline.errors import CacheDamaged, CacheError

PEOPLE = 12
IMAGES = 15


@pytest.fixture(params=[KEY, None], ids=["encrypted", "plain"])
def key(request: pytest.FixtureRequest) -> MasterKey | None:
    value: MasterKey | None = request.param
    return value


@pytest.fixture
def root(tmp_path: Path, key: MasterKey | None) -> Path:
    """A cache with studies of several people, some partial, pinned or with something set apart."""
    with Store.open(tmp_path / "cache", key) as store:
        for number in range(PEOPLE):
            fill_person(store, number)
        store.pin("1.2.3", "teaching")
    return tmp_path / "cache"


def fill_person(store: Store, number: int) -> None:
    study = StudyAnswer(
        f"Hospital {number % 3}", f"1.2.{number}", Patient(Identifier(f"N{number}", "I"), f"P^{number}")
    )
    store.begin_fetch(study, IMAGES)
    for image in range(IMAGES - (number % 4 == 1)):
        uid = f"1.2.{number}.{image}"
        store.add(study, uid, f"1.2.{number}.s{image % 3}", uid.encode(), uid.encode() * 50)
    if number % 4 == 2:
        store.add(study, f"1.2.{number}.99", f"1.2.{number}.s0", b"", b"somebody else", quarantine="another person")
    store.finish_fetch(study.study_uid, complete=True)


def facts(store: Store) -> dict[str, object]:
    """All that the cache tells, but for the time of the last view."""
    studies = {study.study_uid: told(study) for study in store.studies()}
    images = {
        uid: {
            (one.handle, one.sop_uid, one.series_uid, store.header(one), store.read(one))
            for one in store.instances(uid)
        }
        for uid in studies
    }
    presence = store.presence(studies)
    stats = store.stats()
    return {"studies": studies, "images": images, "presence": presence, "stats": stats}


def told(study: StoredStudy) -> tuple[object, ...]:
    held = study.held
    counts = (held.instances, held.quarantined, held.bytes, held.expected, held.complete, held.hospital)
    return (held.handle, study.answer, study.pin_reason, held.pinned, held.fetched_at, *counts)


def test_a_lost_index_is_made_anew_and_tells_the_same(root: Path, key: MasterKey | None) -> None:
    with Store.open(root, key) as store:
        before = facts(store)
    drop_index(root)
    with Store.open(root, key) as store:
        assert facts(store) == before
        assert verify(store).is_sound
        for sop_uid in ("1.2.5.3", "1.2.5.99"):
            assert {one.study_uid for one in store.instances("1.2.5") if one.sop_uid == sop_uid} <= {"1.2.5"}


def test_who_cannot_read_does_not_make_it_anew(root: Path) -> None:
    drop_index(root)
    with pytest.raises(CacheError, match="verify --repair"):
        Inventory.open(root)
    assert (root / "objects").is_dir()


def test_another_key_neither_makes_it_anew_nor_removes_anything(root: Path, key: MasterKey | None) -> None:
    drop_index(root)
    before = sorted(path for path in root.rglob("*.obj"))
    with pytest.raises(CacheError, match=r"another key|not encrypted"):
        Store.open(root, MasterKey(b"x" * 32, "file"))
    assert sorted(path for path in root.rglob("*.obj")) == before
    with Store.open(root, key) as store:
        assert store.stats().studies == PEOPLE


def test_an_older_index_never_shows_what_is_gone(root: Path, key: MasterKey | None) -> None:
    old = root.with_name("old.sqlite")
    shutil.copy(root / "index.sqlite", old)
    with Store.open(root, key) as store:
        store.remove("1.2.4")
        gone = store.instances("1.2.8")[0]
        store.discard("1.2.8", [gone.handle])
        fill_person(store, PEOPLE)
        fill_person(store, 4)
        after = facts(store)
    shutil.copy(old, root / "index.sqlite")
    with Store.open(root, key) as store:
        assert store.presence(["1.2.4"]) == {"1.2.4": Presence()}
        assert store.instances("1.2.4") == []
        with pytest.raises(CacheDamaged):
            store.read(gone)
        assert not store.presence(["1.2.8"])["1.2.8"].complete
        report = verify(store)
        assert report.missing
        assert len(report.unknown_files) == 2
        verify(store, repair=True)
        assert verify(store).is_sound
        assert facts(store) == after


def test_a_damaged_index_is_told_dropped_and_made_anew(root: Path, key: MasterKey | None) -> None:
    with Store.open(root, key) as store:
        before = facts(store)
    (root / "index.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(CacheDamaged, match="verify --repair"):
        Store.open(root, key)
    drop_index(root)
    with Store.open(root, key) as store:
        assert facts(store) == before


def test_an_index_in_use_is_not_dropped(root: Path, key: MasterKey | None) -> None:
    with Store.open(root, key), pytest.raises(CacheError, match="in use"):
        drop_index(root)


def test_damage_is_left_out_and_fetched_again(root: Path, key: MasterKey | None) -> None:
    with Store.open(root, key) as store:
        head, other, missing = store.instances("1.2.0")[:3]
        lost_key = store.files.study_path(store.named("1.2.7")[0].held.handle)
    flip(Path(head.path), Path(head.path).stat().st_size - 30)
    Path(missing.path).unlink()
    flip(lost_key, 70)
    drop_index(root)
    with Store.open(root, key) as store:
        assert store.presence(["1.2.0", "1.2.7"]) == {
            "1.2.0": Presence(IMAGES - 2, False, IMAGES),
            "1.2.7": Presence(),
        }
        assert other.handle in {one.handle for one in store.instances("1.2.0")}
        assert not lost_key.parent.exists()
        fill_person(store, 0)
        fill_person(store, 7)
        assert store.presence(["1.2.0"])["1.2.0"].complete
        assert all(store.read(one) for one in store.instances("1.2.7"))


def test_objects_moved_between_studies_are_nobodys(root: Path, key: MasterKey | None) -> None:
    with Store.open(root, key) as store:
        one, two = (Path(store.instances(uid)[0].path) for uid in ("1.2.0", "1.2.4"))
    aside = one.with_suffix(".aside")
    one.rename(aside)
    two.rename(one.with_name(two.name))
    aside.rename(two.with_name(one.name))
    drop_index(root)
    with Store.open(root, key) as store:
        for uid in ("1.2.0", "1.2.4"):
            assert store.presence([uid])[uid] == Presence(IMAGES - 1, False, IMAGES)
            assert {one.sop_uid.rsplit(".", 1)[0] for one in store.instances(uid)} == {uid}


def test_the_first_of_two_with_one_number_stays_the_one_that_is_shown(tmp_path: Path, key: MasterKey | None) -> None:
    study = StudyAnswer("A", "1.2", Patient(Identifier("1")))
    with Store.open(tmp_path / "c", key) as one, Store.open(tmp_path / "c", key) as two:
        one.add(study, "1.2.3", "1.2.4", b"", b"first")
        two.add(study, "1.2.3", "1.2.4", b"", b"other")
        one.commit()
        two.commit()
        (shown,) = one.instances("1.2")
    os.utime(shown.path, (1, 1))
    drop_index(tmp_path / "c")
    with Store.open(tmp_path / "c", key) as store:
        assert [store.read(instance) for instance in store.instances("1.2")] == [b"first"]
        assert store.stats().quarantined == 1


def test_a_rebuild_that_is_cut_off_begins_again(
    root: Path, key: MasterKey | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(root, key) as store:
        before = facts(store)
    drop_index(root)
    with monkeypatch.context() as patch:
        patch.setattr("priorline.cache.rebuild.read_head", _fails)
        with pytest.raises(CacheError, match="cut off"):
            Store.open(root, key)
    with sqlite3.connect(root / "index.sqlite") as db:
        assert db.execute("PRAGMA user_version").fetchone() == (0,)
    db.close()
    with Store.open(root, key) as store:
        assert facts(store) == before


def _fails(*_values: object) -> bytes:
    raise OSError(5, "cut off")


def test_a_study_is_no_younger_and_no_older_after_a_rebuild(tmp_path: Path) -> None:
    with Store.open(tmp_path / "c", KEY) as store:
        fill(store, "1.1", timedelta(days=3))
        fetched = store.studies()[0].held.fetched_at
    drop_index(tmp_path / "c")
    with Store.open(tmp_path / "c", KEY) as store:
        held = store.studies()[0].held
        assert held.fetched_at - fetched == timedelta(
            days=3
        )  # the file says when, the row was made older by the test
        assert held.viewed_at >= held.fetched_at
