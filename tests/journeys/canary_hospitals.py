"""Hospitals for the canary run, in a process of their own: one that stops in the middle, and hostile ones.

Each hostile one puts the names and numbers of the patient where a program is tempted to repeat them: into the comment
of an error, into values that cannot be what they claim to be, and into an answer that is no DICOM at all.
"""

import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
import unicodedata
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pydicom.config
from canary_tools import (
    ACCESSION,
    BIRTH_DATE,
    COMMENT,
    DESCRIPTION,
    FAMILY,
    GIVEN,
    MAIDEN,
    NUMBER,
    PHYSICIAN,
    SERIES_MARK,
    SOP_MARK,
    STRANGER,
    STRANGER_NUMBER,
    STUDY_MARK,
    UID_ROOT,
)
from journey_tools import relabelled
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt

NAME = f"{FAMILY}^{GIVEN}"
PATIENT = {"PatientID": NUMBER, "PatientName": NAME, "PatientBirthDate": BIRTH_DATE, "PatientSex": "F"}
MARRIED = {**PATIENT, "PatientName": f"{MAIDEN}^{GIVEN}"}
OTHER = {**PATIENT, "PatientID": STRANGER_NUMBER, "PatientName": f"{STRANGER}^Els"}
CURRENT, INTERRUPTED, MIXED, FILM, MAIDEN_FILM, BROKEN, DISC = (f"{UID_ROOT}{STUDY_MARK}.{n}" for n in range(1, 8))
SLICES, BEFORE_THE_GATE = 12, 5
SLOW, SHOUTING, GARBLED, CHATTY = "Slow Hospital", "Shouting Hospital", "Garbled Hospital", "Chatty Hospital"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
FIND, GET = "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.1.2.2.3"
PENDING, FAILED, CANCELLED = 0xFF00, 0xC001, 0xFE00
LEVELS = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}


def image(study: str, number: int, who: dict[str, str] | None = None, **tags: Any) -> FileDataset:
    """An image of `study` with a canary wherever people write one."""
    last = study.rsplit(".", 1)[1]
    values = {
        "SpecificCharacterSet": "ISO_IR 100",
        "StudyDate": "20260102",
        "SeriesInstanceUID": f"{UID_ROOT}{SERIES_MARK}.{last}",
        "SOPInstanceUID": f"{UID_ROOT}{SOP_MARK}.{last}.{number}",
        "FrameOfReferenceUID": f"{UID_ROOT}{SERIES_MARK}.{last}.9",
        "AccessionNumber": ACCESSION,
        "StudyDescription": f"{DESCRIPTION} thorax",
        "SeriesDescription": f"{DESCRIPTION} serie",
        "ReferringPhysicianName": f"{PHYSICIAN}^A",
        "PatientComments": f"{COMMENT} {NAME}",
        "ImagePositionPatient": [-158.1, -179.0, -75.7 + 5 * number],
    }
    return relabelled("CT_small.dcm", study, number, who or PATIENT, **{**values, **tags})


