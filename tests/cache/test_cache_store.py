import errno
import os
import sqlite3
import stat
import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path

import pytest

from priorline.cache.files import erase
from priorline.cache.inventory import Inventory
from priorline.cache.keys import MasterKey
from priorline.cache.model import AddOutcome, Presence, StoredInstance
from priorline.cache.sealed_file import read_object
from priorline.cache.store import Store
from priorline.cache.writer import GROUP_FILES
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import StudyAnswer
from priorline.errors import CacheDamaged, CacheError, CacheFull

KEY = MasterKey(b"k" * 32, "file")
STUDY = "1.2.840.99.1"
CANARIES = (
    b"CANARY-ID-4711",
    b"CANARYNAME",
    b"CANARYACC",
    b"1.2.840.99",
    b"CANARYHEADER",
    b"CANARYREASON",
    b"CANARYISSUER",
)


def answer(uid: str = STUDY, patient_id: str = "CANARY-ID-4711", issuer: str = "CANARYISSUER") -> StudyAnswer:
    patient = Patient(Identifier(patient_id, issuer), "CANARYNAME^Piet", date(1961, 3, 4), "M")
    return StudyAnswer("St. Elisabeth", uid, patient, date(2019, 3, 2), modalities=("DX",), accession="CANARYACC")


def put(store: Store, number: int, data: bytes = b"", uid: str = STUDY, quarantine: str = "") -> AddOutcome:
    content = data or f"image {number} of {uid} CANARYNAME".encode() * 50
    return store.add(
        answer(uid), f"{uid}.1.{number}", f"{uid}.1", b"CANARYHEADER %d" % number, content, quarantine
    ).outcome


def put_many(store: Store, numbers: Iterable[int]) -> list[AddOutcome]:
    return [put(store, number) for number in numbers]


@pytest.fixture(params=[KEY, None], ids=["encrypted", "plain"])
def key(request: pytest.FixtureRequest) -> MasterKey | None:
    value: MasterKey | None = request.param
    return value


@pytest.fixture
def store(tmp_path: Path, key: MasterKey | None) -> Iterator[Store]:
    with Store.open(tmp_path / "cache", key) as opened:
        yield opened


@pytest.fixture
def sealed(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "cache", KEY) as opened:
        yield opened


def files_under(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if not path.is_dir()]


def objects(store: Store) -> list[Path]:
    return sorted(store.files.objects.rglob("*.obj"))


def test_what_is_added_comes_back_also_after_reopening(tmp_path: Path, key: MasterKey | None) -> None:
    with Store.open(tmp_path / "cache", key) as store:
        store.begin_fetch(answer(), 3)
        assert [put(store, number, bytes([number]) * 5000) for number in range(3)] == [AddOutcome.STORED] * 3
        assert store.finish_fetch(STUDY, complete=True)
    with Store.open(tmp_path / "cache", key) as store:
        instances = store.instances(STUDY)
        assert [store.read(instance) for instance in instances] == [bytes([n]) * 5000 for n in range(3)]
        assert [store.header(instance) for instance in instances] == [b"CANARYHEADER %d" % n for n in range(3)]
        assert store.sop_uids(STUDY) == {f"{STUDY}.1.{n}" for n in range(3)}
        assert store.presence([STUDY, "1.9"]) == {STUDY: Presence(3, True, 3), "1.9": Presence()}
        (study,) = store.studies()
        assert (study.answer, study.held.instances, study.held.bytes) == (
            answer(),
            3,
            sum(one.size for one in instances),
        )
        stats = store.stats()
        assert (stats.studies, stats.series, stats.instances, stats.bytes) == (1, 1, 3, study.held.bytes)
        assert stats.bytes == sum(path.stat().st_size for path in objects(store)) > 15000
        assert stats.encrypted is (key is not None)


def test_nothing_is_visible_before_the_commit(store: Store) -> None:
    put(store, 1)
    assert (store.pending, store.instances(STUDY)) == (1, [])
    assert store.commit() == 1
    assert (store.pending, len(store.instances(STUDY))) == (0, 1)


def test_the_same_again_is_left_and_something_else_is_set_apart(store: Store) -> None:
    assert put(store, 1, b"first") is AddOutcome.STORED
    assert put(store, 1, b"first") is AddOutcome.IDENTICAL
    assert put(store, 1, b"other") is AddOutcome.CONFLICTING
    store.commit()
    assert put(store, 1, b"first") is AddOutcome.IDENTICAL
    assert put(store, 1, b"other") is AddOutcome.CONFLICTING
    store.commit()
    assert [store.read(instance) for instance in store.instances(STUDY)] == [b"first"]
    assert (store.stats().instances, store.stats().quarantined, len(objects(store))) == (1, 1, 2)


