"""One HTTP/1.1 response (RFC 9112) from a socket: everything bounded, and every wait in slices under a `Watch`.

The standard library's client trusts the length of a chunk, takes interim responses without end, and its reader cannot
be used again after a timeout.
"""

import re
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import TypeVar

from priorline.archives.dicomweb_peer import DicomWebPeer
from priorline.archives.tls_failures import failure
from priorline.archives.watch import Fault, Watch
from priorline.errors import ArchiveBroken, ArchiveError, ArchiveTimedOut, ArchiveUnreachable

POLL = 0.04
CONNECT_POLL = 0.02
BLOCK = 1 << 18
HEAD_MAX = 65536
CHUNK_LINE_MAX = 1024
INTERIM_MAX = 8
STATUS_LINE = re.compile(r"HTTP/1\.[01] ([1-5][0-9]{2})(?: .*)?")
HEADER_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):(.*)")
Result = TypeVar("Result")


class Cancelled(Exception):
    """The caller no longer wants the answer."""


class Connection:
    """The bytes of one connection, made at once; what ends it early is raised as the ArchiveError that it means."""

    def __init__(self, peer: DicomWebPeer, watch: Watch) -> None:
        self._peer, self._watch = peer, watch
        self._ahead = bytearray()
        self._heard = False
        watch.phase(Fault.CONNECT_SILENT, peer.timeouts.connect, watch.remaining())
        self._sock = self._connected()
        self._sock.settimeout(POLL)

    def close(self) -> None:
        """Free the socket, without waiting for the peer."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()

    def secure(self) -> None:
        """The TLS handshake, where the address wants one."""
        if not self._peer.is_encrypted:
            return
        if self._peer.tls is None:
            raise ValueError("an https address without a context for TLS")
        host = self._peer.host
        wrapped = self._peer.tls.wrap_socket(self._sock, server_hostname=host, do_handshake_on_connect=False)
        self._sock = wrapped
        self._watch.expect(Fault.TLS_SILENT)
        self._patiently(wrapped.do_handshake)
        self._watch.expect(Fault.ACSE_SILENT)

    def send(self, data: bytes) -> None:
        """Send all."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._patiently(partial(self._sent, rest)) :]

    def _sent(self, rest: memoryview) -> int:
        try:
            return self._sock.send(rest)
        except (BrokenPipeError, ConnectionResetError):
            # What it said as it left is read next.
            return len(rest)

    def head(self) -> tuple[int, dict[str, str]]:
        """The status and the headers, by lower-case name, of the final response."""
        for _ in range(INTERIM_MAX):
            lines = self._until(b"\r\n\r\n", HEAD_MAX).decode("latin-1").split("\r\n")
            found = STATUS_LINE.fullmatch(lines[0])
            if found is None:
                raise self._broken()
            if int(found[1]) >= 200:
                return int(found[1]), self._headers(lines[1:])
        raise self._broken()

    def _headers(self, lines: list[str]) -> dict[str, str]:
        headers: dict[str, str] = {}
        for line in lines:
            found = HEADER_LINE.fullmatch(line)
            if found is None:
                raise self._broken()
            name, value = found[1].lower(), found[2].strip(" \t")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return headers

    def body(self, status: int, headers: dict[str, str], most: int) -> Iterator[bytes]:
        """The content in blocks that are not empty (RFC 9112 6.3); more than `most` bytes are an error."""
        taken = 0
        for block in self._blocks(status, headers):
            taken += len(block)
            if taken > most:
                raise ArchiveBroken(f"{self._peer.name} sends more than an answer may be; ask its IT department.")
            yield block

    def _blocks(self, status: int, headers: dict[str, str]) -> Iterator[bytes]:
        coding, length = headers.get("transfer-encoding", "").lower(), headers.get("content-length")
        if status in (204, 304):
            return iter(())
        if coding:
            if coding != "chunked":
                raise self._broken()
            return self._chunked()
        if length is None:
            return self._to_the_end()
        if not (length.isdecimal() and length.isascii() and len(length) <= 15):
            raise self._broken()
        return self._sized(int(length))

    def _sized(self, length: int) -> Iterator[bytes]:
        while length:
            if not self._ahead and not self._fill():
                raise self._broken()
            block = bytes(self._ahead[:length])
            del self._ahead[: len(block)]
            length -= len(block)
            yield block

    def _chunked(self) -> Iterator[bytes]:
        while True:
            size = self._until(b"\r\n", CHUNK_LINE_MAX).split(b";")[0].strip(b" \t")
            if not re.fullmatch(rb"[0-9a-fA-F]{1,12}", size):
                raise self._broken()
            if not int(size, 16):
                return
            yield from self._sized(int(size, 16))
            if self._until(b"\r\n", 0):
                raise self._broken()

    def _to_the_end(self) -> Iterator[bytes]:
        while self._ahead or self._fill():
            block = bytes(self._ahead)
            self._ahead.clear()
            yield block

    def _until(self, marker: bytes, most: int) -> bytes:
        """What comes before `marker`, which is taken too."""
        while (at := self._ahead.find(marker, 0, most + len(marker))) < 0:
            if len(self._ahead) >= most + len(marker) or not self._fill():
                raise self._broken()
        found = bytes(self._ahead[:at])
        del self._ahead[: at + len(marker)]
        return found

    def _fill(self) -> bool:
        """Read more; False at the end of the stream."""
        more = self._patiently(partial(self._sock.recv, BLOCK))
        if not more and not self._heard:
            raise self._ended(ConnectionError())
        self._heard = True
        self._watch.count(len(more))
        self._ahead += more
        return bool(more)

    def _patiently(self, step: Callable[[], Result]) -> Result:
        """Do `step` as often as it takes, as long as the watch allows."""
        while self._watch.check():
            try:
                return step()
            except TimeoutError:
                continue
            except OSError as problem:
                raise self._ended(problem) from problem
        raise self._over()

    def _connected(self) -> socket.socket:
        """A connection to the first of the host's addresses that takes one."""
        try:
            found = socket.getaddrinfo(self._peer.host, self._peer.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as problem:
            raise ArchiveUnreachable(
                f"{self._peer.name} cannot be found: its host is unknown; check url in the configuration."
            ) from problem
        share = self._peer.timeouts.connect / len(found)
        for family, kind, protocol, _, address in found:
            sock = socket.socket(family, kind, protocol)
            if self._reached(sock, address, time.monotonic() + share):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return sock
            sock.close()
        raise self._over()

    def _reached(self, sock: socket.socket, address: tuple[object, ...], until: float) -> bool:
        sock.setblocking(False)
        try:
            with suppress(BlockingIOError):
                sock.connect(address)
            while not select.select([], [sock], [sock], CONNECT_POLL)[1]:
                if not self._watch.check() or time.monotonic() > until:
                    return False
            return not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        except OSError:
            return False

    def _broken(self) -> ArchiveError:
        return ArchiveBroken(
            f"{self._peer.name} broke off the connection or sent what HTTP does not allow; try again, then ask IT."
        )

    def _ended(self, problem: OSError) -> ArchiveError:
        """What a failed step means: until the peer has said something, it is about encryption where there is any."""
        context = self._peer.tls
        if context is None or self._heard:
            return self._broken()
        agreed = isinstance(self._sock, ssl.SSLSocket) and self._sock.cipher() is not None
        return failure(self._peer.name, self._peer.host, context, problem, agreed)

    def _over(self) -> ArchiveError | Cancelled:
        """Why it ended, as an exception to raise."""
        name, where, limits = self._peer.name, self._peer.authority, self._peer.timeouts
        if self._watch.fault is Fault.CANCELLED:
            return Cancelled()
        silences = {
            Fault.CONNECT_SILENT: f"{name} did not answer at {where} within {limits.connect:g} s; check the network.",
            Fault.TLS_SILENT: f"{name} agreed on no encryption within {limits.acse:g} s; check the port in url.",
            Fault.ACSE_SILENT: f"{name} took the connection, but said nothing for {limits.acse:g} s; try later.",
            Fault.STALLED: f"{name} stopped answering: nothing came for {limits.progress:g} s; try again later.",
            Fault.TOO_SLOW: f"{name} did not finish its answer within {limits.query:g} s; try again later.",
        }
        if self._watch.fault in silences:
            return ArchiveTimedOut(silences[self._watch.fault])
        return ArchiveUnreachable(f"{name} cannot be reached at {where}; check the network and whether it runs.")
