"""Shared by journeys through the command line: made studies, a town with archives, the program as users run it."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import FileDataset
from pydicom.filereader import read_file_meta_info

import peers
from priorline.archives.base import DicomPeer

ROOT = "1.2.826.0.1.3680043.8.498."
CT, FILM, SHARED, COLOUR = ROOT + "101", ROOT + "102", ROOT + "103", ROOT + "104"
STRANGER_NORTH, STRANGER_SOUTH = ROOT + "201", ROOT + "202"
PATIENT = {"PatientID": "PL-0042", "PatientName": "Jansen^Piet", "PatientBirthDate": "19610405", "PatientSex": "M"}
STRANGER = {"PatientID": "PL-0099", "PatientName": "Vries^Els de", "PatientBirthDate": "19800101", "PatientSex": "F"}
NAMED = ("--patient-id", "PL-0042", "--name", "Jansen^Piet", "--birth-date", "19610405", "--sex", "M")
BULKY = ROOT + "301"
CT_SLICES, BULKY_IMAGES = 5, 4
DX_IMAGE = "1.2.840.10008.5.1.4.1.1.1.1"
NORTH, SOUTH, STOPPED = "North Hospital", "South Clinic", "Closed Hospital"
SECONDS = 120

Files = dict[str, dict[str, Path]]
"""Study Instance UID to SOP Instance UID to the file that was stored."""


@dataclass(frozen=True)
class Answer:
    """How one command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on standard output."""
        return json.loads(self.out)

    @property
    def complaint(self) -> str:
        """The one line on standard error, which is no traceback."""
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        assert self.out == ""
        return lines[0]


def priorline(*arguments: str | Path, stdin: str = "", start: tuple[str, ...] = ("-m", "priorline")) -> Answer:
    """Run the program in the home of this test."""
    ended = subprocess.run(
        [sys.executable, *start, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return Answer(ended.returncode, ended.stdout, ended.stderr)


@dataclass(frozen=True)
class Program:
    """The program with one configuration file."""

    config: Path

    def __call__(self, *arguments: str | Path, stdin: str = "") -> Answer:
        return priorline("--config", self.config, *arguments, stdin=stdin)


def write_config(file: Path, *hospitals: dict[str, Any], top: str = "", cache: Path | None = None) -> Program:
    """A configuration with these hospitals and a cache folder beside the file; `top` comes first."""
    lines = [top or "[workstation]\nport = 0", "[cache]", f'directory = "{cache or file.parent / "cache"}"']
    lines += ['key = "file"', 'min_free = "0 GB"']
    for hospital in hospitals:
        lines.append("[[hospital]]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in hospital.items()]
    file.write_text("\n".join(lines) + "\n")
    return Program(file)


def hospital(name: str, peer: DicomPeer, **more: Any) -> dict[str, Any]:
    """A DICOM hospital as it stands in the configuration."""
    return {"name": name, "ae_title": peer.ae_title, "host": peer.host, "port": peer.port, "timeout": 5, **more}


def relabelled(name: str, study: str, number: int, who: dict[str, str] | None = None, **tags: Any) -> FileDataset:
    """An image shipped with pydicom as number `number` of `study`."""
    dataset = dcmread(get_testdata_file(name))
    dataset.pop("DataSetTrailingPadding", None)
    series = f"{study}.1"
    values = {
        **(who or PATIENT),
        "StudyInstanceUID": study,
        "SeriesInstanceUID": series,
        "SOPInstanceUID": f"{series}.{number}",
        "InstanceNumber": number,
        "StudyTime": "101500",
        "AccessionNumber": f"A{study[-3:]}",
        **tags,
    }
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    return dataset


def made_studies(folder: Path) -> Files:
    """The patient's studies and those of strangers, as files."""
    thorax = {"StudyDescription": "CT thorax", "StudyDate": "20240501"}
    slices = [
        relabelled("CT_small.dcm", CT, n, **thorax, ImagePositionPatient=[-158.1, -179.0, -75.7 + 5 * n])
        for n in range(1, CT_SLICES + 1)
    ]
    film = {"StudyDescription": "X-thorax", "StudyDate": "20190302", "Modality": "DX", "SOPClassUID": DX_IMAGE}
    head = {"StudyDescription": "MR hersenen", "StudyDate": "20210611"}
    colour = {"StudyDescription": "Echo lever", "StudyDate": "20200110", "Modality": "US"}
    made = [
        *slices,
        relabelled("CT_small.dcm", FILM, 1, **film),
        *(relabelled("MR_small.dcm", SHARED, n, **head) for n in (1, 2)),
        relabelled("examples_rgb_color.dcm", COLOUR, 1, **colour),
        *bulky(),
        relabelled("MR_small_RLE.dcm", STRANGER_NORTH, 1, STRANGER, StudyDate="20220202"),
        relabelled("MR_small.dcm", STRANGER_SOUTH, 1, {**STRANGER, "PatientID": "PL-0077"}, StudyDate="20220203"),
    ]
    return saved(folder, made)


