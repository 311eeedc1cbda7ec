"""Where blocks lie: none covers another, none is far from its date, and panning moves nothing against the rest."""

import numpy as np
import pytest

from priorline.desk.timeline.places import FARTHEST, NARROW, SPACE, THIN, WIDTH, LanePlaces, place


def lane(count: int, days: int, seed: int = 3) -> np.ndarray:
    chosen = np.random.default_rng(seed).integers(0, days, count).astype(float)
    return 736000 + np.sort(chosen)[::-1]


def none_special(days: np.ndarray) -> np.ndarray:
    return np.zeros(len(days), dtype=np.bool_)


def farthest(days: np.ndarray, scale: float, places: LanePlaces) -> float:
    middles = places.left + places.width / 2
    return float(np.abs(days * scale - np.repeat(middles, places.count)).max())


@pytest.mark.parametrize("count", [1, 14, 60, 500, 5000])
@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0, 300.0])
def test_no_block_covers_another_and_every_study_is_in_one(count: int, scale: float) -> None:
    days = lane(count, 5500)
    places = place(days, none_special(days), scale)
    assert np.all(places.left[:-1] - places.left[1:] - places.width[1:] >= SPACE - 1e-6)
    assert int(places.count.sum()) == count
    assert list(places.first) == list(np.cumsum(places.count) - places.count)
    assert farthest(days, scale, places) <= FARTHEST


def test_crowded_blocks_become_narrow_then_thin_then_share() -> None:
    seen = []
    for count in (2, 5, 9, 10):
        days = np.full(count, 736000.0)
        places = place(days, none_special(days), 1.0)
        seen.append((float(places.width[0]), len(places.left)))
    assert seen == [(WIDTH, 2), (NARROW, 5), (THIN, 9), (WIDTH, 1)]


def test_a_lit_study_stays_a_block_of_its_own_among_a_thousand() -> None:
    days = lane(1000, 300)
    special = none_special(days)
    special[500] = True
    places = place(days, special, 1.0)
    own = int(np.flatnonzero(places.first == 500)[0])
    assert places.count[own] == 1
    assert places.width[own] == WIDTH
    assert abs(places.left[own] + WIDTH / 2 - days[500]) <= 2 * (WIDTH + SPACE)


def test_only_what_is_in_sight_is_given() -> None:
    days = lane(5000, 20000)
    places = place(days, none_special(days), 30.0)
    start, end = days[2500] * 30.0 - 200, days[2500] * 30.0 + 200
    seen = places.visible(start, end)
    inside = np.flatnonzero((places.left + places.width > start) & (places.left < end))
    assert set(inside.tolist()) <= set(seen)
    assert len(seen) <= len(inside) + 2 * (WIDTH / THIN)


def test_a_lane_without_studies_has_no_blocks() -> None:
    assert len(place(np.zeros(0), np.zeros(0, dtype=np.bool_), 1.0).left) == 0
