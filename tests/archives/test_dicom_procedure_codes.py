"""Procedure codes in rows: they are asked for with all their keys, and read item by item."""

from io import BytesIO

import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from priorline.archives.dicom_find import STUDY_KEYS, identifier_of
from priorline.archives.translate import CODES_MAX, read_row, study_answer
from priorline.domain.study import ProcedureCode


def item(value: str, scheme: str, meaning: str) -> Dataset:
    one = Dataset()
    one.CodeValue, one.CodingSchemeDesignator, one.CodeMeaning = value, scheme, meaning
    return one


def codes_of(items: list[Dataset], syntax: UID = ExplicitVRLittleEndian) -> tuple[ProcedureCode, ...]:
    row = Dataset()
    row.SpecificCharacterSet, row.StudyInstanceUID, row.PatientID = "ISO_IR 100", "1.2.3", "A-77"
    row.ProcedureCodeSequence = items
    file = DicomBytesIO()
    file.is_little_endian, file.is_implicit_VR = True, syntax.is_implicit_VR
    write_dataset(file, row)
    read = read_row(BytesIO(file.getvalue()), syntax)
    answer = None if read is None else study_answer(read, "North", "")
    assert answer is not None
    return answer.procedure_codes


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_codes_come_with_scheme_and_meaning(syntax: UID) -> None:
    items = [item("RPID16", "RADLEX", "CT Chest wo"), item("TH1", "99NOORD", "Röntgen Thorax")]
    found = codes_of(items, syntax)
    assert found == (
        ProcedureCode("RPID16", "RADLEX", "CT Chest wo"),
        ProcedureCode("TH1", "99NOORD", "Röntgen Thorax"),
    )


def test_a_code_without_value_or_scheme_says_nothing_and_none_counts_twice() -> None:
    once = item("1", "LN", "x")
    assert codes_of([item("", "LN", "x"), item("1", "", "x"), once, once]) == (ProcedureCode("1", "LN", "x"),)
    assert codes_of([]) == ()


def test_no_more_codes_are_taken_than_a_study_can_have() -> None:
    assert len(codes_of([item(str(number), "LN", "") for number in range(100)])) == CODES_MAX


def test_codes_are_asked_for_with_empty_keys() -> None:
    (asked,) = identifier_of("STUDY", STUDY_KEYS, PatientID="A-77").ProcedureCodeSequence
    assert {element.keyword for element in asked} == {"CodeValue", "CodingSchemeDesignator", "CodeMeaning"}
    assert all(element.is_empty for element in asked)
