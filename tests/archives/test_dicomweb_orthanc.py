"""The DICOMweb door against Debian's Orthanc: it tells what C-FIND tells, and gives what was stored.

Not so for sequences (procedure codes, other patient numbers): Orthanc leaves them out of its answers to QIDO-RS,
whatever `includefield` says, so that there are none in these studies.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import FileDataset

import peers
from listings import instances_of, listing_of
from peers import nothing_left_running  # noqa: F401 - a fixture for every test here
from priorline.archives.base import Archive, DicomPeer, part10_head
from priorline.archives.dicom import DicomArchive
from priorline.archives.dicomweb import DicomWebArchive
from priorline.archives.dicomweb_peer import DicomWebPeer
from priorline.archives.incoming import Received, whole
from priorline.domain.fetch_order import Batch
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import StudyAnswer
from priorline.errors import ArchiveRefused

PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
PATIENT = Patient(Identifier("PL-0042"))
CT, MIXED, BARE = (f"1.2.826.0.1.3680043.8.498.{number}" for number in (11, 12, 13))
SLICES = 6


@dataclass(frozen=True)
class Both:
    """One archive through its two doors, and what was stored in it, by SOP Instance UID."""

    web: DicomWebArchive
    dicom: DicomArchive
    files: dict[str, Path]


def relabelled(name: str, study: str, number: int, **tags: Any) -> FileDataset:
    dataset = dcmread(get_testdata_file(name))
    dataset.pop("DataSetTrailingPadding", None)
    values = {
        "SpecificCharacterSet": "ISO_IR 192",
        "PatientID": "PL-0042",
        "IssuerOfPatientID": "NORTH",
        "PatientName": "Müller-Brontë^Anna",
        "PatientBirthDate": "19650228",
        "PatientSex": "F",
        "StudyInstanceUID": study,
        "SeriesInstanceUID": f"{study}.{dataset.Modality == 'MR':d}.{name.count('2000')}",
        "SOPInstanceUID": f"{study}.9.{number}",
        "StudyDate": "20190131",
        "StudyTime": "101500",
        "StudyDescription": "CT thorax",
        "AccessionNumber": "A7",
        **tags,
    }
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def saved(folder: Path) -> dict[str, Path]:
    made = [relabelled("CT_small.dcm", CT, n) for n in range(SLICES)]
    names = ("MR_small.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm", "CT_small.dcm")
    made += [relabelled(name, MIXED, number) for number, name in enumerate(names)]
    made.append(relabelled("CT_small.dcm", BARE, 1, StudyDescription="", StudyDate="", BodyPartExamined="CHEST"))
    made.append(relabelled("MR_small.dcm", "1.2.3.4", 1, PatientID="PL-00421"))
    files: dict[str, Path] = {}
    for dataset in made:
        file = folder / f"{dataset.SOPInstanceUID}.dcm"
        files[str(dataset.SOPInstanceUID)] = file
        dataset.save_as(file)
    return files


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    files, http = saved(tmp_path_factory.mktemp("files")), peers.free_port()
    options = {"HttpPort": http, "Plugins": [PLUGIN], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"}}
    with peers.orthanc(tmp_path_factory.mktemp("orthanc"), **options) as peer:
        peers.store(peer, list(files.values()))
        web = DicomWebPeer(peer.name, f"http://127.0.0.1:{http}/dicom-web/")
        yield Both(DicomWebArchive(web), DicomArchive(peer), files)


def found(archive: Archive, patient: Patient = PATIENT) -> dict[str, StudyAnswer]:
    rows: list[StudyAnswer] = []
    summary = archive.find_studies(patient, rows.extend, lambda: False)
    assert (summary.dropped, summary.cut) == (0, False)
    return {row.study_uid: row for row in rows}


def test_the_answers_are_those_of_c_find(both: Both) -> None:
    answers = found(both.web)
    assert answers == found(both.dicom)
    assert answers.keys() == {CT, MIXED, BARE}
    assert answers[CT].patient.identifier == Identifier("PL-0042", "NORTH")
    assert answers[CT].patient.name == "Müller-Brontë^Anna"
    assert (answers[CT].images, answers[BARE].body_part, answers[BARE].study_date) == (SLICES, "CHEST", None)


def test_nobody_else_is_found(both: Both) -> None:
    assert found(both.web, Patient(Identifier("PL-004"))) == {}


@pytest.mark.parametrize("study", [CT, MIXED, BARE, "1.2.3"])
def test_a_study_its_series_and_its_instances_are_those_of_c_find(both: Both, study: str) -> None:
    assert both.web.find_study(study) == both.dicom.find_study(study)
    ours = {(one.series_uid, one.modality, one.number, one.images) for one in listing_of(both.web, study).series}
    assert ours == {
        (one.series_uid, one.modality, one.number, one.images) for one in listing_of(both.dicom, study).series
    }
    assert instances_of(both.web, study) == instances_of(both.dicom, study)


@pytest.mark.parametrize("study", [CT, MIXED])
def test_what_comes_back_is_what_was_stored(both: Both, study: str) -> None:
    got: list[Received] = []
    summary = both.web.retrieve(study, None, (), whole(got.append), lambda: False)
    stored = {uid: dcmread(file) for uid, file in both.files.items() if uid.startswith(study)}
    assert (summary.received, summary.failed, summary.status) == (len(stored), 0, 0)
    back = {one.sop_instance_uid: dcmread(BytesIO(part10_head(one, "ORTHANC") + one.dataset)) for one in got}
    assert back == stored
    for one in got:
        assert one.transfer_syntax == stored[one.sop_instance_uid].file_meta.TransferSyntaxUID
        assert one.sop_class_uid == stored[one.sop_instance_uid].SOPClassUID
        assert stored[one.sop_instance_uid].PixelData in one.dataset + b"\0"


def test_one_series_comes_alone(both: Both) -> None:
    listed = instances_of(both.web, MIXED)
    assert listed is not None
    assert len(listed) > 1
    for series, uids in listed.items():
        got: list[Received] = []
        both.web.retrieve(MIXED, series, (), whole(got.append), lambda: False)
        assert {one.sop_instance_uid for one in got} == set(uids)


def test_images_come_by_their_names(both: Both) -> None:
    got: list[Received] = []
    listed = instances_of(both.web, MIXED)
    assert listed is not None
    batches = iter([Batch(series, (uids[-1], f"{uids[-1]}.9")) for series, uids in sorted(listed.items())])
    summary = both.web.retrieve_listed(MIXED, lambda: next(batches, None), (), whole(got.append), lambda: False)
    assert summary is not None
    assert (summary.received, summary.status) == (len(listed), 0xB000)
    assert [one.sop_instance_uid for one in got] == [uids[-1] for _, uids in sorted(listed.items())]
    for one in got:
        stored = dcmread(both.files[one.sop_instance_uid])
        assert dcmread(BytesIO(part10_head(one, "ORTHANC") + one.dataset)) == stored


def test_a_study_that_it_does_not_have_is_refused_in_words(both: Both) -> None:
    with pytest.raises(ArchiveRefused, match="does not have"):
        both.web.retrieve("1.2.3", None, (), whole(lambda _one: None), lambda: False)


def test_the_connection_is_tested_and_a_wrong_address_is_found_out(both: Both) -> None:
    assert both.web.echo() > 0
    elsewhere = DicomWebPeer("North", both.web.peer.url.replace("dicom-web", "dicomweb"))
    with pytest.raises(ArchiveRefused, match="check url"):
        DicomWebArchive(elsewhere).echo()


def test_a_login_is_asked_for_in_words(tmp_path: Path) -> None:
    http = peers.free_port()
    options = {"HttpPort": http, "Plugins": [PLUGIN], "AuthenticationEnabled": True, "RegisteredUsers": {"a": "b"}}
    with peers.orthanc(tmp_path, **options):
        archive = DicomWebArchive(DicomWebPeer("North", f"http://127.0.0.1:{http}/dicom-web"))
        with pytest.raises(ArchiveRefused, match="token_file"):
            archive.echo()


def test_the_dicom_peer_of_these_tests_is_the_same_archive(both: Both) -> None:
    assert isinstance(both.dicom.peer, DicomPeer)
    assert both.dicom.echo() > 0
