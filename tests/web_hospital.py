"""A hospital that speaks HTTP on loopback and does what a test's script says, byte by byte; always torn down."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.datadict import dictionary_VR, tag_for_keyword

from peers import QUICK
from priorline.archives.base import Timeouts
from priorline.archives.dicomweb_peer import DicomWebPeer

PATIENT_ID = "PL-0042"
STUDY = "1.2.826.0.1.3680043.8.498.1"
DICOM_JSON = "application/dicom+json"
BOUNDARY = "between-images"
RELATED = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
SECONDS = 30.0
PREAMBLE = bytes(128)


@dataclass(frozen=True)
class Request:
    """One request as it came; `number` counts from 0 over all connections."""

    number: int
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]

    def __getitem__(self, key: str) -> str:
        return dict(self.query).get(key, "")


Script = Callable[[socket.socket, Request], None]


@dataclass
class WebHospital:
    """The running hospital: what it was asked, and where it is."""

    port: int
    scheme: str = "http"
    requests: list[Request] = field(default_factory=list)

    def peer(self, timeouts: Timeouts = QUICK, **changes: Any) -> DicomWebPeer:
        """Its description, as from the configuration."""
        values: dict[str, Any] = {"name": "Hospital West", "url": f"{self.scheme}://127.0.0.1:{self.port}/dicom-web"}
        return DicomWebPeer(**{**values, "timeouts": timeouts, **changes})


@contextlib.contextmanager
def scripted(script: Script, wrap: Callable[[socket.socket], socket.socket] | None = None) -> Iterator[WebHospital]:
    """A hospital that runs `script` for each request, on a thread of its own; `wrap` puts TLS around a connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        hospital = WebHospital(listener.getsockname()[1], "https" if wrap else "http")
        open_ones: list[socket.socket] = []
        threads: list[threading.Thread] = []

        def serve(connection: socket.socket) -> None:
            with contextlib.suppress(OSError), wrap(connection) if wrap else connection as ours:
                open_ones.append(ours)
                ours.settimeout(SECONDS)
                request = _read_request(ours, len(hospital.requests))
                hospital.requests.append(request)
                script(ours, request)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    open_ones.append(connection)
                    threads.append(threading.Thread(target=serve, args=(connection,), daemon=True))
                    threads[-1].start()

        threads.append(threading.Thread(target=accept, daemon=True))
        threads[0].start()
        try:
            yield hospital
        finally:
            for one in (listener, *open_ones):
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(SECONDS)
            for one in open_ones:
                one.close()


def _read_request(connection: socket.socket, number: int) -> Request:
    head = b""
    while b"\r\n\r\n" not in head:
        more = connection.recv(65536)
        if not more:
            raise ConnectionError
        head += more
    first, *lines = head.decode("ascii").rstrip("\r\n").split("\r\n")
    target = urlsplit(first.split(" ")[1])
    pairs = (line.split(": ", 1) for line in lines)
    headers = {name.lower(): value for name, value in pairs}
    return Request(number, target.path, parse_qsl(target.query), headers)


def wait_for_the_other_side(connection: socket.socket) -> None:
    """Say no more until the other side has gone."""
    with contextlib.suppress(OSError):
        while connection.recv(65536):
            pass


def response(body: bytes = b"", kind: str = DICOM_JSON, status: str = "200 OK", **headers: str) -> bytes:
    """A whole response; `headers` with _ for -, an empty one is left out."""
    all_headers = {"Content_Type": kind, "Content_Length": str(len(body)), **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in all_headers.items() if value]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode() + body


def answers(*whole: bytes) -> Script:
    """A script that sends these responses, one for each request; the last one for all further ones."""

    def script(connection: socket.socket, request: Request) -> None:
        connection.sendall(whole[min(request.number, len(whole) - 1)])

    return script


def attribute(keyword: str, *values: Any) -> dict[str, Any]:
    """One attribute of the DICOM JSON Model (PS3.18 F.2)."""
    return {f"{tag_for_keyword(keyword):08X}": {"vr": dictionary_VR(keyword), "Value": list(values)}}


def study_row(uid: str = STUDY, patient_id: str = PATIENT_ID, **more: Any) -> dict[str, Any]:
    """A study as a hospital tells it, complete enough that nothing more is asked."""
    row = attribute("StudyInstanceUID", uid) | attribute("PatientID", patient_id)
    row |= attribute("PatientName", {"Alphabetic": "Jansen^Piet"}) | attribute("ModalitiesInStudy", "CT")
    row |= attribute("StudyDescription", "CT thorax") | attribute("StudyDate", "20190131")
    for keyword, value in more.items():
        row |= attribute(keyword, value)
    return row


def as_json(rows: Iterable[dict[str, Any]]) -> bytes:
    """Rows as a response."""
    return response(json.dumps(list(rows), ensure_ascii=False).encode())


def instance_file(number: int, series: str = STUDY + ".1", **tags: str) -> bytes:
    """Image `number` of the study as a DICOM file."""
    dataset = dcmread(get_testdata_file("MR_small.dcm"))
    values = {"PatientID": PATIENT_ID, "PatientName": "Jansen^Piet", "StudyInstanceUID": STUDY}
    values |= {"SeriesInstanceUID": series, "SOPInstanceUID": sop_uid(number), **tags}
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    encoded = BytesIO()
    dataset.save_as(encoded)
    return encoded.getvalue()


def sop_uid(number: int) -> str:
    """The UID of image `number`."""
    return f"{STUDY}.9.{number}"


def dataset_of(file: bytes) -> bytes:
    """What follows the file meta in a DICOM file."""
    return file[144 + dcmread(BytesIO(file)).file_meta.FileMetaInformationGroupLength :]


def multipart(files: Iterable[bytes], boundary: str = BOUNDARY, end: bytes = b"--\r\n") -> bytes:
    """A multipart/related body."""
    parts = [
        f"\r\n--{boundary}\r\nContent-Type: application/dicom\r\nContent-Length: {len(file)}\r\n\r\n".encode() + file
        for file in files
    ]
    return b"".join(parts) + f"\r\n--{boundary}".encode() + end


def images(numbers: Iterable[int]) -> bytes:
    """A response with these images."""
    return response(multipart(map(instance_file, numbers)), RELATED)


def token_file(folder: Path, token: str) -> Path:
    """A file that holds a token."""
    file = folder / "token"
    file.write_text(token + "\n")
    return file
