"""Mutated PDUs and command sets: each ends in a typed error or a fault, and what was begun has ended exactly once."""

import os
import random
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from pynetdicom.presentation import build_context
from pynetdicom.transport import AddressInformation

from image_hospital import (
    CT_IMAGE,
    EXPLICIT,
    GET,
    NO_DATASET,
    PENDING,
    STUDY,
    WITH_DATASET,
    association_request,
    command_set,
    image,
    pdu,
)
from priorline.archives import dicom_get
from priorline.archives.base import DicomPeer, SecurityAlert
from priorline.archives.dicom_session import Cancelled, Session
from priorline.archives.inflow import Inflow, StoreRequest, Torn
from priorline.archives.storage_expected import FAILED, Caller, Expected, Handover
from priorline.archives.storage_sender import Sender
from priorline.archives.upper_layer import Proposal, WatchedAssociation
from priorline.archives.watch import Fault, Watch
from priorline.errors import ArchiveError

SCALE = int(os.environ.get("PRIORLINE_FAULT_SCALE", "1"))
TAKEN_APART, RETRIEVED, STORED = 12_000 * SCALE, 5_000 * SCALE, 3_000 * SCALE
PEER = DicomPeer("Hospital North", "ARCHIVE", "127.0.0.1", 104, "PRIORLINE")
HANGS = (Fault.STALLED, Fault.TOO_SLOW, Fault.ACSE_SILENT, Fault.CONNECT_SILENT)
SHORT, LONG = b"".join(image(1).pieces()), b"".join(image(2, pixels=3000).pieces())


class Counted:
    """An `Incoming` that notes how it ended."""

    def __init__(self, fails: bool) -> None:
        self.ends, self.length, self._fails = 0, 0, fails

    def room(self, length: int) -> memoryview:
        assert length > 0
        return memoryview(bytearray(min(length, 700)))

    def filled(self, length: int) -> None:
        assert not self.ends
        self.length += length
        if self._fails and self.length > 500:
            raise ArchiveError("no more")

    def finish(self) -> None:
        self.ends += 1

    def drop(self) -> None:
        self.ends += 1


class Receiver:
    """Makes them, and looks after them."""

    def __init__(self) -> None:
        self.begun: list[Counted] = []
        self.fails = False

    def __call__(self, _announced: object, _request: object = None) -> Counted:
        self.begun.append(Counted(self.fails))
        return self.begun[-1]

    def settle(self) -> int:
        """How many were begun; each has ended once."""
        assert [one.ends for one in self.begun] == [1] * len(self.begun)
        count = len(self.begun)
        self.begun.clear()
        return count


def store_request(dice: random.Random, number: int, context: int = 3) -> list[bytes]:
    """The PDUs of a C-STORE-RQ and its dataset, cut at random places."""
    dataset = dice.choice((SHORT, LONG))
    values = {0x0002: CT_IMAGE, 0x0100: 1, 0x0110: number, 0x0800: WITH_DATASET, 0x1000: f"{STUDY}.{number}"}
    return [
        *fragments(dice, command_set(values), context, 1),  # type: ignore[arg-type]
        *fragments(dice, dataset, context, 0),
    ]


def fragments(dice: random.Random, content: bytes, context: int, kind: int) -> list[bytes]:
    cuts = sorted(dice.sample(range(1, len(content)), dice.randint(0, 3)))
    pieces = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    return [pdu(context, kind | 2 * (at == len(pieces) - 1), piece) for at, piece in enumerate(pieces)]


def answer(dice: random.Random, status: int) -> list[bytes]:
    """A C-GET-RSP, also one with a list of what failed."""
    has_list = dice.random() < 0.2
    values = {0x0002: GET, 0x0100: 0x8010, 0x0120: 1, 0x0800: WITH_DATASET if has_list else NO_DATASET}
    values |= {0x0900: status, 0x1020: dice.randint(0, 9), 0x1021: dice.randint(0, 9)}
    listed = fragments(dice, struct.pack("<HHL", 8, 0x58, 8) + b"1.2.3\\1\0", 1, 0) if has_list else []
    return [*fragments(dice, command_set(values), 1, 1), *listed]  # type: ignore[arg-type]


