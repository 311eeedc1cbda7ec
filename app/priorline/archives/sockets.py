"""pynetdicom's upper layer with deadlines, bounds and silence: the parts of 3.0.4 that trust the peer, replaced.

As shipped, a half-sent PDU blocks a thread for good, a length field decides how much memory is taken, the threads
keep the process alive, identifiers are logged, and each message waits for a 1 ms poll. Here the thread that asks does
all the work, and everything that waits asks one `Watch`, so a single place decides when an association is over.
"""

import logging
import queue
import select
import socket
import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any

import pynetdicom
from pynetdicom import _config
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import InvalidEventError
from pynetdicom.transport import T_CONNECT, AddressInformation, AssociationSocket

from priorline.archives.dicom_messages import MessageProvider
from priorline.archives.watch import Fault, Watch
from priorline.errors import PriorlineError

PINNED = "3.0.4"
PDU_LENGTH = 131072
PDU_SLACK = 65536
POLL = 0.05
READ_AHEAD = 16384
CONNECT_POLL = 0.02
JOIN = 1.0
COMMAND_LENGTH_MAX = 65536
# A message may grow to this before it is complete; a multi-frame object can be large.
MESSAGE_LENGTH_MAX = 1 << 31
HEADER = struct.Struct(">BBL")
A_ABORT = b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00"
# What pynetdicom raises while it takes apart what a peer sent.
FOREIGN_FAULTS = (
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
# Its messages quote the peer; what a user needs to know is in our typed errors.
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)


class UnsupportedLibrary(PriorlineError):
    """The installed pynetdicom is not the version whose transport is replaced here."""


class _Line(queue.Queue[Any]):
    """A queue of the library for a single thread: without its four locks, whose making costs more than their use."""

    def __init__(self) -> None:
        self.queue = deque()

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        self.queue.append(item)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if not self.queue:
            raise queue.Empty
        return self.queue.popleft()


class _Inbox(_Line):
    """What came, for the thread that asks: to wait is to read from the peer, until that or the watch is over."""

    def __init__(self, provider: "_Provider", ended: Callable[[], bool] = lambda: False) -> None:
        super().__init__()
        self._provider, self._ended = provider, ended

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        while block and not self.queue and not self._ended() and self._provider.step():
            pass
        return super().get()


class WatchedSocket(AssociationSocket):
    """A transport connection that obeys a watch, bounds each PDU, reads ahead and acknowledges at once."""

    def __init__(self, assoc: "WatchedAssociation", watch: Watch, address: AddressInformation) -> None:
        self._watch = watch
        self._ahead = bytearray()
        super().__init__(assoc, address=address)

    def connect(self, primitive: T_CONNECT) -> None:
        """Connect within the watch's phase; the outcome goes to the state machine as pynetdicom expects it."""
        primitive.result = "Evt2" if self._connected(primitive.address_info.as_tuple) else "Evt17"
        self._is_connected = primitive.result == "Evt2"
        self.provider_queue.put(primitive)
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
        self._watch.phase(Fault.ACSE_SILENT, self.assoc.acse_timeout or JOIN)
        return True

    @property
    def ready(self) -> bool:
        """Whether there is something to read, or the end; waits 50 ms for it at most."""
        sock = self.socket
        if sock is None or not self._is_connected:
            return False
        if not self._ahead:
            try:
                self._ahead += sock.recv(READ_AHEAD)
            except TimeoutError:
                return False
            except OSError:
                self.event_queue.put("Evt17")
                return False
            self._count(sock, len(self._ahead))
        return True

    def holds_pdu(self) -> bool:
        """Whether a whole PDU has been read ahead."""
        if len(self._ahead) < HEADER.size:
            return False
        length: int = HEADER.unpack_from(self._ahead)[2]
        return len(self._ahead) >= HEADER.size + length

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
        sock, buffer, filled = self._open(), bytearray(nr_bytes), len(self._ahead)
        buffer[:filled] = self._ahead
        self._ahead.clear()
        view = memoryview(buffer)
        while filled < nr_bytes:
            try:
                got = sock.recv_into(view[filled:])
            except TimeoutError:
                got = -1
            if got == 0:
                view.release()
                del buffer[filled:]
                break
            if got > 0:
                filled += got
                self._count(sock, got)
            if filled < nr_bytes and not self._watch.check():
                raise OSError("association is over")
        return buffer

    def _count(self, sock: socket.socket, received: int) -> None:
        self._watch.count(received)
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
        except OSError:
            self.event_queue.put("Evt17")

    def _open(self) -> socket.socket:
        if self.socket is None:
            raise OSError("connection is closed")
        return self.socket

    def hang_up(self) -> None:
        """Tell the peer that it is over, if it still listens, and free the socket."""
        if self.socket is not None:
            with suppress(OSError):
                self.socket.send(A_ABORT)
        self._shutdown_socket()

    def _shutdown_socket(self) -> None:
        sock = self.socket
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


