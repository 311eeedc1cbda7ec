"""Peers that stall, drip, lie, flood and abort: each costs one typed error and leaves nothing behind."""

import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.dsutils import encode

import peers
from ends import ENOUGH_SECONDS, ended
from peers import nothing_left_running  # noqa: F401 - a fixture for every test here
from priorline.archives.base import DicomPeer, FindSummary
from priorline.archives.dicom import DicomArchive
from priorline.archives.incoming import Received, whole
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import StudyAnswer
from priorline.errors import (
    ArchiveBroken,
    ArchiveRefused,
    ArchiveTimedOut,
    ArchiveUnreachable,
    CacheFull,
)

PATIENT = Patient(Identifier("PL-0042"))
STUDY = "1.2.826.0.1.3680043.8.498.1"
INSTANCES = 5


def find(peer: DicomPeer, cancelled: Callable[[], bool] = lambda: False) -> tuple[FindSummary, list[StudyAnswer]]:
    rows: list[StudyAnswer] = []
    summary = ended(lambda: DicomArchive(peer).find_studies(PATIENT, rows.extend, cancelled))
    return summary, rows


def after_request(data: bytes) -> Callable[[socket.socket], None]:
    """A script that accepts the association, reads the request and sends `data`."""

    def script(connection: socket.socket) -> None:
        peers.accept_association(connection)
        peers.read_pdu(connection)
        connection.sendall(data)

    return script


@pytest.mark.parametrize("half", [b"\x04\x00", b"\x04\x00\x00\x00\x10\x00abc", b""], ids=["2", "header+3", "mute"])
def test_half_a_pdu_or_none_is_a_stalled_archive(half: bytes) -> None:
    with peers.raw(after_request(half)) as peer, pytest.raises(ArchiveTimedOut, match="stopped answering"):
        find(peer)


def drip_after_request(connection: socket.socket) -> None:
    peers.accept_association(connection)
    peers.read_pdu(connection)
    peers.drip(connection, b"\x04\x00\x00\x00\x40\x00" + bytes(400), 0.1)


def test_a_trickle_of_bytes_is_a_stalled_archive() -> None:
    with peers.raw(drip_after_request) as peer, pytest.raises(ArchiveTimedOut):
        find(peer)


def deaf(connection: socket.socket) -> None:
    peers.read_pdu(connection)


def test_an_accepted_connection_without_an_answer_times_out() -> None:
    with peers.raw(deaf) as peer, pytest.raises(ArchiveTimedOut, match="said nothing"):
        find(peer)


def test_half_an_acceptance_times_out() -> None:
    def script(connection: socket.socket) -> None:
        peers.read_pdu(connection)
        peers.drip(connection, b"\x02\x00\x00\x00\x01\x00" + bytes(200), 0.1)

    with peers.raw(script) as peer, pytest.raises(ArchiveTimedOut):
        find(peer)