def conversation(dice: random.Random) -> list[bytes]:
    """What a hospital sends in answer to a C-GET."""
    pdus: list[bytes] = []
    for number in range(dice.randint(1, 4)):
        pdus += store_request(dice, number + 1)
        if dice.random() < 0.3:
            pdus += answer(dice, PENDING)
    return pdus + answer(dice, dice.choice((0, 0xB000, 0xC000)))


def mutated(dice: random.Random, pdus: list[bytes]) -> bytes:
    """The same with some damage: to PDUs as a whole, to length fields, to command sets, or anywhere."""
    pdus = list(pdus)
    for _ in range(dice.randint(0, 2)):
        damage_pdus(dice, pdus)
    stream = bytearray(b"".join(pdus))
    for _ in range(dice.choice((0, 0, 1, 3))):
        if stream:
            damage_bytes(dice, stream)
    return bytes(stream)


def damage_pdus(dice: random.Random, pdus: list[bytes]) -> None:
    at, other = dice.randrange(len(pdus)), dice.randrange(len(pdus))
    match dice.randrange(5):
        case 0:
            pdus[at], pdus[other] = pdus[other], pdus[at]
        case 1:
            pdus.insert(other, pdus[at])
        case 2 if len(pdus) > 1:
            del pdus[at]
        case 3:
            # Several fragments in one PDU.
            joined = pdus[at][6:] + pdus[other][6:]
            pdus[at] = struct.pack(">BBL", 4, 0, len(joined)) + joined
        case _:
            # Fields of the PDU, of the fragment, or of the first elements of a command set.
            damaged = bytearray(pdus[at])
            damaged[dice.randrange(min(len(damaged), 60))] = dice.choice((0, 1, 2, 3, 0x7F, 0x80, 0xFF))
            pdus[at] = bytes(damaged)


def damage_bytes(dice: random.Random, stream: bytearray) -> None:
    at = dice.randrange(len(stream))
    match dice.randrange(4):
        case 0:
            stream[at] ^= 1 << dice.randrange(8)
        case 1:
            del stream[at : at + dice.randint(1, 12)]
        case 2:
            stream[at:at] = dice.randbytes(dice.randint(1, 12))
        case _:
            del stream[at:]


class Memory:
    """A transport whose whole stream is there already."""

    def __init__(self, stream: bytes) -> None:
        self._stream, self._at = memoryview(stream), 0

    def recv(self, nr_bytes: int) -> bytearray:
        piece = self._stream[self._at : self._at + nr_bytes]
        self._at += len(piece)
        return bytearray(piece)

    def fill(self, view: memoryview) -> None:
        piece = self.recv(len(view))
        if len(piece) != len(view):
            raise ConnectionError
        view[:] = piece


def test_a_mutated_stream_is_taken_apart_or_torn() -> None:
    dice, receiver, outcomes = random.Random(9), Receiver(), [0, 0, 0]
    for _ in range(TAKEN_APART):
        receiver.fails = dice.random() < 0.05
        delivered: list[StoreRequest] = []
        inflow = Inflow(lambda _primitive: None, lambda message, to=delivered: to.append(message[1]))
        inflow.begin = receiver
        transport = Memory(mutated(dice, conversation(dice)))
        try:
            while len(header := transport.recv(6)) == 6 and header[0] == 4:
                inflow.take(transport, min(struct.unpack(">L", header[2:])[0], 1 << 18))
            outcomes[0] += 1
        except (Torn, OSError):
            outcomes[1] += 1
        except ArchiveError:
            outcomes[2] += 1
        inflow.drop()
        inflow.drop()
        for message in delivered:
            assert message.incoming is not None
            message.incoming.finish()
        receiver.settle()
    assert min(outcomes) > TAKEN_APART // 100, outcomes


@contextmanager
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Our end of a connection, and the peer's, which reads whatever it is told and keeps nothing."""
    ours, theirs = socket.socketpair()
    reader = threading.Thread(target=drain, args=(theirs,))
    with theirs:
        reader.start()
        with ours:
            yield ours, theirs
        reader.join()


def drain(sock: socket.socket) -> None:
    with suppress(OSError):
        while sock.recv(65536):
            pass


