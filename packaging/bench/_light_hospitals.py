"""Many simulated hospitals in one thread: the few PDUs of a C-FIND written by hand, as light as a peer can be.

`python _light_hospitals.py PLAN…` prints one line of JSON with a port for each plan and ends when its standard input
closes. A plan is a number of milliseconds before the answer, or one of:
`deaf` (accepts the connection, then says nothing), `mute` (accepts the association, then says nothing),
`half` (answers with 2 bytes), `torn` (with a header and 3 bytes), `drip` (with a byte a second),
`endless` (with rows without end), `foreign` (with 50 studies of others).
What they know is what `_hospitals.py` knows, so that both kinds of peer can be compared.
"""

import asyncio
import contextlib
import json
import socket
import struct
import sys

from _hospitals import PENDING, ROOT, STUDIES, SUCCESS, study
from pynetdicom.dsutils import encode

FIND = b"1.2.840.10008.5.1.4.1.2.2.1\0"
FIND_RESPONSE, NO_DATASET, WITH_DATASET = 0x8020, 0x0101, 0x0000
ACCEPT, REQUEST, DATA, RELEASE, RELEASED, ABORT = 2, 1, 4, 5, 6, 7
IDENTIFIER_FRAGMENT, COMMAND_FRAGMENT = 0, 1
LAST_FRAGMENT = 2
BACKLOG = 16
FOREIGN_ROWS = 50
STARTS = {"half": b"\x04\x00", "torn": b"\x04\x00\x00\x00\x10\x00abc"}


def pdu(kind: int, body: bytes) -> bytes:
    """A PDU (PS3.8 9.3)."""
    return struct.pack(">BBL", kind, 0, len(body)) + body


def item(kind: int, body: bytes) -> bytes:
    """An item of an association PDU."""
    return struct.pack(">BBH", kind, 0, len(body)) + body


def fragment(kind: int, body: bytes) -> bytes:
    """A whole P-DATA-TF of one fragment, the last of its message, in context 1."""
    return pdu(DATA, struct.pack(">LBB", len(body) + 2, 1, kind | LAST_FRAGMENT) + body)


def response(status: int, identifier: bytes = b"") -> bytes:
    """A C-FIND-RSP (PS3.7 9.3.2.2) to message 1, with its identifier."""
    elements = (
        (0x0002, FIND),
        (0x0100, struct.pack("<H", FIND_RESPONSE)),
        (0x0120, struct.pack("<H", 1)),
        (0x0800, struct.pack("<H", WITH_DATASET if identifier else NO_DATASET)),
        (0x0900, struct.pack("<H", status)),
    )
    body = b"".join(struct.pack("<HHL", 0, number, len(value)) + value for number, value in elements)
    command = fragment(COMMAND_FRAGMENT, struct.pack("<HHLL", 0, 0, 4, len(body)) + body)
    return command + (fragment(IDENTIFIER_FRAGMENT, identifier) if identifier else b"")


def answer_of(hospital: int) -> bytes:
    """All that a hospital says to a query, ready to send (explicit VR little endian)."""
    found = b""
    for number in range(STUDIES):
        row = study(hospital % 11, number)  # whose months end with the year
        row.StudyInstanceUID = f"{ROOT}.{hospital if number else 0}.{number}"
        row.AccessionNumber = f"A{hospital}{number}"
        found += response(PENDING, encode(row, False, True) or b"")
    return found + response(SUCCESS)


def foreign_rows() -> bytes:
    """An answer that does not look at the patient's number."""
    found = b""
    for number in range(FOREIGN_ROWS):
        row = study(1, 1)
        row.PatientID = f"OTHER-{number}"
        row.StudyInstanceUID = f"{ROOT}.77.{number}"
        found += response(PENDING, encode(row, False, True) or b"")
    return found + response(SUCCESS)


def acceptance(request: bytes) -> bytes:
    """The A-ASSOCIATE-AC that takes every context with explicit VR little endian."""
    contexts, at = b"", 68
    while at < len(request):
        kind, _, length = struct.unpack_from(">BBH", request, at)
        if kind == 0x20:
            contexts += item(0x21, bytes((request[at + 4], 0, 0, 0)) + item(0x40, b"1.2.840.10008.1.2.1"))
        at += 4 + length
    user = item(0x50, item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3"))
    return pdu(ACCEPT, request[:68] + item(0x10, b"1.2.840.10008.3.1.1.1") + contexts + user)


class Hospital:
    """One listening socket and how it behaves."""

    def __init__(self, number: int, plan: str) -> None:
        self._plan = plan
        self._seconds = float(plan) / 1000 if plan.isdecimal() else 0.0
        self._answer = foreign_rows() if plan == "foreign" else answer_of(number)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One association, until either side ends it."""
        peer = writer.get_extra_info("socket")
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError):
            if self._plan == "deaf":
                await reader.read()
            await self._converse(reader, writer)
        writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            kind, _, length = struct.unpack(">BBL", await reader.readexactly(6))
            body = await reader.readexactly(length)
            if kind == REQUEST:
                writer.write(acceptance(body))
            elif kind == DATA and _ends_request(body):
                await self._respond(writer)
            elif kind == RELEASE:
                writer.write(pdu(RELEASED, bytes(4)))
                return
            elif kind == ABORT:
                return

    async def _respond(self, writer: asyncio.StreamWriter) -> None:
        if self._plan in STARTS:
            writer.write(STARTS[self._plan])
        elif self._plan == "drip":
            for byte in pdu(DATA, bytes(1000)):
                writer.write(bytes((byte,)))
                await writer.drain()
                await asyncio.sleep(1)
        elif self._plan == "endless":
            row = response(PENDING, encode(study(1, 1), False, True) or b"")
            while not writer.is_closing():
                writer.write(row)
                await writer.drain()
                await asyncio.sleep(0)
        elif self._plan != "mute":
            await asyncio.sleep(self._seconds)
            writer.write(self._answer)


def _ends_request(body: bytes) -> bool:
    """Whether a P-DATA-TF holds the last fragment of an identifier."""
    at = 0
    while at < len(body):
        length, _, control = struct.unpack_from(">LBB", body, at)
        if control == IDENTIFIER_FRAGMENT | LAST_FRAGMENT:
            return True
        at += 4 + length
    return False


async def main(plans: list[str]) -> None:
    """Serve until nobody listens any more."""
    servers = [
        await asyncio.start_server(Hospital(number, plan).serve, "127.0.0.1", 0, backlog=BACKLOG)
        for number, plan in enumerate(plans, 1)
    ]
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
