"""Under which number a hospital is asked: its own where that is known, ours only where it uses the same issuer."""

import pytest

from priorline.config import HospitalSettings, Settings
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
