"""Peers for tests on loopback: Debian's Orthanc and dcmqrscp, and scripted ones that misbehave; always torn down."""

import contextlib
import json
import os
import socket
import ssl
import struct
import subprocess
import threading
import time
import unittest.mock
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from pynetdicom import AE, evt
from pynetdicom.transport import AssociationSocket

from priorline.archives.base import DicomPeer, Timeouts

CALLED = "ARCHIVE"
CALLING = "PRIORLINE"
QUICK = Timeouts(connect=1.0, acse=0.6, progress=0.6, query=2.0)
PATIENT_WAIT = Timeouts(connect=5.0, acse=10.0, progress=15.0, query=30.0)
STUDY_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_GET = "1.2.840.10008.5.1.4.1.2.2.3"
VERIFICATION = "1.2.840.10008.1.1"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
START_SECONDS = 30


@pytest.fixture(autouse=True)
def nothing_left_running() -> Iterator[None]:
    """Import it into a test module: each test there leaves no thread and no descriptor behind."""
    process = psutil.Process()
    threads, descriptors = set(threading.enumerate()), process.num_fds()
    yield
    end = time.monotonic() + 5
    while time.monotonic() < end:
        left = set(threading.enumerate()) - threads
        if not left and process.num_fds() <= descriptors:
            return
        threading.Event().wait(0.02)
    pytest.fail(f"left behind: {left}, {process.num_fds() - descriptors} descriptors")


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def peer(port: int, timeouts: Timeouts = PATIENT_WAIT, **changes: Any) -> DicomPeer:
    """The description of a hospital's node on this machine."""
    values: dict[str, Any] = {
        "name": "Hospital North",
        "ae_title": CALLED,
        "host": "127.0.0.1",
        "port": port,
        "calling_ae_title": CALLING,
        "timeouts": timeouts,
    }
    return DicomPeer(**{**values, **changes})


@contextlib.contextmanager
def orthanc(folder: Path, **options: Any) -> Iterator[DicomPeer]:
    """A running Orthanc that keeps its data in `folder`; `options` change its configuration."""
    port, http = int(options.get("DicomPort") or free_port()), free_port()
    configuration = {
        "Name": "test",
        "DicomAet": CALLED,
        "DicomPort": port,
        "HttpPort": http,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "DicomAlwaysAllowEcho": True,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomModalities": {"priorline": [CALLING, "127.0.0.1", 1]},
        "Plugins": [],
        **options,
    }
    file = folder / "orthanc.json"
    file.write_text(json.dumps(configuration))
    with running(["Orthanc", str(file)], folder, port):
        yield peer(port)


@contextlib.contextmanager
def dcmqrscp(folder: Path, move_port: int = 0, *options: str) -> Iterator[DicomPeer]:
    """A running dcmqrscp of DCMTK that keeps its data in `folder`; with a `move_port` it sends to us by C-MOVE."""
    port, storage = free_port(), folder / "storage"
    storage.mkdir()
    ours = f"us = ({CALLING}, 127.0.0.1, {move_port})\n" if move_port else ""
    file = folder / "dcmqrscp.cfg"
    file.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 131072\nMaxAssociations = 16\n"
        f"HostTable BEGIN\n{ours}HostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\n{CALLED} {storage} RW (500, 1024mb) ANY\nAETable END\n"
    )
    with running(["dcmqrscp", *options, "-c", str(file)], folder, port):
        yield peer(port)


@contextlib.contextmanager
def running(command: list[str], folder: Path, port: int) -> Iterator[None]:
    """A process that listens on `port` and writes what it has to say into `folder`."""
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        try:
            _until_open(process, port, folder / "log.txt")
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _until_open(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        threading.Event().wait(0.05)
    raise AssertionError(f"the peer did not start: {log.read_text(errors='replace')[-2000:]}")


def store(where: DicomPeer, files: list[Path]) -> None:
    """Send files to an archive as they are encoded."""
    ending = [where.host, str(where.port), *map(str, files)]
    subprocess.run(
        ["dcmsend", "--decompress-never", "-aec", where.ae_title, "-aet", CALLING, *ending],
        check=True,
        capture_output=True,
        env={**os.environ, "TCP_NODELAY": "1"},
    )


@contextlib.contextmanager
def scripted(
    handlers: list[tuple[Any, Callable[..., Any]]],
    services: tuple[str, ...] = (STUDY_FIND, STUDY_GET, VERIFICATION),
    storage: tuple[str, ...] = (CT_IMAGE,),
    tls: ssl.SSLContext | None = None,
    **settings: Any,
) -> Iterator[DicomPeer]:
    """A pynetdicom SCP with these event handlers; `settings` are attributes of its AE."""
    entity = AE(CALLED)
    for service in services:
        entity.add_supported_context(service)
    for sop_class in storage:
        entity.add_supported_context(sop_class, scp_role=True, scu_role=False)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 5
    for name, value in settings.items():
        setattr(entity, name, value)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers, ssl_context=tls)
    assert server is not None
    with sockets_shut():
        try:
            yield peer(server.socket.getsockname()[1], QUICK)
        finally:
            _wait_for_end(entity)
            entity.shutdown()


