"""pynetdicom's transport with deadlines, bounds and silence: the parts of 3.0.4 that trust the peer, replaced.

As shipped, a half-sent PDU blocks a thread for good, a length field decides how much memory is taken, identifiers are
logged, and each message waits for a 1 ms poll. Here everything that waits asks one `Watch`, so a single place decides
when an association is over.
"""

import logging
import queue
import select
import socket
import ssl
import struct
from contextlib import suppress
from typing import Any

import pydicom.config
from pydicom.errors import BytesLengthException, InvalidDicomError
from pynetdicom import _config
from pynetdicom.association import Association
from pynetdicom.fsm import InvalidEventError
from pynetdicom.transport import T_CONNECT, AddressInformation, AssociationSocket

from priorline.archives.base import DicomPeer
from priorline.archives.tls_failures import failure
from priorline.archives.watch import Fault, Watch

PDU_LENGTH = 131072
PDU_SLACK = 65536
POLL = 0.04
READ_AHEAD = 16384
CONNECT_POLL = 0.02
HEADER = struct.Struct(">BBL")
DATA = 0x04
A_ABORT = b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00"
# What pynetdicom and pydicom raise while they take apart what a peer sent.
FOREIGN_FAULTS = (
    BytesLengthException,
    InvalidDicomError,
    InvalidEventError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    queue.Empty,
    struct.error,
)

_config.LOG_HANDLER_LEVEL = "none"
_config.LOG_REQUEST_IDENTIFIERS = False
_config.LOG_RESPONSE_IDENTIFIERS = False
# UIDs are looked at where they are used; a warning would quote the peer on standard error, and each look takes time.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
# Its messages quote the peer; what a user needs to know is in our typed errors.
for _library in ("pynetdicom", "pydicom"):
    logging.getLogger(_library).setLevel(logging.CRITICAL + 1)


