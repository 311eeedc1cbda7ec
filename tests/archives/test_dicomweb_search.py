"""QIDO-RS: what is asked, page by page, and that only rows of the number asked for come back."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from listings import instances_of, listing_of
from peers import nothing_left_running  # noqa: F401 - a fixture for every test here
from priorline.archives.base import FindSummary
from priorline.archives.dicomweb import DicomWebArchive
from priorline.archives.dicomweb_peer import DicomWebPeer
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import SeriesAnswer, StudyAnswer
from priorline.errors import ArchiveBroken, ArchiveRefused, ArchiveUnreachable, UsageError
from web_hospital import PATIENT_ID, STUDY, Request, answers, as_json, attribute, response, scripted, study_row

PATIENT = Patient(Identifier(PATIENT_ID))
BOTH = ("limit", "offset")


def find(peer: DicomWebPeer, patient: Patient = PATIENT) -> tuple[FindSummary, list[StudyAnswer]]:
    rows: list[StudyAnswer] = []
    return DicomWebArchive(peer).find_studies(patient, rows.extend, lambda: False), rows


def test_it_asks_for_the_exact_number_and_what_a_row_needs() -> None:
    with scripted(answers(as_json([study_row()]))) as hospital:
        find(hospital.peer())
    (asked,) = hospital.requests
    assert asked.path == "/dicom-web/studies"
    assert asked["PatientID"] == PATIENT_ID
    included = {value for key, value in asked.query if key == "includefield"}
    assert included >= {"StudyDescription", "IssuerOfPatientID", "OtherPatientIDsSequence", "ModalitiesInStudy"}
    assert asked.headers["accept"] == "application/dicom+json"
    assert asked.headers["accept-encoding"] == "identity"
    assert "authorization" not in asked.headers


def test_a_number_is_sent_as_it_is_whatever_is_in_it() -> None:
    number = "A&B=C 1/2+é#"
    with scripted(answers(as_json([study_row(patient_id=number)]))) as hospital:
        _, rows = find(hospital.peer(), Patient(Identifier(number)))
    assert hospital.requests[0]["PatientID"] == number
    assert [row.patient.identifier.value for row in rows] == [number]


@pytest.mark.parametrize("value", ["*", "PL-004?", "A\\B", "", "a\r\nb"])
def test_a_number_that_is_a_pattern_is_refused_before_anything_is_sent(value: str) -> None:
    with scripted(answers(as_json([]))) as hospital, pytest.raises(UsageError):
        find(hospital.peer(), Patient(Identifier(value)))
    assert hospital.requests == []


def test_rows_of_others_and_unusable_ones_are_dropped_and_counted() -> None:
    rows = [study_row(), study_row("1.2.4", "PL-00421"), study_row("../../etc"), {}, study_row("1.2.5", "")]
    with scripted(answers(as_json(rows))) as hospital:
        summary, found = find(hospital.peer())
    assert [answer.study_uid for answer in found] == [STUDY]
    assert summary == FindSummary(rows=1, dropped=4)


@pytest.mark.parametrize("nothing", [as_json([]), response(status="204 No Content", kind="", Content_Length="")])
def test_a_hospital_without_studies_says_so(nothing: bytes) -> None:
    with scripted(answers(nothing)) as hospital:
        assert find(hospital.peer()) == (FindSummary(), [])
    assert len(hospital.requests) == 1


def paged(
    total: int, *, page_max: int = 10**6, heeds: tuple[str, ...] = BOTH, warns: bool = False
) -> Callable[..., None]:
    """A hospital with `total` studies that heeds these parameters and gives `page_max` rows at most."""

    def script(connection: Any, request: Request) -> None:
        start = int(request["offset"]) if "offset" in heeds else 0
        size = min(int(request["limit"]) if "limit" in heeds else total, page_max)
        rows = [study_row(f"1.2.{number}") for number in range(total)][start : start + size]
        more = {"Warning": '299 pacs "The number of results exceeded the maximum"'}
        is_cut = warns and start + size < total
        connection.sendall(response(json.dumps(rows).encode(), **(more if is_cut else {})))

    return script


@pytest.mark.parametrize(
    ("script", "expected", "cut"),
    [
        (paged(450), 450, False),
        (paged(400), 400, False),
        (paged(450, page_max=90, warns=True), 450, False),
        (paged(450, heeds=("offset",)), 450, False),
        (paged(450, heeds=()), 450, False),
        (paged(450, heeds=("limit",)), 200, True),
        (paged(500), 500, False),
        (paged(501), 500, True),
        (paged(900, heeds=()), 500, True),
    ],
)
def test_all_pages_are_asked_for_up_to_the_most(script: Callable[..., None], expected: int, cut: bool) -> None:
    with scripted(script) as hospital:
        summary, rows = find(hospital.peer(rows_max=500))
    assert (summary.rows, summary.cut) == (expected, cut)
    assert len({row.study_uid for row in rows}) == expected
    assert len(hospital.requests) <= 6


def test_a_hospital_that_ignores_the_number_is_cut_off() -> None:
    def script(connection: Any, request: Request) -> None:
        start = int(request["offset"])
        everybody = [study_row(f"1.2.{n}", f"P{n}") for n in range(start, start + int(request["limit"]))]
        connection.sendall(as_json(everybody))

    with scripted(script) as hospital:
        summary, rows = find(hospital.peer(rows_max=300))
    assert rows == []
    assert summary == FindSummary(dropped=300, cut=True)


def test_a_study_that_tells_too_little_comes_again_with_what_its_series_tell() -> None:
    bare = attribute("StudyInstanceUID", STUDY) | attribute("PatientID", PATIENT_ID)
    series = attribute("SeriesInstanceUID", "1.2.9") | attribute("Modality", "DX")
    series |= attribute("BodyPartExamined", "CHEST") | attribute("NumberOfSeriesRelatedInstances", 2)

    def script(connection: Any, request: Request) -> None:
        connection.sendall(as_json([series] if request.path.endswith("/series") else [bare]))

    with scripted(script) as hospital:
        _, rows = find(hospital.peer())
        known = DicomWebArchive(hospital.peer()).find_study(STUDY)
    assert hospital.requests[1].path == f"/dicom-web/studies/{STUDY}/series"
    assert [(row.modalities, row.body_part, row.images) for row in rows] == [((), "", None), (("DX",), "CHEST", 2)]
    assert known == rows[1]


def test_rows_stay_where_their_series_are_not_told() -> None:
    bare = attribute("StudyInstanceUID", STUDY) | attribute("PatientID", PATIENT_ID)
    with scripted(answers(as_json([bare]), response(status="500 Oops"))) as hospital:
        summary, rows = find(hospital.peer())
    assert (summary.rows, len(rows)) == (1, 1)


def test_one_study_is_looked_up_and_another_one_is_not_taken_for_it() -> None:
    with scripted(answers(as_json([study_row("1.2.3"), study_row()]))) as hospital:
        found = DicomWebArchive(hospital.peer()).find_study(STUDY)
        assert found is not None
        assert found.study_uid == STUDY
        assert DicomWebArchive(hospital.peer()).find_study("1.2.77") is None
    assert [request["StudyInstanceUID"] for request in hospital.requests] == [STUDY, "1.2.77"]


@pytest.mark.parametrize("uid", ["../../etc/passwd", "1.2.3/series", "1.2.3?x=", "", "*"])
def test_what_is_no_uid_is_not_asked_for(uid: str) -> None:
    with scripted(answers(as_json([]))) as hospital:
        archive = DicomWebArchive(hospital.peer())
        for question in (archive.find_study, lambda uid: listing_of(archive, uid)):
            with pytest.raises(UsageError):
                question(uid)
    assert hospital.requests == []


def test_series_and_instances_are_listed() -> None:
    series = attribute("SeriesInstanceUID", "1.2.9") | attribute("Modality", "CT") | attribute("SeriesNumber", 3)
    one = attribute("SeriesInstanceUID", "1.2.9") | attribute("SOPInstanceUID", "1.2.9.1")

    def script(connection: Any, request: Request) -> None:
        connection.sendall(as_json([series] if request.path.endswith("/series") else [one]))

    with scripted(script) as hospital:
        archive = DicomWebArchive(hospital.peer())
        assert listing_of(archive, STUDY).series == (SeriesAnswer("1.2.9", "CT", 3),)
        assert instances_of(archive, STUDY) == {"1.2.9": ["1.2.9.1"]}


@pytest.mark.parametrize(
    "answer",
    [
        as_json([]),
        as_json([attribute("SOPInstanceUID", "1.2.9.1")]),
        as_json([attribute("SeriesInstanceUID", "1.2.9") | attribute("SOPInstanceUID", "nonsense")]),
        response(b"[[]]"),
        response(status="404 Not Found"),
        response(status="400 Bad Request"),
    ],
)
def test_a_list_of_instances_with_a_hole_is_none(answer: bytes) -> None:
    with scripted(answers(as_json([]), answer)) as hospital:
        assert listing_of(DicomWebArchive(hospital.peer()), STUDY).instances is None


def lister(
    total: int, *, told: int | None = None, page_max: int = 10**6, refuses: str = "", heeds: tuple[str, ...] = BOTH
) -> Callable[..., None]:
    """A hospital with two series of `total` images together, of which it tells `told` (None: of one nothing).

    It gives `page_max` at once, or refuses to be asked for more with this status.
    """

    def script(connection: Any, request: Request) -> None:
        series = [attribute("SeriesInstanceUID", f"1.2.9.{number}") for number in range(2)]
        if request.path.endswith("/series"):
            counts = (told - 1, 1) if told is not None else (total, None)
            counted = [attribute("NumberOfSeriesRelatedInstances", *([] if n is None else [n])) for n in counts]
            connection.sendall(as_json([one | count for one, count in zip(series, counted, strict=True)]))
            return
        limit = int(request["limit"]) if "limit" in heeds else total
        if refuses and limit > page_max:
            connection.sendall(response(status=refuses))
            return
        start = int(request["offset"]) if "offset" in heeds else 0
        numbers = range(total)[start : start + min(limit, page_max)]
        uids = [attribute("SOPInstanceUID", f"1.2.9.9.{number}") for number in numbers]
        connection.sendall(as_json([series[n % 2] | uid for n, uid in zip(numbers, uids, strict=True)]))

    return script


@pytest.mark.parametrize(
    ("script", "count", "requests"),
    [
        (lister(500, told=500), 500, 1),
        (lister(1000, told=1000), 1000, 1),
        (lister(150, told=150), 150, 1),
        (lister(1001, told=1001), 1001, 6),
        (lister(500), 500, 3),
        (lister(500, told=499), 500, 4),
        (lister(500, told=600), 500, 4),
        # Who gives only so many at once, and does not say so, has more all the same.
        (lister(800, told=800, page_max=300), 800, 6),
        (lister(800, told=299, page_max=300), 800, 6),
        (lister(450, told=450, page_max=200, refuses="400 Bad Request"), 450, 4),
        (lister(450, told=450, page_max=200, refuses="500 Internal Server Error"), 450, 4),
        (lister(450, told=450, heeds=()), 450, 1),
        (lister(450, heeds=()), 450, 1),
        (lister(800, told=800, page_max=300, heeds=("limit",)), None, 3),
    ],
)
def test_a_list_of_instances_ends_where_no_more_come(
    script: Callable[..., None], count: int | None, requests: int
) -> None:
    with scripted(script) as hospital:
        listed = listing_of(DicomWebArchive(hospital.peer()), STUDY).instances
    assert (None if listed is None else len({uid for uids in listed.values() for uid in uids})) == count
    assert [one.path.rpartition("/")[2] for one in hospital.requests] == ["series", *["instances"] * requests]


def test_a_study_that_is_not_there_has_no_series() -> None:
    with scripted(answers(response(status="404 Not Found"))) as hospital:
        assert listing_of(DicomWebArchive(hospital.peer()), STUDY).series == ()


def test_a_search_that_is_not_there_is_a_wrong_address_and_not_an_empty_answer() -> None:
    with scripted(answers(response(status="404 Not Found"))) as hospital:
        with pytest.raises(ArchiveRefused, match="check url"):
            find(hospital.peer())
        with pytest.raises(ArchiveRefused, match="check url"):
            DicomWebArchive(hospital.peer()).find_study(STUDY)


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        ("400 Bad Request", ArchiveRefused, "refused"),
        ("401 Unauthorized", ArchiveRefused, "token_file"),
        ("403 Forbidden", ArchiveRefused, "allow"),
        ("429 Too Many Requests", ArchiveRefused, "later"),
        ("500 Oops", ArchiveBroken, "fault of its own"),
        ("503 Unavailable", ArchiveBroken, "try again"),
    ],
)
def test_each_status_is_an_error_with_what_to_do(status: str, error: type[Exception], words: str) -> None:
    page = response(b"<html>PL-0042</html>", "text/html", status)
    with scripted(answers(page)) as hospital, pytest.raises(error, match=words) as problem:
        find(hospital.peer())
    assert PATIENT_ID not in str(problem.value)


@pytest.mark.parametrize(
    "answer",
    [
        response(b"<html/>", "text/html"),
        response(b"[]", "text/html"),
        response(b"[]", ""),
        response(b""),
        response(b"{}"),
        response(b"null"),
        response(b"[{]"),
        response(b"[" * 100_000),
        response(b'[{"a":' + b"[" * 100_000),
    ],
)
def test_what_is_not_a_list_in_json_is_a_broken_archive(answer: bytes) -> None:
    with scripted(answers(answer)) as hospital, pytest.raises(ArchiveBroken, match="something else"):
        find(hospital.peer())


def test_the_test_of_the_connection_asks_for_nobody() -> None:
    with scripted(answers(as_json([]))) as hospital:
        archive = DicomWebArchive(hospital.peer())
        assert archive.echo() > 0
        assert archive.accepts_get()
    (asked,) = hospital.requests
    assert asked["StudyInstanceUID"].startswith("2.25.")
    assert asked["PatientID"] == ""


def test_a_hospital_that_is_not_there_is_unreachable() -> None:
    with scripted(answers(as_json([]))) as hospital:
        gone = hospital.peer()
    with pytest.raises(ArchiveUnreachable, match="cannot be reached"):
        DicomWebArchive(gone).echo()
