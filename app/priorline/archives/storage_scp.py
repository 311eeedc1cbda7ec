"""Our storage SCP (PS3.4 B): it listens only while a retrieval by C-MOVE is open, and takes only what that asked for.

Who may connect, what may come and how many may try is decided here; `storage_sender` talks to one of them.
"""

import socket
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from priorline.archives.base import DicomPeer, SecurityAlert
from priorline.archives.incoming import Receiver
from priorline.archives.sockets import POLL
from priorline.archives.storage_expected import Caller, Expected
from priorline.archives.storage_sender import SILENT, Sender
from priorline.archives.tls import ServerContext
from priorline.errors import ArchiveError, ArchiveRefused, ArchiveUnreachable

BACKLOG = 128
# Connections that have not asked for an association yet, in all and from one address; whoever has shown least of
# itself gives way, the oldest first.
WAITING_MAX, WAITING_PER_ADDRESS = 8, 4
ASSOCIATIONS_MAX, ASSOCIATIONS_PER_ADDRESS = 16, 8
ALERTS_OF_A_KIND = 20
LEAVING_SECONDS = 1.0
NOT_EXPECTED = "connected from an address that nothing is expected from"

Start = Callable[[Callable[[], None]], Callable[[float], None]]
"""Runs something in a thread of its own; what it returns waits for the end of that, at most so many seconds."""


class StorageScp:
    """Where hospitals send to; shared by all retrievals, which open it with `expect`.

    `port` 0 is no listening. `address` is the IP address to listen at; without one it is that at which the hospital
    that is asked sees us. `start` runs threads for it, `on_alert` is told what was refused, in the thread of a
    retrieval, which fails with what it raises.
    """

    def __init__(
        self, ae_title: str, port: int, start: Start, on_alert: Callable[[SecurityAlert], None], address: str = ""
    ) -> None:
        self.ae_title, self.port, self.address = ae_title, port, address
        self._start, self._alerts = start, Alerts(on_alert)
        self._lock = threading.Lock()
        self._listeners: dict[str, _Listener] = {}

    @contextmanager
    def expect(
        self,
        peer: DicomPeer,
        study_uid: str,
        ends: tuple[str, str],
        receiver: Receiver,
        context: ServerContext | None = None,
    ) -> Iterator[Expected]:
        """Let a hospital send one study while the body of the `with` runs; by TLS, and only so, with a `context`.

        `ends` are the IP addresses of a connection to it, ours first. Raises ArchiveError where we cannot listen, or
        could not tell it from another hospital that sends.
        """
        here, there = self.address or ends[0], ends[1]
        expected = Expected(peer, study_uid, frozenset((there, *_addresses_of(peer))), receiver, context)
        self._enter(here, expected)
        try:
            yield expected
        finally:
            expected.close()
            self._leave(here, expected)
            self._alerts.deliver()

    def deliver_alerts(self) -> None:
        """Tell what was refused since the last time; raises what being told raises."""
        self._alerts.deliver()

    def _enter(self, address: str, expected: Expected) -> None:
        with self._lock:
            if address not in self._listeners:
                listening = _listen(expected.peer, address, self.port)
                self._listeners[address] = _Listener(self.ae_title, listening, self._start, self._alerts.add)
            self._listeners[address].enter(expected)

    def _leave(self, address: str, expected: Expected) -> None:
        with self._lock:
            listener = self._listeners[address]
            if listener.leave(expected):
                del self._listeners[address]
                listener.stop()
            if not self._listeners:
                self._alerts.sum_up()


class Alerts:
    """What was refused, told one by one up to a number of each kind and then as a sum: no flood fills a trail."""

    def __init__(self, on_alert: Callable[[SecurityAlert], None]) -> None:
        self._on_alert = on_alert
        self._waiting: deque[SecurityAlert] = deque()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._further: dict[tuple[str, str], SecurityAlert] = {}
        self._counting, self._delivering = threading.Lock(), threading.Lock()

    def add(self, alert: SecurityAlert) -> None:
        """Keep it until it is delivered; does not wait for anything."""
        kind = (alert.problem, alert.address)
        with self._counting:
            self._counts[kind] += 1
            if self._counts[kind] <= ALERTS_OF_A_KIND:
                self._waiting.append(alert)
            else:
                before = self._further.get(kind)
                self._further[kind] = replace(alert, times=before.times + 1 if before else 1)

    def sum_up(self) -> None:
        """Turn what was only counted into one alert of each kind, and begin anew."""
        with self._counting:
            self._waiting.extend(self._further.values())
            self._further.clear()
            self._counts.clear()

    def deliver(self) -> None:
        """Tell what waits; one that could not be told stays."""
        with self._delivering:
            while self._waiting:
                self._on_alert(self._waiting[0])
                self._waiting.popleft()


