"""A disc with a DICOMDIR: what it says is on the line at once, and nothing of it is taken on trust."""

import os
import random
import re
import struct
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from test_folder import PATIENT, archive_of, found, taken

from folders import CHEST, HEAD, OTHER, STRANGER, dataset_of, dcmmkdir, image, save, study, write_disc
from listings import instances_of, listing_of
from priorline.archives import folder_reader
from priorline.archives.folder_reader import FolderReader
from priorline.domain.study import StudyAnswer
from priorline.errors import ArchiveError

MADE = [*study(CHEST), *study(HEAD, 2, StudyDescription="MR hersenen", Modality="MR"), *study(OTHER, who=STRANGER)]
MUTATIONS = 2000
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only on Linux")


@pytest.fixture
def disc(tmp_path: Path) -> Path:
    return write_disc(tmp_path / "disc", MADE)


def files_of(disc: Path) -> dict[str, Path]:
    """The images of a disc by SOP Instance UID."""
    files = (file for file in sorted(disc.rglob("*")) if file.is_file() and "DICOMDIR" not in file.name.upper())
    return {str(dcmread(file, specific_tags=["SOPInstanceUID"]).SOPInstanceUID): file for file in files}


def searched(folder: Path) -> list[list[StudyAnswer]]:
    """The rows of a search, as they were handed over."""
    rows: list[list[StudyAnswer]] = []
    archive_of(folder).find_studies(PATIENT, rows.append, lambda: False)
    return rows


