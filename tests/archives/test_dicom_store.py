"""C-STORE to our own department's archive: what archives on loopback take, and what they may do to us meanwhile."""

import contextlib
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.filereader import read_file_meta_info
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, evt

import peers
import tls_peers
from certificates import Authority
from instances import file_of
from peers import nothing_left_running  # noqa: F401 - a fixture for every test here
from priorline.archives import dicom_list
from priorline.archives.base import DicomPeer, dataset_of
from priorline.archives.dicom import DicomArchive
from priorline.archives.dicom_get import COMMON_SOP_CLASSES, COMPRESSED, UNCOMPRESSED
from priorline.archives.dicom_store import COERCED, NOT_SUPPORTED, SUCCESS, DicomStorage, Outgoing
from priorline.archives.incoming import Received, whole
from priorline.errors import ArchiveBroken, ArchiveError, ArchiveRefused, ArchiveTimedOut, NotDicom

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs a peer that is packaged for Linux")

STUDY = "1.2.826.0.1.3680043.8.498.77"
IMAGES = 5
SAMPLES = ("CT_small.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm", "MR_small_implicit.dcm", "SC_rgb_jpeg_gdcm.dcm")
Answers = list[tuple[str, int]]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A study of five images in five transfer syntaxes, each with a private element."""
    folder, made = tmp_path_factory.mktemp("study"), []
    for number, name in enumerate(SAMPLES):
        image = dcmread(get_testdata_file(name))
        image.pop("DataSetTrailingPadding", None)
        image.StudyInstanceUID, image.SeriesInstanceUID = STUDY, f"{STUDY}.{number}"
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"{STUDY}.{number}.1"
        image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
        image.PatientID, image.IssuerOfPatientID = "PL-0042", "NORTH"
        image.add_new(0x00091001, "LO", "private")
        made.append(folder / f"{number}.dcm")
        image.save_as(made[-1])
    return made


def outgoing(file: Path) -> Outgoing:
    meta = read_file_meta_info(file)
    named = (str(meta.MediaStorageSOPClassUID), str(meta.MediaStorageSOPInstanceUID), str(meta.TransferSyntaxUID))
    return Outgoing(*named, lambda: dataset_of(file.read_bytes()))


def store(peer: DicomPeer, files: Sequence[Path]) -> Answers:
    answers: Answers = []
    DicomStorage(peer).store([outgoing(file) for file in files], lambda one, s: answers.append((uid_of(one), s)))
    return answers


def uid_of(one: Outgoing) -> str:
    return one.sop_instance_uid


def fetched(peer: DicomPeer) -> dict[str, Received]:
    """All instances of the study, fetched back from where they were stored."""
    found: dict[str, Received] = {}
    classes = dicom_list.list_study(peer, STUDY).sop_classes
    receiver = whole(lambda one: found.update({one.sop_instance_uid: one}))
    DicomArchive(peer).retrieve(STUDY, None, classes, receiver, bool)
    return found


def assert_untouched(peer: DicomPeer, files: Sequence[Path]) -> None:
    """Every element is as it was sent; Orthanc itself gives lengths of sequences, and implicit as explicit."""
    found = fetched(peer)
    for file in files:
        one = outgoing(file)
        assert found[uid_of(one)].transfer_syntax == one.transfer_syntax or one.transfer_syntax in UNCOMPRESSED
        assert dcmread(BytesIO(file_of(found[uid_of(one)], "X"))) == dcmread(file)
    assert len(found) == len(files)


# --- what hospitals run


def test_orthanc_keeps_every_transfer_syntax_and_element(files: list[Path], tmp_path: Path) -> None:
    with peers.orthanc(tmp_path) as peer:
        door = DicomStorage(peer)
        assert door.accepts_storage()
        assert door.held(STUDY) == set()
        assert store(peer, files) == [(uid_of(outgoing(file)), SUCCESS) for file in files]
        assert door.held(STUDY) == {uid_of(outgoing(file)) for file in files}
        assert_untouched(peer, files)


def test_storescp_writes_what_was_sent(files: list[Path], tmp_path: Path) -> None:
    """It answers no questions, so that nothing is known to be there."""
    port, kept = peers.free_port(), tmp_path / "kept"
    kept.mkdir()
    with peers.running(["storescp", "+xa", "-od", str(kept), "-aet", peers.CALLED, str(port)], tmp_path, port):
        peer = peers.peer(port)
        assert DicomStorage(peer).held(STUDY) == set()
        assert [status for _, status in store(peer, files)] == [SUCCESS] * IMAGES
    written = {str(dcmread(file).SOPInstanceUID): dataset_of(file.read_bytes()) for file in kept.iterdir()}
    # DCMTK writes private elements of compressed images anew; what it was sent uncompressed is as it came.
    plain = [file for file in files if outgoing(file).transfer_syntax == ExplicitVRLittleEndian]
    assert plain
    assert all(written[uid_of(outgoing(file))] == outgoing(file).load() for file in plain)
    assert written.keys() == {uid_of(outgoing(file)) for file in files}


def test_dcmqrscp_takes_them_and_refuses_where_only_reading_is_allowed(files: list[Path], tmp_path: Path) -> None:
    plain = [file for file in files if outgoing(file).transfer_syntax == ExplicitVRLittleEndian]
    with peers.dcmqrscp(tmp_path) as peer:
        assert DicomStorage(peer).accepts_storage()
        assert [status for _, status in store(peer, plain)] == [SUCCESS] * len(plain)
        assert DicomStorage(peer).held(STUDY) == {uid_of(outgoing(file)) for file in plain}


def test_it_goes_by_tls_where_that_is_configured(files: list[Path], tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    theirs, ours = authority.issue(), authority.issue(["workstation"])
    with (
        tls_peers.orthanc(tmp_path, theirs, authority) as peer,
        tls_peers.recorded(peer.port) as (port, heard),
    ):
        known = {"ca": authority.file, "certificate": ours.certificate, "key": ours.key}
        secured = tls_peers.secured(replace(peer, port=port), **known)
        assert [status for _, status in store(secured, files)] == [SUCCESS] * IMAGES
        assert_untouched(secured, files)
        with pytest.raises(ArchiveError):
            store(replace(peer, timeouts=peers.QUICK), files)
    assert heard
    assert all(tls_peers.is_tls(bytes(one)) for one in heard)


# --- what an archive may say


@contextlib.contextmanager
def storing(
    answer: Callable[[int], int], files: Sequence[Path], pdu: int = 16382
) -> Iterator[tuple[DicomPeer, list[evt.Event]]]:
    """As `peers.storing`, for what these files hold."""
    kinds = {(one.sop_class_uid, one.transfer_syntax) for one in map(outgoing, files)}
    with peers.storing(answer, kinds, pdu) as told:
        yield told


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007])
def test_a_warning_is_told_and_does_not_end_it(files: list[Path], status: int) -> None:
    with storing(lambda number: status if number == 2 else SUCCESS, files=files) as (peer, _):
        assert [told for _, told in store(peer, files)] == [SUCCESS, status, SUCCESS, SUCCESS, SUCCESS]
    assert COERCED == 0xB000


@pytest.mark.parametrize("status", [0xA900, 0xC000, 0xC123, 0x0117, 0x0122])
def test_a_refused_image_does_not_hold_up_the_others(files: list[Path], status: int) -> None:
    with storing(lambda number: status if number == 1 else SUCCESS, files=files) as (peer, _):
        assert [told for _, told in store(peer, files)] == [status, *[SUCCESS] * (IMAGES - 1)]


@pytest.mark.parametrize(("status", "reason"), [(0xA700, "out of resources"), (0x0124, "not authorised")])
def test_an_archive_that_takes_no_more_is_left_alone(files: list[Path], status: int, reason: str) -> None:
    with storing(lambda number: status if number == 3 else SUCCESS, files=files) as (peer, taken):
        with pytest.raises(ArchiveRefused, match=reason):
            store(peer, files)
        assert len(taken) == 3


@pytest.mark.parametrize("pdu", [0, 4096, 131072])
def test_the_bytes_are_the_same_in_pieces_of_any_size(files: list[Path], pdu: int) -> None:
    with storing(lambda _number: SUCCESS, files=files, pdu=pdu) as (peer, taken):
        store(peer, files)
        came = [event.request.DataSet.getvalue() for event in taken]
        kinds = [(event.context.abstract_syntax, event.context.transfer_syntax) for event in taken]
    sent = [outgoing(file) for file in files]
    assert came == [one.load() for one in sent]
    assert kinds == [(one.sop_class_uid, one.transfer_syntax) for one in sent]


def test_what_is_not_agreed_on_is_not_sent_in_another_syntax(files: list[Path]) -> None:
    with storing(lambda _number: SUCCESS, files=files[:1]) as (peer, taken):
        assert [told for _, told in store(peer, files)] == [SUCCESS, *[NOT_SUPPORTED] * (IMAGES - 1)]
        assert len(taken) == 1
        assert [told for _, told in store(peer, files[1:])] == [NOT_SUPPORTED] * (IMAGES - 1)
        assert len(taken) == 1


def test_more_kinds_than_one_association_can_hold_are_spread_over_several() -> None:
    syntaxes = (*UNCOMPRESSED, *COMPRESSED[:3])
    kinds = [(sop_class, syntax) for sop_class in COMMON_SOP_CLASSES[:60] for syntax in syntaxes]
    asked: list[int] = []
    entity = AE(peers.CALLED)
    for n in range(0, 300, 100):
        entity.add_supported_context(*kinds[n])

    def count(event: evt.Event) -> None:
        asked.append(len(event.assoc.requestor.requested_contexts))

    handlers: list[Any] = [(evt.EVT_C_STORE, lambda _event: SUCCESS), (evt.EVT_ACCEPTED, count)]
    with peers.sockets_shut():
        server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        assert server is not None
        told: Answers = []
        try:
            sending = [Outgoing(uid, f"1.2.3.{n}", syntax, lambda: bytes(8)) for n, (uid, syntax) in enumerate(kinds)]
            door = DicomStorage(peers.peer(server.socket.getsockname()[1], peers.QUICK))
            door.store(sending, lambda one, status: told.append((uid_of(one), status)))
        finally:
            entity.shutdown()
    assert asked == [128, 128, 44]
    assert [uid for uid, status in told if status == SUCCESS] == ["1.2.3.0", "1.2.3.100", "1.2.3.200"]
    assert len(told) == 300


# --- what it may do


@pytest.mark.parametrize("dies_at", range(1, IMAGES + 1))
def test_an_association_that_breaks_tells_what_was_answered(files: list[Path], dies_at: int) -> None:
    answers: Answers = []
    with storing(lambda number: -1 if number == dies_at else SUCCESS, files=files) as (peer, _):
        sending = [outgoing(file) for file in files]
        with pytest.raises(ArchiveBroken):
            DicomStorage(peer).store(sending, lambda one, status: answers.append((uid_of(one), status)))
    assert answers == [(uid_of(one), SUCCESS) for one in sending[: dies_at - 1]]


def pdu_of(command: bytes, context_id: int = 1) -> bytes:
    value = struct.pack(">LBB", len(command) + 2, context_id, 3) + command
    return b"\x04\0" + struct.pack(">L", len(value)) + value


def response(message_id: int, kind: int = 0x8001) -> bytes:
    return command((0x0100, kind), (0x0120, message_id), (0x0800, 0x0101), (0x0900, 0))


def command(*elements: tuple[int, int]) -> bytes:
    body = b"".join(struct.pack("<HHLH", 0, number, 2, value) for number, value in elements)
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def after_the_object(act: Callable[[socket.socket], None]) -> Callable[[socket.socket], None]:
    """A script that takes one association and one object, then does as it is told."""

    def script(connection: socket.socket) -> None:
        peers.accept_association(connection)
        while True:
            pdu = peers.read_pdu(connection)
            if pdu[0] == 4 and pdu[11] == 2:  # the last piece of a dataset
                break
        act(connection)

    return script


def shut(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("act", "fault"),
    [
        (lambda _connection: None, ArchiveTimedOut),
        (lambda connection: connection.sendall(pdu_of(response(1))[:20]), ArchiveTimedOut),
        (lambda connection: connection.sendall(pdu_of(response(2))), ArchiveBroken),
        (lambda connection: connection.sendall(pdu_of(response(1, 0x8030))), ArchiveBroken),
        (
            lambda connection: connection.sendall(pdu_of(command((0x0100, 1), (0x0110, 1), (0x0800, 0x0101)))),
            ArchiveBroken,
        ),
        (lambda connection: connection.sendall(b"\x04\0\xff\xff\xff\xff" + bytes(100)), ArchiveBroken),
        (lambda connection: connection.sendall(b"\x07\0\0\0\0\4\0\0\0\0"), ArchiveBroken),
        (lambda connection: connection.sendall(bytes(60)), ArchiveBroken),
        (shut, ArchiveBroken),
    ],
    ids=["mute", "half a PDU", "other message", "echo", "request", "endless PDU", "abort", "noise", "gone"],
)
def test_whatever_comes_instead_of_an_answer_ends_it(
    files: list[Path], act: Callable[[socket.socket], None], fault: type[ArchiveError]
) -> None:
    with peers.raw(after_the_object(act)) as peer, pytest.raises(fault):
        store(peer, files[:1])


def test_one_that_does_not_read_is_given_up() -> None:
    """More than the system keeps for it."""
    large = Outgoing(peers.CT_IMAGE, "1.2.3", ExplicitVRLittleEndian, lambda: bytes(16 << 20))

    def script(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        peers.accept_association(connection)
        given_up.wait(peers.START_SECONDS)

    given_up = threading.Event()
    with peers.raw(script) as peer:
        try:
            with pytest.raises(ArchiveTimedOut):
                DicomStorage(peer).store([large], lambda *_: None)
        finally:
            given_up.set()


def test_a_slow_reader_is_waited_for() -> None:
    """Each piece that it takes is progress, though the whole takes longer than it may be silent."""
    size, pause = 8 << 20, threading.Event()
    large = Outgoing(peers.CT_IMAGE, "1.2.3", ExplicitVRLittleEndian, lambda: bytes(size))

    def script(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        peers.accept_association(connection)
        last = False
        while not last:
            pdu = peers.read_pdu(connection)
            last = pdu[11] == 2
            pause.wait(0.002)
        connection.sendall(pdu_of(response(1)))

    told: Answers = []
    with peers.raw(script) as peer:
        DicomStorage(peer).store([large], lambda one, status: told.append((uid_of(one), status)))
    assert told == [("1.2.3", SUCCESS)]
    assert size / 16384 * 0.002 > peers.QUICK.progress


def test_it_ends_where_nobody_wants_it_any_more(files: list[Path]) -> None:
    with storing(lambda _number: SUCCESS, files=files) as (peer, taken):
        answers: Answers = []
        DicomStorage(peer).store(
            [outgoing(file) for file in files],
            lambda one, status: answers.append((uid_of(one), status)),
            lambda: len(answers) == 2,
        )
        assert len(answers) == len(taken) == 2


def test_what_nobody_wants_when_it_begins_asks_for_no_association(files: list[Path]) -> None:
    with storing(lambda _number: SUCCESS, files=files) as (peer, taken):
        DicomStorage(peer).store([outgoing(file) for file in files], lambda *_: None, lambda: True)
        assert taken == []


def test_what_the_reader_raises_comes_back(files: list[Path]) -> None:
    def torn() -> bytes:
        raise NotDicom("torn")

    with storing(lambda _number: SUCCESS, files=files) as (peer, taken):
        sending = [outgoing(files[0]), replace(outgoing(files[1]), load=torn)]
        with pytest.raises(NotDicom, match="torn"):
            DicomStorage(peer).store(sending, lambda *_: None)
        assert len(taken) == 1


# --- files and datasets


def test_the_dataset_of_a_file_is_what_it_was_made_around(files: list[Path]) -> None:
    for file in files:
        meta = read_file_meta_info(file)
        whole = file.read_bytes()
        assert dataset_of(whole) == whole[132 + 12 + meta.FileMetaInformationGroupLength :]
        received = Received(str(meta.MediaStorageSOPClassUID), generate_uid(), str(meta.TransferSyntaxUID), b"abc")
        assert dataset_of(file_of(received, "X")) == b"abc"


def test_a_file_that_ends_in_its_head_has_none(files: list[Path]) -> None:
    whole = files[0].read_bytes()
    for length in (0, 100, 134, 150):
        with pytest.raises(NotDicom):
            dataset_of(whole[:length])
