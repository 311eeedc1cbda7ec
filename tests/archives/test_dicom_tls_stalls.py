"""Peers that fall silent, drip or are given up inside TLS: each ends by its deadline, or when nobody waits."""

import socket
import threading
from collections.abc import Callable

import pytest

import peers
import tls_peers
from certificates import Authority
from peers import nothing_left_running  # noqa: F401 - a fixture for every test here
from priorline.archives.base import DicomPeer, FindSummary, Timeouts
from priorline.archives.dicom import DicomArchive
from priorline.domain.patient import Identifier, Patient
from priorline.errors import ArchiveBroken, ArchiveTimedOut

PATIENT = Patient(Identifier("PL-0042"))
SCRIPT = Callable[[tls_peers.Handshake, socket.socket], None]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def stepping(authority: Authority, script: SCRIPT) -> Callable[[socket.socket], None]:
    """A script for `peers.raw` that decides about each byte of TLS."""
    context = tls_peers.server(authority.issue())
    return lambda connection: script(tls_peers.Handshake(context, connection), connection)


def find(peer: DicomPeer, authority: Authority, cancelled: Callable[[], bool] = lambda: False) -> FindSummary:
    asked = tls_peers.secured(peer, ca=authority.file)
    return DicomArchive(asked).find_studies(PATIENT, lambda rows: None, cancelled)


# --- inside the handshake


def mute(hand: tls_peers.Handshake, connection: socket.socket) -> None:
    connection.recv(65536)


