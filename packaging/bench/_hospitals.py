"""Simulated hospitals on loopback that wait before they answer a search; a process of its own.

`python _hospitals.py MILLISECONDS…` prints one line of JSON with a port for each delay and ends when its standard
input closes. Each hospital knows one patient, with some studies of its own and one that all of them hold.
"""

import json
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind  # type: ignore[attr-defined]

TITLE = "HOSPITAL"
PATIENT_ID = "BENCH-1"
STUDIES = 8
ROOT = "1.2.826.0.1.3680043.10.999"
KINDS = (("CT", "CT Abdomen"), ("DX", "Thorax"), ("MR", "MR Knee left"), ("US", "US Abdomen"))
PENDING, SUCCESS = 0xFF00, 0x0000


def study(hospital: int, number: int) -> Dataset:
    """One row of the answer; study 0 is the same at all hospitals."""
    modality, description = KINDS[number % len(KINDS)]
    row = Dataset()
    row.SpecificCharacterSet = "ISO_IR 192"
    row.QueryRetrieveLevel = "STUDY"
    row.PatientID = PATIENT_ID
    row.PatientName = "BENCH^Patient"
    row.PatientBirthDate = "19680401"
    row.PatientSex = "M"
    row.StudyInstanceUID = f"{ROOT}.{hospital if number else 0}.{number}"
    row.StudyDate = f"{2010 + number:04d}{hospital + 1:02d}12"
    row.StudyTime = "101500"
    row.ModalitiesInStudy = modality
    row.StudyDescription = description
    row.AccessionNumber = f"A{hospital}{number}"
    row.NumberOfStudyRelatedSeries = 1
    row.NumberOfStudyRelatedInstances = 2
    return row


def answer(event: evt.Event, hospital: int, seconds: float) -> Iterator[tuple[int, Dataset | None]]:
    """Wait as long as this hospital thinks, then give all rows."""
    asked: Any = event.identifier
    threading.Event().wait(seconds)
    if asked.get("PatientID") == PATIENT_ID:
        for number in range(STUDIES):
            yield PENDING, study(hospital, number)
    yield SUCCESS, None


def send_at_once(event: evt.Event) -> None:
    """No Nagle's algorithm here: how quickly who asks acknowledges is not what is measured."""
    transport: Any = event.assoc.dul.socket
    transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def start(hospital: int, seconds: float) -> int:
    """Start one hospital and return its port."""
    entity = AE(TITLE)
    entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    handlers: list[Any] = [(evt.EVT_CONN_OPEN, send_at_once), (evt.EVT_C_FIND, answer, [hospital, seconds])]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None
    assert server.socket is not None
    return int(server.socket.getsockname()[1])


def main(delays: list[str]) -> None:
    """Serve until nobody listens any more."""
    ports = [start(number, float(delay) / 1000) for number, delay in enumerate(delays, 1)]
    print(json.dumps(ports), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1:])
