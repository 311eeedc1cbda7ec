"""What a study consists of, as hospitals tell it that leave something out: a list with a hole in it is no list."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from pydicom.dataset import Dataset
from pynetdicom import evt

import peers
from peers import nothing_left_running  # noqa: F401 - a fixture for every test here
from priorline.archives.dicom_list import list_study
from priorline.domain.study import StudyListing

STUDY = "1.2.826.0.1.3680043.8.498"
CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
SERIES = {f"{STUDY}.1": CT, f"{STUDY}.2": MR}
LEVELS = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}


def row(level: str, **tags: str) -> Dataset:
    answer = Dataset()
    answer.QueryRetrieveLevel = level
    for keyword, value in tags.items():
        setattr(answer, keyword, value)
    return answer


@dataclass
class Telling:
    """Lists two series of three images; `ends` has the last status of a level, `spoils` how many rows lose their UID.

    `classes`: whether an image's row has its SOP class; `mute` are series of which no image is listed.
    """

    ends: dict[str, int] = field(default_factory=dict)
    spoils: dict[str, int] = field(default_factory=dict)
    classes: bool = True
    mute: tuple[str, ...] = ()

    def __call__(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        asked = event.identifier
        level = asked.QueryRetrieveLevel
        for number, answer in enumerate(self._rows(level, asked)):
            if number < self.spoils.get(level, 0):
                del answer[LEVELS[level]]
            yield 0xFF00, answer
        if level in self.ends:
            yield self.ends[level], None

    def _rows(self, level: str, asked: Dataset) -> Iterator[Dataset]:
        if level == "STUDY":
            yield row(level, StudyInstanceUID=STUDY)
        elif level == "SERIES":
            for uid in SERIES:
                yield row(level, StudyInstanceUID=STUDY, SeriesInstanceUID=uid)
        elif asked.SeriesInstanceUID not in self.mute:
            for number in range(3):
                tags = {"SOPInstanceUID": f"{asked.SeriesInstanceUID}.{number}", "InstanceNumber": str(number)}
                told = {"SOPClassUID": SERIES[asked.SeriesInstanceUID]} if self.classes else {}
                yield row(level, SeriesInstanceUID=asked.SeriesInstanceUID, **tags, **told)


def listed(hospital: Telling) -> StudyListing:
    with peers.scripted([(evt.EVT_C_FIND, hospital)]) as peer:
        return list_study(peer, STUDY)


def test_a_whole_list_is_taken_with_the_classes_that_its_images_tell() -> None:
    listing = listed(Telling())
    assert listing.instances == {uid: [f"{uid}.{number}" for number in range(3)] for uid in SERIES}
    assert listing.sop_classes == {CT, MR}


@pytest.mark.parametrize("level", ["SERIES", "IMAGE"])
@pytest.mark.parametrize("status", [0xFE00, 0xB000], ids=["cancelled", "warning"])
def test_a_list_that_does_not_end_in_success_is_none(level: str, status: int) -> None:
    listing = listed(Telling(ends={level: status}))
    assert listing.instances is None
    assert len(listing.series) == 2


@pytest.mark.parametrize("level", ["SERIES", "IMAGE"])
def test_a_list_with_a_row_that_names_nothing_is_none(level: str) -> None:
    assert listed(Telling(spoils={level: 1})).instances is None


def test_where_no_series_is_told_there_is_no_list() -> None:
    listing = listed(Telling(spoils={"SERIES": 2}))
    assert (listing.series, listing.instances) == ((), None)


def test_some_of_the_classes_are_none_as_they_would_keep_the_others_out() -> None:
    assert listed(Telling(mute=(f"{STUDY}.2",))).sop_classes == frozenset()
    unknown = listed(Telling(classes=False))
    assert unknown.sop_classes == frozenset()
    assert unknown.instances is not None
