"""Folders that are not there, not readable, damaged or too much: a sentence that says what to do, never "none"."""

import errno
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from test_folder import NAME, PATIENT, archive_of, found, taken

from folders import CHEST, HEAD, image, save, study, write_disc
from listings import listing_of
from priorline.archives import folder_files, folder_reader
from priorline.archives.base import Timeouts
from priorline.archives.folder import FolderArchive
from priorline.archives.folder_files import DEPTH_MAX
from priorline.archives.folder_reader import FolderReader
from priorline.archives.folder_watch import READINGS_MAX
from priorline.archives.incoming import Received, whole
from priorline.domain.study import StudyAnswer
from priorline.errors import ArchiveBroken, ArchiveError, ArchiveRefused, ArchiveTimedOut, ArchiveUnreachable

CALLS: list[Callable[[FolderArchive], Any]] = [
    lambda archive: archive.echo(),
    found,
    lambda archive: archive.find_study(CHEST),
    lambda archive: listing_of(archive, CHEST),
    lambda archive: taken(archive, CHEST),
]
LINUX = pytest.mark.skipif(os.name != "posix", reason="only on Linux")


def check(archive: FolderArchive, kind: type[ArchiveError], sentence: str) -> None:
    """All that can be asked ends so."""
    for call in CALLS:
        with pytest.raises(kind, match=sentence) as caught:
            call(archive)
        assert str(caught.value).startswith(NAME)
        assert str(archive.folder.directory) not in str(caught.value)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    check(archive_of(tmp_path / "cdrom"), ArchiveUnreachable, "put the disc or stick in and ask again")


def test_a_file_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "cd").write_bytes(b"")
    check(archive_of(tmp_path / "cd"), ArchiveUnreachable, "is not a folder; check")


def test_an_empty_drive(tmp_path: Path) -> None:
    check(archive_of(tmp_path), ArchiveUnreachable, "is empty: put the disc or stick in")


def test_a_path_that_is_none(tmp_path: Path) -> None:
    check(archive_of(tmp_path / "a\0b"), ArchiveUnreachable, "is no path; correct it")


@pytest.mark.parametrize(
    ("number", "kind", "sentence"),
    [
        (errno.EACCES, ArchiveRefused, "may not be read by this account"),
        (errno.EIO, ArchiveUnreachable, r"cannot be read \(Input/output error\)"),
        (errno.ENXIO, ArchiveUnreachable, "check the disc or stick"),
    ],
)
def test_a_folder_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[ArchiveError], sentence: str
) -> None:
    def refuse(_path: Any) -> Any:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(folder_files.os, "scandir", refuse)
    check(archive_of(tmp_path), kind, sentence)


def test_a_windows_drive_without_a_disc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: Any) -> Any:
        problem = PermissionError(errno.EACCES, "The device is not ready")
        problem.winerror = 21  # type: ignore[attr-defined]
        raise problem

    monkeypatch.setattr(folder_files.os, "scandir", refuse)
    check(archive_of(tmp_path), ArchiveUnreachable, "is not there: put the disc or stick in")


def rows_before(archive: FolderArchive, kind: type[ArchiveError], sentence: str) -> dict[str, StudyAnswer]:
    """What was on the line before the search ended in an error."""
    rows: dict[str, StudyAnswer] = {}
    with pytest.raises(kind, match=sentence):
        archive.find_studies(PATIENT, lambda new: rows.update({row.study_uid: row for row in new}), lambda: False)
    return rows


def test_a_folder_inside_that_cannot_be_read_is_said_after_what_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "open", study(CHEST))
    save(tmp_path / "shut", study(HEAD))
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("shut"):
            raise PermissionError(errno.EACCES, "no")
        return scandir(path)

    monkeypatch.setattr(folder_files.os, "scandir", refuse)
    archive = archive_of(tmp_path)
    rows = rows_before(archive, ArchiveRefused, "1 folders that cannot be read")
    assert rows[CHEST].images is None
    assert listing_of(archive, CHEST).instances is None
    with pytest.raises(ArchiveRefused):
        archive.find_study(HEAD)