class _Provider(DULServiceProvider):
    """The upper layer without a thread of its own: whoever sends or waits steps it.

    A thread for each side of a hundred associations would wake and wait for its other half all the time.
    """

    def __init__(self, assoc: "WatchedAssociation", watch: Watch) -> None:
        super().__init__(assoc)
        self._watch = watch
        self.event_queue, self._recv_pdu, self.to_provider_queue = _Line(), _Line(), _Line()
        self.to_user_queue = _Inbox(self)

    def start(self) -> None:
        self.assoc._dul_ready.set()

    def is_alive(self) -> bool:
        return not self._kill_thread

    def send_pdu(self, primitive: Any) -> None:
        super().send_pdu(primitive)
        while self.to_provider_queue.queue and self.step():
            pass

    def step(self) -> bool:
        """Send one primitive, or wait a moment for a PDU and take it; whether there is a next step."""
        if not self._watch.check() or self._kill_thread:
            return False
        try:
            if not self._process_recv_primitive():
                self._is_transport_event()
            while self.event_queue.queue and not self._kill_thread:
                self.state_machine.do_action(self.event_queue.get())
        except FOREIGN_FAULTS:
            self._watch.fail(Fault.BROKEN)
            self._kill_thread = True
        return not self._kill_thread


@lru_cache(maxsize=2)
def _anywhere(is_ipv4: bool) -> AddressInformation:
    # Looking it up takes longer than to connect.
    return AddressInformation("" if is_ipv4 else "::", 0)


class WatchedAssociation(Association):
    """An association as requestor whose waits obey a watch; ended by `close`, never by pynetdicom itself.

    No thread of pynetdicom is started: the thread that asks sends, and reads the answers.
    """

    def __init__(self, ae: ApplicationEntity, watch: Watch, address: AddressInformation) -> None:
        if pynetdicom.__version__ != PINNED:
            raise UnsupportedLibrary(
                f"pynetdicom {pynetdicom.__version__} is installed, but only {PINNED} is supported."
            )
        super().__init__(ae, "requestor")
        local = _anywhere(address.is_ipv4)
        self._watch = watch
        self.dul: _Provider = _Provider(self, watch)
        self.transport = WatchedSocket(self, watch, local)
        self.set_socket(self.transport)
        self.dimse = MessageProvider(self)
        self.dimse.msg_queue = _Inbox(self.dul, self._is_over)
        self.network_timeout = None
        self.message_length_max = MESSAGE_LENGTH_MAX
        self.acceptor.address_info = address
        self.requestor.address_info = local

    def _is_over(self) -> bool:
        """Whether no message can come any more: one grew too long, or the association ended."""
        growing = self.dimse.message
        if growing and growing.data_set and growing.data_set.tell() > self.message_length_max:
            self._watch.fail(Fault.BROKEN)
        if growing and growing.encoded_command_set.tell() > COMMAND_LENGTH_MAX:
            self._watch.fail(Fault.BROKEN)
        return bool(self.dul.to_user_queue.queue)

    def message_waits(self) -> bool:
        """Whether the next message has come; reads nothing that is not here yet."""
        while not self.dimse.msg_queue.queue and self.transport.holds_pdu() and self.dul.step():
            pass
        return self.dimse.peek_msg()[0] is not None

    def _serve_request(self, req: Any, context_id: int) -> None:
        # Called for what a peer has no business to ask of us, in a thread that the library makes for it.
        self._watch.fail(Fault.BROKEN)

    def _bind_defaults(self) -> None:
        """Bind no handlers: they are for those who are asked."""

    def _abort_blocking(self, block: bool = True) -> None:
        self.kill()

    def kill(self) -> None:
        """Go no further; `close` frees what is held."""
        self.is_established = False
        self.dul.kill_dul()

    def close(self) -> None:
        """End the association at once and leave no socket behind."""
        self._watch.fail(Fault.CLOSED)
        self.kill()
        self.transport.hang_up()