@contextlib.contextmanager
def storing(
    answer: Callable[[int], int], kinds: Iterable[tuple[str, str]], pdu: int = 16382
) -> Iterator[tuple[DicomPeer, list[Any]]]:
    """An archive that takes these SOP classes and transfer syntaxes, and answers no question.

    It answers the n-th image, from 1, with a status, or hangs up where that is negative. What it was sent is kept.
    """
    taken: list[Any] = []

    def handle(event: Any) -> int:
        taken.append(event)
        status = answer(len(taken))
        if status < 0:
            event.assoc.dul.socket.socket.shutdown(socket.SHUT_RDWR)
        return max(status, 0)

    entity = AE(CALLED)
    for sop_class, syntax in kinds:
        entity.add_supported_context(sop_class, syntax)
    entity.maximum_pdu_size = pdu
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, handle)])
    assert server is not None
    with sockets_shut():
        try:
            yield peer(server.socket.getsockname()[1], QUICK), taken
        finally:
            _wait_for_end(entity)
            entity.shutdown()


def sockets_shut() -> contextlib.AbstractContextManager[Any]:
    """pynetdicom otherwise leaves a socket open for the garbage collector when its peer has gone first."""
    return unittest.mock.patch.object(AssociationSocket, "_shutdown_socket", _shut)


def _wait_for_end(entity: AE) -> None:
    """Let associations that are over end by themselves, as pynetdicom trips over aborting those."""
    end = time.monotonic() + entity.acse_timeout
    while entity.active_associations and time.monotonic() < end:
        threading.Event().wait(0.01)


def _shut(transport: AssociationSocket) -> None:
    if transport.socket is not None:
        with contextlib.suppress(OSError):
            transport.socket.shutdown(socket.SHUT_RDWR)
        transport.socket.close()


@contextlib.contextmanager
def raw(script: Callable[[socket.socket], None]) -> Iterator[DicomPeer]:
    """A peer that runs `script` on its first connection and keeps it open until the test is over."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(START_SECONDS)
        thread = threading.Thread(target=_serve_once, args=(listener, script), daemon=True)
        thread.start()
        try:
            yield peer(listener.getsockname()[1], QUICK)
        finally:
            thread.join(START_SECONDS)


def _serve_once(listener: socket.socket, script: Callable[[socket.socket], None]) -> None:
    with contextlib.suppress(OSError):
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(START_SECONDS)
            script(connection)
            while connection.recv(65536):
                pass


def read_pdu(connection: socket.socket) -> bytes:
    """One whole PDU with its header."""
    header = _exactly(connection, 6)
    return header + _exactly(connection, struct.unpack(">L", header[2:])[0])


def _exactly(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        more = connection.recv(length - len(data))
        if not more:
            raise ConnectionError
        data += more
    return data


def accept_association(connection: socket.socket) -> None:
    """Read an A-ASSOCIATE-RQ and accept every context with the first transfer syntax (PS3.8 9.3.3)."""
    request = read_pdu(connection)
    items, at = b"", 74
    while at < len(request):
        kind, _, length = struct.unpack_from(">BBH", request, at)
        body = request[at + 4 : at + 4 + length]
        if kind == 0x20:
            syntax = body[body.index(b"\x40\x00", 4) :]
            syntax = syntax[: 4 + struct.unpack_from(">H", syntax, 2)[0]]
            items += _item(0x21, bytes((body[0], 0, 0, 0)) + syntax)
        at += 4 + length
    user = _item(0x50, _item(0x51, struct.pack(">L", 16384)) + _item(0x52, b"1.2.3"))
    payload = request[6:74] + _item(0x10, b"1.2.840.10008.3.1.1.1") + items + user
    connection.sendall(b"\x02\x00" + struct.pack(">L", len(payload)) + payload)


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def drip(connection: socket.socket, data: bytes, seconds: float) -> None:
    """Send one byte in every so many seconds until the other side has had enough."""
    pause = threading.Event()
    for byte in data:
        connection.sendall(bytes((byte,)))
        pause.wait(seconds)
