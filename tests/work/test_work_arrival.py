"""What arrives is compared with what was asked for."""

import dataclasses
from datetime import date
from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import StudyAnswer
from priorline.imaging.instance import InstanceHeader
from priorline.imaging.read import read_header
from priorline.work.arrival import difference

STUDY = "1.2.826.0.1.3680043.8.498.1"
WHO = Patient(Identifier("PL-0042"), "Jansen^Piet", date(1961, 4, 5), "M")


def arrived(**tags: str) -> InstanceHeader:
    """The header of an image of the patient, with some tags changed."""
    dataset = dcmread(get_testdata_file("CT_small.dcm"))
    values = {
        "PatientID": "PL-0042",
        "PatientName": "Jansen^Piet",
        "PatientBirthDate": "19610405",
        "PatientSex": "M",
        "StudyInstanceUID": STUDY,
        **tags,
    }
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    file = BytesIO()
    dataset.save_as(file)
    return read_header(file.getvalue())


def judged(header: InstanceHeader, row: Patient = WHO) -> str:
    """The verdict where the hospital announced just this object."""
    return difference(StudyAnswer("North", STUDY, row), header.sop_uid, header.sop_class, header)


def test_what_was_asked_for_is_no_difference() -> None:
    assert judged(arrived()) == ""


def test_another_study_is_a_difference() -> None:
    assert "another study" in judged(arrived(StudyInstanceUID=STUDY + ".1"))


def test_an_object_under_another_number_than_announced_is_a_difference() -> None:
    header = arrived()
    study = StudyAnswer("North", STUDY, WHO)
    assert "announced" in difference(study, header.sop_uid + "1", header.sop_class, header)
    assert "announced" in difference(study, header.sop_uid, "1.2.840.10008.5.1.4.1.1.4", header)


@pytest.mark.parametrize(
    ("tags", "word"),
    [
        ({"PatientID": "PL-0043"}, "number"),
        ({"PatientID": ""}, "number"),
        ({"PatientName": "Vries^Els de"}, "name"),
        ({"PatientBirthDate": "19610406"}, "birth date"),
        ({"PatientSex": "F"}, "sex"),
    ],
)
def test_another_patient_is_a_difference_and_says_in_what(tags: dict[str, str], word: str) -> None:
    verdict = judged(arrived(**tags))
    assert "another patient" in verdict
    assert word in verdict


@pytest.mark.parametrize(
    ("row_issuer", "object_issuer"), [("", ""), ("HOSP-A", ""), ("", "HOSP-A"), ("HOSP-A", "HOSP-A")]
)
def test_an_issuer_that_only_one_of_them_names_is_no_difference(row_issuer: str, object_issuer: str) -> None:
    tags = {"IssuerOfPatientID": object_issuer} if object_issuer else {}
    row = dataclasses.replace(WHO, identifier=Identifier("PL-0042", row_issuer))
    assert judged(arrived(**tags), row) == ""


def test_two_issuers_are_two_persons() -> None:
    row = dataclasses.replace(WHO, identifier=Identifier("PL-0042", "HOSP-A"))
    assert "another patient" in judged(arrived(IssuerOfPatientID="HOSP-B"), row)


@pytest.mark.parametrize(
    "tags",
    [
        {"PatientName": ""},
        {"PatientName": "JANSEN^PIET"},
        {"PatientName": "Jansen^Piet^^^"},
        {"PatientBirthDate": ""},
        {"PatientSex": ""},
        {"PatientSex": "O"},
    ],
    ids=str,
)
def test_what_is_left_out_or_written_otherwise_is_no_difference(tags: dict[str, str]) -> None:
    assert judged(arrived(**tags)) == ""


def test_the_verdict_names_nobody() -> None:
    verdicts = [judged(arrived(PatientID="PL-0099")), judged(arrived(PatientName="Vries^Els"))]
    for secret in ("PL-0042", "PL-0099", "Jansen", "Vries", STUDY):
        assert not any(secret in verdict for verdict in verdicts)
