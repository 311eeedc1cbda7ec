"""C-MOVE by TLS with Debian's Orthanc, which asks nothing of ours but a certificate, and sends on TLS or in clear."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

import move_tools
import peers
import tls_peers
from certificates import Authority, Issued, new_key
from peers import nothing_left_running  # noqa: F401 - a fixture for every test here
from priorline.archives.base import DicomPeer, SecurityAlert
from priorline.archives.dicom import DicomArchive
from priorline.archives.incoming import Received, whole
from priorline.errors import ArchiveRefused

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs a peer that is packaged for Linux")
IMAGES = 5


@dataclass(frozen=True, slots=True)
class Hospital:
    """A running Orthanc, who is trusted by it and by us, and the port of ours to which it sends."""

    peer: DicomPeer
    authority: Authority
    ours: Issued
    port: int

    def asked(self, ae_title: str, alerts: list[SecurityAlert]) -> DicomArchive:
        """The archive, which is to send to us under this AE title of ours."""
        settings = {"ca": self.authority.file, "certificate": self.ours.certificate, "key": self.ours.key}
        scp = move_tools.StorageScp(ae_title, self.port, move_tools.start_thread, alerts.append)
        return DicomArchive(replace(tls_peers.secured(self.peer, **settings), retrieve="c-move"), scp)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder, image = tmp_path_factory.mktemp("study"), dcmread(get_testdata_file("CT_small.dcm"))
    # DCMTK does not pass it on.
    del image.DataSetTrailingPadding
    made = []
    for number in range(IMAGES):
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        image.InstanceNumber = number + 1
        made.append(folder / f"{number}.dcm")
        image.save_as(made[-1])
    return made


@pytest.fixture(scope="module", params=[2048, 0], ids=["RSA", "EC"])
def hospital(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, files: list[Path]
) -> Iterator[Hospital]:
    bits: int = request.param
    authority, port = Authority(tmp_path_factory.mktemp("authority"), rsa_bits=bits), peers.free_port()
    theirs, ours = authority.issue(key=new_key(bits)), authority.issue(["workstation"], key=new_key(bits))
    where = {"Host": "127.0.0.1", "Port": port}
    known = {
        "by-tls": {"AET": peers.CALLING, "UseDicomTls": True, **where},
        "in-clear": {"AET": "CLEAR", "UseDicomTls": False, **where},
    }
    folder = tmp_path_factory.mktemp("orthanc")
    with tls_peers.orthanc(folder, theirs, authority, DicomModalities=known) as peer:
        tls_peers.store(peer, ours, authority, files)
        yield Hospital(peer, authority, ours, port)


def test_a_study_comes_by_tls_byte_for_byte(hospital: Hospital, files: list[Path]) -> None:
    got, alerts = list[Received](), list[SecurityAlert]()
    archive = hospital.asked(peers.CALLING, alerts)
    summary = archive.retrieve(dcmread(files[0]).StudyInstanceUID, None, (), whole(got.append), lambda: False)
    assert (summary.received, summary.failed, alerts) == (IMAGES, 0, [])
    sent = {dcmread(file).SOPInstanceUID: file.read_bytes() for file in files}
    assert {one.sop_instance_uid for one in got} == set(sent)
    assert all(sent[one.sop_instance_uid].endswith(one.dataset) for one in got)


def test_what_it_sends_in_clear_is_refused_and_the_user_told_why(hospital: Hospital, files: list[Path]) -> None:
    got, alerts = list[Received](), list[SecurityAlert]()
    archive = hospital.asked("CLEAR", alerts)
    with pytest.raises(ArchiveRefused, match=r"could not send to us .* sends there by TLS"):
        archive.retrieve(dcmread(files[0]).StudyInstanceUID, None, (), whole(got.append), lambda: False)
    assert got == []
    assert ["spoke in clear" in one.problem for one in alerts] == [True]
