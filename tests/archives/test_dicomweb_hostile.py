"""HTTP servers that stall, drip, lie and flood: each costs one typed error and little memory, and leaves nothing."""

import contextlib
import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import peers
from ends import ended
from peers import nothing_left_running  # noqa: F401 - a fixture for every test here
from priorline.archives.base import RetrieveSummary, Timeouts
from priorline.archives.dicomweb import DicomWebArchive
from priorline.archives.dicomweb_peer import DicomWebPeer
from priorline.archives.incoming import Received, whole
from priorline.domain.patient import Identifier, Patient
from priorline.errors import (
    ArchiveBroken,
    ArchiveError,
    ArchiveTimedOut,
    ArchiveUnreachable,
)
from web_hospital import (
    PATIENT_ID,
    RELATED,
    STUDY,
    Request,
    answers,
    as_json,
    dataset_of,
    instance_file,
    multipart,
    response,
    scripted,
    sop_uid,
    study_row,
    wait_for_the_other_side,
)

PATIENT = Patient(Identifier(PATIENT_ID))
MEGABYTE = 1 << 20
RSS_MAX = 32 * MEGABYTE


def find(peer: DicomWebPeer, cancelled: Callable[[], bool] = lambda: False) -> Any:
    return ended(lambda: DicomWebArchive(peer).find_studies(PATIENT, lambda _rows: None, cancelled))


def retrieve(peer: DicomWebPeer, on_instance: Callable[[Received], None] = lambda _one: None) -> RetrieveSummary:
    summary = ended(lambda: DicomWebArchive(peer).retrieve(STUDY, None, (), whole(on_instance), lambda: False))
    assert isinstance(summary, RetrieveSummary)
    return summary


def sends(*pieces: bytes) -> Callable[[socket.socket, Request], None]:
    """A script that sends these and then says no more."""

    def script(connection: socket.socket, request: Request) -> None:
        for piece in pieces:
            connection.sendall(piece)
        wait_for_the_other_side(connection)

    return script


def drips(data: bytes) -> Callable[[socket.socket, Request], None]:
    return lambda connection, request: peers.drip(connection, data, 0.05)


def floods(start: bytes, block: bytes) -> Callable[[socket.socket, Request], None]:
    """A script that sends `start` and then `block` without end."""

    def script(connection: socket.socket, request: Request) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(block)

    return script


HEAD = response(b"", RELATED, Content_Length="1000000")
JSON_HEAD = response(b"", Content_Length="1000000")


@pytest.mark.parametrize("work", [find, retrieve])
@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\nContent-"])
def test_half_a_head_or_none_times_out(start: bytes, work: Callable[[DicomWebPeer], Any]) -> None:
    with scripted(sends(start)) as hospital, pytest.raises(ArchiveTimedOut, match="said nothing"):
        work(hospital.peer())


def test_a_head_that_drips_times_out() -> None:
    with scripted(drips(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200)) as hospital, pytest.raises(ArchiveTimedOut):
        find(hospital.peer())


@pytest.mark.parametrize(("work", "head"), [(find, JSON_HEAD), (retrieve, HEAD)])
def test_a_body_that_stalls_times_out(work: Callable[[DicomWebPeer], Any], head: bytes) -> None:
    with scripted(sends(head, b"--")) as hospital, pytest.raises(ArchiveTimedOut, match="stopped answering"):
        work(hospital.peer())


@pytest.mark.parametrize(("work", "head"), [(find, JSON_HEAD), (retrieve, HEAD)])
def test_a_body_that_drips_times_out(work: Callable[[DicomWebPeer], Any], head: bytes) -> None:
    def script(connection: socket.socket, request: Request) -> None:
        connection.sendall(head)
        peers.drip(connection, b"[" + bytes(2000), 0.05)

    with scripted(script) as hospital, pytest.raises(ArchiveTimedOut):
        work(hospital.peer())


def test_a_search_that_goes_on_and_on_times_out() -> None:
    """Enough to be progress, page after page, but never an end."""

    def script(connection: socket.socket, request: Request) -> None:
        start = int(request["offset"])
        connection.sendall(as_json([study_row(f"1.2.{n}") for n in range(start, start + int(request["limit"]))]))

    with scripted(script) as hospital:
        limits = Timeouts(connect=1, acse=5, progress=5, query=0.5)
        peer = hospital.peer(limits, rows_max=10**9)
        with pytest.raises(ArchiveTimedOut, match="did not finish"):
            find(peer)


def test_what_came_before_the_stall_is_kept() -> None:
    got: list[Received] = []
    begun = response(multipart([instance_file(1), instance_file(2)])[:-2000], RELATED, Content_Length="99999")
    with scripted(sends(begun)) as hospital, pytest.raises(ArchiveTimedOut):
        retrieve(hospital.peer(), got.append)
    assert [one.sop_instance_uid for one in got] == [sop_uid(1)]


