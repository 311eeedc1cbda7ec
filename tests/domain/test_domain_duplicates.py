"""Probably the same study under another UID: proposed with reasons, never hidden or merged."""

from dataclasses import replace
from datetime import date, time

import pytest

from priorline.domain.duplicates import CROWD_MAX, Sight, by_study, probable_copies
from priorline.domain.region import Region

FILM = Sight("1", date(2019, 3, 2), time(10, 21, 7), ("DX",), (Region.CHEST,), 1, 2)
DATED = replace(FILM, study_time=None)


def test_a_copy_is_told_with_its_reasons() -> None:
    (copy,) = probable_copies([replace(FILM, study_uid="2"), FILM])
    assert (copy.one_uid, copy.other_uid) == ("1", "2")
    assert copy.reasons == (
        "same date and time to the second",
        "both DX",
        "2 images each",
        "1 series each",
        "same region",
    )


@pytest.mark.parametrize(
    "other",
    [
        {"study_time": time(10, 21, 7, 500_000)},
        {"modalities": ("DX", "PR", "SR")},
        {"regions": (Region.HEART, Region.CHEST)},
        {"regions": (Region.UNKNOWN,)},
        {"series": None},
        {"images": None},
    ],
)
def test_what_hospitals_write_differently_does_not_count(other: dict[str, object]) -> None:
    assert probable_copies([FILM, replace(FILM, study_uid="2", **other)])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "other",
    [
        {"study_time": time(10, 21, 8)},
        {"study_time": None},
        {"study_date": date(2019, 3, 3)},
        {"study_date": None},
        {"modalities": ("CR",)},
        {"modalities": ("DX", "CT")},
        {"modalities": ()},
        {"modalities": ("SR",)},
        {"regions": (Region.ABDOMEN,)},
        {"series": 2},
        {"images": 3},
        {"images": None, "series": None},
    ],
)
def test_another_study_is_not_a_copy(other: dict[str, object]) -> None:
    assert not probable_copies([FILM, replace(FILM, study_uid="2", **other)])  # type: ignore[arg-type]


def test_without_any_time_the_day_decides_and_the_region_has_to_be_known() -> None:
    (copy,) = probable_copies([DATED, replace(DATED, study_uid="2")])
    assert copy.reasons[0] == "same day, no time given"
    assert not probable_copies([DATED, replace(DATED, study_uid="2", regions=(Region.UNKNOWN,))])


def test_three_copies_are_three_pairs() -> None:
    found = by_study(probable_copies([replace(FILM, study_uid=uid) for uid in "312"]))
    assert found == {"1": ("2", "3"), "2": ("1", "3"), "3": ("1", "2")}


def test_of_a_crowd_at_one_moment_nothing_is_told() -> None:
    crowd = [replace(FILM, study_uid=str(number)) for number in range(CROWD_MAX + 1)]
    assert probable_copies(crowd[:-1])
    assert probable_copies(crowd) == ()
