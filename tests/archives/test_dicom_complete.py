"""Studies whose row tells too little are completed from their series: bounded, and never at the cost of the rows."""

from collections.abc import Callable, Iterator

import pytest
from pydicom.dataset import Dataset
from pynetdicom import evt

import peers
from peers import nothing_left_running  # noqa: F401 - a fixture for every test here
from priorline.archives.dicom import DicomArchive
from priorline.archives.dicom_complete import STUDIES_MAX
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import StudyAnswer

WHO = Patient(Identifier("PL-0042"))
STUDY = "1.2.826.0.1.3680043.8.498"
Rows = Iterator[tuple[int, Dataset | None]]


def study_row(number: int, **tags: str) -> Dataset:
    row = Dataset()
    row.QueryRetrieveLevel, row.PatientID = "STUDY", "PL-0042"
    row.StudyInstanceUID, row.StudyDate = f"{STUDY}.{number}", f"{2000 + number % 25}0101"
    for keyword, value in tags.items():
        setattr(row, keyword, value)
    return row


def series_row(study: str, number: int, **tags: str) -> Dataset:
    row = Dataset()
    row.QueryRetrieveLevel, row.StudyInstanceUID = "SERIES", study
    row.SeriesInstanceUID = f"{study}.{number}"
    for keyword, value in tags.items():
        setattr(row, keyword, value)
    return row


class Sparing:
    """An archive that tells of `studies` nothing but their UIDs, and answers `series` for each at SERIES level."""

    def __init__(self, studies: list[Dataset], series: Callable[[str], Rows]) -> None:
        self.studies, self.series = studies, series
        self.asked: list[str] = []

    def __call__(self, event: evt.Event) -> Rows:
        asked = event.identifier
        if asked.QueryRetrieveLevel == "STUDY":
            wanted = asked.get("StudyInstanceUID")
            yield from ((0xFF00, row) for row in self.studies if wanted in (None, "", row.StudyInstanceUID))
        else:
            self.asked.append(str(asked.StudyInstanceUID))
            yield from self.series(str(asked.StudyInstanceUID))


def find(archive: Sparing) -> list[StudyAnswer]:
    rows: list[StudyAnswer] = []
    with peers.scripted([(evt.EVT_C_FIND, archive)]) as peer:
        summary = DicomArchive(peer).find_studies(WHO, rows.extend, lambda: False)
    assert summary.rows == len(archive.studies)
    return rows


def two_series(study: str) -> Rows:
    yield 0xFF00, series_row(study, 1, Modality="CT", NumberOfSeriesRelatedInstances="5")
    yield 0xFF00, series_row(study, 2, Modality="SR", NumberOfSeriesRelatedInstances="1", BodyPartExamined="CHEST")


def test_what_the_series_tell_comes_after_the_row() -> None:
    first, later = find(Sparing([study_row(1)], two_series))
    assert (first.modalities, first.images, first.body_part) == ((), None, "")
    assert later.study_uid == first.study_uid
    assert (later.modalities, later.series, later.images, later.body_part) == (("CT", "SR"), 2, 6, "CHEST")


@pytest.mark.parametrize(
    ("sides", "side"), [(("L", ""), "L"), (("R", "R"), "R"), (("L", "R"), "B"), (("B", "L"), "B"), (("", "X"), "")]
)
def test_the_side_is_that_of_the_series(sides: tuple[str, str], side: str) -> None:
    def series(study: str) -> Rows:
        yield from (
            (0xFF00, series_row(study, number, Modality="DX", Laterality=one)) for number, one in enumerate(sides)
        )

    assert find(Sparing([study_row(1)], series))[-1].laterality == side


def test_a_row_that_tells_enough_is_not_asked_about() -> None:
    archive = Sparing([study_row(1, ModalitiesInStudy="DX", StudyDescription="X-thorax")], two_series)
    (row,) = find(archive)
    assert (row.modalities, archive.asked) == (("DX",), [])


def test_what_the_row_told_is_never_replaced() -> None:
    told = study_row(1, ModalitiesInStudy="DX", NumberOfStudyRelatedInstances="9")
    later = find(Sparing([told], two_series))[-1]
    assert (later.modalities, later.images, later.body_part) == (("DX",), 9, "CHEST")


def test_one_study_is_completed_too() -> None:
    archive = Sparing([study_row(1), study_row(2)], two_series)
    with peers.scripted([(evt.EVT_C_FIND, archive)]) as peer:
        found = DicomArchive(peer).find_study(f"{STUDY}.1")
    assert found is not None
    assert found.modalities == ("CT", "SR")


def test_the_newest_forty_are_asked_about_at_most() -> None:
    archive = Sparing([study_row(number) for number in range(60)], two_series)
    rows = find(archive)
    assert len(set(archive.asked)) == len(archive.asked) == STUDIES_MAX
    assert len(rows) == 60 + STUDIES_MAX
    dates = {row.study_uid: row.study_date for row in rows}
    left_out = [when for uid, when in dates.items() if uid not in archive.asked]
    assert max(filter(None, left_out)) <= min(filter(None, (dates[uid] for uid in archive.asked)))


def refuse(_study: str) -> Rows:
    yield 0xA900, None


def say_nothing(_study: str) -> Rows:
    yield from ()


def series_of_another_study(_study: str) -> Rows:
    yield 0xFF00, series_row("1.2.3", 1, Modality="CT")


@pytest.mark.parametrize("series", [refuse, say_nothing, series_of_another_study], ids=lambda one: one.__name__)
def test_an_archive_that_does_not_tell_costs_no_row(series: Callable[[str], Rows]) -> None:
    rows = find(Sparing([study_row(1), study_row(2)], series))
    assert [row.modalities for row in rows] == [(), ()]


def test_what_came_before_a_failure_is_kept() -> None:
    def only_one(study: str) -> Rows:
        yield from two_series(study) if study == f"{STUDY}.2" else refuse(study)

    rows = find(Sparing([study_row(1), study_row(2)], only_one))
    assert [row.modalities for row in rows] == [(), (), ("CT", "SR")]
