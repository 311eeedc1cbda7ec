"""A folder with loose DICOM files as an archive: what is found, however it is written, and what is handed over."""

import os
import socket
from collections.abc import Callable
from datetime import date
from pathlib import Path

import psutil
import pytest
from pydicom import dcmwrite
from pydicom.dataset import FileDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

from folders import CHEST, HEAD, OTHER, STRANGER, WHO, dataset_of, image, save, study
from listings import instances_of, listing_of
from priorline.archives.base import FindSummary, RetrieveSummary, Timeouts
from priorline.archives.folder import Folder, FolderArchive
from priorline.archives.folder_reader import FolderReader
from priorline.archives.incoming import Received, whole
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import StudyAnswer
from priorline.errors import UsageError
from priorline.work.hospitals import start_thread

NAME = "Disc"
PATIENT = Patient(Identifier(WHO["PatientID"]))
LINUX = pytest.mark.skipif(os.name != "posix", reason="only on Linux")


def archive_of(folder: Path, **more: object) -> FolderArchive:
    return FolderArchive(Folder(NAME, folder, **more), start_thread)  # type: ignore[arg-type]


def found(archive: FolderArchive, patient: Patient = PATIENT) -> dict[str, StudyAnswer]:
    """The rows of a search, the later ones in place of the earlier."""
    rows: dict[str, StudyAnswer] = {}
    archive.find_studies(patient, lambda new: rows.update({row.study_uid: row for row in new}), lambda: False)
    return rows


def taken(archive: FolderArchive, uid: str, series: str | None = None) -> tuple[list[Received], RetrieveSummary]:
    received: list[Received] = []
    summary = archive.retrieve(uid, series, (), whole(received.append), lambda: False)
    return received, summary


def test_the_studies_of_a_number_are_found_among_others(tmp_path: Path) -> None:
    save(tmp_path / "a", [*study(CHEST), *study(OTHER, who=STRANGER)])
    save(tmp_path / "b" / "c", study(HEAD, 1, StudyDescription="MR hersenen", Modality="MR"), "kop{}.dcm")
    (tmp_path / "README.TXT").write_text("images of a disc")
    archive = archive_of(tmp_path, patient_id_issuer="WEST")
    rows = found(archive)
    assert rows.keys() == {CHEST, HEAD}
    chest = rows[CHEST]
    assert (chest.hospital, chest.patient.identifier) == (NAME, Identifier("PL-0042", "WEST"))
    assert (chest.patient.name, chest.patient.birth_date, chest.patient.sex) == ("Jansen^Piet", date(1961, 4, 5), "M")
    assert (chest.study_date, chest.description, chest.body_part) == (date(2019, 3, 2), "CT thorax", "CHEST")
    assert (chest.modalities, chest.series, chest.images) == (("CT",), 2, 4)
    assert rows[HEAD].modalities == ("MR",)
    assert archive.find_study(OTHER) is not None
    assert archive.find_study(CHEST) == chest
    assert archive.find_study("1.2.3") is None


def test_a_number_counts_exactly_and_a_pattern_is_refused(tmp_path: Path) -> None:
    save(tmp_path, study(CHEST))
    archive = archive_of(tmp_path)
    assert found(archive, Patient(Identifier("PL-004"))) == {}
    assert found(archive, Patient(Identifier("pl-0042"))) == {}
    for pattern in ("PL-*", "PL-004?", ""):
        with pytest.raises(UsageError):
            found(archive, Patient(Identifier(pattern)))


def test_a_further_number_counts_with_its_issuer(tmp_path: Path) -> None:
    dataset = image(CHEST, 0)
    item = FileDataset("", {})
    item.PatientID, item.IssuerOfPatientID = "999", "NL"
    dataset.OtherPatientIDsSequence = [item]
    save(tmp_path, [dataset])
    archive = archive_of(tmp_path)
    assert found(archive, Patient(Identifier("999", "NL"))).keys() == {CHEST}
    assert found(archive, Patient(Identifier("999", "DE"))) == {}