class _Listener:
    """One listening socket with its connections."""

    def __init__(
        self, ae_title: str, listening: socket.socket, start: Start, alert: Callable[[SecurityAlert], None]
    ) -> None:
        self.ae_title, self.alert = ae_title, alert
        self._socket, self._start = listening, start
        # Replaced as a whole, so that it is read without the lock.
        self._open: tuple[Expected, ...] = ()
        self._lock = threading.Lock()
        self._senders: list[Sender] = []
        self._stopped = False
        self._join = start(self._accept)

    def enter(self, expected: Expected) -> None:
        with self._lock:
            if any(one.excludes(expected) for one in self._open):
                raise ArchiveRefused(
                    f"{expected.peer.name} has to wait: another hospital at the same address, but with other tls "
                    "settings, is sending to us just now; fetch the study again when that has ended."
                )
            self._open += (expected,)

    def leave(self, expected: Expected) -> bool:
        """Whether nothing is expected any more."""
        with self._lock:
            self._open = tuple(one for one in self._open if one is not expected)
        return not self._open

    def open_for(self, caller: Caller) -> tuple[Expected, ...]:
        return tuple(one for one in self._open if one.admits(caller))

    def admit(self, sender: Sender) -> bool:
        with self._lock:
            agreed = [one.address for one in self._senders if one.agreed and not one.over]
            sender.agreed = len(agreed) < ASSOCIATIONS_MAX and agreed.count(sender.address) < ASSOCIATIONS_PER_ADDRESS
        return sender.agreed

    def stop(self) -> None:
        """End listening and all connections; returns when they have gone."""
        self._stopped = True
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._join(LEAVING_SECONDS)
        for sender in self._senders:
            sender.join(LEAVING_SECONDS)
            sender.end()

    def _accept(self) -> None:
        with self._socket:
            while not self._stopped:
                try:
                    sock, address = self._socket.accept()
                except TimeoutError:
                    continue
                except OSError:
                    # It went again before it was taken, or we are out of descriptors; both pass.
                    threading.Event().wait(POLL)
                    continue
                self._welcome(sock, str(address[0]))

    def _welcome(self, sock: socket.socket, address: str) -> None:
        if not self.open_for(Caller(address)):
            self.alert(SecurityAlert(NOT_EXPECTED, address))
            sock.close()
            return
        with self._lock:
            self._senders = [one for one in self._senders if not one.over]
            waiting = [one for one in self._senders if not one.agreed]
            sender = Sender(self, sock, address)
            self._senders.append(sender)
        same = [one for one in waiting if one.address == address]
        if len(same) >= WAITING_PER_ADDRESS or len(waiting) >= WAITING_MAX:
            crowd = same if len(same) >= WAITING_PER_ADDRESS else waiting
            self._turn_out(min(crowd, key=lambda one: one.standing))
        sender.join = self._start(sender.run)

    def _turn_out(self, sender: Sender) -> None:
        self.alert(SecurityAlert(SILENT, sender.address))
        sender.end()
        sender.join(LEAVING_SECONDS)


def _addresses_of(peer: DicomPeer) -> set[str]:
    """The IP addresses that a hospital may send from."""
    found: set[str] = set()
    for host in (peer.host, *peer.sends_from):
        try:
            found.update(str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
        except OSError as problem:
            raise ArchiveUnreachable(
                f"{peer.name} cannot send to us: the host {host} is unknown; check it in the configuration."
            ) from problem
    return found


def _listen(peer: DicomPeer, address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        listening = socket.create_server((address, port), family=family, backlog=BACKLOG)
    except OSError as problem:
        raise ArchiveError(
            f"{peer.name} cannot send to us: we cannot listen at {address}, port {port} ({problem.strerror}); "
            "check workstation.address and workstation.port, and whether another program uses the port."
        ) from problem
    listening.settimeout(POLL)
    return listening
