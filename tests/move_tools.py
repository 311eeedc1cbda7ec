"""Our storage SCP in tests, what is listening, and an archive that speaks C-MOVE by script."""

import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import replace

import psutil

from peers import CALLING, accept_association, read_pdu
from priorline.archives.base import DicomPeer, SecurityAlert
from priorline.archives.dicom import DicomArchive
from priorline.archives.storage_scp import StorageScp

MOVE = "1.2.840.10008.5.1.4.1.2.2.2"


def start_thread(run: Callable[[], None]) -> Callable[[float], None]:
    thread = threading.Thread(target=run)
    thread.start()
    return thread.join


def scp(port: int, on_alert: Callable[[SecurityAlert], None] = lambda _alert: None, address: str = "") -> StorageScp:
    return StorageScp(CALLING, port, start_thread, on_alert, address)


def archive(peer: DicomPeer, port: int, retrieve: str = "auto") -> DicomArchive:
    return DicomArchive(replace(peer, retrieve=retrieve), scp(port))


def listening_ports() -> set[int]:
    """The ports at which this process listens."""
    connections = psutil.Process().net_connections(kind="inet")
    return {connection.laddr.port for connection in connections if connection.status == psutil.CONN_LISTEN}


def agree_to_release(connection: socket.socket) -> None:
    """Answer the next PDU as an A-RELEASE-RQ is answered (PS3.8 9.3.7)."""
    read_pdu(connection)
    connection.sendall(b"\x06\x00\x00\x00\x00\x04\x00\x00\x00\x00")


def asked(connection: socket.socket) -> tuple[int, int]:
    """Accept an association and read a C-MOVE request; its context and its message number."""
    accept_association(connection)
    command, _ = read_pdu(connection), read_pdu(connection)
    at = command.index(struct.pack("<HHL", 0, 0x0110, 2)) + 8
    return command[10], struct.unpack_from("<H", command, at)[0]


def move_answer(context: int, message: int, status: int, **counts: int) -> bytes:
    """A C-MOVE-RSP in one PDU (PS3.7 9.3.4.2)."""
    numbers = {"remaining": 0x1020, "completed": 0x1021, "failed": 0x1022, "warned": 0x1023}
    values = {0x0100: 0x8021, 0x0120: message, 0x0800: 0x0101, 0x0900: status}
    values |= {numbers[name]: count for name, count in counts.items()}
    uid = MOVE.encode() + b"\0" * (len(MOVE) % 2)
    body = struct.pack("<HHL", 0, 2, len(uid)) + uid
    body += b"".join(struct.pack("<HHLH", 0, number, 2, value) for number, value in sorted(values.items()))
    whole = struct.pack("<HHLL", 0, 0, 4, len(body)) + body
    return struct.pack(">BBLLBB", 4, 0, len(whole) + 6, len(whole) + 2, context, 3) + whole