class Hospitals:
    """A context: inside it they listen. After `BEFORE_THE_GATE` images a study waits until the gate is open."""

    def __init__(self, folder: Path) -> None:
        self._gate = folder / "gate"
        self._command = [sys.executable, __file__, str(self._gate)]

    def __enter__(self) -> "Hospitals":
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert self._process.stdout is not None
        self.ports: dict[str, int] = json.loads(self._process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def open_gate(self) -> None:
        """Let all images through."""
        self._gate.touch()

    def close_gate(self) -> None:
        """Hold the images back again."""
        self._gate.unlink()


# --- in the process of their own ------------------------------------------------------------------------------


class _Slow:
    """Answers like an archive, and stops in the middle of a study until there is a gate file."""

    def __init__(self, gate: Path) -> None:
        self._gate = gate
        self._sent: set[tuple[str, str]] = set()
        self._images = [image(study, n) for study in (CURRENT, INTERRUPTED) for n in range(1, SLICES + 1)]
        self._images += [image(MIXED, 1), image(MIXED, 2, OTHER)]

    def find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        query, level = event.identifier, event.identifier.QueryRetrieveLevel
        told = set()
        for one in self._matching(query):
            uid = one[LEVELS[level]].value
            if uid not in told:
                told.add(uid)
                yield PENDING, _row(one, query, self._images)

    def get(self, event: Any) -> Iterator[int | tuple[int, Dataset | None]]:
        found = self._matching(event.identifier)
        yield len(found)
        for one in found:
            while self._is_held_back(one):
                if event.is_cancelled:
                    yield CANCELLED, None
                    return
                time.sleep(0.01)
            self._sent.add((one.StudyInstanceUID, one.SOPInstanceUID))
            yield PENDING, one

    def _is_held_back(self, one: FileDataset) -> bool:
        if self._gate.exists() or (one.StudyInstanceUID, one.SOPInstanceUID) in self._sent:
            return False
        return sum(study == one.StudyInstanceUID for study, _sop in self._sent) >= BEFORE_THE_GATE

    def _matching(self, query: Dataset) -> list[FileDataset]:
        keys = [key for key in ("PatientID", *LEVELS.values()) if query.get(key)]
        # An archive that knows its patients lists what it filed under them, whatever the object says.
        return [one for one in self._images if all(_filed(one, key) in _asked(query, key) for key in keys)]


def _filed(one: FileDataset, key: str) -> str:
    return NUMBER if key == "PatientID" else str(one.get(key))


def _asked(query: Dataset, key: str) -> Collection[str]:
    value = query.get(key)
    return [value] if isinstance(value, str) else list(value)


def _row(one: FileDataset, query: Dataset, images: list[FileDataset]) -> Dataset:
    row = Dataset()
    row.SpecificCharacterSet = one.SpecificCharacterSet
    for element in query:
        if element.keyword in one and element.keyword not in PATIENT:
            row[element.tag] = one[element.tag]
    for keyword, value in PATIENT.items():
        setattr(row, keyword, value)
    for keyword in LEVELS.values():
        if keyword in query:
            setattr(row, keyword, one.get(keyword))
    row.ModalitiesInStudy, row.SOPClassesInStudy = "CT", CT_IMAGE
    row.NumberOfStudyRelatedInstances = sum(each.StudyInstanceUID == one.StudyInstanceUID for each in images)
    return row


def _shouted() -> tuple[Dataset, None]:
    status = Dataset()
    status.Status = FAILED
    status.ErrorComment = f"{_plain(NAME)} {NUMBER} {STUDY_MARK}"[:64]
    return status, None


def _plain(text: str) -> str:
    return unicodedata.normalize("NFD", text).encode("ascii", "ignore").decode()


def _shout_find(_event: Any) -> Iterator[tuple[Dataset, None]]:
    yield _shouted()


def _shout_get(_event: Any) -> Iterator[int | tuple[Dataset, None]]:
    yield 1
    yield _shouted()


def _garble(_event: Any) -> Iterator[tuple[int, Dataset | None]]:
    """Rows whose values cannot be what they claim to be; sent implicit, where nobody sees that these are texts."""
    nonsense = f"{NAME} {NUMBER} {BIRTH_DATE}".encode()
    uid = f"{UID_ROOT}{STUDY_MARK}.66".encode()
    for keyword in (
        "StudyInstanceUID",
        "StudyDate",
        "PatientBirthDate",
        "NumberOfStudyRelatedInstances",
        "StudyTime",
    ):
        row = Dataset()
        values = {"PatientID": NUMBER.encode(), "StudyInstanceUID": uid, keyword: nonsense}
        for name, value in values.items():
            row.add_new(tag_for_keyword(name) or 0, "UN", value)
        yield PENDING, row
    yield FAILED, None


@contextmanager
def _node(title: str, handlers: list[Any], syntaxes: list[Any]) -> Iterator[int]:
    entity = AE(title)
    entity.add_supported_context("1.2.840.10008.1.1", syntaxes)
    entity.add_supported_context(FIND, syntaxes)
    entity.add_supported_context(GET, syntaxes)
    entity.add_supported_context(CT_IMAGE, [ExplicitVRLittleEndian], scu_role=True, scp_role=True)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None
    yield int(server.server_address[1])
    server.shutdown()


@contextmanager
def _chatty() -> Iterator[int]:
    """Says who the patient is to whoever connects, in words."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.sendall(f"HTTP/1.1 404 {NAME} {NUMBER} unknown\r\n\r\n".encode() * 20)

        threading.Thread(target=serve, daemon=True).start()
        yield int(listener.getsockname()[1])


def serve(gate: Path) -> None:
    """Run them until standard input is closed or the process is killed."""
    logging.disable()
    # The library would read the nonsense itself, and refuse it.
    pydicom.config.replace_un_with_known_vr = False
    slow, both = _Slow(gate), [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
    with ExitStack() as stack:
        ports = {
            SLOW: _node("SLOW", [(evt.EVT_C_FIND, slow.find), (evt.EVT_C_GET, slow.get)], both),
            SHOUTING: _node("SHOUTING", [(evt.EVT_C_FIND, _shout_find), (evt.EVT_C_GET, _shout_get)], both),
            GARBLED: _node("GARBLED", [(evt.EVT_C_FIND, _garble)], [ImplicitVRLittleEndian]),
            CHATTY: _chatty(),
        }
        told = {name: stack.enter_context(one) for name, one in ports.items()}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
