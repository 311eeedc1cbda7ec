"""TLS with what hospitals run: DCMTK, Orthanc and pynetdicom, both versions, both kinds of key, and whole studies."""

import ssl
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid
from pynetdicom import evt

import peers
import tls_peers
from certificates import Authority, Issued, new_key
from peers import nothing_left_running  # noqa: F401 - a fixture for every test here
from priorline.archives.base import DicomPeer
from priorline.archives.dicom import DicomArchive
from priorline.archives.incoming import Received, whole
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import StudyAnswer
from priorline.errors import ArchiveRefused

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs a peer that is packaged for Linux")
V = ssl.TLSVersion


@dataclass(frozen=True, slots=True)
class Trust:
    """An authority, and what it gave to the archive and to us."""

    authority: Authority
    theirs: Issued
    ours: Issued

    def asked(self, peer: DicomPeer, version: ssl.TLSVersion | None = None, **settings: Any) -> DicomArchive:
        """The archive, asked in one version of TLS with our certificate."""
        known = {"ca": self.authority.file, "certificate": self.ours.certificate, "key": self.ours.key}
        secured = tls_peers.secured(peer, **{**known, **settings})
        assert secured.tls is not None
        if version is not None:
            secured.tls.minimum_version = secured.tls.maximum_version = version
        return DicomArchive(secured)


@pytest.fixture(scope="module", params=[2048, 0], ids=["RSA", "EC"])
def trust(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trust:
    bits: int = request.param
    authority = Authority(tmp_path_factory.mktemp("authority"), rsa_bits=bits)
    return Trust(authority, authority.issue(key=new_key(bits)), authority.issue(["workstation"], key=new_key(bits)))


def versions(trust: Trust) -> list[ssl.TLSVersion]:
    """What DCMTK speaks with such a key: its profile in Debian has methods for RSA alone in 1.2."""
    is_rsa = "RSA" in type(trust.theirs.value.public_key()).__name__
    return [V.TLSv1_2, V.TLSv1_3] if is_rsa else [V.TLSv1_3]


def test_dcmtk_answers_in_each_version_and_wants_our_certificate(trust: Trust, tmp_path: Path) -> None:
    with tls_peers.storescp(tmp_path, trust.theirs, trust.authority) as peer:
        for version in versions(trust):
            assert trust.asked(peer, version).echo() > 0
            with pytest.raises(ArchiveRefused, match="wants a certificate of this workstation"):
                trust.asked(peer, version, certificate="", key="").echo()
        assert trust.asked(peer, versions(trust)[-1], ca="", pins=(trust.theirs.pin,)).echo() > 0


# --- whole studies


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A CT of five images."""
    folder, image = tmp_path_factory.mktemp("study"), dcmread(get_testdata_file("CT_small.dcm"))
    # DCMTK does not pass it on.
    del image.DataSetTrailingPadding
    made = []
    for number in range(5):
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        image.InstanceNumber = number + 1
        made.append(folder / f"{number}.dcm")
        image.save_as(made[-1])
    return made


@pytest.fixture
def orthanc(trust: Trust, tmp_path: Path, files: list[Path]) -> Iterator[DicomPeer]:
    with tls_peers.orthanc(tmp_path, trust.theirs, trust.authority) as peer:
        tls_peers.store(peer, trust.ours, trust.authority, files)
        yield peer


def test_a_study_of_orthanc_is_found_and_fetched_byte_for_byte(
    trust: Trust, orthanc: DicomPeer, files: list[Path]
) -> None:
    image, got, rows = dcmread(files[0]), list[Received](), list[StudyAnswer]()
    archive = trust.asked(orthanc)
    archive.find_studies(Patient(Identifier(image.PatientID)), rows.extend, lambda: False)
    assert {row.study_uid for row in rows} == {image.StudyInstanceUID}
    summary = archive.retrieve(image.StudyInstanceUID, None, [image.SOPClassUID], whole(got.append), lambda: False)
    assert (summary.received, summary.failed) == (5, 0)
    sent = {dcmread(file).SOPInstanceUID: file.read_bytes() for file in files}
    assert {one.sop_instance_uid for one in got} == set(sent)
    assert all(sent[one.sop_instance_uid].endswith(one.dataset) for one in got)
    with pytest.raises(ArchiveRefused, match="wants a certificate of this workstation"):
        trust.asked(orthanc, certificate="", key="").echo()


@pytest.mark.parametrize("version", [V.TLSv1_2, V.TLSv1_3])
def test_an_object_of_megabytes_comes_whole_in_each_version(trust: Trust, version: ssl.TLSVersion) -> None:
    """Longer than the longest PDU, which is longer than the longest record."""
    image, got = dcmread(get_testdata_file("CT_small.dcm")), list[Received]()
    pixels = bytes(range(256)) * 8 * 2048
    image.Rows, image.Columns, image.PixelData = 2048, 1024, pixels

    def send(event: evt.Event) -> Iterator[Any]:
        yield 1
        yield 0xFF00, image

    context = tls_peers.server(trust.theirs, trust.authority)
    with peers.scripted([(evt.EVT_C_GET, send)], tls=context) as peer:
        trust.asked(peer, version).retrieve(
            image.StudyInstanceUID, None, [image.SOPClassUID], whole(got.append), lambda: False
        )
    assert [pixels in one.dataset for one in got] == [True]
