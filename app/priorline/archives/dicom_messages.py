"""DIMSE messages to and from bytes where pynetdicom's own way, over a dataset for each, costs most of a search."""

import struct
from collections.abc import Iterator
from functools import lru_cache
from io import BytesIO
from queue import Queue
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_FIND_RQ, C_GET_RQ, C_MOVE_RQ, DIMSEMessage
from pynetdicom.dimse_primitives import C_FIND, C_GET, C_MOVE, DIMSEPrimitive
from pynetdicom.dsutils import encode
from pynetdicom.pdu_primitives import P_DATA

from priorline.archives.inflow import ELEMENT, StoreRequest

DATASET, COMMAND, LAST = 0, 1, 2
MESSAGE_ID = 1
REQUESTS: dict[type[DIMSEPrimitive], type[DIMSEMessage]] = {C_FIND: C_FIND_RQ, C_GET: C_GET_RQ, C_MOVE: C_MOVE_RQ}
PDV_HEAD = 6
FRAGMENT_MIN = 64
C_STORE_RQ, C_STORE_RSP = 0x0001, 0x8001
ANSWERS: dict[int, type[C_FIND] | type[C_GET] | type[C_MOVE]] = {0x8020: C_FIND, 0x8010: C_GET, 0x8021: C_MOVE}
NO_DATASET, A_DATASET, LOW_PRIORITY = 0x0101, 0x0001, 0x0002
AFFECTED_CLASS, KIND, RESPONDED, HAS_DATASET, STATUS = 0x0002, 0x0100, 0x0120, 0x0800, 0x0900
MESSAGE, PRIORITY, AFFECTED_INSTANCE = 0x0110, 0x0700, 0x1000
# How many sub-operations of a retrieval remain, completed, failed and gave a warning (PS3.7 9.3.3.2).
COUNTERS = {
    0x1020: "NumberOfRemainingSuboperations",
    0x1021: "NumberOfCompletedSuboperations",
    0x1022: "NumberOfFailedSuboperations",
    0x1023: "NumberOfWarningSuboperations",
}
PLAIN = {0x0000, AFFECTED_CLASS, KIND, RESPONDED, HAS_DATASET, STATUS, *COUNTERS}
PLAIN_LENGTH_MAX = 256
P_DATA_TF, PDU_AND_PDV = 0x04, struct.Struct(">BBLLBB")


Answer = C_FIND | C_GET | C_MOVE


class _Message(DIMSEMessage):
    """A message on its way in; becomes the library's own kind unless it is a plain answer."""

    def __init__(self) -> None:
        # Not the library's: that looks for a subclass in its table of commands.
        self.context_id = None
        self.encoded_command_set, self.data_set = BytesIO(), BytesIO()
        self._data_set_path = self._data_set_file = None
        self.answer: Answer | None = None

    def decode_msg(self, primitive: Any, assoc: Any = None) -> bool:
        pieces = primitive.presentation_data_value_list
        if pieces and pieces[0][1][:1] == b"\3" and not self.encoded_command_set.tell():
            self.context_id, command = pieces[0][0], pieces[0][1]
            found = read_answer(command[1:])
            if found is not None:
                self.answer, has_dataset = found
                del pieces[0]
                if not has_dataset:
                    return True
        return bool(super().decode_msg(primitive, assoc))

    def message_to_primitive(self) -> Any:
        if self.answer is None:
            return super().message_to_primitive()
        self.answer.Identifier = self.data_set
        return self.answer


