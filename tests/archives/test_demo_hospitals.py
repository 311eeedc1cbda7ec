"""The demo hospitals as a real peer sees them, over loopback."""

import io
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt

import priorline
from priorline.archives.demo import story
from priorline.archives.demo.answers import find, wanted
from priorline.archives.demo.hospitals import DemoHospitals, RunningHospital
from priorline.archives.demo.objects import SOP_CLASSES, image

ECHO, FIND, GET = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.1.2.2.3"
TODAY = date(2026, 11, 24)


def flat(spec: story.ImageSpec) -> np.ndarray:
    return np.full((8, 8), spec.number, np.int16)


def query(level: str, **keys: Any) -> Dataset:
    dataset = Dataset()
    dataset.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(dataset, keyword, value)
    return dataset


def hospital(name: str) -> story.HospitalStory:
    return next(one for one in story.hospitals(TODAY) if one.name == name)


@pytest.fixture
def demo() -> Iterator[DemoHospitals]:
    chosen = [hospital("St. Elisabeth"), hospital("De Heuvel")]
    with DemoHospitals(flat, chosen) as running:
        yield running


def associate(where: RunningHospital, **more: Any) -> Any:
    entity = AE("TEST")
    for model in (ECHO, FIND, GET, *SOP_CLASSES.values()):
        entity.add_requested_context(model)
    roles = [build_role(one, scp_role=True) for one in SOP_CLASSES.values()]
    return entity.associate(where.host, where.port, ae_title=where.ae_title, ext_neg=roles, **more)


def get(where: RunningHospital, asked: Dataset) -> tuple[list[Dataset], Dataset]:
    stored: list[Dataset] = []

    def keep(event: Any) -> int:
        received = event.dataset
        received.file_meta = event.file_meta
        stored.append(received)
        return 0x0000

    association = associate(where, evt_handlers=[(evt.EVT_C_STORE, keep)])
    assert association.is_established
    *_, (last, _) = association.send_c_get(asked, GET)
    association.release()
    return stored, last


def test_echo_find_and_get_with_right_counts(demo: DemoHospitals) -> None:
    here = demo.running[0]
    association = associate(here)
    assert association.send_c_echo().Status == 0x0000
    asked = query("STUDY", PatientID="999990007", StudyInstanceUID="", NumberOfStudyRelatedInstances="")
    rows = [row for status, row in association.send_c_find(asked, FIND) if status.Status == 0xFF00]
    association.release()
    assert len(rows) == 4
    current = story.current_study(TODAY)
    assert {row.StudyInstanceUID: row.NumberOfStudyRelatedInstances for row in rows}[current.study_uid] == 120

    stored, last = get(here, query("STUDY", StudyInstanceUID=current.study_uid))
    assert last.Status == 0x0000
    assert (last.NumberOfCompletedSuboperations, last.NumberOfFailedSuboperations) == (120, 0)
    assert [one.InstanceNumber for one in stored] == list(range(1, 121))
    assert stored[4].pixel_array[0, 0] == 5


def test_get_at_series_and_image_level(demo: DemoHospitals) -> None:
    study = story.HEAD_2024
    asked = query("SERIES", StudyInstanceUID=study.study_uid, SeriesInstanceUID=study.series_uid(0))
    assert len(get(demo.running[0], asked)[0]) == study.images
    asked.QueryRetrieveLevel = "IMAGE"
    asked.SOPInstanceUID = [study.sop_uid(0, 3), study.sop_uid(0, 1)]
    stored, _ = get(demo.running[0], asked)
    assert {one.SOPInstanceUID for one in stored} == {study.sop_uid(0, 1), study.sop_uid(0, 3)}


def test_unknown_study_is_no_failure(demo: DemoHospitals) -> None:
    stored, last = get(demo.running[0], query("STUDY", StudyInstanceUID="1.2.3"))
    assert stored == []
    assert last.Status == 0x0000


def test_wrong_level_is_refused(demo: DemoHospitals) -> None:
    association = associate(demo.running[0])
    statuses = [status.Status for status, _ in association.send_c_find(query("PATIENT", PatientID="1"), FIND)]
    association.release()
    assert statuses == [0xA900]


def test_a_hospital_that_is_down_refuses_connections(demo: DemoHospitals) -> None:
    down = demo.running[1]
    with pytest.raises(ConnectionError):
        socket.create_connection((down.host, down.port), timeout=10).close()


def test_leaving_ends_open_associations_and_a_slow_answer() -> None:
    before = set(threading.enumerate())
    slow = replace(hospital("Zuiderzee"), find_delay=3600.0)
    got: list[int] = []
    with DemoHospitals(flat, [slow]) as demo:
        association = associate(demo.running[0])
        responses = association.send_c_find(query("STUDY", PatientID="999990007"), FIND)
        waiting = threading.Thread(target=lambda: got.extend(s.get("Status", -1) for s, _ in responses))
        waiting.start()
        port = demo.running[0].port
    waiting.join(30)
    association.abort()
    association.join(30)
    assert 0xFF00 not in got
    assert not waiting.is_alive()
    assert {thread for thread in threading.enumerate() if thread.is_alive()} <= before
    with pytest.raises(ConnectionError):
        socket.create_connection(("127.0.0.1", port), timeout=10).close()


def find_uids(name: str, **keys: Any) -> list[str]:
    return [row.StudyInstanceUID for row in find(hospital(name), query("STUDY", **keys))]


def test_one_study_is_held_by_two_hospitals() -> None:
    both = set(find_uids("OLV Clinic", PatientID="999990007")) & set(find_uids("UMC West", PatientID="999990007"))
    assert both == {story.CHEST_2016.study_uid}