def half(hand: tls_peers.Handshake, connection: socket.socket) -> None:
    flight = hand.flight()
    connection.sendall(flight[: len(flight) // 2])


def dripping(hand: tls_peers.Handshake, connection: socket.socket) -> None:
    peers.drip(connection, hand.flight(), 0.05)


def half_a_header(hand: tls_peers.Handshake, connection: socket.socket) -> None:
    connection.sendall(hand.flight()[:3])


@pytest.mark.parametrize("script", [mute, half, dripping, half_a_header])
def test_a_stall_inside_the_handshake_times_out(authority: Authority, script: SCRIPT) -> None:
    with peers.raw(stepping(authority, script)) as peer, pytest.raises(ArchiveTimedOut, match="agreed on no encr"):
        find(peer, authority)


@pytest.mark.parametrize("script", [mute, half, dripping])
def test_a_search_that_is_given_up_inside_the_handshake_ends_in_clear_of_nothing(
    authority: Authority, script: SCRIPT
) -> None:
    begun = threading.Event()

    def telling(hand: tls_peers.Handshake, connection: socket.socket) -> None:
        begun.set()
        script(hand, connection)

    waits = Timeouts(connect=60, acse=60, progress=60, query=60)
    with peers.raw(stepping(authority, telling)) as peer, tls_peers.recorded(peer.port) as (port, connections):
        summary = find(peers.peer(port, waits), authority, begun.is_set)
    assert summary.cancelled
    assert tls_peers.is_tls(connections[0])


def test_handshake_and_association_share_one_deadline(authority: Authority) -> None:
    """A peer cannot have the seconds twice, by being slow at each of them."""
    waits = Timeouts(connect=60, acse=2, progress=60, query=60)

    def script(hand: tls_peers.Handshake, connection: socket.socket) -> None:
        threading.Event().wait(0.6 * waits.acse)
        hand.finish()
        threading.Event().wait(0.6 * waits.acse)
        peers.accept_association(hand)  # type: ignore[arg-type]

    with peers.raw(stepping(authority, script)) as peer, pytest.raises(ArchiveTimedOut, match="said nothing"):
        find(peers.peer(peer.port, waits), authority)


# --- after it


def after_request(ending: Callable[[tls_peers.Handshake, socket.socket], None]) -> SCRIPT:
    def script(hand: tls_peers.Handshake, connection: socket.socket) -> None:
        hand.finish()
        peers.accept_association(hand)  # type: ignore[arg-type]
        peers.read_pdu(hand)  # type: ignore[arg-type]
        ending(hand, connection)

    return script


def half_a_record(hand: tls_peers.Handshake, connection: socket.socket) -> None:
    record = hand.record(b"\x04\x00\x00\x00\x10\x00" + bytes(4096))
    connection.sendall(record[:1000])


def half_a_pdu(hand: tls_peers.Handshake, connection: socket.socket) -> None:
    hand.sendall(b"\x04\x00\x00\x00\x10\x00abc")


def dripping_a_record(hand: tls_peers.Handshake, connection: socket.socket) -> None:
    peers.drip(connection, hand.record(b"\x04\x00\x00\x00\x10\x00" + bytes(400)), 0.05)


def dripping_records(hand: tls_peers.Handshake, connection: socket.socket) -> None:
    for byte in b"\x04\x00\x00\x00\x10\x00\x00\x00\x0f\xfc\x01\x00" + bytes(400):
        hand.sendall(bytes((byte,)))
        threading.Event().wait(0.05)


def silent(hand: tls_peers.Handshake, connection: socket.socket) -> None:
    pass


@pytest.mark.parametrize("ending", [silent, half_a_record, half_a_pdu, dripping_a_record, dripping_records])
def test_a_stall_inside_a_record_is_a_stalled_archive(authority: Authority, ending: SCRIPT) -> None:
    script = stepping(authority, after_request(ending))
    with peers.raw(script) as peer, pytest.raises(ArchiveTimedOut, match="stopped answering"):
        find(peer, authority)


@pytest.mark.parametrize("ending", [silent, half_a_record, half_a_pdu])
def test_a_search_that_is_given_up_inside_a_record_ends(authority: Authority, ending: SCRIPT) -> None:
    begun = threading.Event()

    def telling(hand: tls_peers.Handshake, connection: socket.socket) -> None:
        ending(hand, connection)
        begun.set()

    waits = Timeouts(connect=60, acse=60, progress=60, query=60)
    with peers.raw(stepping(authority, after_request(telling))) as peer:
        assert find(peers.peer(peer.port, waits), authority, begun.is_set).cancelled


def torn(hand: tls_peers.Handshake, connection: socket.socket) -> None:
    record = bytearray(hand.record(b"\x04\x00\x00\x00\x10\x00" + bytes(400)))
    record[40] ^= 1
    connection.sendall(record)


def clear(hand: tls_peers.Handshake, connection: socket.socket) -> None:
    connection.sendall(b"\x04\x00\x00\x00\x10\x00" + bytes(400))


def cut(hand: tls_peers.Handshake, connection: socket.socket) -> None:
    half_a_record(hand, connection)
    connection.close()


@pytest.mark.parametrize("ending", [torn, clear, cut])
def test_a_record_that_was_changed_or_cut_is_a_broken_archive(authority: Authority, ending: SCRIPT) -> None:
    script = stepping(authority, after_request(ending))
    with peers.raw(script) as peer, pytest.raises(ArchiveBroken, match="broke off the connection"):
        find(peer, authority)


def test_answers_cut_into_records_of_one_byte_are_read(authority: Authority) -> None:
    class OneByOne:
        """A connection that sends each byte in a record of its own."""

        def __init__(self, hand: tls_peers.Handshake, connection: socket.socket) -> None:
            self.recv, self._hand, self._connection = hand.read, hand, connection

        def sendall(self, data: bytes) -> None:
            self._connection.sendall(b"".join(self._hand.record(bytes((byte,))) for byte in data))

    def script(hand: tls_peers.Handshake, connection: socket.socket) -> None:
        hand.finish()
        peers.accept_association(OneByOne(hand, connection))  # type: ignore[arg-type]
        peers.read_pdu(hand)  # type: ignore[arg-type]
        connection.close()

    with peers.raw(stepping(authority, script)) as peer:
        assert DicomArchive(tls_peers.secured(peer, ca=authority.file)).accepts_get()
