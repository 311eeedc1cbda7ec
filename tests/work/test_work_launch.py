"""What a launch asks for, through every door: options, JSON and priorline:// URLs."""

import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priorline.domain.patient import Identifier, Patient
from priorline.errors import UsageError
from priorline.work.launch import Launch, from_names, parse_date, parse_request

WHOLE = Launch(
    patient_id="999990007",
    issuer="NLMINBIZA",
    name="JANSEN^Piet^^van der",
    birth_date="19700314",
    sex="M",
    study="1.2.3",
    reason="trauma",
)
URL = (
    "priorline://open?requestType=STUDY&patientID=999990007%5E%5E%5ENLMINBIZA&patientName=JANSEN%5EPiet%5E%5Evan+der"
    "&patientBirthDate=19700314&sex=M&studyUID=1.2.3&mostRecentResults=1&accessionNumber=X1&reason=trauma"
)


@pytest.mark.parametrize(
    "request_text",
    [
        URL,
        URL.replace("priorline://open", "PRIORLINE:"),
        json.dumps(
            {
                "patient-id": "999990007",
                "issuer": "NLMINBIZA",
                "name": "JANSEN^Piet^^van der",
                "birth-date": "19700314",
                "sex": "m",
                "study": " 1.2.3 ",
                "reason": "trauma",
                "folder": None,
            }
        ),
        json.dumps(
            {
                "patientID": "999990007^^^NLMINBIZA&1.2.3&ISO",
                "patientName": "JANSEN^Piet^^van der",
                "birth_date": "19700314",
                "sex": "M",
                "studyUID": "1.2.3",
                "reason": "trauma",
                "keyImagesOnly": True,
                "modalitiesInStudy": ["CT"],
            }
        ),
    ],
)
def test_every_door_leads_to_the_same_launch(request_text: str) -> None:
    assert parse_request(request_text) == WHOLE


def test_options() -> None:
    assert Launch(patient_id=" 999990007^^^NLMINBIZA ", sex="m").checked() == Launch(
        patient_id="999990007", issuer="NLMINBIZA", sex="M"
    )


def test_the_patient_of_a_launch() -> None:
    assert WHOLE.patient() == Patient(
        Identifier("999990007", "NLMINBIZA"), "JANSEN^Piet^^van der", date(1970, 3, 14), "M"
    )
    assert Launch(study="1.2").patient() is None
    assert Launch(patient_id="  ").patient() is None


@pytest.mark.parametrize(
    ("number", "issuer", "identifier"),
    [
        ("1", "", Identifier("1")),
        ("1", "A", Identifier("1", "A")),
        ("1^^^A", "", Identifier("1", "A")),
        ("1^^^A", "A", Identifier("1", "A")),
        ("1^^^A&1.2.3&ISO", "", Identifier("1", "A")),
        ("1^^^&1.2.3&ISO", "", Identifier("1", "1.2.3")),
        ("1^^^&1.2.3&ISO^PI", "", Identifier("1", "1.2.3")),
        ("1^^^", "A", Identifier("1", "A")),
        ("1^", "", Identifier("1")),
    ],
)
def test_cx_identifiers(number: str, issuer: str, identifier: Identifier) -> None:
    patient = Launch(patient_id=number, issuer=issuer).checked().patient()
    assert patient is not None
    assert patient.identifier == identifier


@pytest.mark.parametrize(
    ("launch", "told"),
    [
        (Launch(), "No patient given"),
        (Launch(patient_id="   "), "No patient given"),
        (Launch(name="JANSEN^Piet"), "No patient given"),
        (Launch(patient_id="*"), r"no \*, \? or"),
        (Launch(patient_id="12?4"), r"no \*, \? or"),
        (Launch(patient_id="1\\2"), r"no \*, \? or"),
        (Launch(patient_id="1\n2"), "patient number has at most 64"),
        (Launch(patient_id="1" * 65), "patient number has at most 64"),
        (Launch(patient_id="1", issuer="A*"), "issuer has at most 64"),
        (Launch(patient_id="^^^A"), "patient number is empty"),
        (Launch(patient_id="1^^^A", issuer="B"), "another issuer"),
        (Launch(study="1.2.3*"), "Study Instance UID"),
        (Launch(study="1.2", compare="abc"), "Study Instance UID"),
        (Launch(study="1" * 65), "Study Instance UID"),
        (Launch(patient_id="1", sex="X"), "M, F or O"),
        (Launch(patient_id="1", birth_date="14-03-1970"), "YYYYMMDD"),
    ],
)
def test_what_is_refused(launch: Launch, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        launch.checked()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"patientID": "1", "patientNumber": "2"}', 'unknown name "patientNumber"; allowed are birth-date'),
        ("priorline://open?patientID=1&colour=red", 'unknown name "colour"'),
        ('{"patientID": "1", "patient_id": "2"}', "says patient_id twice"),
        ('{"patientID": "1", "patientID": "2"}', "says patient_id twice"),
        ("priorline://open?patientID=1&patientID=2", "says patient_id twice"),
        ('{"patientID": ["1"]}', 'value of "patientID" in the request is not a text'),
        ('{"patientID": true}', 'value of "patientID" in the request is not a text'),
        ('{"studyUID": 1.2}', 'value of "studyUID" in the request is not a text'),
        ('["1"]', "not a JSON object"),
        ("12", "not a JSON object"),
        ("", "neither JSON nor"),
        ("patientID=1", "neither JSON nor"),
        ("https://example/?patientID=1", "neither JSON nor"),
        ("[" * 100_000, "neither JSON nor"),
        ("priorline://[open?patientID=1", "neither JSON nor"),
        ("priorline://open?patientID=%ff", "neither JSON nor"),
        ("priorline://open?" + "&".join(["patientID=1"] * 1000), "neither JSON nor"),
        ("priorline://open?patientID=", "No patient given"),
        ("{}", "No patient given"),
    ],
)
def test_requests_that_are_refused(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        parse_request(text)


def test_refusals_do_not_repeat_who_it_is_about() -> None:
    for text in (
        '{"patientID": "999990007*"}',
        '{"patientID": "999990007"',
        "priorline://o?patientID=999990007&sex=Q",
    ):
        with pytest.raises(UsageError) as caught:
            parse_request(text)
        assert "999990007" not in str(caught.value)


def test_the_same_said_twice_is_no_contradiction() -> None:
    assert from_names([("patientID", "1"), ("patient_id", "1")]).patient_id == "1"


def test_a_number_may_be_a_number() -> None:
    assert parse_request('{"patientID": 12345}').patient_id == "12345"


@given(st.text(max_size=80))
def test_any_text_is_a_launch_or_a_usage_error(text: str) -> None:
    for asked in (text, f"priorline:{text}", json.dumps({"patientID": text})):
        try:
            launch = parse_request(asked)
        except UsageError:
            continue
        assert launch.names_somebody
        assert launch == launch.checked()


@pytest.mark.parametrize("text", ["19700314", "1970-03-14"])
def test_dates(text: str) -> None:
    assert parse_date(text) == date(1970, 3, 14)


@pytest.mark.parametrize(
    "text", ["1970314", "1970-3-14", "1970-0314", "19700231", "00000101", "1970W111", "١٩٧٠٠٣١٤", "x"]
)
def test_other_ways_to_write_a_date_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="YYYYMMDD or YYYY-MM-DD"):
        parse_date(text)
