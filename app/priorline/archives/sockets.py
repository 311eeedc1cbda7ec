"""pynetdicom's upper layer with deadlines, bounds and silence: the parts of 3.0.4 that trust the peer, replaced.

As shipped, a half-sent PDU blocks a thread for good, a length field decides how much memory is taken, the threads
keep the process alive, identifiers are logged, and each message waits for a 1 ms poll. Here everything that waits
asks one `Watch`, so a single place decides when an association is over.
"""

import logging
import queue
import select
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pynetdicom
from pynetdicom import _config
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import InvalidEventError
from pynetdicom.transport import T_CONNECT, AddressInformation, AssociationSocket

from priorline.archives.watch import Fault, Watch
from priorline.errors import PriorlineError

PINNED = "3.0.4"
PDU_LENGTH = 131072
PDU_SLACK = 65536
POLL = 0.05
CONNECT_POLL = 0.02
JOIN = 1.0
QUEUED_MESSAGES = 64
# A message may grow to this before it is complete; a multi-frame object can be large.
MESSAGE_LENGTH_MAX = 1 << 31
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


class _Inbox(queue.Queue[Any]):
    """A bounded queue whose waits end with the watch, and whose fullness slows the sender down through TCP."""

    def __init__(self, watch: Watch, ended: Callable[[], bool]) -> None:
        super().__init__(QUEUED_MESSAGES)
        self._watch, self._ended = watch, ended

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        while self._watch.fault is None:
            with suppress(queue.Full):
                super().put(item, block, POLL)
                return

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        while block and self._watch.check():
            ended = self._ended()
            try:
                return super().get(not ended, POLL)
            except queue.Empty:
                if ended:
                    break
        return super().get(block=False)


class _Outbox(queue.Queue[Any]):
    """The queue to the peer, which wakes the provider instead of letting it poll."""

    def __init__(self, wake: socket.socket) -> None:
        super().__init__()
        self._wake = wake

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        with suppress(OSError):
            self._wake.send(b"\0")


class WatchedSocket(AssociationSocket):
    """A transport connection that obeys a watch, bounds each PDU and acknowledges at once."""

    def __init__(self, assoc: "WatchedAssociation", watch: Watch, address: AddressInformation) -> None:
        self._watch = watch
        self._woken, self.wake = socket.socketpair()
        self._woken.setblocking(False)
        self.wake.setblocking(False)
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
        """Whether data can be read; waits a moment for data or for something to send, so that nobody polls."""
        sock, closing = self.socket, self.assoc.dul.state_machine.current_state == "Sta13"
        if sock is None or not self._is_connected:
            return False
        try:
            readable, _, _ = select.select([sock, self._woken], [], [], 0 if closing else POLL)
        except (OSError, ValueError):
            self.event_queue.put("Evt17")
            return False
        if self._woken in readable:
            with suppress(OSError):
                self._woken.recv(4096)
        return sock in readable

    def recv(self, nr_bytes: int) -> bytearray:
        """Read exactly `nr_bytes`, fewer only at the end of the stream.

        Raises OSError when the length is beyond what was negotiated or the watch is over.
        """
        if nr_bytes > PDU_LENGTH + PDU_SLACK:
            self._watch.fail(Fault.BROKEN)
            raise OSError("PDU longer than negotiated")
        sock, buffer, filled = self._open(), bytearray(nr_bytes), 0
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
                self._watch.count(got)
                _acknowledge(sock)
            if filled < nr_bytes and not self._watch.check():
                raise OSError("association is over")
        return buffer

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
        """Tell the peer that it is over and wake whoever reads; may be called from any thread."""
        sock = self.socket
        if sock is not None:
            with suppress(OSError):
                sock.send(A_ABORT)
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            self.wake.send(b"\0")

    def dispose(self) -> None:
        """Free the sockets once no thread uses them."""
        self._shutdown_socket()
        self._woken.close()
        self.wake.close()

    def _shutdown_socket(self) -> None:
        sock = self.socket
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


def _acknowledge(sock: socket.socket) -> None:
    # Peers with Nagle's algorithm wait up to 40 ms for the acknowledgement; Linux forgets the option after use.
    if hasattr(socket, "TCP_QUICKACK"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


class _Provider(DULServiceProvider):
    """The upper layer's thread: a daemon that is woken, and that ends quietly on what a peer makes it choke on."""

    def __init__(self, assoc: "WatchedAssociation", watch: Watch) -> None:
        super().__init__(assoc)
        self._watch = watch
        self._run_loop_delay = 0
        self.daemon = True

    def run_reactor(self) -> None:
        try:
            super().run_reactor()
        except FOREIGN_FAULTS:
            self._watch.fail(Fault.BROKEN)


class WatchedAssociation(Association):
    """An association as requestor whose waits obey a watch; ended by `close`, never by pynetdicom itself.

    The reactor thread of pynetdicom is not started: the thread that asks is the one that reads the answers.
    """

    def __init__(self, ae: ApplicationEntity, watch: Watch, address: AddressInformation) -> None:
        if pynetdicom.__version__ != PINNED:
            raise UnsupportedLibrary(
                f"pynetdicom {pynetdicom.__version__} is installed, but only {PINNED} is supported."
            )
        super().__init__(ae, "requestor")
        local = AddressInformation("" if address.is_ipv4 else "::", 0)
        self._watch = watch
        self.dul = _Provider(self, watch)
        self.transport = WatchedSocket(self, watch, local)
        self.set_socket(self.transport)
        self.dul.to_provider_queue = _Outbox(self.transport.wake)
        self.dul.to_user_queue = _Inbox(watch, self._provider_ended)
        self.dimse.msg_queue = _Inbox(watch, self._peer_ended)
        self.network_timeout = None
        self.message_length_max = MESSAGE_LENGTH_MAX
        self.acceptor.address_info = address
        self.requestor.address_info = local

    def _provider_ended(self) -> bool:
        return not self.dul.is_alive()

    def _peer_ended(self) -> bool:
        growing = self.dimse.message
        if growing and growing.data_set and growing.data_set.tell() > self.message_length_max:
            self._watch.fail(Fault.BROKEN)
        return not self.dul.is_alive() or not self.dul.to_user_queue.empty()

    def _abort_blocking(self, block: bool = True) -> None:
        self.kill()

    def kill(self) -> None:
        """Let the provider's thread end; `close` waits for it."""
        self.is_established = False
        self.dul.kill_dul()

    def close(self) -> None:
        """End the association at once and leave no thread and no socket behind."""
        if self.dul.is_alive():
            self._watch.fail(Fault.CLOSED)
            self.kill()
            self.transport.hang_up()
            self.dul.join(JOIN)
        self.transport.dispose()