def test_series_and_instances_are_listed_and_handed_over_byte_for_byte(tmp_path: Path) -> None:
    files = save(tmp_path, study(CHEST))
    archive = archive_of(tmp_path)
    assert instances_of(archive, CHEST) == {
        f"{CHEST}.1": [f"{CHEST}.1.0", f"{CHEST}.1.1"],
        f"{CHEST}.2": [f"{CHEST}.2.2", f"{CHEST}.2.3"],
    }
    assert [(one.series_uid, one.images, one.number) for one in listing_of(archive, CHEST).series] == [
        (f"{CHEST}.1", 2, 1),
        (f"{CHEST}.2", 2, 2),
    ]
    received, summary = taken(archive, CHEST)
    assert (summary.completed, summary.failed, summary.status, summary.message) == (4, 0, 0, "")
    assert [one.dataset for one in received] == [dataset_of(file) for file in files]
    assert {one.sop_instance_uid for one in taken(archive, CHEST, f"{CHEST}.2")[0]} == {
        f"{CHEST}.2.2",
        f"{CHEST}.2.3",
    }


def test_it_hands_over_by_itself_and_says_that_it_is_there(tmp_path: Path) -> None:
    save(tmp_path, study(CHEST, 1))
    archive = archive_of(tmp_path)
    assert archive.echo() >= 0
    assert (archive.name, archive.accepts_get(), archive.accepts_move()) == (NAME, True, False)


def without_preamble(file: Path) -> None:
    file.write_bytes(file.read_bytes()[132:])


def without_meta(file: Path) -> None:
    file.write_bytes(dataset_of(file))


def declared(uid: str) -> Callable[[Path], None]:
    value = uid.encode() + b"\0" * (len(uid) % 2)

    def change(file: Path) -> None:
        content = file.read_bytes()
        at = content.index(b"\x02\x00\x10\x00UI") + 6
        end = at + 2 + int.from_bytes(content[at : at + 2], "little")
        file.write_bytes(content[:at] + len(value).to_bytes(2, "little") + value + content[end:])

    return change


def with_program(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(b"MZ" + b"\x90" * 126 + content[128:])


def with_wrong_group_length(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[140:144] = b"\x02\0\0\0"
    file.write_bytes(content)


EXPLICIT, IMPLICIT, BIG = str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian), str(ExplicitVRBigEndian)
WRITTEN = {
    "explicit": (EXPLICIT, None),
    "implicit": (IMPLICIT, None),
    "big endian": (BIG, None),
    "deflated": (str(DeflatedExplicitVRLittleEndian), None),
    "no preamble": (EXPLICIT, without_preamble),
    "explicit without meta": (EXPLICIT, without_meta),
    "implicit without meta": (IMPLICIT, without_meta),
    "big endian without meta": (BIG, without_meta),
    "explicit declared as implicit": (EXPLICIT, declared("1.2.840.10008.1.2")),
    "big endian declared as explicit": (BIG, declared("1.2.840.10008.1.2.1")),
    "implicit declared as explicit": (IMPLICIT, declared("1.2.840.10008.1.2.1")),
    "a program in the preamble": (EXPLICIT, with_program),
    "a wrong length of the meta": (EXPLICIT, with_wrong_group_length),
}


@pytest.mark.parametrize("written", WRITTEN)
def test_a_file_is_understood_however_it_is_written(tmp_path: Path, written: str) -> None:
    syntax, change = WRITTEN[written]
    dataset = image(CHEST, 0)
    dataset.file_meta.TransferSyntaxUID = syntax
    if syntax == BIG:
        # pydicom swaps no pixels.
        dataset.PixelData = dataset.pixel_array.astype(">i2").tobytes()
    file = tmp_path / "IM1"
    dcmwrite(file, dataset, implicit_vr=syntax == IMPLICIT, little_endian=syntax != BIG, force_encoding=True)
    body = dataset_of(file)
    if change:
        change(file)
    archive = archive_of(tmp_path)
    (row,) = found(archive).values()
    assert (row.patient.name, row.description, row.images) == ("Jansen^Piet", "CT thorax", 1)
    ((received,), _) = taken(archive, CHEST)
    assert (received.transfer_syntax, received.sop_instance_uid) == (syntax, f"{CHEST}.1.0")
    assert received.dataset == body


def test_a_compressed_syntax_is_kept_as_declared(tmp_path: Path) -> None:
    (file,) = save(tmp_path, [image(CHEST, 0)])
    declared(str(JPEGBaseline8Bit))(file)
    ((received,), _) = taken(archive_of(tmp_path), CHEST)
    assert received.transfer_syntax == JPEGBaseline8Bit


def test_what_is_no_image_of_a_patient_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "zero").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("x" * 10_000)
    (tmp_path / "like it").write_bytes(b"\x08\x00" + os.urandom(5000))
    assert found(archive_of(tmp_path)) == {}
    summary = archive_of(tmp_path).find_studies(PATIENT, lambda _rows: None, lambda: False)
    assert summary == FindSummary()


