"""P-DATA taken apart as it is read: datasets of C-STORE requests go where they are wanted, the rest to pynetdicom.

The library collects each message in memory, copies it several times and builds a dataset for its command set. An
image is half a megabyte, and there are hundreds of them: here the socket reads them into their last place.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from pynetdicom.pdu_primitives import P_DATA

from priorline.archives.incoming import Incoming

PDV_HEADER = struct.Struct(">LBB")
COMMAND_LENGTH_MAX = 65536
# An instance may grow to this before it is complete; a multi-frame object can be large.
MESSAGE_LENGTH_MAX = 1 << 31
COMMAND, LAST = 1, 2
ELEMENT = struct.Struct("<HHL")
SOP_CLASS, KIND, MESSAGE, DATASET_KIND, SOP_INSTANCE = 0x0002, 0x0100, 0x0110, 0x0800, 0x1000
C_STORE_RQ, NO_DATASET = 0x0001, 0x0101


class Torn(ValueError):
    """A PDU that PS3.8 9.3.5 does not allow."""


class Unwanted(Torn):
    """What nobody waits for: it is whoever sends it that is told."""


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """A C-STORE-RQ (PS3.7 9.3.1.1) whose dataset is `incoming`; UIDs as told, unchecked."""

    message_id: int
    sop_class_uid: str
    sop_instance_uid: str
    incoming: Incoming | None = field(default=None, compare=False)


class Transport(Protocol):
    """Where fragments are read from; both methods raise OSError when no more comes."""

    def recv(self, nr_bytes: int) -> bytearray:
        """So many bytes, fewer only at the end of the stream."""

    def fill(self, view: memoryview) -> None:
        """Fill all of a buffer."""


Begin = Callable[[int, StoreRequest], Incoming]


class Inflow:
    """What comes in one association once it is established (Sta6 of PS3.8 9.2)."""

    def __init__(
        self, to_library: Callable[[P_DATA], None], deliver: Callable[[tuple[int, StoreRequest]], None]
    ) -> None:
        self.begin: Begin | None = None
        self._to_library, self._deliver = to_library, deliver
        self._command = bytearray()
        self._request: StoreRequest | None = None
        self._incoming: Incoming | None = None
        self._context = self._length = 0

    def take(self, transport: Transport, length: int) -> None:
        """Read the fragments of a P-DATA-TF of `length` bytes; raises Torn, OSError, or what a receiver raises."""
        while length:
            if length < PDV_HEADER.size:
                raise Torn("a fragment is cut")
            announced, context, control = PDV_HEADER.unpack(_exactly(transport, PDV_HEADER.size))
            if not 2 <= announced <= length - 4:
                raise Torn("a fragment is longer than what holds it")
            length -= 4 + announced
            if control & COMMAND:
                self._take_command(_exactly(transport, announced - 2), context, control)
            elif self._incoming is None:
                self._pass_on(context, control, _exactly(transport, announced - 2))
            else:
                self._take_dataset(transport, announced - 2, context, control)

    def drop(self) -> None:
        """Nothing more comes: what is not whole is given up."""
        incoming, self._incoming = self._incoming, None
        if incoming is not None:
            incoming.drop()

    def _take_command(self, piece: bytearray, context: int, control: int) -> None:
        if self._incoming is not None or len(self._command) + len(piece) > COMMAND_LENGTH_MAX:
            raise Torn("a command where none may be, or without end")
        self._command += piece
        if not control & LAST:
            return
        command, self._command = bytes(self._command), bytearray()
        request = read_store_request(command)
        if request is None:
            self._pass_on(context, control, command)
        else:
            self._begin(context, request)

    def _begin(self, context: int, request: StoreRequest) -> None:
        if self.begin is None:
            raise Torn("an instance that nobody asked for")
        self._context, self._length = context, 0
        self._incoming = self.begin(context, request)
        self._request = StoreRequest(
            request.message_id, request.sop_class_uid, request.sop_instance_uid, self._incoming
        )

    def _take_dataset(self, transport: Transport, length: int, context: int, control: int) -> None:
        incoming, request = self._incoming, self._request
        self._length += length
        if incoming is None or request is None or context != self._context or self._length > MESSAGE_LENGTH_MAX:
            raise Torn("a fragment of something else, or without end")
        while length:
            with incoming.room(length) as room:
                count = len(room)
                transport.fill(room)
            incoming.filled(count)
            length -= count
        if control & LAST:
            self._incoming = self._request = None
            self._deliver((context, request))

    def _pass_on(self, context: int, control: int, content: bytes | bytearray) -> None:
        primitive = P_DATA()
        primitive.presentation_data_value_list.append((context, bytes((control & 3,)) + content))
        self._to_library(primitive)


def _exactly(transport: Transport, length: int) -> bytearray:
    piece = transport.recv(length)
    if len(piece) != length:
        raise ConnectionError("the stream ended inside a fragment")
    return piece


def read_store_request(command: bytes) -> StoreRequest | None:
    """The command set (PS3.7 6.3.1) of a C-STORE-RQ; None for another one.

    Raises Torn where elements are cut, or where it lacks what every C-STORE-RQ has.
    """
    found: dict[int, bytes] = {}
    at = 0
    while at < len(command):
        if at + ELEMENT.size > len(command):
            raise Torn("a command is cut")
        group, number, length = ELEMENT.unpack_from(command, at)
        at += ELEMENT.size
        if at + length > len(command):
            raise Torn("a command is cut")
        if group == 0:
            found.setdefault(number, command[at : at + length])
        at += length
    if _number(found, KIND) != C_STORE_RQ:
        return None
    message, kind = _number(found, MESSAGE), _number(found, DATASET_KIND)
    sop_class, sop_instance = (_text(found, number) for number in (SOP_CLASS, SOP_INSTANCE))
    if message is None or kind in (None, NO_DATASET) or not (sop_class and sop_instance):
        raise Torn("an instance without a name or without a dataset")
    return StoreRequest(message, sop_class, sop_instance)


def _number(found: dict[int, bytes], number: int) -> int | None:
    value = found.get(number, b"")
    return int.from_bytes(value, "little") if len(value) == 2 else None


def _text(found: dict[int, bytes], number: int) -> str:
    return found.get(number, b"").decode("ascii", "replace").strip("\0 ")
