"""Folders, discs and sticks with DICOM files, as the tests of several layers need them."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import FileDataset
from pydicom.fileset import FileSet

ROOT = "1.2.826.0.1.3680043.8.498."
CHEST, HEAD, OTHER = ROOT + "11", ROOT + "12", ROOT + "13"
WHO = {"PatientID": "PL-0042", "PatientName": "Jansen^Piet", "PatientBirthDate": "19610405", "PatientSex": "M"}
STRANGER = {"PatientID": "PL-0099", "PatientName": "Vries^Els de", "PatientBirthDate": "19800101", "PatientSex": "F"}


def image(study: str, number: int, who: dict[str, str] | None = None, **tags: Any) -> FileDataset:
    """Image `number` of a study; two to a series."""
    dataset = dcmread(get_testdata_file(tags.pop("like", "CT_small.dcm")))
    dataset.pop("DataSetTrailingPadding", None)
    series = f"{study}.{1 + number // 2}"
    values = {
        **(who or WHO),
        "StudyInstanceUID": study,
        "StudyID": "1",
        "StudyDate": "20190302",
        "StudyTime": "102100",
        "AccessionNumber": "A1",
        "StudyDescription": "CT thorax",
        "SeriesInstanceUID": series,
        "SeriesNumber": 1 + number // 2,
        "SOPInstanceUID": f"{series}.{number}",
        "InstanceNumber": number,
        "BodyPartExamined": "CHEST",
        **tags,
    }
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    return dataset


def study(uid: str, images: int = 4, who: dict[str, str] | None = None, **tags: Any) -> list[FileDataset]:
    """The images of one study."""
    return [image(uid, number, who, **tags) for number in range(images)]


def save(folder: Path, datasets: Sequence[FileDataset], name: str = "IM{:04d}") -> list[Path]:
    """Loose files in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / name.format(number) for number in range(len(datasets))]
    for file, dataset in zip(files, datasets, strict=True):
        dataset.save_as(file)
    return files


def write_disc(folder: Path, datasets: Sequence[FileDataset]) -> Path:
    """A disc with a DICOMDIR, as pydicom makes it; all its images are below `folder`."""
    files = FileSet()
    for dataset in datasets:
        files.add(dataset)
    files.write(folder)
    # Else it goes with a warning when pydicom's object does.
    files._stage["t"].cleanup()
    return folder


def dcmmkdir(folder: Path, images: str) -> Path:
    """Write a DICOMDIR by DCMTK for what is in the folder `images` below `folder`; a second one adds to it."""
    again = ["+A"] if (folder / "DICOMDIR").exists() else []
    subprocess.run(
        ["dcmmkdir", "+r", "-Pgp", "+I", "-W", "-Nxc", *again, "+id", folder, images],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=60,
    )
    return folder


def dataset_of(file: Path) -> bytes:
    """The bytes of a file from its dataset on."""
    content = file.read_bytes()
    length = int.from_bytes(content[140:144], "little")
    return content[144 + length :]
