"""The door against real archives: Orthanc and dcmqrscp."""

import logging
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import FileDataset

import peers
from listings import instances_of, listing_of
from peers import nothing_left_running  # noqa: F401 - a fixture for every test here
from priorline.archives.base import DicomPeer, part10_head
from priorline.archives.dicom import DicomArchive
from priorline.archives.incoming import Received, whole
from priorline.domain.fetch_order import Batch
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import FirstListed, StudyAnswer, StudyListing
from priorline.errors import ArchiveRefused, ArchiveUnreachable, CacheFull, UsageError

STUDY, SERIES = "1.2.826.0.1.3680043.8.498.1", "1.2.826.0.1.3680043.8.498.2"
PATIENT = Patient(Identifier("PL-0042"))
COMPRESSED_STUDY = "1.2.826.0.1.3680043.8.498.3"
CT_SLICES = 6


def relabelled(name: str, study: str, series: str, number: int) -> FileDataset:
    dataset = dcmread(get_testdata_file(name))
    dataset.PatientID, dataset.PatientName = "PL-0042", "Müller^Anna"
    dataset.pop("DataSetTrailingPadding", None)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientBirthDate, dataset.StudyDate = "19650228", "20190131"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{series}.{number}"
    return dataset


def samples(folder: Path) -> dict[str, Path]:
    """SOP Instance UID to file: a study of CT and MR, and a compressed study."""
    made = [relabelled("CT_small.dcm", STUDY, SERIES, number) for number in range(1, CT_SLICES + 1)]
    made.append(relabelled("MR_small.dcm", STUDY, SERIES + ".9", 1))
    made.append(relabelled("MR_small_RLE.dcm", COMPRESSED_STUDY, COMPRESSED_STUDY + ".1", 1))
    made.append(relabelled("JPEG2000.dcm", COMPRESSED_STUDY, COMPRESSED_STUDY + ".2", 1))
    files: dict[str, Path] = {}
    for number, dataset in enumerate(made):
        files[str(dataset.SOPInstanceUID)] = file = folder / f"{number}.dcm"
        dataset.save_as(file)
    return files


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return samples(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory, files: dict[str, Path]) -> Iterator[DicomPeer]:
    with peers.orthanc(tmp_path_factory.mktemp("orthanc")) as peer:
        peers.store(peer, list(files.values()))
        yield peer


@pytest.fixture(scope="module")
def dcmqrscp(tmp_path_factory: pytest.TempPathFactory, files: dict[str, Path]) -> Iterator[DicomPeer]:
    with peers.dcmqrscp(tmp_path_factory.mktemp("dcmqrscp")) as peer:
        peers.store(peer, [file for uid, file in files.items() if not uid.startswith(COMPRESSED_STUDY)])
        yield peer


@pytest.fixture(scope="module", params=["orthanc", "dcmqrscp"])
def peer(request: pytest.FixtureRequest) -> DicomPeer:
    found: DicomPeer = request.getfixturevalue(request.param)
    return found


def find(peer: DicomPeer, patient: Patient = PATIENT) -> list[StudyAnswer]:
    rows: list[StudyAnswer] = []
    DicomArchive(peer).find_studies(patient, rows.extend, lambda: False)
    return rows


def test_echo_takes_some_time(peer: DicomPeer) -> None:
    assert DicomArchive(peer).echo() > 0


def test_studies_of_the_patient_are_found(peer: DicomPeer) -> None:
    studies = {answer.study_uid: answer for answer in find(peer)}
    answer = studies[STUDY]
    assert answer.hospital == "Hospital North"
    assert answer.patient.identifier.value == "PL-0042"
    assert answer.study_date is not None
    assert answer.study_date.isoformat() == "2019-01-31"
    assert answer.patient.name == "Müller^Anna"


def test_orthanc_tells_modalities_and_counts(orthanc: DicomPeer) -> None:
    answer = next(answer for answer in find(orthanc) if answer.study_uid == STUDY)
    assert set(answer.modalities) == {"CT", "MR"}
    assert (answer.series, answer.images) == (2, CT_SLICES + 1)