class MessageProvider(DIMSEServiceProvider):
    """The library's message service, with plain answers read without a dataset for each command set."""

    def __init__(self, assoc: Association, inbox: Queue[Any]) -> None:
        self._assoc, self.msg_queue = assoc, inbox
        self.message = None
        self.cancel_req = {}

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take what came; the library does the rest."""
        if self.message is None:
            self.message = _Message()
        super().receive_primitive(primitive)


def read_answer(command: bytes) -> tuple[Answer, bool] | None:
    """The answer to a search or a retrieval, and whether an identifier follows; None for a command set of another
    kind, or with anything else in it."""
    values = _plain_values(command) if len(command) <= PLAIN_LENGTH_MAX else None
    kind = ANSWERS.get(values[KIND]) if values else None
    if values is None or kind is None or (kind is C_FIND and not COUNTERS.keys().isdisjoint(values)):
        return None
    answer = kind()
    answer.MessageIDBeingRespondedTo, answer.Status = values[RESPONDED], values[STATUS]
    for number in COUNTERS.keys() & values:
        setattr(answer, COUNTERS[number], values[number])
    return answer, values[HAS_DATASET] != NO_DATASET


# The rows of a search, and of all hospitals, come with the very same command.
@lru_cache(maxsize=64)
def _plain_values(command: bytes) -> dict[int, int] | None:
    found: dict[int, int] = {}
    at = 0
    while at < len(command):
        if at + ELEMENT.size > len(command):
            return None
        group, number, length = ELEMENT.unpack_from(command, at)
        at += ELEMENT.size
        if group or number in found or number not in PLAIN or at + length > len(command):
            return None
        if number not in (0, AFFECTED_CLASS) and length != 2:
            return None
        found[number] = int.from_bytes(command[at : at + length], "little")
        at += length
    return found if {KIND, RESPONDED, HAS_DATASET, STATUS} <= found.keys() else None


@lru_cache(maxsize=8)
def request(kind: type[C_FIND] | type[C_GET] | type[C_MOVE], sop_class: str, destination: str = "") -> bytes:
    """The command set of a request of medium priority, message 1, with an identifier; a C-MOVE has a destination."""
    message = kind()
    message.MessageID = MESSAGE_ID
    if isinstance(message, C_MOVE):
        message.MoveDestination = destination
    message.AffectedSOPClassUID = UID(sop_class)
    message.Priority = 0
    message.Identifier = BytesIO(b"\0")
    whole = REQUESTS[kind]()
    whole.primitive_to_message(message)
    return encode(whole.command_set, True, True) or b""


def encoded(identifier: Dataset, transfer_syntax: UID) -> bytes:
    """An identifier in bytes, by the library."""
    return encode(identifier, transfer_syntax.is_implicit_VR, transfer_syntax.is_little_endian) or b""


def store_request(sop_class: str, sop_instance: str, message_id: int) -> bytes:
    """The command set of a C-STORE-RQ of low priority (PS3.7 9.3.1.1)."""
    return _command(
        (AFFECTED_CLASS, _uid(sop_class)),
        (KIND, struct.pack("<H", C_STORE_RQ)),
        (MESSAGE, struct.pack("<H", message_id)),
        (PRIORITY, struct.pack("<H", LOW_PRIORITY)),
        (HAS_DATASET, struct.pack("<H", A_DATASET)),
        (AFFECTED_INSTANCE, _uid(sop_instance)),
    )


def store_response(asked: StoreRequest, status: int = 0) -> bytes:
    """The command set of a C-STORE-RSP (PS3.7 9.3.1.2); without a status it says success."""
    return _command(
        (AFFECTED_CLASS, _uid(asked.sop_class_uid)),
        (KIND, struct.pack("<H", C_STORE_RSP)),
        (RESPONDED, struct.pack("<H", asked.message_id)),
        (HAS_DATASET, struct.pack("<H", NO_DATASET)),
        (STATUS, struct.pack("<H", status)),
        (AFFECTED_INSTANCE, _uid(asked.sop_instance_uid)),
    )


def _command(*elements: tuple[int, bytes]) -> bytes:
    body = b"".join(ELEMENT.pack(0, number, len(value)) + value for number, value in elements)
    return ELEMENT.pack(0, 0, 4) + struct.pack("<L", len(body)) + body


def _uid(uid: str) -> bytes:
    return uid.encode("ascii", "replace") + b"\0" * (len(uid) % 2)


def data_pdus(context_id: int, kind: int, encoded: bytes, pdu_length: int) -> Iterator[bytes]:
    """The P-DATA-TF PDUs of an encoded command set or dataset (`kind`) that fit the peer; 0 is no limit."""
    size = max(pdu_length - PDV_HEAD, FRAGMENT_MIN) if pdu_length else max(len(encoded), 1)
    for at in range(0, len(encoded), size):
        piece = encoded[at : at + size]
        control = kind | (LAST if at + size >= len(encoded) else 0)
        yield PDU_AND_PDV.pack(P_DATA_TF, 0, len(piece) + PDV_HEAD, len(piece) + 2, context_id, control) + piece
