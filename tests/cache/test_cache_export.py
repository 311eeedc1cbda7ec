"""Exporting out of the cache."""

import io
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file

from cache_tools import KEY, fill
from priorline.cache.export import export
from priorline.cache.store import Store
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import StudyAnswer
from priorline.errors import CacheDamaged, CacheError, UsageError


@pytest.fixture(params=[KEY, None], ids=["encrypted", "plain"])
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Store]:
    with Store.open(tmp_path / "cache", request.param) as opened:
        yield opened


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


def test_export_never_writes_into_a_full_directory(store: Store, tmp_path: Path) -> None:
    fill(store, "1.1")
    target = tmp_path / "out"
    target.mkdir()
    (target / "mine.txt").write_text("mine")
    with pytest.raises(UsageError):
        export(store, "1.1", target)
    assert [path.name for path in target.iterdir()] == ["mine.txt"]
    with pytest.raises(CacheError, match="fetch it first"):
        export(store, "1.9", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_export_tells_what_it_had_to_leave_out(store: Store, tmp_path: Path) -> None:
    fill(store, "1.1", images=3)
    Path(store.instances("1.1")[1].path).write_bytes(b"spoilt")
    with pytest.raises(CacheDamaged, match="1 of 3"):
        export(store, "1.1", tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == 2
