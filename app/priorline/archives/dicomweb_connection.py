"""HTTP/1.1 (RFC 9112) on a socket up to the content: everything bounded, every wait in slices under a `Watch`.

The standard library's client trusts the length of a chunk, takes interim responses without end, and its reader cannot
be used again after a timeout.
"""

import re
import select
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from priorline.archives.dicomweb_peer import DicomWebPeer
from priorline.archives.tls_failures import failure
from priorline.archives.watch import Fault, Watch
from priorline.errors import ArchiveBroken, ArchiveError, ArchiveTimedOut, ArchiveUnreachable

POLL = 0.04
CONNECT_POLL = 0.02
# Little, as most of what comes is read into its place.
AHEAD = 1 << 16
HEAD_MAX = 65536
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
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            # What it said as it left is read next: in TLS 1.3 it judges our certificate when for us all is agreed.
            return len(rest)

    def head(self) -> tuple[int, dict[str, str]]:
        """The status and the headers, by lower-case name, of the final response."""
        for _ in range(INTERIM_MAX):
            lines = self.until(b"\r\n\r\n", HEAD_MAX).decode("latin-1").split("\r\n")
            found = STATUS_LINE.fullmatch(lines[0])
            if found is None:
                raise self.broken()
            if int(found[1]) >= 200:
                return int(found[1]), self._headers(lines[1:])
        raise self.broken()

    def _headers(self, lines: list[str]) -> dict[str, str]:
        headers: dict[str, str] = {}
        for line in lines:
            found = HEADER_LINE.fullmatch(line)
            if found is None:
                raise self.broken()
            name, value = found[1].lower(), found[2].strip(" \t")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return headers

    def read_into(self, view: memoryview) -> int:
        """Put what comes next at the beginning of `view`; how many bytes, 0 at the end of the stream."""
        if not self._ahead:
            return self._read(partial(self._sock.recv_into, view))
        count = min(len(self._ahead), len(view))
        view[:count] = self._ahead[:count]
        del self._ahead[:count]
        return count

    def until(self, marker: bytes, most: int) -> bytes:
        """What comes before `marker`, which is taken too."""
        while (at := self._ahead.find(marker, 0, most + len(marker))) < 0:
            if len(self._ahead) >= most + len(marker) or not self._fill():
                raise self.broken()
        found = bytes(self._ahead[:at])
        del self._ahead[: at + len(marker)]
        return found

    def _fill(self) -> bool:
        """Read ahead; False at the end of the stream."""
        more = bytearray(AHEAD)
        count = self._read(partial(self._sock.recv_into, more))
        self._ahead += more[:count]
        return count > 0

    def _read(self, step: Callable[[], int]) -> int:
        count = self._patiently(step)
        if not count and not self._heard:
            raise self._ended(ConnectionError())
        self._heard = True
        self._watch.count(count)
        return count

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

    def broken(self) -> ArchiveError:
        """The peer does not keep to HTTP, as an exception to raise."""
        return ArchiveBroken(
            f"{self._peer.name} broke off the connection or sent what HTTP does not allow; try again, then ask IT."
        )

    def _ended(self, problem: OSError) -> ArchiveError:
        """What a failed step means: until the peer has said something, it is about encryption where there is any."""
        context = self._peer.tls
        if context is None or self._heard:
            return self.broken()
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