def looked_into(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files whose heads are read from now on."""
    looks: list[str] = []
    look = FolderReader._look
    monkeypatch.setattr(
        FolderReader, "_look", lambda self, listed: (looks.append("/".join(listed.place)), look(self, listed))[1]
    )
    return looks


def test_its_rows_come_at_once_and_then_what_one_file_says_more(disc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = looked_into(monkeypatch)
    rows: list[tuple[int, list[StudyAnswer]]] = []
    archive_of(disc).find_studies(PATIENT, lambda new: rows.append((len(looks), new)), lambda: False)
    (looked, first), (_, second) = rows
    assert looked == 0
    assert {row.study_uid: (row.images, row.modalities) for row in first} == {CHEST: (4, ("CT",)), HEAD: (2, ("MR",))}
    assert [row.patient.birth_date for row in first] == [None, None]
    assert [row.patient.sex for row in second] == ["M", "M"]
    assert {row.body_part for row in second} == {"CHEST"}
    # One file for each of the three studies.
    assert len(looks) == 3


def test_what_it_names_is_handed_over_byte_for_byte(disc: Path) -> None:
    files = files_of(disc)
    received, summary = taken(archive_of(disc), CHEST)
    assert (summary.failed, summary.message) == (0, "")
    assert {one.sop_instance_uid for one in received} == {uid for uid in files if uid.startswith(CHEST)}
    assert all(one.dataset == dataset_of(files[one.sop_instance_uid]) for one in received)


def test_one_of_dcmtk_with_studies_that_were_added_later(tmp_path: Path) -> None:
    save(tmp_path / "A", study(CHEST), "I{}")
    dcmmkdir(tmp_path, "A")
    save(tmp_path / "B", [*study(OTHER, 2, STRANGER), *(image(CHEST, n) for n in (4, 5))], "I{}")
    dcmmkdir(tmp_path, "B")
    rows = searched(tmp_path)
    assert {row.study_uid: row.images for row in rows[0]} == {CHEST: 6}
    assert len(taken(archive_of(tmp_path), CHEST)[0]) == 6
    assert len(taken(archive_of(tmp_path), OTHER)[0]) == 2


def lower_case(disc: Path) -> None:
    for path in sorted(disc.rglob("*"), key=lambda path: -len(path.parts)):
        path.rename(path.with_name(path.name.lower()))


def with_versions(disc: Path) -> None:
    for path in list(disc.rglob("*")):
        if path.is_file():
            path.rename(path.with_name(path.name + ("." if "." not in path.name else "") + ";1"))


def with_extensions(disc: Path) -> None:
    for path in list(disc.rglob("*")):
        if path.is_file() and path.name != "DICOMDIR":
            path.rename(path.with_name(path.name + ".dcm"))


@pytest.mark.parametrize("shown", [lower_case, with_versions, with_extensions])
def test_names_are_found_however_the_system_shows_them(
    disc: Path, shown: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown(disc)
    looks = looked_into(monkeypatch)
    assert {row.study_uid for row in searched(disc)[0]} == {CHEST, HEAD}
    assert len(looks) == 3
    received, summary = taken(archive_of(disc), CHEST)
    assert (len(received), summary.failed) == (4, 0)


def test_files_that_it_does_not_name_are_found_too(disc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = "1.2.826.0.1.3680043.8.498.99"
    save(disc / "later", [image(more, 0), image(CHEST, 7)], "IM{}")
    (disc / "VIEWER.EXE").write_bytes(b"MZ" + bytes(5000))
    (disc / "help.html").write_text("x" * 5000)
    looks = looked_into(monkeypatch)
    first, second = searched(disc)
    assert {row.study_uid: row.images for row in first} == {CHEST: 4, HEAD: 2}
    assert {row.study_uid: row.images for row in second} == {CHEST: 5, HEAD: 2, more: 1}
    assert not any("VIEWER" in name or "html" in name for name in looks)


def test_where_its_files_are_not_all_there_every_file_is_looked_into(
    disc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = files_of(disc)[f"{CHEST}.1.0"]
    file.rename(disc / "IMAGE.JPG")
    looks = looked_into(monkeypatch)
    archive = archive_of(disc)
    assert found(archive)[CHEST].images == 4
    assert "IMAGE.JPG" in looks
    assert len(taken(archive, CHEST)[0]) == 4


def test_a_file_that_is_missing_is_listed_and_said(disc: Path) -> None:
    files_of(disc)[f"{CHEST}.1.0"].unlink()
    archive = archive_of(disc)
    assert found(archive)[CHEST].images == 4
    assert f"{CHEST}.1.0" in instances_of(archive, CHEST)[f"{CHEST}.1"]
    received, summary = taken(archive, CHEST)
    assert (len(received), summary.failed) == (3, 1)
    assert summary.message == "Named by the DICOMDIR, but not there or not inside of the folder: 1 images."


def test_an_object_under_another_uid_is_handed_over_as_announced(disc: Path) -> None:
    """What it really is comes out where arrivals are checked; nothing is relabelled here."""
    file = files_of(disc)[f"{CHEST}.1.1"]
    image(CHEST, 9).save_as(file)
    received, _ = taken(archive_of(disc), CHEST)
    (strange,) = [one for one in received if one.dataset == dataset_of(file)]
    assert strange.sop_instance_uid == f"{CHEST}.1.1"


@pytest.mark.parametrize("tag", ["StudyInstanceUID", "SOPInstanceUID", "PatientID"])
def test_one_that_is_found_to_lie_is_not_believed(disc: Path, tag: str) -> None:
    file = files_of(disc)[f"{CHEST}.1.0"]
    dataset = dcmread(file)
    setattr(dataset, tag, "1.2.3.4")
    dataset.save_as(file)
    archive = archive_of(disc)
    assert taken(archive, HEAD)[1].received == 2
    assert listing_of(archive, dataset.StudyInstanceUID).instances is not None
    received, summary = taken(archive, CHEST)
    uids = [one.sop_instance_uid for one in received]
    assert {f"{CHEST}.1.1", f"{CHEST}.2.2", f"{CHEST}.2.3"} <= set(uids)
    assert len(uids) == len(set(uids))
    assert summary.failed == (tag != "PatientID")
    assert found(archive)[CHEST].images == {"StudyInstanceUID": 4, "SOPInstanceUID": 5, "PatientID": 3}[tag]


def test_a_study_that_files_call_another_persons_stays_as_it_is_named(disc: Path) -> None:
    """A proposal is not made better by what contradicts it; the files are then set apart on arrival."""
    for uid, file in files_of(disc).items():
        if uid.startswith(CHEST):
            dataset = dcmread(file)
            dataset.PatientName, dataset.PatientBirthDate = "Vries^Els de", "19800101"
            dataset.save_as(file)
    rows = found(archive_of(disc))
    assert (rows[CHEST].patient.name, rows[CHEST].patient.birth_date) == ("Jansen^Piet", None)


BROKEN = [b"", b"x" * 300, bytes(128) + b"DICM", bytes(70_000)]


@pytest.mark.parametrize("content", BROKEN, ids=["empty", "text", "nothing", "zeros"])
def test_without_a_readable_one_the_files_tell(disc: Path, content: bytes) -> None:
    (disc / "DICOMDIR").write_bytes(content)
    archive = archive_of(disc)
    assert {uid: row.images for uid, row in found(archive).items()} == {CHEST: 4, HEAD: 2}
    assert len(taken(archive, CHEST)[0]) == 4


def test_links_that_lead_astray_leave_the_order_of_the_file(disc: Path) -> None:
    content = bytearray((disc / "DICOMDIR").read_bytes())
    for tag in (b"\x04\x00\x00\x14UL", b"\x04\x00\x20\x14UL"):
        at = content.index(tag, 1000)
        content[at + 8 : at + 12] = struct.pack("<L", 7)
    (disc / "DICOMDIR").write_bytes(content)
    assert {row.study_uid: row.images for row in searched(disc)[0]} == {CHEST: 4, HEAD: 2}


# --- nothing outside of the folder


def escaping(disc: Path, outside: Path) -> list[list[str]]:
    """Referenced File IDs that would lead to a file outside, were they followed."""
    up = [".."] * 2
    target = [*outside.parts[1:]]
    return [
        [*up, outside.parent.name, outside.name],
        ["..", outside.parent.name, outside.name],
        ["/" + "/".join(target)],
        ["", *target],
        ["/", *target],
        [f"../{outside.parent.name}/{outside.name}"],
        ["C:", "secret", "IM1"],
        ["C:/secret/IM1"],
        ["", "", "server", "share", "IM1"],
        [".", "..", outside.parent.name, outside.name],
        ["LINK"],
        ["LINKDIR", outside.name],
        ["IM\0/../../x"],
        ["x" * 5000],
        ["CON"],
        [".."],
        ["."],
    ]


def hostile_disc(disc: Path, outside: Path) -> int:
    """Give as many records as there are ways to escape a file ID that does; how many."""
    ways = escaping(disc, outside)
    write_disc(disc, study(CHEST, len(ways)))
    dataset = dcmread(disc / "DICOMDIR")
    records = [record for record in dataset.DirectoryRecordSequence if record.DirectoryRecordType == "IMAGE"]
    # pydicom warns of every value that the standard forbids, which is what these are for.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for record, way in zip(records, ways, strict=True):
            record.ReferencedFileID = way
        dataset.save_as(disc / "DICOMDIR")
    if sys.platform != "win32":
        (disc / "LINK").symlink_to(outside)
        (disc / "LINKDIR").symlink_to(outside.parent)
    return len(ways)


READ_ALL = """
import sys
from pathlib import Path
opened = []
root = str(Path(sys.argv[1]).resolve())
from priorline.archives.folder import Folder, FolderArchive
from priorline.archives.incoming import whole
from priorline.domain.patient import Identifier, Patient
from priorline.work.hospitals import start_thread
archive = FolderArchive(Folder("Disc", Path(root)), start_thread)
def hook(event, arguments):
    if event in ("open", "os.listdir", "os.scandir") and not isinstance(arguments[0], int):
        opened.append(str(arguments[0]))
rows = []
archive.echo()
sys.addaudithook(hook)
print("BEGIN", file=sys.stderr, flush=True)
archive.find_studies(Patient(Identifier("PL-0042")), rows.extend, lambda: False)
received = []
archive.list_study(rows[0].study_uid, lambda _first: None, lambda: False)
summary = archive.retrieve(rows[0].study_uid, None, (), whole(received.append), lambda: False)
print("END", file=sys.stderr, flush=True)
outside = [path for path in opened if path != root and not path.startswith(root + "/")]
print(len(opened), outside, len(received), summary.failed)
"""


@LINUX
def test_a_directory_that_points_outside_leads_nowhere(tmp_path: Path) -> None:
    outside = tmp_path / "outside" / "IM1"
    save(outside.parent, study(CHEST, 1), "IM1")
    ways = hostile_disc(tmp_path / "disc", outside)
    disc, trace = tmp_path / "disc", tmp_path / "trace"
    command = ["strace", "-f", "-e", "trace=file,write", "-o", trace, sys.executable, "-c", READ_ALL, disc]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    opened, told = ended.stdout.strip().split(" ", 1)
    assert int(opened) > ways
    # The images themselves are found as files; none is missing, and none is from outside.
    assert told == f"[] {ways} 0"
    calls = trace.read_text().partition('"BEGIN')[2].partition('"END')[0]
    named = set(re.findall(r'"([^"\n]*)"', calls)) - {"", "\\n"}
    modules = (sys.prefix, sys.base_prefix, str(Path.cwd()))
    assert str(disc / "DICOMDIR") in named
    assert {path for path in named if not path.startswith((f"{disc}/", *modules))} <= {str(disc)}
    assert not any(".." in path for path in named if path.startswith(str(disc)))


def test_what_points_outside_is_counted_as_missing(tmp_path: Path) -> None:
    outside = tmp_path / "outside" / "IM1"
    save(outside.parent, study(CHEST, 1), "IM1")
    disc = tmp_path / "disc"
    ways = hostile_disc(disc, outside)
    for file in files_of_plain(disc):
        file.unlink()
    archive = archive_of(disc)
    received, summary = taken(archive, CHEST)
    listed = instances_of(archive, CHEST)
    assert received == []
    assert summary.failed == sum(map(len, listed.values()))
    # Those whose file ID is none at all are not even records of an image.
    assert ways - 8 <= summary.failed <= ways
    assert "not inside of the folder" in summary.message


def files_of_plain(disc: Path) -> list[Path]:
    """The image files themselves, links left alone."""
    return [
        path
        for path in disc.rglob("*")
        if path.is_file() and not path.is_symlink() and path.name != "DICOMDIR" and "LINKDIR" not in path.parts
    ]


@LINUX
def test_a_folder_that_becomes_a_link_is_not_followed(disc: Path, tmp_path: Path) -> None:
    archive = archive_of(disc)
    index = archive._whole()
    (place,) = {one.place for one in index.instances(CHEST) if one.sop_uid == f"{CHEST}.1.0"}
    assert place is not None
    top = disc / place[0]
    top.rename(tmp_path / "moved")
    top.symlink_to(tmp_path / "moved")
    with pytest.raises(PermissionError):
        folder_reader.open_file(disc, place)


# --- hostile ones


def mutated(content: bytes, chance: random.Random) -> bytes:
    """The DICOMDIR with some bytes, lengths or offsets changed, parts left out or said twice, or cut."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        kind, at = chance.randrange(6), chance.randrange(max(1, len(changed) - 8))
        if kind == 0:
            changed[at] = chance.randrange(256)
        elif kind == 1:
            changed[at : at + 4] = struct.pack("<L", chance.choice((0, 1, 0xFFFFFFFF, 0xFFFFFFF0, len(content), at)))
        elif kind == 2:
            del changed[at : at + chance.randrange(1, 64)]
        elif kind == 3:
            changed[at:at] = changed[at : at + chance.randrange(1, 400)]
        elif kind == 4 and chance.random() < 0.3:
            del changed[at:]
        else:
            tag = chance.choice((b"\x04\x00\x00\x14", b"\x04\x00\x20\x14", b"\x04\x00\x00\x12", b"\x04\x00\x00\x15"))
            found_at = changed.find(tag, at)
            if found_at >= 0:
                changed[found_at + 8 : found_at + 12] = struct.pack("<L", chance.randrange(len(content) * 2))
    return bytes(changed)


def test_whatever_it_says_the_files_are_found_and_nothing_breaks(tmp_path: Path) -> None:
    """2,000 damaged DICOMDIRs: no exception that is not ours, and no image on the disc is lost."""
    disc = write_disc(tmp_path / "disc", [*study(CHEST, 3), *study(OTHER, 1, STRANGER)])
    original = (disc / "DICOMDIR").read_bytes()
    archive = archive_of(disc)
    chance = random.Random(7)
    lost, refused = 0, 0
    for _ in range(MUTATIONS):
        (disc / "DICOMDIR").write_bytes(mutated(original, chance))
        os.utime(disc / "DICOMDIR", ns=(0, chance.randrange(1 << 60)))
        try:
            rows = found(archive)
            uids = {uid for uids in instances_of(archive, CHEST).values() for uid in uids}
            lost += CHEST not in rows or not {f"{CHEST}.1.0", f"{CHEST}.1.1", f"{CHEST}.2.2"} <= uids
        except ArchiveError:
            refused += 1
    assert refused == 0
    # Only where it names a file that is there by another UID, and not the one of each study that is looked into.
    assert lost <= MUTATIONS // 500


def bomb(content: bytes, items: bytes) -> bytes:
    """The DICOMDIR with other records."""
    at = content.index(b"\x04\x00\x20\x12SQ")
    return content[: at + 8] + struct.pack("<L", len(items)) + items


def records(number: int) -> Iterator[bytes]:
    for _ in range(number):
        yield b"\xfe\xff\x00\xe0\0\0\0\0"


@pytest.mark.parametrize(
    "items",
    [
        b"".join(records(1_000_000)),
        b"\xfe\xff\x00\xe0\xff\xff\xff\xff" * 1_000_000,
        b"\xfe\xff\x00\xe0" + struct.pack("<L", 8_000_000) + b"\x09\x00\x01\x00LO\0\0" * 1_000_000,
        (b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff") * 200_000,
    ],
    ids=["empty items", "items in items", "tiny elements", "nesting"],
)
def test_bombs_cost_little(disc: Path, items: bytes) -> None:
    (disc / "DICOMDIR").write_bytes(bomb((disc / "DICOMDIR").read_bytes(), items))
    assert found(archive_of(disc)).keys() == {CHEST, HEAD}