def test_the_namesake_has_the_same_number_and_is_told_by_issuer_and_birth_date() -> None:
    assert find_uids("Rivierland", PatientID="999990007", IssuerOfPatientID="NLMINBIZA")
    assert find_uids("Rivierland", PatientID="999990007", PatientBirthDate="19700314") == []
    row = next(
        find(hospital("Rivierland"), query("STUDY", IssuerOfPatientID="", PatientBirthDate="", PatientName=""))
    )
    assert (row.IssuerOfPatientID, row.PatientBirthDate) == ("RIVIERLAND", "19431102")
    assert row.PatientName == story.PATIENT.name


def test_every_other_hospital_respects_the_issuer() -> None:
    assert find_uids("OLV Clinic", PatientID="999990007", IssuerOfPatientID="RIVIERLAND") == []


@pytest.mark.parametrize(
    ("keys", "count"),
    [
        ({"StudyDate": "20190302"}, 1),
        ({"StudyDate": "20160101-20191231"}, 2),
        ({"StudyDate": "-20101231"}, 1),
        ({"PatientName": "jansen*"}, 5),
        ({"PatientName": "J?nsen^P*"}, 5),
        ({"PatientName": "JANSSEN*"}, 0),
        ({"ModalitiesInStudy": "US"}, 1),
        ({"ModalitiesInStudy": ["US", "DX"]}, 2),
        ({"StudyInstanceUID": [story.CHEST_2010.study_uid, story.CHEST_2019.study_uid, "1.2"]}, 2),
        ({"AccessionNumber": "OLV19-1182"}, 1),
        ({}, 5),
    ],
)
def test_matching(keys: dict[str, Any], count: int) -> None:
    assert len(find_uids("OLV Clinic", **keys)) == count


def test_series_and_image_rows() -> None:
    study = story.SPINE_2015
    asked = query("SERIES", StudyInstanceUID=study.study_uid, Modality="", NumberOfSeriesRelatedInstances="")
    (row,) = find(hospital("UMC West"), asked)
    assert (row.Modality, row.NumberOfSeriesRelatedInstances) == ("MR", study.images)
    asked = query("IMAGE", StudyInstanceUID=study.study_uid, SeriesInstanceUID=study.series_uid(0), SOPClassUID="")
    rows = list(find(hospital("UMC West"), asked))
    assert [one.SOPInstanceUID for one in rows] == [study.sop_uid(0, index) for index in range(study.images)]
    assert {one.SOPClassUID for one in rows} == {SOP_CLASSES["MR"]}


def test_a_retrieve_without_a_study_is_empty() -> None:
    assert wanted(hospital("UMC West"), query("STUDY")) == []


def test_uids_are_valid_stable_and_never_shared_by_mistake() -> None:
    uids = [
        study.sop_uid(number, index)
        for study in {study for one in story.hospitals(TODAY) for study in one.studies}
        for number, series in enumerate(study.series)
        for index in range(series.images)
    ]
    assert len(set(uids)) == len(uids)
    assert all(len(one) <= 64 and one.startswith("2.25.") for one in uids)
    assert story.CHEST_2019.study_uid == story.uid("chest-2019")
    assert story.current_study(TODAY).study_uid != story.current_study(date(2026, 11, 25)).study_uid


@pytest.mark.parametrize("modality", sorted(SOP_CLASSES))
def test_objects_survive_a_file_and_carry_the_patient(modality: str) -> None:
    where, study = next(
        (one, study)
        for one in story.hospitals(TODAY)
        for study in one.studies
        if study.series[0].modality == modality
    )
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    file = io.BytesIO()
    image(where, study, 0, 0, pixels).save_as(file, enforce_file_format=True)
    file.seek(0)
    back = dcmread(file)
    np.testing.assert_array_equal(back.pixel_array, pixels)
    assert (back.PatientID, back.IssuerOfPatientID) == ("999990007", "NLMINBIZA")
    assert (back.InstitutionName, back.SOPClassUID) == (where.name, SOP_CLASSES[modality])
    assert back.AccessionNumber == study.accession


def test_ct_geometry_runs_through_the_body() -> None:
    study, where = story.current_study(TODAY), hospital("St. Elisabeth")
    first, second = (image(where, study, 0, index, np.zeros((512, 512), np.int16)) for index in (0, 1))
    assert first.ImageOrientationPatient == [1, 0, 0, 0, 1, 0]
    assert first.ImagePositionPatient[2] - second.ImagePositionPatient[2] == pytest.approx(2.5)
    assert first.ImagePositionPatient[0] == pytest.approx(-511 / 2 * 0.7, abs=0.01)
    assert first.FrameOfReferenceUID == second.FrameOfReferenceUID


def test_the_process_says_where_and_ends_with_its_input() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(priorline.__file__).parent.parent)}
    with subprocess.Popen(
        [sys.executable, "-m", "priorline.work.demo"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        names = [one["name"] for one in said["hospitals"]]
        assert names == ["St. Elisabeth", "OLV Clinic", "UMC West", "Rivierland", "Zuiderzee", "De Heuvel"]
        west = next(one for one in said["hospitals"] if one["name"] == "UMC West")
        where = RunningHospital("UMC West", west["ae_title"], west["host"], west["port"], "")
        stored, _ = get(where, query("IMAGE", StudyInstanceUID=story.SPINE_2015.study_uid,
                                     SOPInstanceUID=story.SPINE_2015.sop_uid(0, 6)))  # fmt: skip
        assert stored[0].pixel_array.std() > 100, "a real picture, computed on the way"
        _, errors = process.communicate(b"", timeout=60)
    assert process.returncode == 0
    assert errors == b""
