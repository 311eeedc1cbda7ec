"""Damage of every kind is noticed on reading, never passed on, and mended by a fetch."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from cache_tools import KEY, fill, flip
from priorline.cache import disk
from priorline.cache.files import erase
from priorline.cache.keys import MasterKey
from priorline.cache.store import Store
from priorline.cache.verify import verify
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import StudyAnswer
from priorline.errors import CacheDamaged, CacheError

SCALE = int(os.environ.get("PRIORLINE_FAULT_SCALE", "1"))
OBJECTS = 60 * SCALE


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "cache", KEY) as opened:
        yield opened


def add_many(store: Store, uid: str) -> StudyAnswer:
    study = StudyAnswer("A", uid, Patient(Identifier(uid)))
    store.begin_fetch(study, OBJECTS)
    for number in range(OBJECTS):
        store.add(study, f"{uid}.{number}", uid, b"header", b"%d %s" % (number, uid.encode()) * 20)
    store.finish_fetch(uid, complete=True)
    return study


def test_one_flipped_bit_in_any_object_is_noticed_and_fetched_again(store: Store) -> None:
    chance = random.Random(3)
    study = add_many(store, "1.1")
    instances = store.instances("1.1")
    for instance in instances:
        path = Path(instance.path)
        flip(path, chance.randrange(path.stat().st_size), 1 << chance.randrange(8))
    assert set(verify(store).damaged) == {instance.handle for instance in instances}
    for instance in instances:
        with pytest.raises(CacheDamaged):
            store.read(instance)
    assert store.presence(["1.1"])["1.1"].images == 0
    assert not store.presence(["1.1"])["1.1"].complete
    add_many(store, study.study_uid)
    assert all(store.read(instance) for instance in store.instances("1.1"))
    assert store.presence(["1.1"])["1.1"].complete
    assert verify(store).is_sound


def test_no_object_passes_for_one_of_another_patient(store: Store) -> None:
    for uid in ("1.1", "1.2"):
        add_many(store, uid)
    for one, two in zip(store.instances("1.1"), store.instances("1.2"), strict=True):
        first, second = Path(one.path), Path(two.path)
        content = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(content)
    for uid in ("1.1", "1.2"):
        for instance in store.instances(uid):
            with pytest.raises(CacheDamaged):
                store.read(instance)
    assert [len(store.instances(uid)) for uid in ("1.1", "1.2")] == [0, 0]


def test_a_reader_that_found_damage_says_so(store: Store) -> None:
    fill(store, "1.1", images=3)
    damaged = store.instances("1.1")[1]
    assert store.discard("1.1", [damaged.handle]) == 1
    assert store.discard("1.1", [damaged.handle, "0" * 32]) == 0
    assert store.discard("1.9", [damaged.handle]) == 0
    presence = store.presence(["1.1"])["1.1"]
    assert (presence.images, presence.complete, presence.expected) == (2, False, 3)
    assert not Path(damaged.path).exists()


CANARIES = (b"CANARY-ID", b"CANARYNAME", b"1.2.840.99", b"CANARYHEADER")


def test_what_was_purged_left_nothing_to_read_and_no_key(tmp_path: Path, store: Store) -> None:
    study = StudyAnswer("A", "1.2.840.99.1", Patient(Identifier("CANARY-ID"), "CANARYNAME"))
    store.begin_fetch(study, 3)
    for number in range(3):
        store.add(study, f"1.2.840.99.1.{number}", "1.2.840.99.1.0", b"CANARYHEADER", b"CANARYNAME" * 500)
    store.finish_fetch(study.study_uid, complete=True)
    held = store.studies()[0].held
    wrapped = store.files.study_path(held.handle).read_bytes()[:60]
    codes = [store.catalogue.code("study", study.study_uid), bytes.fromhex(held.handle)]
    store.remove(study.study_uid)
    left = b"".join(path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert len(left) > 1000
    assert [mark for mark in (*CANARIES, wrapped, *codes) if mark in left] == []


class Sharing(PermissionError):
    """What Windows answers while another program holds a file."""

    winerror = 32


def test_a_file_that_another_program_holds_for_a_moment_is_waited_for(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, refused = disk._rename, [0]

    def rename(source: Path, target: Path | str) -> None:
        refused[0] += 1
        if refused[0] % 3:
            raise Sharing(13, "The process cannot access the file")
        real(source, target)

    monkeypatch.setattr(disk, "_rename", rename)
    monkeypatch.setattr(disk, "_PAUSE", 0.001)
    fill(store, "1.1", images=3)
    assert len(store.instances("1.1")) == 3
    assert refused[0] >= 9


def test_a_file_that_is_held_for_ever_is_told_and_removed_later(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, "1.1", images=2)
    (handle,) = (study.held.handle for study in store.studies())
    real = Path.unlink

    def unlink(self: Path, missing_ok: bool = False) -> None:
        if self.suffix == ".obj":
            raise Sharing(13, "The process cannot access the file")
        real(self, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", unlink)
        patch.setattr(disk, "PATIENCE", 0.01)
        with pytest.raises(CacheError):
            store.remove("1.1")
    assert store.studies() == []
    assert not store.files.study_path(handle).exists()
    with store.index.transaction() as db:
        store.rebuilder.all(db)
    assert store.files.studies() == []


def test_a_cache_of_another_version_is_refused_until_it_is_purged(tmp_path: Path) -> None:
    root = tmp_path / "old"
    (root / "objects" / "ab").mkdir(parents=True)
    (root / "objects" / "ab" / ("0" * 32 + ".obj")).write_bytes(b"PLOB\x01")
    (root / ".priorline-cache").write_text(
        "A cache of Priorline, version 1. It may be purged, it must not be edited.\n"
    )
    with pytest.raises(CacheError, match="another version"):
        Store.open(root, KEY)
    assert list(root.rglob("*.obj"))
    erase(root)
    with Store.open(root, MasterKey(b"n" * 32, "file")) as store:
        fill(store, "1.1")
    assert len(list(root.rglob("*.obj"))) == 2
