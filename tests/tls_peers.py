"""Peers that speak TLS, well, badly or not at all; on loopback, and always torn down."""

import contextlib
import socket
import ssl
import struct
import subprocess
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import peers
from certificates import Authority, Issued
from priorline.archives.base import DicomPeer
from priorline.archives.tls import client_context
from priorline.config import Tls

RECORD = struct.Struct(">BHH")
# Alert, handshake and application data (RFC 8446 5.1), and the change of ciphers that middle boxes want to see.
RECORD_KINDS = {20, 21, 22, 23}


def server(issued: Issued, authority: Authority | None = None) -> ssl.SSLContext:
    """A server that shows a certificate, and wants one of `authority`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    if authority is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.file)
    return context


def between(context: ssl.SSLContext, lowest: ssl.TLSVersion, highest: ssl.TLSVersion) -> ssl.SSLContext:
    """The same with other bounds of the version, also such as nobody should offer any more."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = lowest, highest
    return context


def secured(peer: DicomPeer, *, host: str = "127.0.0.1", **settings: object) -> DicomPeer:
    """A peer that is spoken to by TLS; `settings` as in the configuration, paths as they are."""
    texts = {key: str(value) if isinstance(value, Path) else value for key, value in settings.items()}
    return replace(peer, host=host, tls=client_context(Tls(**texts)))  # type: ignore[arg-type]


def client(issued: Issued | None = None, authority: Authority | None = None) -> ssl.SSLContext:
    """Somebody who calls us: takes any method, shows a certificate, and wants one of `authority`, else any."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if authority is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.file)
    if issued is not None:
        context.load_cert_chain(issued.certificate, issued.key)
    return context


def over_tls(context: ssl.SSLContext, script: Callable[[socket.socket], None]) -> Callable[[socket.socket], None]:
    """A script for `peers.raw` that shakes hands first, and reads until the other side has gone."""

    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as secure:
            script(secure)
            while secure.recv(65536):
                pass

    return serve


class Handshake:
    """The side of a server, of which the test says when which byte goes out."""

    def __init__(self, context: ssl.SSLContext, connection: socket.socket) -> None:
        self._in, self._out, self._connection = ssl.MemoryBIO(), ssl.MemoryBIO(), connection
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)

    def flight(self) -> bytes:
        """What the server says to the first words of the client, unsent."""
        self._in.write(self._connection.recv(65536))
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()
        return self._out.read()

    def finish(self) -> None:
        """Shake hands to the end."""
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._turn()
        self._connection.sendall(self._out.read())

    def read(self, length: int) -> bytes:
        """So many bytes of what the client says."""
        data = b""
        while len(data) < length:
            try:
                data += self._tls.read(length - len(data))
            except ssl.SSLWantReadError:
                self._turn()
        return data

    def recv(self, length: int) -> bytes:
        """As of a socket."""
        return self.read(length)

    def sendall(self, data: bytes) -> None:
        """As of a socket."""
        self._connection.sendall(self.record(data))

    def record(self, data: bytes) -> bytes:
        """`data` as the records that carry it, unsent."""
        self._tls.write(data)
        return self._out.read()

    def _turn(self) -> None:
        if said := self._out.read():
            self._connection.sendall(said)
        if not (heard := self._connection.recv(65536)):
            raise ConnectionError
        self._in.write(heard)


@contextlib.contextmanager
def recorded(port: int) -> Iterator[tuple[int, list[bytearray]]]:
    """A port that passes everything on to `port`, and what came in on each of its connections."""
    heard: list[bytearray] = []
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    near, _ = listener.accept()
                    heard.append(bytearray())
                    far = socket.create_connection(("127.0.0.1", port))
                    threads.extend(_passing(near, far, heard[-1]))

        accepting = threading.Thread(target=serve, daemon=True)
        accepting.start()
        try:
            yield listener.getsockname()[1], heard
        finally:
            over.set()
            for thread in (accepting, *threads):
                thread.join(peers.START_SECONDS)


def _passing(near: socket.socket, far: socket.socket, heard: bytearray) -> list[threading.Thread]:
    both = threading.Barrier(2)

    def run(source: socket.socket, target: socket.socket, record: bytearray) -> None:
        # An end of one direction leaves the other open, on which a last word may be under way.
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                record += data
                with contextlib.suppress(OSError):
                    target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
        if both.wait() == 0:
            near.close()
            far.close()

    made = [
        threading.Thread(target=run, args=(near, far, heard), daemon=True),
        threading.Thread(target=run, args=(far, near, bytearray()), daemon=True),
    ]
    for thread in made:
        thread.start()
    return made


def is_tls(data: bytes) -> bool:
    """Whether it is nothing but records of TLS, the last perhaps cut."""
    at = 0
    while at < len(data):
        kind, version, length = RECORD.unpack(data[at : at + RECORD.size].ljust(RECORD.size, b"\0"))
        if kind not in RECORD_KINDS or version >> 8 != 3:
            return False
        at += RECORD.size + length
    return True


@contextlib.contextmanager
def storescp(folder: Path, issued: Issued, authority: Authority) -> Iterator[DicomPeer]:
    """DCMTK's storescp over TLS; it wants a certificate of `authority`."""
    port = peers.free_port()
    options = ["+tls", str(issued.key), str(issued.certificate), "+cf", str(authority.file), "-aet", peers.CALLED]
    with peers.running(["storescp", *options, "-od", str(folder), str(port)], folder, port):
        yield peers.peer(port)


@contextlib.contextmanager
def orthanc(folder: Path, issued: Issued, authority: Authority, **options: object) -> Iterator[DicomPeer]:
    """Orthanc over TLS; it wants a certificate of `authority`. `options` change its configuration."""
    encryption = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(issued.certificate),
        "DicomTlsPrivateKey": str(issued.key),
        "DicomTlsTrustedCertificates": str(authority.file),
        "DicomTlsRemoteCertificateRequired": True,
    }
    with peers.orthanc(folder, **{**encryption, **options}) as peer:
        yield peer


def store(
    where: DicomPeer, own: Issued, authority: Authority, files: list[Path], calling: str = peers.CALLING
) -> None:
    """Send files over TLS by DCMTK."""
    options = ["+tls", str(own.key), str(own.certificate), "+cf", str(authority.file)]
    names = ["-aec", where.ae_title, "-aet", calling, where.host, str(where.port)]
    subprocess.run(["storescu", *options, *names, *map(str, files)], check=True, capture_output=True)