def bulky() -> list[FileDataset]:
    """A study of another person in which one image is much larger than the others."""
    who = {**STRANGER, "PatientID": "PL-0055"}
    made = [relabelled("CT_small.dcm", BULKY, number, who, StudyDate="20230101") for number in range(BULKY_IMAGES)]
    made[-2].add_new(0x00091001, "OB", bytes(600_000))
    return made


def saved(folder: Path, made: list[FileDataset]) -> Files:
    """Write datasets as files."""
    files: Files = {}
    for number, dataset in enumerate(made):
        file = folder / f"{number:04d}.dcm"
        dataset.save_as(file)
        files.setdefault(str(dataset.StudyInstanceUID), {})[str(dataset.SOPInstanceUID)] = file
    return files


@dataclass(frozen=True)
class Town:
    """Two archives that run, a port where none does, and what was stored."""

    north: DicomPeer
    south: DicomPeer
    stopped: DicomPeer
    files: Files

    def program(self, folder: Path, *names: str, **more: Any) -> Program:
        """The program with these hospitals; without names all three."""
        known = {NORTH: self.north, SOUTH: self.south, STOPPED: self.stopped}
        wanted = [hospital(name, known[name], **more) for name in names or known]
        return write_config(folder / "priorline.toml", *wanted)


@contextlib.contextmanager
def running_town(folder: Path) -> Iterator[Town]:
    """Orthanc has CT, shared MR and colour; dcmqrscp has the film and the shared MR; each has a stranger too."""
    for name in ("files", "north", "south"):
        (folder / name).mkdir()
    files = made_studies(folder / "files")
    with peers.orthanc(folder / "north") as north, peers.dcmqrscp(folder / "south") as south:
        for peer, uids in (
            (north, (CT, SHARED, COLOUR, BULKY, STRANGER_NORTH)),
            (south, (FILM, SHARED, STRANGER_SOUTH)),
        ):
            peers.store(peer, [file for uid in uids for file in files[uid].values()])
        yield Town(north, south, peers.peer(peers.free_port()), files)


def dataset_bytes(file: Path) -> bytes:
    """What follows the file meta information (PS3.10 7.1), as it stands in the file."""
    content = file.read_bytes()
    length = int(read_file_meta_info(file).FileMetaInformationGroupLength)
    return content[132 + 12 + length :]


def by_sop_uid(folder: Path) -> dict[str, Path]:
    """The DICOM files of a folder by their SOP Instance UID."""
    return {str(dcmread(BytesIO(file.read_bytes())).SOPInstanceUID): file for file in sorted(folder.iterdir())}


def assert_same_objects(exported: Path, stored: dict[str, Path], *, verbatim: bool = True) -> None:
    """Every stored object came out once, and is the same, element for element and in its encoded bytes.

    `verbatim` false leaves the encoding out: archives may send implicit as explicit and write lengths anew.
    """
    found = by_sop_uid(exported)
    assert found.keys() == stored.keys()
    for uid, file in found.items():
        ours, theirs = dcmread(file), dcmread(stored[uid])
        assert ours == theirs
        if verbatim:
            assert ours.file_meta.TransferSyntaxUID == theirs.file_meta.TransferSyntaxUID
            assert dataset_bytes(file) == dataset_bytes(stored[uid])