@pytest.mark.parametrize("name", ["System Volume Information", "$RECYCLE.BIN", ".Trash-1000", "lost+found"])
def test_what_a_system_keeps_for_itself_is_left_alone(tmp_path: Path, name: str) -> None:
    save(tmp_path / "images", study(CHEST))
    save(tmp_path / name, study(HEAD))
    assert found(archive_of(tmp_path)).keys() == {CHEST}


def cut(file: Path, size: int) -> None:
    os.truncate(file, size)


@pytest.mark.parametrize("size", [700, 728], ids=["within an element", "between two"])
def test_a_file_that_is_cut_in_its_head_leaves_nothing_certain(tmp_path: Path, size: int) -> None:
    files = save(tmp_path, study(CHEST))
    cut(files[0], size)
    archive = archive_of(tmp_path)
    rows = rows_before(archive, ArchiveBroken, "1 files that cannot be read, so that nobody knows what they are of")
    # How many images there should be is not known, so no fetch is ever complete.
    assert (rows[CHEST].images, listing_of(archive, CHEST).instances) == (None, None)
    assert [one.images for one in listing_of(archive, CHEST).series] == [None, None]
    received, summary = taken(archive, CHEST)
    assert len(received) == 3
    assert "1 files that cannot be read" in summary.message


@pytest.mark.parametrize(("tag", "is_said"), [("PatientID", False), ("StudyInstanceUID", True)])
def test_an_object_without_a_study_is_said_where_it_is_somebodys(tmp_path: Path, tag: str, is_said: bool) -> None:
    dataset = image(CHEST, 0)
    dataset.StudyInstanceUID = ""
    if tag == "PatientID":
        # As a colour palette or a hanging protocol, which are of nobody.
        dataset.PatientID = dataset.PatientName = ""
    save(tmp_path, [dataset])
    if is_said:
        rows_before(archive_of(tmp_path), ArchiveBroken, "nobody knows what they are of")
    else:
        assert found(archive_of(tmp_path)) == {}


def test_a_file_that_is_cut_in_its_pixels_is_handed_over_as_it_is(tmp_path: Path) -> None:
    (file,) = save(tmp_path, study(CHEST, 1))
    cut(file, file.stat().st_size - 1000)
    ((received,), _) = taken(archive_of(tmp_path), CHEST)
    assert file.read_bytes().endswith(received.dataset)


def test_a_cut_file_of_a_dicomdir_is_said(tmp_path: Path) -> None:
    disc = write_disc(tmp_path / "disc", study(CHEST))
    victim = sorted(path for path in disc.rglob("IM*") if path.is_file())[1]
    cut(victim, 0)
    archive = archive_of(disc)
    assert found(archive)[CHEST].images == 4
    received, summary = taken(archive, CHEST)
    assert (len(received), summary.failed) == (3, 1)
    assert summary.message == "Damaged or no DICOM; copy the disc again: 1 images."


def test_a_stick_that_is_pulled_out_ends_the_retrieval(tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    save(stick, study(CHEST))
    received: list[Received] = []

    def pull_out(one: Received) -> None:
        received.append(one)
        shutil.rmtree(stick, ignore_errors=True)

    with pytest.raises(ArchiveUnreachable, match="put the disc or stick in"):
        archive_of(stick).retrieve(CHEST, None, (), whole(pull_out), lambda: False)
    assert len(received) == 1


def test_what_comes_while_it_hands_over_is_raised(tmp_path: Path) -> None:
    save(tmp_path, study(CHEST))

    def full(_one: Received) -> None:
        raise ArchiveBroken("no room")

    with pytest.raises(ArchiveBroken, match="no room"):
        archive_of(tmp_path).retrieve(CHEST, None, (), whole(full), lambda: False)


def test_one_file_that_cannot_be_read_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disc = write_disc(tmp_path / "disc", study(CHEST))
    scratched = sorted(path for path in disc.rglob("IM*") if path.is_file())[1]
    opened = os.open

    def refuse(path: Any, *more: Any) -> int:
        if Path(path) == scratched:
            raise OSError(errno.EIO, "Input/output error")
        return opened(path, *more)

    monkeypatch.setattr(folder_files.os, "open", refuse)
    received, summary = taken(archive_of(disc), CHEST)
    assert (len(received), summary.failed) == (3, 1)
    assert "Cannot be read; try again" in summary.message


def test_more_files_than_are_looked_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, study(CHEST, 9))
    monkeypatch.setattr(folder_files, "FILES_MAX", 5)
    assert CHEST in rows_before(archive_of(tmp_path), ArchiveBroken, r"holds more files \(5\) than is looked through")


