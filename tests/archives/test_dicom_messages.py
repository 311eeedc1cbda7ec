"""Commands in bytes are what the library makes and reads of them; what is not a plain answer is left to it."""

import struct
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pynetdicom.dimse_messages import C_FIND_RSP
from pynetdicom.dimse_primitives import C_FIND, C_GET
from pynetdicom.dsutils import encode

from priorline.archives.dicom_messages import COMMAND, DATASET, data_pdus, read_answer, request

FIND = "1.2.840.10008.5.1.4.1.2.2.1"
GET = "1.2.840.10008.5.1.4.1.2.2.3"


def command(**changes: int) -> bytes:
    """A C-FIND-RSP that ends a search, but for the changes; a negative value leaves an element out."""
    values = {"kind": 0x8020, "responded": 1, "dataset": 0x0101, "status": 0} | changes
    numbers = {"kind": 0x0100, "responded": 0x0120, "dataset": 0x0800, "status": 0x0900, "remaining": 0x1020}
    kept = {numbers[name]: value for name, value in values.items() if value >= 0}
    return b"".join(struct.pack("<HHLH", 0, number, 2, value) for number, value in sorted(kept.items()))


@pytest.mark.parametrize("status", [0x0000, 0xFF00, 0xFF01, 0xFE00, 0xA700, 0xB000])
@pytest.mark.parametrize("identifier", [b"", b"row"])
def test_an_answer_of_the_library_is_read_as_it_was_meant(status: int, identifier: bytes) -> None:
    meant = C_FIND()
    meant.MessageIDBeingRespondedTo, meant.AffectedSOPClassUID, meant.Status = 1, FIND, status
    meant.Identifier = BytesIO(identifier) if identifier else None
    message = C_FIND_RSP()
    message.primitive_to_message(meant)
    told = read_answer(encode(message.command_set, True, True) or b"")
    assert told is not None
    answer, has_identifier = told
    assert (answer.Status, answer.MessageIDBeingRespondedTo, answer.is_valid_response) == (status, 1, True)
    assert has_identifier is bool(identifier)


@pytest.mark.parametrize(
    "other",
    [
        command(kind=0x0020),
        command(status=-1),
        command(responded=-1),
        command(remaining=3),
        command()[:-1],
        command()[:-7],
        command() * 2,
        command() + struct.pack("<HHL", 0x0008, 0x0052, 0),
        command() + struct.pack("<HHL", 0, 0x0902, 4) + b"why?",
        struct.pack("<HHLL", 0, 0x0900, 4, 0),
        bytes(300),
        b"",
    ],
)
def test_anything_else_is_not_a_plain_answer(other: bytes) -> None:
    assert read_answer(other) is None


@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_that(found: bytes) -> None:
    told = read_answer(found)
    assert told is None or told[0].is_valid_response


@pytest.mark.parametrize(("kind", "sop_class", "field"), [(C_FIND, FIND, 0x0020), (C_GET, GET, 0x0010)])
def test_a_request_says_that_an_identifier_follows(
    kind: type[C_FIND] | type[C_GET], sop_class: str, field: int
) -> None:
    encoded = request(kind, sop_class)
    read: Dataset = read_dataset(BytesIO(encoded), is_implicit_VR=True, is_little_endian=True)
    assert (read.CommandField, read.AffectedSOPClassUID, read.MessageID, read.Priority) == (field, sop_class, 1, 0)
    assert read.CommandGroupLength == len(encoded) - 12
    assert read.CommandDataSetType != 0x0101


@pytest.mark.parametrize("kind", [COMMAND, DATASET])
@pytest.mark.parametrize(("pdu_length", "pieces"), [(0, 1), (16384, 1), (206, 5), (1006, 1), (1005, 2), (1, 16)])
def test_fragments_fit_the_peer_and_only_the_last_one_ends(kind: int, pdu_length: int, pieces: int) -> None:
    whole = bytes(range(200)) * 5
    pdus = list(data_pdus(3, kind, whole, pdu_length))
    assert len(pdus) == pieces
    for pdu in pdus:
        assert struct.unpack(">BBLLB", pdu[:11]) == (4, 0, len(pdu) - 6, len(pdu) - 10, 3)
    assert b"".join(pdu[12:] for pdu in pdus) == whole
    assert [pdu[11] for pdu in pdus] == [kind] * (pieces - 1) + [kind | 2]
    if pdu_length > 64:
        assert max(len(pdu) - 6 for pdu in pdus) <= pdu_length
