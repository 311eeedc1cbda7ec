"""Hostile text from a hospital: line breaks, terminal escapes, reversed writing and 64 KB stay one harmless line."""

import json
import logging
import socket
import struct
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

import peers
from priorline.archives.dicom import DicomArchive
from priorline.audit.trail import AuditTrail
from priorline.config import HospitalSettings
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import HospitalReport, HospitalState, StudyAnswer
from priorline.work import messages
from priorline.work.hospitals import Hospital
from priorline.work.search import Listener, search

NUMBER = "PL-0042"
STUDY_UID = "1.2.826.0.1.3680043.8.498.1"
FORGED = "2026-11-24 ERROR forged line"
HOSTILE = {
    "line breaks": f"\r\n{FORGED}\r\n",
    "other line breaks": f"\x0b\x0c\x1c\x85\u2028\u2029{FORGED}",
    "terminal": "\x1b[2J\x1b]0;owned\x07\x9b31m",
    "reversed": "\u202egnp.exe\u2066\u200f",
    "null": "\0\0name",
    "invisible": "\ufeff\u00ad\u2060\ue000",
    "64 KB": "A" * 65000,
}
# Patient's name, sex and issuer; accession, description, modalities, availability, and what is no text at all.
TEXTS = (0x00080050, 0x00080056, 0x00080061, 0x00081030, 0x00100010, 0x00100021, 0x00100040)
OTHERS = (0x00080020, 0x00080030, 0x00100030, 0x00201206, 0x00201208)


def dataset(elements: dict[int, bytes]) -> bytes:
    """Elements as an explicit-VR little-endian dataset, every one as LO."""
    padded = {tag: value + b" " * (len(value) % 2) for tag, value in sorted(elements.items())}
    return b"".join(
        struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, b"LO", len(value)) + value for tag, value in padded.items()
    )


def fragments(kind: int, body: bytes) -> bytes:
    """A message in P-DATA-TFs of at most 64 KB (PS3.8 9.3.5)."""
    parts = [body[at : at + 65536] for at in range(0, len(body), 65536)]
    return b"".join(
        struct.pack(">BBLLBB", 4, 0, len(part) + 6, len(part) + 2, 1, kind | 2 * (number == len(parts))) + part
        for number, part in enumerate(parts, 1)
    )


def command(status: int, dataset_type: int) -> bytes:
    values = {0x0100: 0x8020, 0x0120: 1, 0x0800: dataset_type, 0x0900: status}
    model = peers.STUDY_FIND.encode() + b"\0"
    body = struct.pack("<HHL", 0, 2, len(model)) + model
    body += b"".join(struct.pack("<HHLH", 0, number, 2, value) for number, value in values.items())
    return fragments(1, struct.pack("<HHLL", 0, 0, 4, len(body)) + body)


def answering(row: bytes) -> Callable[[socket.socket], None]:
    """A script that answers a search with one row."""

    def script(connection: socket.socket) -> None:
        peers.accept_association(connection)
        while not peers.read_pdu(connection)[11] & 1:
            pass
        connection.sendall(command(0xFF00, 0) + fragments(0, row) + command(0, 0x0101))
        peers.read_pdu(connection)
        connection.sendall(b"\x06\0\0\0\0\x04" + bytes(4))

    return script


def ask(row: bytes, trail: AuditTrail) -> tuple[list[StudyAnswer], HospitalReport]:
    rows: list[StudyAnswer] = []
    reports: list[HospitalReport] = []
    with peers.raw(answering(row)) as peer:
        settings = HospitalSettings(name="North", ae_title="X", host="127.0.0.1", port=peer.port)
        listener = Listener(rows.extend, reports.append)
        hospital = Hospital(settings, DicomArchive(peers.peer(peer.port, peers.QUICK, name="North")))
        search([hospital], Patient(Identifier(NUMBER)), listener, trail)
    return rows, reports[0]


def texts(answer: StudyAnswer) -> list[str]:
    """All text of an answer."""
    patient = answer.patient
    found = [answer.description, answer.accession, answer.body_part, answer.availability, *answer.modalities]
    return [*found, patient.identifier.issuer, patient.name, patient.sex]


def is_harmless(text: str) -> bool:
    bad = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
    return len(text) <= 256 and not any(unicodedata.category(char) in bad for char in text)


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())
def test_every_text_of_a_hospital_is_one_harmless_line(
    hostile: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    wanted = hostile.encode("utf-8", "surrogatepass")[:65000]
    elements = dict.fromkeys((*TEXTS, *OTHERS), wanted)
    exact = {0x00080005: b"ISO_IR 192", 0x00100020: NUMBER.encode(), 0x0020000D: STUDY_UID.encode()}
    trail = AuditTrail(tmp_path / "audit.jsonl")
    (answer, *_), report = ask(dataset(elements | exact), trail)
    assert answer.study_uid == STUDY_UID
    assert all(map(is_harmless, texts(answer)))
    assert (answer.study_date, answer.series, answer.images) == (None, None, None)
    told = messages.decode_courier_event(messages.encode(messages.StudiesFound(1, (answer,))))
    assert isinstance(told, messages.StudiesFound)
    assert told.answers == (answer,)
    assert is_harmless(report.message)
    lines = trail.path.read_text("utf-8").splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["query"]
    assert FORGED not in caplog.text + "".join(capfd.readouterr())


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_number_or_a_uid_with_more_in_it_is_another_one(hostile: str, tmp_path: Path) -> None:
    dirty = hostile.encode("utf-8")[:60000]
    for tag in (0x00100020, 0x0020000D):
        exact = {0x00100020: NUMBER.encode(), 0x0020000D: STUDY_UID.encode()}
        exact[tag] = exact[tag] + b"x" + dirty
        rows, report = ask(dataset(exact), AuditTrail(tmp_path / "audit.jsonl"))
        assert (rows, report.dropped, report.state) == ([], 1, HospitalState.NONE)
        assert is_harmless(report.message)