def test_what_is_quarantined_is_never_shown(store: Store) -> None:
    assert put(store, 1, quarantine="another person") is AddOutcome.QUARANTINED
    assert not store.finish_fetch(STUDY, complete=False)
    assert store.instances(STUDY) == []
    assert store.presence([STUDY])[STUDY].images == 0
    assert store.studies()[0].held.quarantined == 1


def test_a_study_is_not_whole_while_images_are_missing(store: Store) -> None:
    store.begin_fetch(answer(), 2)
    put(store, 1)
    assert not store.finish_fetch(STUDY, complete=True)
    put(store, 2)
    assert store.finish_fetch(STUDY, complete=True)
    assert store.discard(STUDY, [store.instances(STUDY)[0].handle]) == 1
    assert store.presence([STUDY])[STUDY] == Presence(1, False, 2)


def test_a_changed_bit_is_damage_and_the_image_is_fetched_again(store: Store) -> None:
    put(store, 1, b"x" * 4000)
    store.finish_fetch(STUDY, complete=True)
    (instance,) = store.instances(STUDY)
    content = bytearray(Path(instance.path).read_bytes())
    content[1000] ^= 4
    Path(instance.path).write_bytes(content)
    with pytest.raises(CacheDamaged):
        read_object(Path(instance.path), instance.key, instance.handle)
    with pytest.raises(CacheDamaged):
        store.read(instance)
    assert store.presence([STUDY])[STUDY] == Presence(0, False, 0)
    assert put(store, 1, b"x" * 4000) is AddOutcome.STORED


def test_swapped_objects_are_damage(store: Store) -> None:
    put(store, 1)
    put(store, 2, uid="1.2.840.99.2")
    store.commit()
    one, two = (store.instances(uid)[0] for uid in (STUDY, "1.2.840.99.2"))
    first, second = Path(one.path), Path(two.path)
    aside = first.with_suffix(".aside")
    first.rename(aside)
    second.rename(first)
    aside.rename(second)
    for instance in (one, two):
        with pytest.raises(CacheDamaged):
            store.read(instance)


def test_a_ticket_opens_one_object_only(sealed: Store) -> None:
    put(sealed, 1)
    put(sealed, 2)
    sealed.commit()
    one, two = sealed.instances(STUDY)
    with pytest.raises(CacheDamaged):
        read_object(Path(two.path), one.key, two.handle)


def test_a_file_that_vanished_is_fetched_again(store: Store) -> None:
    put(store, 1, b"data")
    store.commit()
    (instance,) = store.instances(STUDY)
    Path(instance.path).unlink()
    assert put(store, 1, b"data") is AddOutcome.STORED
    store.commit()
    assert [store.read(instance) for instance in store.instances(STUDY)] == [b"data"]


def test_no_identifier_is_under_the_root_and_all_is_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with Store.open(tmp_path / "cache", KEY) as store:
            put(store, 1)
            put(store, 2, quarantine="CANARYREASON")
            store.pin(STUDY, "CANARYREASON")
            store.commit()
            put(store, 3)
            put(store, 4, uid="1.2.840.99.2")
            store.remove("1.2.840.99.2")
            assert_private(tmp_path / "cache")
    finally:
        os.umask(before)


def assert_private(root: Path) -> None:
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    for path in root.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    everything = b"".join(path.read_bytes() + str(path).encode() for path in files_under(root))
    assert len(everything) > 1000
    assert [canary for canary in CANARIES if canary in everything] == []