def test_a_mutated_answer_to_a_retrieval_is_a_typed_error_or_an_end() -> None:
    dice, receiver, outcomes, begun = random.Random(10), Receiver(), [0, 0], 0
    proposal = Proposal([build_context(GET, EXPLICIT), build_context(CT_IMAGE, EXPLICIT)], storage=[CT_IMAGE])
    identifier = dicom_get.retrieve_identifier(STUDY, None)
    for _ in range(RETRIEVED):
        receiver.fails = dice.random() < 0.05
        with ends() as (ours, theirs):
            theirs.sendall(mutated(dice, conversation(dice)))
            theirs.shutdown(socket.SHUT_WR)
            watch = Watch(lambda: False)
            association = established(ours, watch, proposal)
            exchange = dicom_get._Exchange(Session(PEER, association, watch), dicom_get._Counts(), receiver)
            try:
                exchange.run(identifier)
                outcomes[0] += 1
            except (ArchiveError, Cancelled):
                outcomes[1] += 1
            finally:
                association.close()
        assert watch.fault not in HANGS
        begun += receiver.settle()
    assert min(*outcomes, begun) > RETRIEVED // 100, (outcomes, begun)


def established(sock: socket.socket, watch: Watch, proposal: Proposal) -> WatchedAssociation:
    """An association as if it were agreed on."""
    association = WatchedAssociation(PEER, proposal, watch, AddressInformation("127.0.0.1", 104))
    if association.transport.socket is not None:
        association.transport.socket.close()
    sock.settimeout(0.04)
    association.transport.socket, association.transport._is_connected = sock, True
    association.transport._acknowledge = lambda _sock: None  # type: ignore[method-assign] # that is for TCP
    for context in proposal.contexts:
        context.result = 0
    association._accepted_cx = {context.context_id: context for context in proposal.contexts}  # type: ignore
    association.is_established = True
    association.dul.state_machine.current_state = "Sta6"
    association.dul.start()
    return association


class AtOnce(Expected):
    """A retrieval that takes each instance in the thread that brings it."""

    def offer(self, handover: Handover) -> int:
        try:
            handover.incoming.finish()
        except ArchiveError:
            return FAILED
        return handover.status_if_taken


class Door:
    """What a connection asks of the storage SCP."""

    ae_title = "PRIORLINE"

    def __init__(self, expected: Expected) -> None:
        self.expected, self.alerts = (expected,), list[SecurityAlert]()

    def open_for(self, _caller: Caller) -> tuple[Expected, ...]:
        return self.expected

    def admit(self, sender: Sender) -> bool:
        sender.agreed = True
        return True

    def alert(self, alert: SecurityAlert) -> None:
        self.alerts.append(alert)


def test_mutated_requests_to_store_cost_their_own_connection_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("priorline.archives.sockets.WatchedSocket._acknowledge", lambda _self, _sock: None)
    dice, receiver, begun, taken = random.Random(11), Receiver(), 0, 0
    asking = association_request()
    for _ in range(STORED):
        receiver.fails = dice.random() < 0.05
        door = Door(AtOnce(PEER, STUDY, frozenset(("127.0.0.1",)), receiver))
        pdus = [piece for number in range(dice.randint(1, 4)) for piece in store_request(dice, number + 1)]
        pdus = [asking, *pdus] if dice.random() < 0.2 else pdus
        stream = mutated(dice, pdus)
        with ends() as (ours, theirs):
            theirs.sendall(stream if stream.startswith(b"\1") else asking + stream)
            theirs.shutdown(socket.SHUT_WR)
            sender = Sender(door, tcp_like(ours), "127.0.0.1")
            sender.run()
        assert sender.over
        assert sender._watch.fault not in HANGS
        assert len(door.alerts) <= 5
        taken += sum(one.ends for one in receiver.begun)
        begun += receiver.settle()
    assert begun == taken > STORED // 10


class _TcpLike(socket.socket):
    """A socket pair's end that lets options of TCP be set."""

    def setsockopt(self, *arguments: object) -> None:
        if arguments[0] != socket.IPPROTO_TCP:
            super().setsockopt(*arguments)  # type: ignore[call-overload]


def tcp_like(sock: socket.socket) -> socket.socket:
    return _TcpLike(sock.family, sock.type, sock.proto, fileno=sock.detach())
