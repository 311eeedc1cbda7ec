"""Other Patient IDs in rows: a sequence in every encoding that hospitals send; what is wrong in it is left out."""

import struct
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from priorline.archives.dicom_find import STUDY_KEYS, identifier_of, is_of_number
from priorline.archives.translate import OTHER_IDS_MAX, read_row, study_answer
from priorline.domain.patient import Identifier, Patient

BSN = Identifier("999990007", "NLMINBIZA")
SYNTAXES = [ImplicitVRLittleEndian, ExplicitVRLittleEndian]


def item(number: str, issuer: str) -> Dataset:
    one = Dataset()
    one.PatientID, one.IssuerOfPatientID = number, issuer
    one.TypeOfPatientID = "TEXT"
    # A sequence within the item, as real ones have it.
    qualifier = Dataset()
    qualifier.UniversalEntityID, qualifier.UniversalEntityIDType = "1.2.3", "ISO"
    one.IssuerOfPatientIDQualifiersSequence = [qualifier]
    return one


def encoded(items: list[Dataset], syntax: UID, *, undefined: bool) -> bytes:
    row = Dataset()
    row.SpecificCharacterSet = "ISO_IR 100"
    row.PatientName, row.PatientID, row.IssuerOfPatientID = "Jansen^Piet", "A-77", "RIVIERLAND"
    row.OtherPatientIDsSequence = items
    row.StudyInstanceUID = "1.2.3.4"
    row["OtherPatientIDsSequence"].is_undefined_length = undefined
    for one in items:
        one.is_undefined_length_sequence_item = undefined
        one["IssuerOfPatientIDQualifiersSequence"].is_undefined_length = undefined
    file = DicomBytesIO()
    file.is_little_endian, file.is_implicit_VR = True, syntax.is_implicit_VR
    write_dataset(file, row)
    return file.getvalue()


def patient_of(data: bytes, syntax: UID) -> Patient | None:
    row = read_row(BytesIO(data), syntax)
    answer = None if row is None else study_answer(row, "North", "RIVIERLAND")
    return None if answer is None else answer.patient


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("undefined", [False, True])
def test_further_numbers_with_their_issuers_come_along(syntax: UID, undefined: bool) -> None:
    data = encoded([item("999990007", "NLMINBIZA"), item("Zürich-5", "ZÜRICH")], syntax, undefined=undefined)
    patient = patient_of(data, syntax)
    assert patient is not None
    assert patient.identifier == Identifier("A-77", "RIVIERLAND")
    assert patient.other_ids == (BSN, Identifier("Zürich-5", "ZÜRICH"))


def test_numbers_without_issuer_empty_ones_and_repeated_ones_are_left_out() -> None:
    items = [item("5", ""), item("", "RIVIERLAND"), item("999990007", "NLMINBIZA"), item("999990007", "NLMINBIZA")]
    patient = patient_of(encoded(items, SYNTAXES[0], undefined=False), SYNTAXES[0])
    assert patient is not None
    assert patient.other_ids == (BSN,)


def test_no_more_than_a_handful_is_read() -> None:
    data = encoded([item(str(number), "X") for number in range(500)], SYNTAXES[0], undefined=False)
    patient = patient_of(data, SYNTAXES[0])
    assert patient is not None
    assert len(patient.other_ids) == OTHER_IDS_MAX


@pytest.mark.parametrize(
    "content", [b"", b"\0", b"\xfe\xff\x00\xe0\xff\xff\xff\x7f", b"999990007\\5", b"\xfe\xff\x00\xe0"]
)
def test_a_damaged_sequence_costs_its_numbers_only(content: bytes) -> None:
    elements = ((0x00100020, b"A-77"), (0x00101002, content), (0x0020000D, b"1.2.3.4 "))
    data = b"".join(struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value)) + value for tag, value in elements)
    patient = patient_of(data, SYNTAXES[0])
    assert patient is not None
    assert (patient.identifier.value, patient.other_ids) == ("A-77", ())


WHOLE = {syntax: encoded([item("1", "A"), item("2", "B")], syntax, undefined=True) for syntax in SYNTAXES}


@given(st.sampled_from(SYNTAXES), st.integers(0, 500), st.integers(0, 500), st.binary(max_size=6))
def test_damage_anywhere_is_a_row_or_none_and_never_an_error(syntax: UID, at: int, cut: int, put: bytes) -> None:
    whole = WHOLE[syntax]
    patient_of(whole[: at % len(whole)] + put + whole[at % len(whole) + len(put) :], syntax)
    patient_of(whole[: cut % len(whole)], syntax)


def test_the_question_asks_for_further_numbers_without_matching_on_them() -> None:
    (asked,) = identifier_of("STUDY", STUDY_KEYS, PatientID="A-77").OtherPatientIDsSequence
    assert [(element.keyword, element.value) for element in asked] == [
        ("PatientID", None),
        ("IssuerOfPatientID", None),
    ]


@pytest.mark.parametrize(
    ("found", "asked"),
    [
        (Patient(Identifier("999990007")), True),
        (Patient(Identifier("A-77", "B"), other_ids=(BSN,)), True),
        (Patient(Identifier("A-77", "B"), other_ids=(Identifier("999990007", "C"),)), False),
        (Patient(Identifier("A-77", "B")), False),
        (Patient(Identifier("9999900070", "NLMINBIZA")), False),
    ],
)
def test_a_row_is_kept_where_the_number_asked_for_is_among_its_own(found: Patient, asked: bool) -> None:
    assert is_of_number(found, BSN) is asked


def test_a_bare_number_is_not_looked_for_among_further_numbers() -> None:
    found = Patient(Identifier("A-77", "B"), other_ids=(BSN,))
    assert not is_of_number(found, Identifier(BSN.value))
