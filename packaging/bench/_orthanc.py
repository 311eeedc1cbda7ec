"""Debian's Orthanc on loopback with one study in it: 133 slices of 512 x 512 with 16 bits, 70 MB, always the same."""

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

TITLE = "ARCHIVE"
CALLING = "PRIORLINE"
SLICES, SIDE = 133, 512
ROOT = "1.2.826.0.1.3680043.10.999.7"
STUDY, SERIES, FRAME_OF_REFERENCE = f"{ROOT}.1", f"{ROOT}.2", f"{ROOT}.3"
START_SECONDS = 30.0
WEB_PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"


def pixels(number: int) -> npt.NDArray[np.int16]:
    """A body with organs under noise that no compression takes away, (512, 512), in HU."""
    rows, columns = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    body = (rows / 0.7) ** 2 + (columns / 0.9) ** 2 < 1
    organ = rows**2 + (columns - number / SLICES + 0.5) ** 2 < 0.04
    noise = np.random.default_rng(number).normal(0, 60, body.shape)
    image: npt.NDArray[np.int16] = np.round(np.where(body, 40.0, -1000.0) + 200.0 * organ + noise).astype(np.int16)
    return image


def slice_dataset(number: int) -> Dataset:
    """One CT image with the elements that a scanner writes."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, f"{SERIES}.{number + 1}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = STUDY, SERIES, FRAME_OF_REFERENCE
    ds.PatientID, ds.PatientName = "BENCH-2", "BENCH^Fetch"
    ds.PatientBirthDate, ds.PatientSex = "19680401", "M"
    ds.StudyDate, ds.StudyTime, ds.StudyID = "20190302", "101500", "1"
    ds.AccessionNumber, ds.ReferringPhysicianName = "A1", ""
    ds.Modality, ds.StudyDescription, ds.SeriesDescription = "CT", "CT Abdomen", "1 mm"
    ds.SeriesNumber, ds.InstanceNumber, ds.ImageType = 1, number + 1, ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [-180, -180, float(number)], [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.SliceThickness, ds.KVP = [0.7, 0.7], "1.0", "120"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows = ds.Columns = SIDE
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "HU"
    ds.WindowCenter, ds.WindowWidth = "40", "400"
    ds.PixelData = pixels(number).tobytes()
    return ds


def write_study(folder: Path, slices: int = SLICES) -> list[Path]:
    """The study as files in `folder`."""
    files = []
    for number in range(slices):
        ds = slice_dataset(number)
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = (
            CTImageStorage,
            ds.SOPInstanceUID,
        )
        files.append(folder / f"{number:04d}.dcm")
        ds.save_as(files[-1], enforce_file_format=True)
    return files


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def orthanc_with_study(folder: Path, slices: int = SLICES, web_port: int = 0) -> Iterator[int]:
    """A running Orthanc that holds the study; gives its DICOM port. With `web_port` it speaks DICOMweb there."""
    port = free_port()
    configuration: dict[str, Any] = {
        "Name": "bench",
        "DicomAet": TITLE,
        "DicomPort": port,
        "HttpPort": web_port or free_port(),
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomModalities": {"priorline": [CALLING, "127.0.0.1", 1]},
        "Plugins": [WEB_PLUGIN] if web_port else [],
    }
    file, log = folder / "orthanc.json", folder / "orthanc.log"
    file.write_text(json.dumps(configuration), encoding="utf-8")
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])
    with log.open("wb") as told:
        server = subprocess.Popen(
            ["Orthanc", str(file)], stdout=told, stderr=told, cwd=folder, env={**os.environ, "PATH": path}
        )
        try:
            _wait_until_open(server, port)
            _fill(folder, port, slices)
            yield port
        finally:
            server.terminate()
            server.wait(START_SECONDS)


def _wait_until_open(server: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        threading.Event().wait(0.05)
    raise SystemExit("bench: Orthanc did not start")


def _fill(folder: Path, port: int, slices: int) -> None:
    source = folder / "source"
    source.mkdir()
    files = [str(file) for file in write_study(source, slices)]
    line = ["dcmsend", "-aec", TITLE, "-aet", CALLING, "127.0.0.1", str(port), *files]
    subprocess.run(line, check=True, capture_output=True, env={**os.environ, "TCP_NODELAY": "1"})