def says_and_stops(begun: bytes, stop: threading.Event) -> Callable[[socket.socket, Request], None]:
    """A script that sends `begun`, lets somebody cancel and says no more."""

    def script(connection: socket.socket, request: Request) -> None:
        connection.sendall(begun)
        stop.set()
        wait_for_the_other_side(connection)

    return script


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200", HEAD, HEAD + multipart([instance_file(1)])[:5000]])
def test_a_cancellation_ends_a_retrieval_in_any_phase(begun: bytes) -> None:
    stop = threading.Event()
    with scripted(says_and_stops(begun, stop)) as hospital:
        archive = DicomWebArchive(hospital.peer(peers.PATIENT_WAIT))
        retrieved = ended(lambda: archive.retrieve(STUDY, None, (), whole(lambda _one: None), stop.is_set))
    assert (retrieved.cancelled, retrieved.received, retrieved.status) == (True, 0, 0xFE00)


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200", JSON_HEAD, JSON_HEAD + b"[{"])
def test_a_cancellation_ends_a_search_in_any_phase(begun: bytes) -> None:
    stop = threading.Event()
    with scripted(says_and_stops(begun, stop)) as hospital:
        assert find(hospital.peer(peers.PATIENT_WAIT), stop.is_set).cancelled


def test_an_unanswered_connection_times_out() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    filler.connect(("127.0.0.1", port))
            peer = DicomWebPeer("Hospital West", f"http://127.0.0.1:{port}", peers.QUICK)
            with pytest.raises(ArchiveTimedOut, match="did not answer"):
                find(peer)
        finally:
            for filler in fillers:
                filler.close()


def test_an_unknown_host_is_unreachable() -> None:
    with pytest.raises(ArchiveUnreachable, match="check url"):
        find(DicomWebPeer("Hospital West", "http://nowhere.invalid./"))


BROKEN = {
    "nonsense": b"SSH-2.0-OpenSSH\r\n\r\n",
    "another version": b"HTTP/2 200\r\n\r\n",
    "no status": b"HTTP/1.1\r\n\r\n",
    "a header without a colon": b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
    "a folded header": b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
    "two lengths": response(b"[]", Content_length="3"),
    "a negative length": response(b"[]", Content_Length="-1"),
    "a length in words": response(b"[]", Content_Length="two"),
    "a length of too many digits": response(b"[]", Content_Length="9" * 30),
    "a length too large": response(b"[]", Content_Length="3"),
    "a length too small": response(b"[{}]", Content_Length="2"),
    "gzip as transfer": response(b"[]", Transfer_Encoding="gzip, chunked"),
    "a chunk without size": response(b"\r\n", Transfer_Encoding="chunked"),
    "a negative chunk": response(b"-1\r\n[]", Transfer_Encoding="chunked"),
    "a chunk in 0x": response(b"0x2\r\n[]\r\n0\r\n\r\n", Transfer_Encoding="chunked"),
    "a chunk too short": response(b"5\r\n[]", Transfer_Encoding="chunked"),
    "a chunk too long": response(b"1\r\n[]\r\n0\r\n\r\n", Transfer_Encoding="chunked"),
    "interim answers without end": b"HTTP/1.1 100 Continue\r\n\r\n" * 100,
    "closed at once": b"",
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
def test_what_http_does_not_allow_is_a_broken_archive(answer: bytes) -> None:
    with scripted(answers(answer)) as hospital, pytest.raises(ArchiveBroken):
        find(hospital.peer())


def test_interim_answers_are_passed_over() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    with scripted(answers(early + as_json([study_row()]))) as hospital:
        assert find(hospital.peer()).rows == 1


@contextlib.contextmanager
def little_memory() -> Iterator[None]:
    """Fails when more than 32 MB stay resident at any moment inside."""
    process, done = psutil.Process(), threading.Event()
    before, most = process.memory_info().rss, 0

    def watch() -> None:
        nonlocal most
        while not done.wait(0.01):
            most = max(most, process.memory_info().rss - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
    assert most < RSS_MAX


FLOODS = {
    "a header line": (b"HTTP/1.1 200 OK\r\nX: ", bytes(65536)),
    "header lines": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 10_000),
    "white space before the head": (b"", b"\r\n" * 30_000),
    "a part header": (response(b"", RELATED, Content_Length=str(1 << 30)) + b"--between-images\r\nX: ", bytes(65536)),
    "before the first part": (response(b"", RELATED, Content_Length=""), b"x" * 65536),
    "small parts": (response(b"", RELATED, Content_Length=""), b"\r\n--between-images\r\n\r\nx" * 3000),
    "chunk lines": (response(b"", RELATED, Content_Length="", Transfer_Encoding="chunked"), b"1;" + b"x" * 65534),
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_a_flood_is_left_with_little_memory(flood: tuple[bytes, bytes]) -> None:
    with scripted(floods(*flood)) as hospital, little_memory(), pytest.raises(ArchiveBroken):
        retrieve(hospital.peer(peers.PATIENT_WAIT))


class Weighing:
    """An `Incoming` that keeps nothing but the count of what came."""

    def __init__(self) -> None:
        self.came, self._room = 0, bytearray(65536)

    def room(self, length: int) -> memoryview:
        return memoryview(self._room)[:length]

    def filled(self, length: int) -> None:
        self.came += length

    def finish(self) -> None:
        pass

    def drop(self) -> None:
        raise AssertionError("dropped")


@pytest.mark.parametrize("has_length", [True, False])
def test_a_large_instance_is_not_held(has_length: bool) -> None:
    begun, more = instance_file(1), 256
    size = len(begun) + more * MEGABYTE
    length = f"Content-Length: {size}\r\n" if has_length else ""
    head = response(b"", RELATED, Content_Length="") + f"--between-images\r\n{length}\r\n".encode() + begun

    def script(connection: socket.socket, request: Request) -> None:
        connection.sendall(head)
        for _ in range(more):
            connection.sendall(bytes(MEGABYTE))
        connection.sendall(b"\r\n--between-images--")

    weighing = Weighing()
    with scripted(script) as hospital, little_memory():
        archive = DicomWebArchive(hospital.peer(peers.PATIENT_WAIT))
        summary = archive.retrieve(STUDY, None, (), lambda _announced: weighing, lambda: False)
    assert (summary.received, weighing.came) == (1, len(dataset_of(begun)) + more * MEGABYTE)


@pytest.mark.parametrize(
    "block", [b" " * 65536, b'{"00100020":{"vr":"LO","Value":["x"]}},' * 1500, b"[],{}," * 10_000]
)
def test_a_flood_of_rows_is_left_with_little_memory(block: bytes) -> None:
    head = response(b"[", Content_Length=str(1 << 40))
    with scripted(floods(head, block)) as hospital, little_memory(), pytest.raises(ArchiveBroken):
        find(hospital.peer(peers.PATIENT_WAIT))


@pytest.mark.parametrize("count", [30_000, 390_000, 1_500_000])
@pytest.mark.parametrize("value", [b"1", b"{}", b"[]", b'{"a":[]}'])
def test_very_many_values_are_left_with_little_memory(value: bytes, count: int) -> None:
    many = response(b"[" + (value + b",") * count + value + b"]")
    with scripted(answers(many)) as hospital, little_memory(), pytest.raises(ArchiveBroken, match="more rows"):
        find(hospital.peer(peers.PATIENT_WAIT))


@pytest.mark.parametrize("work", [find, retrieve])
def test_a_compressed_bomb_is_not_unpacked(work: Callable[[DicomWebPeer], Any]) -> None:
    bomb = response(gzip.compress(bytes(200 * MEGABYTE), 9), Content_Encoding="gzip")
    with scripted(answers(bomb)) as hospital, little_memory(), pytest.raises(ArchiveBroken, match="compress"):
        work(hospital.peer())


heads = st.sampled_from(
    [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 204\r\n", b"HTTP/1.1 100 X\r\n\r\n", b"HTTP/1.1 401 No\r\n"]
)
lines = st.sampled_from(
    [
        b"Content-Type: application/dicom+json\r\n",
        f"Content-Type: {RELATED}\r\n".encode(),
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"\r\n",
        b"5\r\n",
        b"[{}]\n",
        b"--between-images\r\n\r\n",
        b"--between-images--",
    ]
)
broken_responses = st.tuples(heads, st.lists(lines | st.binary(max_size=20), max_size=12).map(b"".join)).map(b"".join)


def test_any_bytes_are_an_answer_or_a_typed_error() -> None:
    current = [b""]

    def script(connection: socket.socket, request: Request) -> None:
        connection.sendall(current[0])

    with scripted(script) as hospital:

        @settings(max_examples=150)
        @given(broken_responses)
        def attempt(data: bytes) -> None:
            current[0] = data
            archive = DicomWebArchive(hospital.peer())
            with contextlib.suppress(ArchiveError):
                archive.find_studies(PATIENT, lambda _rows: None, lambda: False)
            with contextlib.suppress(ArchiveError):
                archive.retrieve(STUDY, None, (), whole(lambda _one: None), lambda: False)

        attempt()