def test_two_stores_write_into_one_directory_at_once(tmp_path: Path, key: MasterKey | None) -> None:
    stores = [Store.open(tmp_path / "cache", key) for _ in range(2)]
    faults: list[BaseException] = []

    def fill(store: Store, start: int) -> None:
        try:
            for number in range(start, start + 40):
                put(store, number)
                if number % 3 == 0:
                    store.commit()
            store.commit()
        except CacheError as fault:
            faults.append(fault)

    threads = [threading.Thread(target=fill, args=(stores[n % 2], n // 2 * 20)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    for store in stores:
        assert len(store.sop_uids(STUDY)) == len(store.instances(STUDY)) == len(objects(store)) == 60
        assert all(store.read(instance) for instance in store.instances(STUDY))
        store.close()


def test_the_first_of_two_processes_wins(tmp_path: Path) -> None:
    with Store.open(tmp_path / "cache", KEY) as one, Store.open(tmp_path / "cache", KEY) as two:
        put(one, 1, b"first")
        put(two, 1, b"other")
        put(one, 2, b"same")
        put(two, 2, b"same")
        one.commit()
        two.commit()
        assert [two.read(instance) for instance in two.instances(STUDY)] == [b"first", b"same"]
        assert (two.stats().quarantined, len(objects(two))) == (1, 3)


def test_a_study_that_is_purged_meanwhile_stays_purged(tmp_path: Path) -> None:
    with Store.open(tmp_path / "cache", KEY) as one, Store.open(tmp_path / "cache", KEY) as two:
        put(one, 1)
        two.remove(STUDY)
        one.commit()
        assert (one.studies(), objects(one)) == ([], [])


def failing_write(after: int) -> object:
    real, seen = os.write, [0]

    def write(descriptor: int, data: bytes) -> int:
        seen[0] += 1
        if seen[0] > after:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data)

    return write


@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_a_full_disk_is_said_clearly_and_costs_only_the_new(
    store: Store, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    put(store, 1)
    store.commit()
    put(store, 2)
    monkeypatch.setattr(os, "write", failing_write(after))
    with pytest.raises(CacheFull, match="no room"):
        put_many(store, range(3, 9))
    monkeypatch.undo()
    assert len(list(store.files.incoming.rglob("*.part"))) == store.pending
    store.commit()
    assert {f"{STUDY}.1.1", f"{STUDY}.1.2"} <= store.sop_uids(STUDY)
    assert put(store, 8) is AddOutcome.STORED


def test_a_full_disk_can_still_be_purged(sealed: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database needs room for its journal even to delete; the reserve is that room."""
    for number in range(5):
        put(sealed, number)
    sealed.commit()
    reserve = sealed.files.root / "reserve"
    assert reserve.stat().st_size >= 1 << 20
    real = sealed.index.transaction

    def transaction() -> AbstractContextManager[sqlite3.Connection]:
        if reserve.exists():
            raise CacheFull("full")
        return real()

    monkeypatch.setattr(sealed.index, "transaction", transaction)
    assert sealed.remove(STUDY) == 5
    monkeypatch.undo()
    assert (sealed.studies(), objects(sealed)) == ([], [])
    assert reserve.exists()


def test_a_failed_fsync_means_absent(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.begin_fetch(answer(), 0)
    put(store, 1)
    store.commit()
    put(store, 2)

    def failing(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(CacheError):
        store.commit()
    monkeypatch.undo()
    assert not store.finish_fetch(STUDY, complete=True)
    assert store.sop_uids(STUDY) == {f"{STUDY}.1.1"}
    assert list(store.files.incoming.rglob("*.part")) == []
    assert put(store, 2) is AddOutcome.STORED


def test_a_directory_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(CacheError, match="other things"):
        Store.open(tmp_path, KEY)
    with pytest.raises(CacheError):
        erase(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(CacheError, match="not a directory"):
        Store.open(tmp_path / "thesis.txt", KEY)


def test_an_empty_directory_becomes_a_private_cache(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    Store.open(tmp_path, KEY).close()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("other", "words"), [(MasterKey(b"x" * 32, "file"), "another key"), (None, "switched off")], ids=["key", "plain"]
)
def test_a_cache_of_another_key_is_refused_until_it_is_erased(
    sealed: Store, tmp_path: Path, other: MasterKey | None, words: str
) -> None:
    put(sealed, 1)
    sealed.close()
    with pytest.raises(CacheError, match=words):
        Store.open(tmp_path / "cache", other)
    erase(tmp_path / "cache")
    with Store.open(tmp_path / "cache", other) as store:
        assert (store.studies(), objects(store)) == ([], [])


def test_what_an_ended_session_left_is_dropped(tmp_path: Path) -> None:
    first = Store.open(tmp_path / "cache", MasterKey(b"1" * 32, "session"))
    put(first, 1)
    first.commit()
    with pytest.raises(CacheError, match="still runs"):
        Store.open(tmp_path / "cache", MasterKey(b"2" * 32, "session"))
    first.close()
    with Store.open(tmp_path / "cache", MasterKey(b"2" * 32, "session")) as second:
        assert (second.studies(), objects(second)) == ([], [])


def test_a_damaged_index_is_a_typed_fault(tmp_path: Path) -> None:
    Store.open(tmp_path / "cache", KEY).close()
    (tmp_path / "cache" / "index.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(CacheDamaged, match="verify --repair"):
        Store.open(tmp_path / "cache", KEY)
    erase(tmp_path / "cache")
    Store.open(tmp_path / "cache", KEY).close()


def test_an_index_of_a_newer_version_is_refused(sealed: Store, tmp_path: Path) -> None:
    with sealed.index.transaction() as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(CacheError, match="another version"):
        Store.open(tmp_path / "cache", KEY)


def test_planted_links_are_not_followed(sealed: Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "keep.txt").write_text("keep")
    put(sealed, 1)
    sealed.commit()
    shard = objects(sealed)[0].parent
    shard.rename(tmp_path / "moved")
    shard.symlink_to(outside)
    put(sealed, 2)
    with pytest.raises(CacheError, match="link"):
        sealed.commit()
    with pytest.raises(CacheError, match="link"):
        sealed.remove(STUDY)
    assert [path.name for path in outside.iterdir()] == ["keep.txt"]


def test_purging_leaves_nothing(store: Store) -> None:
    for uid in (STUDY, "1.2.840.99.2"):
        for number in range(3):
            put(store, number, uid=uid)
    put(store, 9, quarantine="another person")
    store.commit()
    store.commit()
    assert len(store.inventory.remove(store.inventory.everything())) == 2
    assert [path for path in files_under(store.files.root) if path.suffix in {".obj", ".part"}] == []
    assert list(store.files.objects.iterdir()) == []
    rows = store.index.rows("SELECT (SELECT count(*) FROM study) + (SELECT count(*) FROM instance) AS n")
    assert rows[0]["n"] == 0


def test_hostile_uids_do_not_leave_the_root(store: Store, tmp_path: Path) -> None:
    hostile = (
        "../../evil",
        "/etc/evil",
        "1.2\0.3",
        "CON",
        "a" * 64,
        "C:\\evil",
        "\\\\host\\share",
        "1.2.",
        "1.2 ",
        "\u202e1",
    )
    for uid in hostile:
        store.add(answer(uid), uid, uid, b"", b"data")
    store.commit()
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
    assert len(store.studies()) == len(objects(store)) == len(hostile)
    names = {path.name for path in (tmp_path / "cache").rglob("*")}
    assert [name for name in names if any(uid.strip("./\\ ") in name for uid in hostile if len(uid) > 4)] == []


def test_text_that_is_no_text_costs_only_its_own_image(store: Store) -> None:
    put(store, 1)
    for study_uid, sop_uid in ((STUDY, "\ud800"), ("\ud800", "1.2.3")):
        with pytest.raises(CacheError, match="no text"):
            store.add(answer(study_uid), sop_uid, "1.2", b"", b"data")
    store.commit()
    assert store.sop_uids(STUDY) == {f"{STUDY}.1.1"}


def test_a_study_that_is_removed_while_it_is_fetched_is_made_anew_by_what_still_comes(store: Store) -> None:
    put(store, 1)
    store.commit()
    store.remove(STUDY)
    put(store, 2)
    store.commit()
    assert store.sop_uids(STUDY) == {f"{STUDY}.1.2"}


def test_also_where_another_process_removed_it(store: Store, tmp_path: Path) -> None:
    put(store, 1)
    store.commit()
    with Inventory.open(store.files.root) as other:
        other.remove(other.everything())
    put(store, 2)
    store.commit()
    put(store, 3)
    store.commit()
    assert store.sop_uids(STUDY) == {f"{STUDY}.1.3"}


def test_large_groups_are_closed_by_themselves(store: Store) -> None:
    for number in range(GROUP_FILES + 6):
        put(store, number)
    assert store.pending < GROUP_FILES
    assert len(store.instances(STUDY)) >= GROUP_FILES


def test_an_instance_shows_neither_key_nor_header(sealed: Store) -> None:
    put(sealed, 1)
    sealed.commit()
    (instance,) = sealed.instances(STUDY)
    assert isinstance(instance, StoredInstance)
    assert repr(instance.key) not in repr(instance)
    assert "CANARYHEADER" not in repr(instance)


def test_the_same_content_twice_is_sealed_differently(sealed: Store) -> None:
    put(sealed, 1, b"data" * 100)
    put(sealed, 2, b"data" * 100)
    sealed.commit()
    one, two = (Path(instance.path).read_bytes()[-400:] for instance in sealed.instances(STUDY))
    assert one != two


def test_what_is_on_its_way_is_known_also_after_the_index_was_asked_anew(store: Store) -> None:
    """As when another hospital's fetch begins meanwhile: the same image a second time is still the same image."""
    put(store, 1)
    store.begin_fetch(answer("1.2.840.99.99"), 1)
    put(store, 2)
    store.commit()
    assert put(store, 1) is AddOutcome.IDENTICAL
