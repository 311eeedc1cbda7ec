"""The DICOM JSON Model in all the ways that values are missing or odd: what is known stays, nothing else breaks."""

import json
from datetime import date, time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from priorline.archives.dicomweb_rows import JsonRow, read_rows
from priorline.archives.translate import series_answer, study_answer
from priorline.domain.patient import Identifier
from priorline.domain.study import ProcedureCode, StudyAnswer
from web_hospital import STUDY, attribute, study_row


def answer(row: dict[str, Any]) -> StudyAnswer | None:
    (read,) = read_rows(json.dumps([row]).encode())
    assert read is not None
    return study_answer(read, "West", "ISSUER")


def test_a_whole_row() -> None:
    row = study_row(
        StudyTime="101500.25",
        AccessionNumber="A1",
        PatientBirthDate="19610405",
        PatientSex="m",
        NumberOfStudyRelatedSeries=2,
        NumberOfStudyRelatedInstances="120",
        InstanceAvailability="ONLINE",
        OtherPatientIDsSequence=attribute("PatientID", "77") | attribute("IssuerOfPatientID", "OTHER"),
        ProcedureCodeSequence=attribute("CodeValue", "X") | attribute("CodingSchemeDesignator", "99L"),
    ) | attribute("ModalitiesInStudy", "CT", "SR")
    found = answer(row)
    assert found is not None
    assert found.patient.identifier == Identifier("PL-0042", "ISSUER")
    assert (found.patient.name, found.patient.birth_date, found.patient.sex) == ("Jansen^Piet", date(1961, 4, 5), "M")
    assert found.patient.other_ids == (Identifier("77", "OTHER"),)
    assert (found.study_date, found.study_time) == (date(2019, 1, 31), time(10, 15))
    assert (found.series, found.images, found.modalities) == (2, 120, ("CT", "SR"))
    assert found.procedure_codes == (ProcedureCode("X", "99L"),)
    assert (found.description, found.accession, found.availability) == ("CT thorax", "A1", "ONLINE")
    assert not found.doubtful_text


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"vr": "LO"},
        {"vr": "LO", "Value": None},
        {"vr": "LO", "Value": []},
        {"vr": "LO", "Value": [None]},
        {"vr": "LO", "Value": [{}]},
        {"vr": "LO", "Value": [[["x"]]]},
        {"vr": "LO", "Value": [True]},
        {"vr": "LO", "Value": [10**40]},
        {"vr": "LO", "Value": {"x": 1}},
        {"vr": "LO", "BulkDataURI": "http://elsewhere.example/x"},
        {"vr": "LO", "InlineBinary": "AAAA"},
        {"Value": ["\x00\x1b"]},
        None,
        "text",
        7,
        [],
    ],
)
def test_an_odd_value_is_an_absent_one(odd: Any) -> None:
    tags = ("00100010", "00080020", "00080030", "00080061", "00201208", "00081030", "00101002", "00081032")
    found = answer(study_row() | dict.fromkeys(tags, odd))
    assert found is not None
    assert found.study_uid == STUDY
    assert (found.patient.name, found.study_date, found.images) == ("", None, None)
    assert (found.modalities, found.description) == ((), "")
    assert (found.patient.other_ids, found.procedure_codes) == ((), ())


@pytest.mark.parametrize(
    ("keyword", "value", "expected"),
    [
        ("NumberOfStudyRelatedInstances", 12.0, 12),
        ("NumberOfStudyRelatedInstances", "12 ", 12),
        ("NumberOfStudyRelatedInstances", 12.5, None),
        ("NumberOfStudyRelatedInstances", -1, None),
        ("NumberOfStudyRelatedInstances", "many", None),
    ],
)
def test_a_count_may_be_a_number_or_a_text(keyword: str, value: Any, expected: int | None) -> None:
    found = answer(study_row() | attribute(keyword, value))
    assert found is not None
    assert found.images == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}], "Yamada^Tarou=山田^太郎"),
        ([{"Ideographic": "山田^太郎"}], "=山田^太郎"),
        ([{"Alphabetic": None, "Phonetic": {"x": 1}}], ""),
        ([{"Alphabetic": "Müller^Anna\u202e\n"}], "Müller^Anna"),
        (["Jansen^Piet"], "Jansen^Piet"),
        ("Jansen^Piet", "Jansen^Piet"),
    ],
)
def test_a_name_in_its_groups_or_as_plain_text(value: Any, expected: str) -> None:
    found = answer(study_row() | {"00100010": {"vr": "PN", "Value": value}})
    assert found is not None
    assert found.patient.name == expected


def test_tags_may_be_in_lower_case_and_others_are_ignored() -> None:
    row = {key.lower(): value for key, value in study_row().items()}
    found = answer(row | {"PatientName": {"vr": "PN", "Value": ["X"]}, "zzzzzzzz": {}, "": {}})
    assert found is not None
    assert (found.study_uid, found.patient.name) == (STUDY, "Jansen^Piet")


@pytest.mark.parametrize("uid", ["../../etc", "C:\\x", "1.2\0.3", "1.2.3/../..", "CON", "1" * 65, "\u202e1.2.3"])
def test_a_hostile_uid_makes_no_row(uid: str) -> None:
    assert answer(study_row(uid)) is None


def test_a_declared_character_set_does_not_count() -> None:
    found = answer(study_row() | attribute("SpecificCharacterSet", "ISO_IR 100") | attribute("StudyDescription", "é"))
    assert found is not None
    assert (found.description, found.doubtful_text) == ("é", False)


def test_text_that_is_not_utf_8_is_read_and_marked() -> None:
    rows = read_rows(json.dumps([study_row()], ensure_ascii=False).replace("Jansen", "Müller").encode("latin-1"))
    found = rows[0] and study_answer(rows[0], "West", "")
    assert found is not None
    assert (found.patient.name, found.doubtful_text) == ("Müller^Piet", True)


def test_one_bad_row_costs_one_row() -> None:
    rows = read_rows(json.dumps([study_row(), 7, None, "x", [1], {"a" * (1 << 20): 1}, study_row()]).encode())
    assert [row is not None for row in rows] == [True, False, False, False, False, False, True]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
tags = st.sampled_from([*study_row(), *attribute("OtherPatientIDsSequence"), *attribute("ProcedureCodeSequence")])
members = st.fixed_dictionaries({}, optional={"vr": json_values, "Value": json_values | st.lists(json_values)})


@settings(max_examples=300)
@given(st.dictionaries(tags | st.text(max_size=8), members | json_values))
def test_any_json_makes_a_row_or_none(row: dict[str, Any]) -> None:
    for read in read_rows(json.dumps([row]).encode()):
        assert isinstance(read, JsonRow)
        study_answer(read, "West", "")
        series_answer(read)


@settings(max_examples=300)
@given(st.binary() | st.text(alphabet='[]{}",:0123456789eE.\\u\u00e9 ').map(str.encode))
def test_any_bytes_are_rows_or_a_value_error(body: bytes) -> None:
    try:
        rows = read_rows(body)
    except ValueError:
        return
    assert all(row is None or isinstance(row, JsonRow) for row in rows)