def test_nobody_else_is_found(peer: DicomPeer) -> None:
    assert find(peer, Patient(Identifier("PL-004"))) == []


@pytest.mark.parametrize("value", ["*", "PL-004?", "PL-0042\\PL-0043", "", " ", "a\r\nb", "9" * 65])
def test_a_number_that_is_a_pattern_is_refused_before_anything_is_sent(value: str) -> None:
    nobody = peers.peer(1)
    with pytest.raises(UsageError):
        find(nobody, Patient(Identifier(value)))


def test_one_study_is_found_by_its_uid(peer: DicomPeer) -> None:
    answer = DicomArchive(peer).find_study(STUDY)
    assert answer is not None
    assert answer.study_uid == STUDY
    assert DicomArchive(peer).find_study("1.2.3") is None


def test_series_and_instances_are_listed(peer: DicomPeer, files: dict[str, Path]) -> None:
    archive = DicomArchive(peer)
    series = {answer.series_uid: answer for answer in listing_of(archive, STUDY).series}
    assert {answer.modality for answer in series.values()} == {"CT", "MR"}
    listed = listing_of(archive, STUDY).instances
    assert listed is not None
    assert listed.keys() == series.keys()
    assert {uid for uids in listed.values() for uid in uids} == {u for u in files if u.startswith(SERIES)}


def test_what_comes_back_is_what_was_stored(peer: DicomPeer, files: dict[str, Path]) -> None:
    got: list[Received] = []
    summary = DicomArchive(peer).retrieve(STUDY, None, (), whole(got.append), lambda: False)
    assert (summary.received, summary.completed, summary.failed) == (CT_SLICES + 1, CT_SLICES + 1, 0)
    assert {received.sop_instance_uid for received in got} == {u for u in files if u.startswith(SERIES)}
    for received in got:
        assert_same(received, files[received.sop_instance_uid])


def test_instances_come_by_name_on_one_association(peer: DicomPeer, files: dict[str, Path]) -> None:
    archive, got = DicomArchive(peer), list[Received]()
    series, uids = max(instances_of(archive, STUDY).items(), key=lambda listed: len(listed[1]))
    asked = [Batch(series, (uids[-1], uids[0])), Batch(series, (uids[1],)), None]
    left = iter(asked)
    summary = archive.retrieve_listed(STUDY, lambda: next(left), (), whole(got.append), lambda: False)
    assert summary is not None
    assert (summary.received, summary.status, summary.failed) == (3, 0, 0)
    assert {one.sop_instance_uid for one in got[:2]} == {uids[-1], uids[0]}
    assert got[2].sop_instance_uid == uids[1]
    for received in got:
        assert_same(received, files[received.sop_instance_uid])


def test_instances_are_listed_in_the_order_of_their_numbers(peer: DicomPeer, files: dict[str, Path]) -> None:
    for uids in instances_of(DicomArchive(peer), STUDY).values():
        numbers = [int(dcmread(files[uid]).InstanceNumber) for uid in uids]
        assert numbers == sorted(numbers)


def test_names_that_are_not_there_bring_nothing_and_say_nothing_of_the_others(peer: DicomPeer) -> None:
    archive = DicomArchive(peer)
    left = iter([Batch(SERIES + ".9", ("1.2.3.1", "1.2.3.2")), None])
    summary = archive.retrieve_listed(STUDY, lambda: next(left), (), whole(lambda _one: None), lambda: False)
    assert summary is not None
    assert summary.received == 0
    assert archive.by_name is archive


def test_the_first_instance_is_told_once_and_is_one_that_is_listed(peer: DicomPeer) -> None:
    told: list[FirstListed] = []
    listing = DicomArchive(peer).list_study(STUDY, told.append, lambda: False)
    (first,) = told
    assert first.sop_uid in (listing.instances or {})[first.series_uid]
    assert first.sop_classes <= listing.sop_classes


def test_a_listing_that_is_cancelled_is_empty(peer: DicomPeer) -> None:
    assert DicomArchive(peer).list_study(STUDY, lambda _first: None, lambda: True) == StudyListing(is_cut=True)


