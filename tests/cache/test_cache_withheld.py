"""What somebody took back is shown by nothing, also not from an index made anew, until it is confirmed or fetched."""

from pathlib import Path

import pytest

from cache_tools import KEY, fill
from priorline.cache.export import export
from priorline.cache.files import drop_index
from priorline.cache.model import AddOutcome, Presence
from priorline.cache.store import Store
from priorline.cache.verify import verify
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import StudyAnswer
from priorline.errors import CacheError

UID = "1.2.3"
STUDY = StudyAnswer("A", UID, Patient(Identifier("1")))


def test_nothing_of_it_is_shown_and_nothing_is_lost(tmp_path: Path) -> None:
    with Store.open(tmp_path / "cache", KEY) as store:
        fill(store, UID)
        fill(store, "4.5.6")
        store.withhold(UID)
        assert (store.instances(UID), store.sop_uids(UID)) == ([], set())
        assert store.presence([UID, "4.5.6"]) == {UID: Presence(), "4.5.6": Presence(2, complete=True, expected=2)}
        with pytest.raises(CacheError):
            export(store, UID, tmp_path / "out")
        report = verify(store)
        assert (report.damaged, report.missing, report.unknown_files) == ((), (), ())
        store.withhold(UID, on=False)
        assert store.presence([UID]) == {UID: Presence(2, complete=True, expected=2)}
        assert len(store.instances(UID)) == 2


def test_an_index_made_anew_knows_it_too(tmp_path: Path) -> None:
    with Store.open(tmp_path / "cache", KEY) as store:
        fill(store, UID)
        store.withhold(UID)
    drop_index(tmp_path / "cache")
    with Store.open(tmp_path / "cache", KEY) as store:
        assert store.instances(UID) == []
        store.withhold(UID, on=False)
        assert len(store.instances(UID)) == 2


def test_what_was_on_its_way_when_it_was_taken_back_is_not_shown(tmp_path: Path) -> None:
    with Store.open(tmp_path / "cache", KEY) as store:
        store.begin_fetch(STUDY, 2)
        store.add(STUDY, f"{UID}.0", UID, b"0", bytes(1000))
        store.withhold(UID)
        store.add(STUDY, f"{UID}.1", UID, b"1", bytes(1001))
        store.finish_fetch(UID, complete=True)
        assert store.instances(UID) == []


def test_whoever_fetches_it_shows_it_and_writes_nothing_twice(tmp_path: Path) -> None:
    with Store.open(tmp_path / "cache", KEY) as store:
        fill(store, UID)
        store.withhold(UID)
        store.begin_fetch(STUDY, 2)
        assert store.add(STUDY, f"{UID}.0", UID, b"0", bytes(1000)).outcome is AddOutcome.IDENTICAL
        store.finish_fetch(UID, complete=True)
        assert store.presence([UID]) == {UID: Presence(2, complete=True, expected=2)}
        assert store.stats().instances == 2


def test_a_study_that_is_not_here_is_not_an_error(tmp_path: Path) -> None:
    with Store.open(tmp_path / "cache", KEY) as store:
        store.withhold(UID)
        assert store.presence([UID]) == {UID: Presence()}