class WatchedSocket(AssociationSocket):
    """A transport connection that obeys a watch, bounds each PDU, reads ahead and acknowledges at once.

    With the peer's `tls` it counts as connected when that is agreed and verified, and nothing is sent before.
    """

    def __init__(self, assoc: Association, watch: Watch, peer: DicomPeer, address: AddressInformation) -> None:
        self._watch, self._peer = watch, peer
        self._ahead = bytearray()
        self._heard = False
        super().__init__(assoc, address=address)

    def connect(self, primitive: T_CONNECT) -> None:
        """Connect within the watch's phase; the outcome goes to the state machine as pynetdicom expects it."""
        primitive.result = "Evt2" if self._connected(primitive.address_info.as_tuple) else "Evt17"
        self._is_connected = primitive.result == "Evt2"
        self.provider_queue.put(primitive)
        self.settle()

    def settle(self) -> None:
        """Whether it is connected is known, whatever came of it."""
        self._ready.set()

    def _connected(self, address: tuple[Any, ...]) -> bool:
        sock = self.socket
        if sock is None:
            return False
        sock.setblocking(False)
        try:
            with suppress(BlockingIOError):
                sock.connect(address)
            while not select.select([], [sock], [sock], CONNECT_POLL)[1]:
                if not self._watch.check():
                    return False
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        except OSError as exc:
            error = exc.errno or -1
        if error:
            self._watch.fail(Fault.UNREACHABLE)
            return False
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(POLL)
        self._watch.phase(Fault.ACSE_SILENT, self._peer.timeouts.acse)
        return self._peer.tls is None or self._encrypted(sock, self._peer.tls)

    def _encrypted(self, sock: socket.socket, context: ssl.SSLContext) -> bool:
        self._watch.expect(Fault.TLS_SILENT)
        try:
            # It takes the descriptor over.
            self.socket = secure = context.wrap_socket(
                sock, server_hostname=self._peer.host, do_handshake_on_connect=False
            )
            while not self._shook_hands(secure):
                if not self._watch.check():
                    return False
        except OSError as problem:
            self._blame(problem)
            return False
        self._watch.expect(Fault.ACSE_SILENT)
        return True

    @staticmethod
    def _shook_hands(secure: ssl.SSLSocket) -> bool:
        """Whether it is done; False after one wait."""
        try:
            secure.do_handshake()
        except TimeoutError:
            return False
        return True

    def _blame(self, problem: OSError) -> None:
        """Note what TLS did not like; once the peer has said something, it is not TLS."""
        context, sock = self._peer.tls, self.socket
        if context is None or self._heard:
            return
        agreed = isinstance(sock, ssl.SSLSocket) and sock.cipher() is not None
        self._watch.fail(Fault.NOT_ENCRYPTED, failure(self._peer.name, self._peer.host, context, problem, agreed))

    @property
    def ready(self) -> bool:
        """Whether there is something to read, or the end; waits for it until the watch is over."""
        sock = self.socket
        if sock is None or not self._is_connected:
            return False
        # The library looks once more before it closes what it has ended (Sta13, PS3.8 9.2).
        closing = self.assoc.dul.state_machine.current_state == "Sta13"
        while not self._ahead:
            try:
                more = sock.recv(READ_AHEAD)
            except TimeoutError:
                if closing or not self._watch.check():
                    return False
                continue
            except OSError as problem:
                self._blame(problem)
                self.event_queue.put("Evt17")
                return False
            if not more:
                self._blame(ConnectionError())
                break
            self._ahead += more
            self._count(sock, len(more))
        return True

    def is_readable(self) -> bool:
        """Whether something has come, or the end, that is not taken yet; waits for nothing."""
        return bool(self._ahead) or super().ready

    def holds_pdu(self) -> bool:
        """Whether a whole PDU has been read ahead."""
        if len(self._ahead) < HEADER.size:
            return False
        length: int = HEADER.unpack_from(self._ahead)[2]
        return len(self._ahead) >= HEADER.size + length

    def begins_with_data(self) -> bool:
        """Whether the next PDU is whole data and of a length that was agreed on; reads its header ahead."""
        while len(self._ahead) < HEADER.size:
            more = self._receive(bytearray(HEADER.size - len(self._ahead)))
            if not more:
                return False
            self._ahead += more
        kind, _, length = HEADER.unpack_from(self._ahead)
        return bool(kind == DATA and length <= PDU_LENGTH + PDU_SLACK)

    def take_header(self) -> int:
        """Take the header of the next PDU, which `begins_with_data` has read; its length."""
        length: int = HEADER.unpack_from(self._ahead)[2]
        del self._ahead[: HEADER.size]
        return length

    def fill(self, view: memoryview) -> None:
        """Fill all of a buffer; raises OSError at the end of the stream and when the watch is over."""
        filled = min(len(self._ahead), len(view))
        view[:filled] = self._ahead[:filled]
        del self._ahead[:filled]
        sock = self._open()
        while filled < len(view):
            try:
                got = sock.recv_into(view[filled:])
            except TimeoutError:
                if not self._watch.check():
                    raise OSError("association is over") from None
                continue
            if got == 0:
                raise ConnectionError("the stream ended inside a fragment")
            filled += got
            self._count(sock, got)
            if not self._watch.check():
                raise OSError("association is over")

    def recv(self, nr_bytes: int) -> bytearray:
        """Read exactly `nr_bytes`, fewer only at the end of the stream.

        Raises OSError when the length is beyond what was negotiated or the watch is over.
        """
        if nr_bytes > PDU_LENGTH + PDU_SLACK:
            self._watch.fail(Fault.BROKEN)
            raise OSError("PDU longer than negotiated")
        if len(self._ahead) >= nr_bytes:
            buffer = self._ahead[:nr_bytes]
            del self._ahead[:nr_bytes]
            return buffer
        return self._recv_rest(nr_bytes)

    def _recv_rest(self, nr_bytes: int) -> bytearray:
        buffer = self._ahead[:]
        self._ahead.clear()
        while len(buffer) < nr_bytes:
            more = self._receive(bytearray(nr_bytes - len(buffer)))
            if not more:
                break
            buffer += more
        return buffer

    def _receive(self, buffer: bytearray) -> bytearray:
        """What has come, at most as much as `buffer` holds; waits for it, nothing at the end of the stream.

        Raises OSError when the watch is over.
        """
        sock = self._open()
        while self._watch.check():
            with suppress(TimeoutError):
                got = sock.recv_into(buffer)
                self._count(sock, got)
                return buffer[:got]
        raise OSError("association is over")

    def _count(self, sock: socket.socket, received: int) -> None:
        self._heard = True
        self._watch.count(received)
        self._acknowledge(sock)

    @staticmethod
    def _acknowledge(sock: socket.socket) -> None:
        # Peers with Nagle's algorithm wait up to 40 ms for the acknowledgement; Linux forgets the option after use.
        if hasattr(socket, "TCP_QUICKACK"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def send(self, bytestream: bytes) -> None:
        """Send all, as long as the watch allows; failure becomes the transport's closing."""
        rest = memoryview(bytestream)
        try:
            while rest:
                try:
                    rest = rest[self._open().send(rest) :]
                except TimeoutError:
                    if not self._watch.check():
                        raise
            if not self._heard:
                # The tickets of TLS 1.3 come first, unseen here, and the answer waits for their acknowledgement.
                self._acknowledge(self._open())
        except OSError as problem:
            self._blame(self._last_words() or problem)
            self.event_queue.put("Evt17")

    def _last_words(self) -> OSError | None:
        """What the peer said as it left: in TLS 1.3 it judges our certificate when for us all is agreed."""
        if self._peer.tls is None or self._heard or self._watch.fault:
            return None
        try:
            self._open().recv(1)
        except TimeoutError:
            return None
        except OSError as problem:
            return problem
        return None

    def _open(self) -> socket.socket:
        if self.socket is None:
            raise OSError("connection is closed")
        return self.socket

    def hang_up(self) -> None:
        """Tell the peer that it is over, if it still listens, and free the socket."""
        if self.socket is not None and self._is_connected:
            with suppress(OSError):
                self.socket.send(A_ABORT)
        self._shutdown_socket()

    def _shutdown_socket(self) -> None:
        sock = self.socket
        if sock is not None:
            if isinstance(sock, ssl.SSLSocket) and self._is_connected:
                # Says that nothing was cut off (RFC 8446 6.1), without waiting for the same.
                with suppress(OSError, ValueError):
                    sock.setblocking(False)
                    sock.unwrap()
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