def test_an_unanswered_connection_times_out() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        peer = peers.peer(listener.getsockname()[1], peers.QUICK)
        fillers = [socket.socket() for _ in range(4)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
            with pytest.raises(ArchiveTimedOut, match="did not answer"):
                find(peer)
        finally:
            for filler in fillers:
                filler.close()


def test_nobody_there_is_unreachable() -> None:
    with pytest.raises(ArchiveUnreachable):
        find(peers.peer(peers.free_port(), peers.QUICK))


@pytest.mark.parametrize("kind", [0x04, 0x02], ids=["data", "acceptance"])
def test_a_huge_length_is_refused_before_memory_is_taken(kind: int) -> None:
    def script(connection: socket.socket) -> None:
        if kind == 0x04:
            peers.accept_association(connection)
        peers.read_pdu(connection)
        connection.sendall(struct.pack(">BBL", kind, 0, 0xFFFFFF00))
        for _ in range(64):
            connection.sendall(bytes(1 << 20))

    before = psutil.Process().memory_info().rss
    with peers.raw(script) as peer, pytest.raises(ArchiveBroken):
        find(peer)
    assert psutil.Process().memory_info().rss - before < 16 << 20


@pytest.mark.parametrize("kind", [0, 1], ids=["dataset", "command"])
def test_endless_fragments_of_one_message_are_refused(kind: int) -> None:
    fragment = struct.pack(">LBB", 16002, 1, kind) + bytes(16000)

    def script(connection: socket.socket) -> None:
        peers.accept_association(connection)
        peers.read_pdu(connection)
        for _ in range(10_000):
            connection.sendall(struct.pack(">BBL", 4, 0, len(fragment)) + fragment)

    with peers.raw(script) as peer, pytest.raises(ArchiveBroken):
        find(peers.peer(peer.port))


@pytest.mark.parametrize(
    "garbage",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x04\x00\x00\x00\x00\x04\xff\xff\xff\xff",
        b"\x04\x00\x00\x00\x00\x08\x00\x00\x00\x04\x01\x03\xff\xff",
        b"\x04\x00\x00\x00\x00\x06\x00\x00\x00\x02\x01\x02",
        # A command field of three bytes.
        b"\x04\x00\x00\x00\x00\x11\x00\x00\x00\x0d\x01\x03\x00\x00\x00\x01\x03\x00\x00\x00\x20\x80\x00",
        b"\x02\x00\x00\x00\x00\x04\x00\x00\x00\x00",
        b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00",
        b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00",
    ],
    ids=["http", "pdv", "command", "data-first", "odd-field", "second-accept", "release", "abort"],
)
def test_garbage_is_a_broken_archive(garbage: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with peers.raw(after_request(garbage)) as peer, pytest.raises((ArchiveBroken, ArchiveTimedOut)):
        find(peer)
    assert capfd.readouterr().err == ""


def test_garbage_instead_of_an_acceptance_is_a_broken_archive(capfd: pytest.CaptureFixture[str]) -> None:
    def script(connection: socket.socket) -> None:
        peers.read_pdu(connection)
        connection.sendall(b"\x02\x00\x00\x00\x00\x08" + b"\xff" * 8)

    with peers.raw(script) as peer, pytest.raises((ArchiveBroken, ArchiveTimedOut)):
        find(peer)
    assert capfd.readouterr().err == ""


def answer(number: int, patient_id: str = "PL-0042") -> Dataset:
    row = Dataset()
    row.QueryRetrieveLevel = "STUDY"
    row.PatientID, row.StudyInstanceUID = patient_id, f"{STUDY}.{number}"
    return row


@pytest.mark.parametrize("syntax", [b"1.2.840.10008.1.2.2", b"1.2.840.10008.1.2.5", b"1.2.840.10008.9.9.9"])
def test_a_transfer_syntax_that_was_not_proposed_is_a_broken_archive(syntax: bytes) -> None:
    def script(connection: socket.socket) -> None:
        request = peers.read_pdu(connection)
        item = b"\x40\x00" + struct.pack(">H", len(syntax)) + syntax
        context = b"\x21\x00" + struct.pack(">H", 4 + len(item)) + b"\x01\x00\x00\x00" + item
        name = b"1.2.840.10008.3.1.1.1"
        user = b"\x50\x00\x00\x08\x51\x00\x00\x04\x00\x00\x40\x00"
        body = request[6:74] + b"\x10\x00" + struct.pack(">H", len(name)) + name + context + user
        connection.sendall(b"\x02\x00" + struct.pack(">L", len(body)) + body)

    with peers.raw(script) as peer, pytest.raises(ArchiveBroken):
        find(peers.peer(peer.port))


def fragment(kind: int, body: bytes) -> bytes:
    """A fragment in context 1; kind 1 is of a command and 0 of a dataset, 2 more for the last one."""
    return struct.pack(">LBB", len(body) + 2, 1, kind) + body


def data(*fragments: bytes) -> bytes:
    """A P-DATA-TF with these fragments."""
    body = b"".join(fragments)
    return struct.pack(">BBL", 4, 0, len(body)) + body


def command(field: int, status: int, dataset: int) -> bytes:
    """The command set of a response to message 1."""
    values = {0x0100: field, 0x0120: 1, 0x0800: dataset, 0x0900: status}
    return b"".join(struct.pack("<HHLH", 0, number, 2, value) for number, value in values.items())


def encoded(number: int) -> bytes:
    """A row that tells enough for nobody to ask once more."""
    told = answer(number)
    told.ModalitiesInStudy, told.StudyDescription = "CT", "Chest"
    return encode(told, False, True) or b""


def whole_answer(sent: bytes, size: int = 1 << 20) -> Callable[[socket.socket], None]:
    """A script that answers a search with `sent`, so many bytes at a time, and lets itself be released."""

    def script(connection: socket.socket) -> None:
        peers.accept_association(connection)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peers.read_pdu(connection)
        peers.read_pdu(connection)
        for at in range(0, len(sent), size):
            connection.sendall(sent[at : at + size])
        assert peers.read_pdu(connection)[0] == 5
        connection.sendall(b"\x06\x00\x00\x00\x00\x04\x00\x00\x00\x00")

    return script


PENDING, DONE = command(0x8020, 0xFF00, 0), data(fragment(3, command(0x8020, 0, 0x0101)))


def row(number: int) -> bytes:
    return data(fragment(3, PENDING)) + data(fragment(2, encoded(number)))


def test_rows_that_came_are_handed_over_before_the_peer_stalls_in_the_next() -> None:
    came: list[list[StudyAnswer]] = []
    script = after_request(row(1) + row(2) + row(3) + data(fragment(3, PENDING)) + row(4)[:70])
    with peers.raw(script) as peer, pytest.raises(ArchiveTimedOut):
        ended(lambda: DicomArchive(peer).find_studies(PATIENT, came.append, lambda: False))
    assert [row.study_uid for batch in came for row in batch] == [f"{STUDY}.{n}" for n in (1, 2, 3)]


def test_rows_that_came_are_handed_over_before_an_abort_is_told() -> None:
    came: list[StudyAnswer] = []
    script = after_request(row(1) + row(2) + row(3) + b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00")
    with peers.raw(script) as peer, pytest.raises(ArchiveBroken):
        ended(lambda: DicomArchive(peer).find_studies(PATIENT, came.extend, lambda: False))
    assert len(came) == 3


@pytest.mark.parametrize(
    "sent",
    [
        data(fragment(3, PENDING), fragment(2, encoded(1))),
        data(fragment(1, PENDING[:20])) + data(fragment(3, PENDING[20:]), fragment(2, encoded(1))),
        data(fragment(3, PENDING), fragment(0, encoded(1)[:9])) + data(fragment(2, encoded(1)[9:])),
    ],
    ids=["one PDU", "command in two", "dataset in two"],
)
@pytest.mark.parametrize("size", [1, 100_000], ids=["byte by byte", "at once"])
def test_an_answer_in_any_pieces_is_the_same_answer(sent: bytes, size: int) -> None:
    with peers.raw(whole_answer(sent + DONE, size)) as peer:
        summary, rows = find(peers.peer(peer.port))
    assert (summary.rows, [row.study_uid for row in rows]) == (1, [f"{STUDY}.1"])


def test_a_request_of_the_peer_is_a_broken_archive() -> None:
    asked = struct.pack("<HHL", 0, 0x0002, 28) + b"1.2.840.10008.5.1.4.1.2.2.1\0"
    for number, value in {0x0100: 0x0100, 0x0110: 7, 0x0800: 0x0101, 0x1002: 1}.items():
        asked += struct.pack("<HHLH", 0, number, 2, value)
    asked += struct.pack("<HHL", 0, 0x1000, 4) + b"1.2\0"
    with peers.raw(after_request(data(fragment(3, asked)))) as peer, pytest.raises(ArchiveBroken):
        find(peers.peer(peer.port))


def test_one_thread_asks_and_hears() -> None:
    seen: set[int] = set()

    def count(_: list[StudyAnswer]) -> None:
        seen.add(threading.active_count())

    with peers.raw(whole_answer(row(1) + DONE)) as peer:
        before = threading.active_count()
        ended(lambda: DicomArchive(peers.peer(peer.port)).find_studies(PATIENT, count, lambda: False))
    assert seen == {before + 1}


def test_a_peer_that_ends_first_is_let_go() -> None:
    let_go = threading.Event()

    def script(connection: socket.socket) -> None:
        after_request(row(1) + DONE)(connection)
        while peers.read_pdu(connection)[0] != 5:
            pass
        connection.sendall(b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00")
        if peers.read_pdu(connection)[0] == 6:
            let_go.set()
        connection.sendall(b"\x06\x00\x00\x00\x00\x04\x00\x00\x00\x00")

    with peers.raw(script) as peer:
        summary, _ = find(peers.peer(peer.port))
        assert let_go.wait(ENOUGH_SECONDS)
    assert summary.rows == 1


def test_cancelling_ends_the_wait_for_a_mute_archive() -> None:
    asked, wanted = threading.Event(), threading.Event()

    def script(connection: socket.socket) -> None:
        peers.accept_association(connection)
        peers.read_pdu(connection)
        asked.set()

    def cancelled() -> bool:
        if asked.is_set():
            wanted.set()
        return wanted.is_set()

    with peers.raw(script) as peer:
        summary, rows = find(peers.peer(peer.port), cancelled)
    assert summary.cancelled
    assert rows == []


def test_what_was_cancelled_before_it_began_ends_at_once() -> None:
    with peers.raw(lambda _connection: None) as peer:
        summary, rows = find(peer, lambda: True)
        socket.create_connection((peer.host, peer.port)).close()  # the peer waits for one
    assert summary.cancelled
    assert rows == []


def test_rows_of_other_patients_are_dropped_and_counted() -> None:
    def handler(_: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        for number, patient_id in enumerate(["PL-0042", "PL-0042 ", "PL-00421", "pl-0042", "", "999"], 1):
            yield 0xFF00, answer(number, patient_id)
        unnamed = answer(9)
        del unnamed.StudyInstanceUID
        yield 0xFF00, unnamed

    with peers.scripted([(evt.EVT_C_FIND, handler)]) as peer:
        summary, rows = find(peer)
    assert [row.study_uid for row in rows] == [f"{STUDY}.1", f"{STUDY}.2"]
    assert (summary.rows, summary.dropped, summary.cut) == (2, 5, False)


def test_rows_come_as_they_are_sent() -> None:
    seen, go_on = threading.Event(), threading.Event()

    def handler(_: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        yield 0xFF00, answer(1)
        assert seen.wait(ENOUGH_SECONDS)
        go_on.set()
        yield 0xFF00, answer(2)

    with peers.scripted([(evt.EVT_C_FIND, handler)]) as peer:
        summary = ended(
            lambda: DicomArchive(peers.peer(peer.port)).find_studies(PATIENT, lambda _: seen.set(), lambda: False)
        )
    assert go_on.is_set()
    assert summary.rows == 2


def test_endless_rows_are_cut() -> None:
    assert peers.peer(1).rows_max == 2000
    most = 200  # The scripted peer is slow, and shares this process's time.
    sent = [0]

    def handler(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        row = answer(1)
        while event.assoc.is_established and sent[0] < 100 * most:
            sent[0] += 1
            yield 0xFF00, row

    with peers.scripted([(evt.EVT_C_FIND, handler)]) as peer:
        summary, rows = find(peers.peer(peer.port, rows_max=most))
    assert summary.cut
    assert summary.rows == len(rows) == most
    assert sent[0] < 100 * most


def test_a_search_that_never_finishes_is_too_slow() -> None:
    stop = threading.Event()

    def handler(_: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        number = 0
        while not stop.wait(0.1):
            number += 1
            yield 0xFF00, answer(number)

    with peers.scripted([(evt.EVT_C_FIND, handler)]) as peer:
        try:
            with pytest.raises(ArchiveTimedOut, match="did not finish"):
                find(peer)
        finally:
            stop.set()


@pytest.mark.parametrize(("status", "reason"), [(0xA700, "out of resources"), (0xC001, "could not process")])
def test_a_failure_status_is_a_refusal(status: int, reason: str) -> None:
    def handler(_: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        yield status, None

    with peers.scripted([(evt.EVT_C_FIND, handler)]) as peer, pytest.raises(ArchiveRefused, match=reason):
        find(peer)


def test_a_rejected_association_names_our_ae_title() -> None:
    with (
        peers.scripted([], require_calling_aet=["SOMEONE"]) as peer,
        pytest.raises(ArchiveRefused, match="does not know our AE title PRIORLINE"),
    ):
        find(peer)


def test_an_archive_without_the_service_refuses() -> None:
    with peers.scripted([], services=(peers.VERIFICATION,)) as peer, pytest.raises(ArchiveRefused):
        find(peer)


def sending(count: int, stop_at: int, how: Callable[[evt.Event], None]) -> Callable[[evt.Event], Iterator[Any]]:
    """A C-GET handler that promises `count` instances and does `how` after `stop_at` of them."""

    def handler(event: evt.Event) -> Iterator[Any]:
        yield count
        dataset = dcmread(get_testdata_file("CT_small.dcm"))
        for number in range(count):
            if number == stop_at:
                how(event)
                return
            dataset.SOPInstanceUID = f"{STUDY}.{number}"
            yield 0xFF00, dataset

    return handler


def retrieve(peer: DicomPeer, got: list[Received], cancelled: Callable[[], bool] = lambda: False) -> Any:
    return ended(lambda: DicomArchive(peer).retrieve(STUDY, None, [peers.CT_IMAGE], whole(got.append), cancelled))


@pytest.mark.parametrize("stop_at", range(INSTANCES))
def test_an_abort_in_a_retrieval_is_never_a_good_end(stop_at: int) -> None:
    def abort(event: evt.Event) -> None:
        event.assoc.abort()

    got: list[Received] = []
    with (
        peers.scripted([(evt.EVT_C_GET, sending(INSTANCES, stop_at, abort))]) as peer,
        pytest.raises(ArchiveBroken),
    ):
        retrieve(peer, got)
    assert [received.sop_instance_uid for received in got] == [f"{STUDY}.{n}" for n in range(stop_at)]


def test_silence_in_a_retrieval_is_a_stalled_archive() -> None:
    over = threading.Event()
    got: list[Received] = []
    handler = sending(INSTANCES, 2, lambda _: over.wait(ENOUGH_SECONDS) and None)
    with peers.scripted([(evt.EVT_C_GET, handler)]) as peer:
        try:
            with pytest.raises(ArchiveTimedOut):
                retrieve(peer, got)
        finally:
            over.set()
    assert len(got) == 2


def test_what_the_receiver_raises_comes_through() -> None:
    def full(_: Received) -> None:
        raise CacheFull("There is no room left.")

    handler = sending(INSTANCES, INSTANCES, lambda _: None)
    with peers.scripted([(evt.EVT_C_GET, handler)]) as peer, pytest.raises(CacheFull):
        DicomArchive(peer).retrieve(STUDY, None, [peers.CT_IMAGE], whole(full), lambda: False)


@pytest.mark.parametrize(
    "script_of_peer", [after_request(b"\x04\x00"), drip_after_request, deaf], ids=["N1", "N2", "N3"]
)
def test_the_process_ends_while_an_archive_stalls(script_of_peer: Callable[[socket.socket], None]) -> None:
    with peers.raw(script_of_peer) as peer:
        script = (
            "import threading\n"
            "import peers\n"
            "from priorline.archives.dicom import DicomArchive\n"
            "from priorline.domain.patient import Identifier, Patient\n"
            f"archive = DicomArchive(peers.peer({peer.port}))\n"
            "patient = Patient(Identifier('1'))\n"
            "polled, polls = threading.Event(), []\n"
            "def cancelled():\n"
            "    polls.append(1)\n"
            "    if len(polls) > 9: polled.set()\n"  # By then it waits for the peer.
            "    return False\n"
            "work = lambda: archive.find_studies(patient, print, cancelled)\n"
            "threading.Thread(target=work, daemon=True).start()\n"
            "assert polled.wait(10)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], env=_environment(), capture_output=True, timeout=30, check=False
        )
    assert done.returncode == 0, done.stderr


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