def assert_same(received: Received, file: Path) -> None:
    whole = part10_head(received, "ARCHIVE") + received.dataset
    assert whole.endswith(received.dataset)
    assert whole[:132] == bytes(128) + b"DICM"
    ours, stored = dcmread(BytesIO(whole)), dcmread(file)
    assert ours == stored
    meta = ours.file_meta
    assert meta.FileMetaInformationGroupLength == len(whole) - len(received.dataset) - 144
    assert meta.MediaStorageSOPInstanceUID == stored.SOPInstanceUID
    assert meta.MediaStorageSOPClassUID == stored.SOPClassUID
    assert meta.SourceApplicationEntityTitle == "ARCHIVE"


def test_one_series_can_be_fetched(peer: DicomPeer) -> None:
    got: list[Received] = []
    DicomArchive(peer).retrieve(STUDY, SERIES + ".9", (), whole(got.append), lambda: False)
    assert [received.sop_instance_uid for received in got] == [SERIES + ".9.1"]


def test_compressed_instances_come_as_they_are_stored(orthanc: DicomPeer, files: dict[str, Path]) -> None:
    got: list[Received] = []
    archive = DicomArchive(orthanc)
    classes = listing_of(archive, COMPRESSED_STUDY).sop_classes
    archive.retrieve(COMPRESSED_STUDY, None, classes, whole(got.append), lambda: False)
    syntaxes = {received.sop_instance_uid: received.transfer_syntax for received in got}
    assert syntaxes == {
        COMPRESSED_STUDY + ".1.1": "1.2.840.10008.1.2.5",
        COMPRESSED_STUDY + ".2.1": "1.2.840.10008.1.2.4.91",
    }
    for received in got:
        assert dcmread(files[received.sop_instance_uid]).PixelData in received.dataset + b"\0"


def test_an_error_of_the_receiver_ends_the_retrieval_and_comes_through(peer: DicomPeer) -> None:
    got: list[Received] = []

    def full(received: Received) -> None:
        got.append(received)
        if len(got) == 2:
            raise CacheFull("no room")

    with pytest.raises(CacheFull):
        DicomArchive(peer).retrieve(STUDY, None, (), whole(full), lambda: False)
    assert len(got) == 2


def test_cancelling_ends_the_retrieval(peer: DicomPeer) -> None:
    got: list[Received] = []
    summary = DicomArchive(peer).retrieve(STUDY, None, (), whole(got.append), lambda: len(got) >= 2)
    assert summary.cancelled
    assert len(got) < CT_SLICES


def test_a_stopped_archive_is_unreachable(tmp_path: Path) -> None:
    with peers.orthanc(tmp_path) as peer:
        assert DicomArchive(peer).echo() > 0
    with pytest.raises(ArchiveUnreachable, match="cannot be reached"):
        DicomArchive(peer).echo()


def test_an_unknown_host_is_unreachable() -> None:
    with pytest.raises(ArchiveUnreachable, match="unknown"):
        DicomArchive(peers.peer(104, host="no-such-host.invalid")).echo()


def test_an_archive_that_does_not_know_us_says_so(tmp_path: Path) -> None:
    with (
        peers.orthanc(tmp_path, DicomCheckCalledAet=True) as peer,
        pytest.raises(ArchiveRefused, match="AE title"),
    ):
        DicomArchive(peers.peer(peer.port, ae_title="ELSEWHERE")).echo()


def test_nothing_that_names_the_patient_is_logged(
    dcmqrscp: DicomPeer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Stock pynetdicom prints queries and answers at INFO; here not even DEBUG may name anybody."""
    caplog.set_level(logging.DEBUG)
    received: list[Received] = []
    archive = DicomArchive(dcmqrscp)
    assert find(dcmqrscp)
    listing_of(archive, STUDY)
    archive.retrieve(STUDY, None, (), whole(received.append), lambda: False)
    assert received
    told = caplog.text + "".join(capfd.readouterr())
    for canary in ("PL-0042", "Müller", "Anna", "19650228", STUDY):
        assert canary not in told
