"""Under which number a hospital is asked, and that none is asked in clear that was to be asked encrypted."""

import json
from pathlib import Path
from typing import Any

import pytest

from priorline import config
from priorline.archives.dicom import DicomArchive
from priorline.config import HospitalSettings, Settings, Tls
from priorline.domain.patient import Identifier, Patient
from priorline.work.hospitals import Hospital, build_hospitals

OURS = Patient(Identifier("12345", "NLMINBIZA"), "JANSEN^Piet")


def known(table: dict[str, str], issuer: str = "A-ISSUER") -> Hospital:
    made = HospitalSettings(
        name="A", ae_title="A", host="127.0.0.1", port=1, patient_id=table, patient_id_issuer=issuer
    )
    return build_hospitals(Settings(hospital=(made,)))[0]


@pytest.mark.parametrize(
    ("table", "asked"),
    [
        ({"12345": "A-77"}, Identifier("A-77", "A-ISSUER")),
        ({"12345^^^NLMINBIZA": "A-78"}, Identifier("A-78", "A-ISSUER")),
        ({"12345": "A-77", "12345^^^NLMINBIZA": "A-78"}, Identifier("A-78", "A-ISSUER")),
        ({"12345^^^ELSEWHERE": "A-79", "999": "A-80"}, None),
        ({}, None),
    ],
)
def test_its_own_number_is_looked_up_with_the_issuer_of_ours(table: dict[str, str], asked: Identifier | None) -> None:
    found = known(table).asked_as(OURS)
    assert (found.identifier if found else None) == asked


@pytest.mark.parametrize(
    ("theirs", "ours", "is_asked"),
    [
        ("NLMINBIZA", "NLMINBIZA", True),
        ("OTHER", "NLMINBIZA", False),
        ("", "NLMINBIZA", True),
        ("OTHER", "", True),
    ],
)
def test_our_number_is_asked_only_where_it_may_mean_the_same(theirs: str, ours: str, is_asked: bool) -> None:
    patient = Patient(Identifier("12345", ours), "JANSEN^Piet")
    assert known({}, theirs).asked_as(patient) == (patient if is_asked else None)


def test_a_lookup_other_than_the_configuration_can_stand_at_the_door() -> None:
    class Register:
        def number_at(self, hospital: HospitalSettings, patient: Patient) -> Identifier | None:
            return Identifier(f"{hospital.name}-{patient.identifier.value}", "REGISTER")

    found = Hospital(known({}).settings, None, numbers=Register()).asked_as(OURS)
    assert found is not None
    assert (found.identifier, found.name) == (Identifier("A-12345", "REGISTER"), OURS.name)


# --- encryption


def test_tls_that_cannot_be_set_up_is_no_reason_to_speak_in_clear_and_the_others_go_on(tmp_path: Path) -> None:
    empty = tmp_path / "ca.pem"
    empty.touch()
    text = f"""
        [[hospital]]
        name = "A"
        ae_title = "A"
        host = "127.0.0.1"
        port = 1
        tls = {{ ca = {json.dumps(str(empty))} }}
        [[hospital]]
        name = "B"
        ae_title = "B"
        host = "127.0.0.1"
        port = 1
    """
    first, second = build_hospitals(config.parse(text, "file"))
    assert (first.archive, first.encrypted) == (None, True)
    assert first.why_not == f"tls.ca: {empty} is empty."
    assert (second.archive is not None, second.encrypted, second.why_not) == (True, False, "")


@pytest.mark.parametrize("key", ["ca", "certificate", "key", "crl", "pins"])
def test_each_key_of_tls_alone_keeps_a_hospital_from_clear_text(key: str) -> None:
    value: Any = ("sha256//" + "A" * 43 + "=",) if key == "pins" else "nowhere.pem"
    made = HospitalSettings(name="A", ae_title="A", host="127.0.0.1", port=1, tls=Tls(**{key: value}))
    (hospital,) = build_hospitals(Settings(hospital=(made,)))
    assert hospital.encrypted
    assert isinstance(hospital.archive, DicomArchive) == (key == "pins")
    assert not isinstance(hospital.archive, DicomArchive) or hospital.archive.peer.tls is not None


@pytest.mark.parametrize(
    ("settings", "is_encrypted"),
    [
        ({"protocol": "dicomweb", "url": "https://a.example"}, True),
        ({"protocol": "dicomweb", "url": "http://a.example"}, False),
        ({"protocol": "folder", "directory": "x", "tls": Tls(ca="x")}, False),
    ],
)
def test_what_is_encrypted_follows_from_the_settings(settings: dict[str, Any], is_encrypted: bool) -> None:
    assert HospitalSettings(name="A", **settings).encrypted == is_encrypted
