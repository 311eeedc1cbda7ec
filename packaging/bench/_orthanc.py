"""Debian's Orthanc on loopback with computed CT studies in it: slices of 512 x 512 with 16 bits, always the same."""

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

TITLE = "ARCHIVE"
CALLING = "PRIORLINE"
SLICES, SIDE = 133, 512
WEB_PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
ROOT = "1.2.826.0.1.3680043.10.999.7"
START_SECONDS = 30.0
PATIENT_ID, PATIENT_NAME, BIRTH_DATE, SEX = "BENCH-2", "BENCH^Fetch", "19680401", "M"


@dataclass(frozen=True, slots=True)
class Made:
    """A study of one series, all of the same patient; each `number` is another study."""

    slices: int = SLICES
    number: int = 1
    date: str = "20190302"

    @property
    def uid(self) -> str:
        """Its Study Instance UID."""
        return f"{ROOT}.{self.number}"

    @property
    def series_uid(self) -> str:
        """The Series Instance UID of all its slices."""
        return f"{self.uid}.1"


STUDY = Made().uid


def pixels(number: int, slices: int = SLICES) -> npt.NDArray[np.int16]:
    """A body with organs under noise that no compression takes away, (512, 512), in HU."""
    rows, columns = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    body = (rows / 0.7) ** 2 + (columns / 0.9) ** 2 < 1
    organ = rows**2 + (columns - number / slices + 0.5) ** 2 < 0.04
    noise = np.random.default_rng(number).normal(0, 60, body.shape)
    image: npt.NDArray[np.int16] = np.round(np.where(body, 40.0, -1000.0) + 200.0 * organ + noise).astype(np.int16)
    return image


def slice_dataset(number: int, made: Made) -> Dataset:
    """One CT image with the elements that a scanner writes."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, f"{made.series_uid}.{number + 1}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = made.uid, made.series_uid, f"{made.uid}.2"
    ds.PatientID, ds.PatientName = PATIENT_ID, PATIENT_NAME
    ds.PatientBirthDate, ds.PatientSex = BIRTH_DATE, SEX
    ds.StudyDate, ds.StudyTime, ds.StudyID = made.date, "101500", str(made.number)
    ds.AccessionNumber, ds.ReferringPhysicianName = f"A{made.number}", ""
    ds.Modality, ds.StudyDescription, ds.SeriesDescription = "CT", "CT Abdomen", "1 mm"
    ds.SeriesNumber, ds.InstanceNumber, ds.ImageType = 1, number + 1, ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [-180, -180, float(number)], [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.SliceThickness, ds.KVP = [0.7, 0.7], "1.0", "120"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows = ds.Columns = SIDE
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "HU"
    ds.WindowCenter, ds.WindowWidth = "40", "400"
    ds.PixelData = pixels(number, made.slices).tobytes()
    return ds


def write_study(folder: Path, made: Made = Made()) -> list[Path]:
    """The study as files in `folder`."""
    files = []
    for number in range(made.slices):
        ds = slice_dataset(number, made)
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = (
            CTImageStorage,
            ds.SOPInstanceUID,
        )
        files.append(folder / f"{made.number}-{number:04d}.dcm")
        ds.save_as(files[-1], enforce_file_format=True)
    return files


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def orthanc_with_study(folder: Path, http: int = 0, slices: int = SLICES) -> Iterator[int]:
    """A running Orthanc that holds one study, its REST API at port `http`; gives its DICOM port."""
    source = folder / "source"
    source.mkdir()
    with orthanc(folder, write_study(source, Made(slices)), HttpPort=http or free_port()) as port:
        yield port


@contextmanager
def orthanc(folder: Path, files: Sequence[Path], **options: Any) -> Iterator[int]:
    """A running Orthanc that holds these files; gives its DICOM port. `options` change its configuration."""
    port = free_port()
    configuration: dict[str, Any] = {
        "Name": "bench",
        "DicomAet": TITLE,
        "DicomPort": port,
        "HttpPort": free_port(),
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomModalities": {"priorline": [CALLING, "127.0.0.1", 1]},
        "Plugins": [],
        **options,
    }
    file = folder / "orthanc.json"
    file.write_text(json.dumps(configuration), encoding="utf-8")
    with serving(["Orthanc", str(file)], folder, port):
        _fill(port, files)
        yield port


@contextmanager
def serving(line: list[str], folder: Path, port: int) -> Iterator[None]:
    """A program that listens on `port`; what it tells goes into `folder`."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])
    with (folder / "log.txt").open("wb") as told:
        server = subprocess.Popen(line, stdout=told, stderr=told, cwd=folder, env={**os.environ, "PATH": path})
        try:
            wait_until_open(server, port)
            yield
        finally:
            server.terminate()
            server.wait(START_SECONDS)


def wait_until_open(server: subprocess.Popen[bytes], port: int) -> None:
    """Come back once the program listens; a program that does not ends the measurement."""
    end = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        threading.Event().wait(0.05)
    raise SystemExit(f"bench: what should listen on port {port} did not start")


def _fill(port: int, files: Sequence[Path]) -> None:
    line = ["dcmsend", "-aec", TITLE, "-aet", CALLING, "127.0.0.1", str(port), *map(str, files)]
    subprocess.run(line, check=True, capture_output=True, env={**os.environ, "TCP_NODELAY": "1"})
