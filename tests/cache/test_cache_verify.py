"""Verifying: what is damaged, missing or foreign is found, and put right on request."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cache_tools import KEY, fill, flip
from priorline.cache.model import AddOutcome
from priorline.cache.store import Store
from priorline.cache.verify import verify


@pytest.fixture(params=[KEY, None], ids=["encrypted", "plain"])
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Store]:
    with Store.open(tmp_path / "cache", request.param) as opened:
        yield opened


def test_a_sound_cache_is_called_sound(store: Store) -> None:
    fill(store, "1.1", images=3)
    report = verify(store)
    assert report.is_sound
    assert report.checked == 3


def test_every_kind_of_fault_is_found_and_repaired(store: Store) -> None:
    fill(store, "1.1", images=4)
    flipped, missing, cut, good = store.instances("1.1")
    flip(Path(flipped.path))
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


def test_a_replayed_older_object_is_found(store: Store) -> None:
    fill(store, "1.1")
    first, second = store.instances("1.1")
    Path(first.path).write_bytes(Path(second.path).read_bytes())
    assert verify(store).damaged == (first.handle,)


def test_a_digest_that_does_not_fit_is_damage(store: Store) -> None:
    fill(store, "1.1", images=1)
    with store.index.transaction() as db:
        db.execute("UPDATE instance SET digest = zeroblob(16)")
    assert verify(store).damaged == (store.instances("1.1")[0].handle,)


def test_a_planted_link_is_told_and_left_alone(store: Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("keep")
    fill(store, "1.1")
    path = Path(store.instances("1.1")[0].path)
    path.with_name("planted").symlink_to(outside)
    report = verify(store, repair=True)
    assert report.unknown_files == (str(path.with_name("planted").relative_to(store.files.root)),)
    assert outside.read_text() == "keep"


def test_the_file_of_another_study_opens_nothing(store: Store) -> None:
    fill(store, "1.1")
    fill(store, "1.2")
    one, two = (store.files.study_path(study.held.handle) for study in store.studies())
    content = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(content)
    report = verify(store)
    assert set(report.damaged) == {study.parent.name for study in (one, two)}