def test_more_folders_than_are_looked_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(9):
        save(tmp_path / str(number), [image(CHEST, number)])
    monkeypatch.setattr(folder_files, "FOLDERS_MAX", 5)
    rows_before(archive_of(tmp_path), ArchiveBroken, "than is looked through")


def test_folders_that_are_nested_too_deep(tmp_path: Path) -> None:
    save(tmp_path, study(CHEST))
    save(tmp_path.joinpath(*"x" * (DEPTH_MAX + 1)), study(HEAD))
    assert rows_before(archive_of(tmp_path), ArchiveBroken, "nests folders deeper").keys() == {CHEST}


def test_a_reading_that_takes_too_long_goes_on_the_next_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, study(CHEST, 12))
    # A clock on which every look takes a second.
    monkeypatch.setattr(folder_reader, "time", SimpleNamespace(monotonic=map(float, count()).__next__))
    archive = archive_of(tmp_path, timeouts=Timeouts(query=5.0))
    first = rows_before(archive, ArchiveTimedOut, "not read to its end in time; ask again, which goes on from there")
    assert first[CHEST].images is None
    rows_before(archive, ArchiveTimedOut, "not read to its end")
    assert found(archive)[CHEST].images == 12


@LINUX
def test_names_of_any_bytes_are_read(tmp_path: Path) -> None:
    (file,) = save(tmp_path, study(CHEST, 1))
    file.rename(tmp_path / os.fsdecode(b"\xff\xfe\n"))
    assert len(taken(archive_of(tmp_path), CHEST)[0]) == 1


# --- a drive that hangs


class Hanging:
    """A file system call that waits until it is let go, but for the thread of the test itself."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.let_go, self.called = threading.Event(), threading.Event()
        self._real = getattr(os, name)
        monkeypatch.setattr(folder_files.os, name, self)

    def __call__(self, *arguments: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            self.called.set()
            assert self.let_go.wait(30)
        return self._real(*arguments)


@pytest.fixture(params=["scandir", "open"])
def hanging(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hanging]:
    found_hanging = Hanging(monkeypatch, request.param)
    yield found_hanging
    found_hanging.let_go.set()


QUICK = Timeouts(query=0.1, progress=0.1)


def test_a_drive_that_hangs_is_said(tmp_path: Path, hanging: Hanging) -> None:
    save(tmp_path, study(CHEST))
    for call in CALLS[1:]:
        with pytest.raises(ArchiveTimedOut, match="does not answer: check the drive, or the network"):
            call(archive_of(tmp_path, timeouts=QUICK))


def test_a_drive_that_hangs_costs_no_more_than_eight_threads(tmp_path: Path, hanging: Hanging) -> None:
    save(tmp_path, study(CHEST))
    archive = archive_of(tmp_path, timeouts=QUICK)
    before = threading.active_count()
    for _ in range(READINGS_MAX + 3):
        with pytest.raises(ArchiveTimedOut):
            found(archive)
    assert threading.active_count() - before == READINGS_MAX
    hanging.let_go.set()
    until(lambda: threading.active_count() == before)
    assert found(archive).keys() == {CHEST}


def test_nobody_waits_for_a_drive_that_hangs_after_a_cancel(tmp_path: Path, hanging: Hanging) -> None:
    save(tmp_path, study(CHEST))
    archive = archive_of(tmp_path, timeouts=Timeouts(query=600))
    assert archive.find_studies(PATIENT, lambda _rows: None, hanging.called.is_set).cancelled


def test_a_fault_of_ours_is_no_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, study(CHEST))
    monkeypatch.setattr(FolderReader, "_look", lambda _self, _listed: 1 // 0)
    monkeypatch.setattr(threading, "excepthook", lambda _told: None)
    with pytest.raises(RuntimeError, match="reading the folder failed"):
        found(archive_of(tmp_path))


def until(happened: Callable[[], bool]) -> None:
    """Wait for something, for ten seconds at most."""
    end = time.monotonic() + 10
    while not happened() and time.monotonic() < end:
        threading.Event().wait(0.01)
    assert happened()
