"""C-MOVE against real archives: Debian's Orthanc and dcmqrscp send to our storage SCP."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from test_dicom_archives import COMPRESSED_STUDY, CT_SLICES, SERIES, STUDY, samples

import move_tools
import peers
from move_tools import listening_ports
from peers import nothing_left_running  # noqa: F401 - a fixture for every test here
from priorline.archives import dicom_get
from priorline.archives.base import DicomPeer
from priorline.archives.dicom import DicomArchive
from priorline.archives.incoming import Received, whole
from priorline.archives.storage_scp import StorageScp
from priorline.archives.tls import client_context
from priorline.config import Tls
from priorline.errors import ArchiveError, ArchiveRefused, CacheFull


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return samples(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def port() -> int:
    return peers.free_port()


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory, files: dict[str, Path], port: int) -> Iterator[DicomPeer]:
    known = {"DicomModalities": {"priorline": [peers.CALLING, "127.0.0.1", port]}}
    with peers.orthanc(tmp_path_factory.mktemp("orthanc"), **known) as peer:
        peers.store(peer, list(files.values()))
        yield peer


@pytest.fixture(scope="module")
def dcmqrscp(tmp_path_factory: pytest.TempPathFactory, files: dict[str, Path], port: int) -> Iterator[DicomPeer]:
    with peers.dcmqrscp(tmp_path_factory.mktemp("dcmqrscp"), port, "--disable-get") as peer:
        peers.store(peer, [file for uid, file in files.items() if not uid.startswith(COMPRESSED_STUDY)])
        yield peer


@pytest.fixture(scope="module", params=["orthanc", "dcmqrscp"])
def peer(request: pytest.FixtureRequest) -> DicomPeer:
    found: DicomPeer = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def archive(peer: DicomPeer, port: int) -> DicomArchive:
    return move_tools.archive(peer, port, retrieve="c-move")


def test_a_study_comes_whole_and_untouched(archive: DicomArchive, files: dict[str, Path]) -> None:
    got: list[Received] = []
    summary = archive.retrieve(STUDY, None, (), whole(got.append), lambda: False)
    assert (summary.completed, summary.failed, summary.received) == (CT_SLICES + 1, 0, CT_SLICES + 1)
    assert {one.sop_instance_uid for one in got} == {uid for uid in files if not uid.startswith(COMPRESSED_STUDY)}
    for one in got:
        assert dcmread(files[one.sop_instance_uid]).PixelData in one.dataset


def test_one_series_can_be_fetched(archive: DicomArchive) -> None:
    got: list[Received] = []
    archive.retrieve(STUDY, SERIES + ".9", (), whole(got.append), lambda: False)
    assert [one.sop_instance_uid for one in got] == [SERIES + ".9.1"]


def test_compressed_instances_come_as_they_are_stored(orthanc: DicomPeer, port: int, files: dict[str, Path]) -> None:
    got: list[Received] = []
    archive = move_tools.archive(orthanc, port, retrieve="c-move")
    archive.retrieve(COMPRESSED_STUDY, None, (), whole(got.append), lambda: False)
    assert {one.sop_instance_uid: one.transfer_syntax for one in got} == {
        COMPRESSED_STUDY + ".1.1": "1.2.840.10008.1.2.5",
        COMPRESSED_STUDY + ".2.1": "1.2.840.10008.1.2.4.91",
    }
    for one in got:
        assert dcmread(files[one.sop_instance_uid]).PixelData in one.dataset + b"\0"


def test_we_listen_only_while_a_retrieval_is_open(archive: DicomArchive, port: int) -> None:
    seen: list[set[int]] = []
    assert not listening_ports()
    archive.retrieve(STUDY, None, (), whole(lambda _one: seen.append(listening_ports())), lambda: False)
    assert seen == [{port}] * (CT_SLICES + 1)
    assert not listening_ports()


def test_where_get_is_refused_the_archive_is_asked_to_send_and_that_is_remembered(
    dcmqrscp: DicomPeer, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = move_tools.archive(dcmqrscp, port)
    assert not archive.accepts_get()
    assert archive.accepts_move()
    asked: list[str] = []
    get = dicom_get.retrieve
    monkeypatch.setattr(dicom_get, "retrieve", lambda *given: asked.append("get") or get(*given))
    for _ in range(2):
        summary = archive.retrieve(STUDY, None, (), whole(lambda _one: None), lambda: False)
        assert summary.received == CT_SLICES + 1
    assert asked == ["get"]


def test_get_alone_stays_get_alone(dcmqrscp: DicomPeer, port: int) -> None:
    archive = move_tools.archive(dcmqrscp, port, retrieve="c-get")
    with pytest.raises(ArchiveRefused, match="does not offer"):
        archive.retrieve(STUDY, None, (), whole(lambda _one: None), lambda: False)


def test_without_a_certificate_of_ours_a_hospital_with_tls_is_not_asked_to_send(port: int) -> None:
    context = client_context(Tls(pins=(f"sha256//{'A' * 43}=",)))
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        peer = DicomPeer("A", "A", *nobody.getsockname(), peers.CALLING, tls=context)
        archive = move_tools.archive(peer, port, retrieve="c-move")
        with pytest.raises(ArchiveRefused, match=r"A sends only .* tls\.certificate is empty"):
            archive.retrieve(STUDY, None, (), whole(lambda _one: None), lambda: False)
        nobody.settimeout(0)
        with pytest.raises(BlockingIOError):
            nobody.accept()  # it was not even called
    assert port not in listening_ports()


@pytest.mark.parametrize("retrieve", ["auto", "c-move"])
def test_without_a_port_the_user_is_told_what_to_configure(dcmqrscp: DicomPeer, retrieve: str) -> None:
    archive = move_tools.archive(dcmqrscp, 0, retrieve=retrieve)
    with pytest.raises(ArchiveRefused, match=r"workstation\.port"):
        archive.retrieve(STUDY, None, (), whole(lambda _one: None), lambda: False)


def test_an_archive_that_does_not_know_where_we_are_says_so(peer: DicomPeer, port: int) -> None:
    stranger = StorageScp("STRANGER", port, move_tools.start_thread, lambda _alert: None)
    archive = DicomArchive(replace(peer, retrieve="c-move"), stranger)
    with pytest.raises(ArchiveRefused, match="STRANGER"):
        archive.retrieve(STUDY, None, (), whole(lambda _one: None), lambda: False)


def test_an_archive_that_cannot_reach_us_says_so(peer: DicomPeer) -> None:
    archive = move_tools.archive(peer, peers.free_port(), retrieve="c-move")
    with pytest.raises(ArchiveRefused, match="could not send to us"):
        archive.retrieve(STUDY, None, (), whole(lambda _one: None), lambda: False)


def test_a_port_that_is_in_use_is_named(peer: DicomPeer, port: int) -> None:
    archive = move_tools.archive(peer, port, retrieve="c-move")
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(ArchiveError, match=rf"port {port} .* workstation\.port"),
    ):
        archive.retrieve(STUDY, None, (), whole(lambda _one: None), lambda: False)


def test_an_error_of_the_receiver_ends_the_retrieval_and_comes_through(archive: DicomArchive) -> None:
    got: list[Received] = []

    def full(received: Received) -> None:
        got.append(received)
        if len(got) == 2:
            raise CacheFull("no room")

    with pytest.raises(CacheFull):
        archive.retrieve(STUDY, None, (), whole(full), lambda: False)
    assert len(got) == 2
    assert not listening_ports()


def test_cancelling_ends_the_retrieval(archive: DicomArchive) -> None:
    got: list[Received] = []
    summary = archive.retrieve(STUDY, None, (), whole(got.append), lambda: len(got) >= 2)
    assert summary.cancelled
    assert summary.received == len(got) == 2
    assert not listening_ports()


def test_several_retrievals_share_one_port(orthanc: DicomPeer, port: int) -> None:
    archive, ports = move_tools.archive(orthanc, port, retrieve="c-move"), list[set[int]]()
    both = threading.Barrier(2)

    def fetch(study: str) -> set[str]:
        uids: set[str] = set()

        def take(received: Received) -> None:
            if not uids:
                both.wait(10)
            uids.add(received.sop_instance_uid)
            ports.append(listening_ports())

        archive.retrieve(study, None, (), whole(take), lambda: False)
        return uids

    with ThreadPoolExecutor(2) as pool:
        got = list(pool.map(fetch, (STUDY, COMPRESSED_STUDY)))
    assert [len(uids) for uids in got] == [CT_SLICES + 1, 2]
    assert got[1] == {COMPRESSED_STUDY + ".1.1", COMPRESSED_STUDY + ".2.1"}
    assert ports == [{port}] * (CT_SLICES + 3)
    assert not listening_ports()