@LINUX
def test_links_pipes_and_sockets_are_left_alone(tmp_path: Path) -> None:
    inside, outside = tmp_path / "disc", tmp_path / "outside"
    save(inside, study(CHEST, 1))
    save(outside, study(HEAD, 1))
    (inside / "folder").symlink_to(outside)
    (inside / "file").symlink_to(outside / "IM0000")
    (inside / "loop").symlink_to(inside)
    os.mkfifo(inside / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(inside / "socket"))
        assert found(archive_of(inside)).keys() == {CHEST}


def test_a_second_search_opens_nothing_and_a_change_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = save(tmp_path, study(CHEST))
    archive = archive_of(tmp_path)
    first = found(archive)
    looks: list[str] = []
    look = FolderReader._look
    monkeypatch.setattr(
        FolderReader, "_look", lambda self, listed: (looks.append(listed.place[-1]), look(self, listed))[1]
    )
    assert found(archive) == first
    assert looks == []
    image(CHEST, 0, StudyDescription="CT thorax, corrected").save_as(files[0])
    files[1].unlink()
    assert found(archive)[CHEST].images == 3
    assert looks == ["IM0000"]


def test_a_study_whose_files_name_two_patients_has_a_row_for_each(tmp_path: Path) -> None:
    save(tmp_path, [image(CHEST, 0), image(CHEST, 1, STRANGER)])
    archive = archive_of(tmp_path)
    (row,) = found(archive).values()
    assert (row.images, row.patient.name) == (1, "Jansen^Piet")
    assert {one.patient.name for one in archive.studies()} == {"Jansen^Piet", "Vries^Els de"}


def test_a_search_that_nobody_waits_for_ends(tmp_path: Path) -> None:
    save(tmp_path, study(CHEST))
    rows: list[StudyAnswer] = []
    summary = archive_of(tmp_path).find_studies(PATIENT, rows.extend, lambda: True)
    assert (summary.cancelled, rows) == (True, [])


def test_a_retrieval_that_nobody_waits_for_ends(tmp_path: Path) -> None:
    save(tmp_path, study(CHEST))
    received: list[Received] = []
    summary = archive_of(tmp_path).retrieve(CHEST, None, (), whole(received.append), lambda: len(received) == 2)
    assert (summary.cancelled, summary.received, len(received)) == (True, 2, 2)


def test_more_studies_than_are_taken_are_said(tmp_path: Path) -> None:
    save(tmp_path, [image(f"{CHEST}.{number}", 0) for number in range(5)])
    rows: list[StudyAnswer] = []
    summary = archive_of(tmp_path, rows_max=3).find_studies(PATIENT, rows.extend, lambda: False)
    assert (len(rows), summary.rows, summary.cut) == (3, 3, True)


def sparse(file: Path, size: int) -> None:
    with file.open("ab") as stream:
        stream.truncate(size)


@LINUX
def test_a_file_of_2_gib_costs_no_memory_and_is_refused(tmp_path: Path) -> None:
    files = save(tmp_path, study(CHEST, 2))
    sparse(files[0], 1 << 31)
    sparse(tmp_path / "zeros", 1 << 31)
    (tmp_path / "DICOMDIR").write_bytes(files[1].read_bytes())
    sparse(tmp_path / "DICOMDIR", 1 << 31)
    process = psutil.Process()
    before = process.memory_info().rss
    archive = archive_of(tmp_path, timeouts=Timeouts(query=300))
    assert found(archive)[CHEST].images == 2
    received, summary = taken(archive, CHEST)
    assert process.memory_info().rss - before < 64 << 20
    assert {one.sop_instance_uid for one in received} == {f"{CHEST}.1.1"}
    assert summary.failed == 1
    assert "Larger than is taken" in summary.message
