"""The numbers of a view: no screen is needed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from priorline.desk.viewer.interaction import WheelSteps
from priorline.desk.viewer.marks import ruler_length
from priorline.desk.viewer.painting import reduced
from priorline.desk.viewer.view_state import (
    Area,
    PixelGrid,
    ViewState,
    fit_scale,
    grid_of,
    matrix,
    one_to_one,
    panned,
    zoomed_at,
)
from priorline.domain.patient import Identifier, Patient
from priorline.imaging.instance import InstanceHeader

AREA = Area(0, 60, 600, 640)
SOMEONE = Patient(Identifier("1", "A"))


def header(**facts: object) -> InstanceHeader:
    return InstanceHeader("1.1", "1.2", "1.3", "1.4", "1.5", SOMEONE, **facts)


def test_spacing_goes_before_the_aspect_ratio_and_row_comes_first() -> None:
    both = header(spacing=(2.0, 0.5), spacing_kind="patient", pixel_aspect=(3.0, 1.0))
    assert grid_of(both, 10, 20) == PixelGrid(10, 20, 2.0, 0.5, "mm")


def test_the_aspect_ratio_alone_gives_pixels_as_units() -> None:
    assert grid_of(header(pixel_aspect=(3.0, 2.0)), 10, 20) == PixelGrid(10, 20, 1.5, 1.0, "px")


@pytest.mark.parametrize("spacing", [(), (0.0, 1.0), (1.0,), (-1.0, 1.0)])
def test_spacing_without_sense_is_no_spacing(spacing: tuple[float, ...]) -> None:
    assert grid_of(header(spacing=spacing, spacing_kind="patient"), 10, 20).unit == "px"


def test_spacing_of_unknown_kind_is_not_taken_for_millimetres() -> None:
    assert grid_of(header(spacing=(1.0, 1.0)), 10, 20).unit == "px"


def test_a_fitted_image_is_whole_and_touches_two_edges() -> None:
    grid = PixelGrid(100, 100, 2.0, 1.0, "mm")
    view = matrix(ViewState(), grid, AREA)
    assert view.to_screen(0, 0)[1] == pytest.approx(60, abs=0.5)
    assert view.to_screen(100, 100)[1] == pytest.approx(700, abs=0.5)
    assert view.across * 100 == pytest.approx(320)


def test_at_equal_scale_equal_millimetres_are_equal_on_the_screen() -> None:
    state = ViewState(scale=1.5, fitted=False)
    fine = matrix(state, PixelGrid(512, 512, 0.5, 0.5, "mm"), AREA)
    coarse = matrix(state, PixelGrid(128, 128, 2.0, 2.0, "mm"), AREA)
    assert fine.across * 200 == pytest.approx(coarse.across * 50)


@pytest.mark.parametrize("ratio", [1.0, 1.25, 2.0])
def test_one_to_one_puts_each_column_on_one_device_pixel(ratio: float) -> None:
    grid = PixelGrid(512, 511, 0.7, 0.7, "mm")
    view = matrix(one_to_one(ViewState(), grid, ratio), grid, AREA, ratio)
    assert view.across * ratio == pytest.approx(1.0)
    assert view.left * ratio == pytest.approx(round(view.left * ratio))


@given(st.floats(0.1, 10), st.floats(0, 600), st.floats(60, 700), st.floats(0.3, 3), st.floats(0.3, 3), st.booleans())
def test_zooming_keeps_the_point_under_the_pointer(
    factor: float, x: float, y: float, row_pitch: float, column_pitch: float, fitted: bool
) -> None:
    grid = PixelGrid(300, 500, row_pitch, column_pitch, "mm")
    before = ViewState(scale=1.3, pan=(20.0, -7.0), fitted=fitted)
    after = zoomed_at(before, grid, AREA, factor, (x, y))
    column, row = matrix(before, grid, AREA).to_image(x, y)
    # Both corners lie on whole device pixels, which may move the point by one pixel, times the factor.
    assert matrix(after, grid, AREA).to_screen(column, row) == pytest.approx((x, y), abs=0.5 + 0.5 * factor + 1e-6)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_no_pan_loses_the_image(right: float, down: float) -> None:
    grid = PixelGrid(300, 500)
    view = matrix(panned(ViewState(), grid, AREA, (right, down)), grid, AREA)
    left, top = view.to_screen(0, 0)
    right_edge, bottom = view.to_screen(500, 300)
    assert left <= AREA.x + AREA.width
    assert top <= AREA.y + AREA.height
    assert right_edge >= AREA.x
    assert bottom >= AREA.y


def test_fitting_never_mirrors() -> None:
    view = matrix(ViewState(), PixelGrid(7, 9), AREA)
    assert view.across > 0
    assert view.down > 0
    assert fit_scale(PixelGrid(7, 9), AREA) > 0


@given(st.lists(st.integers(1, 300), max_size=60))
def test_no_part_of_a_notch_is_lost_or_made_up(deltas: list[int]) -> None:
    wheel = WheelSteps()
    assert sum(wheel.add(delta) for delta in deltas) == sum(deltas) // 120


def test_turning_the_wheel_round_starts_anew() -> None:
    wheel = WheelSteps()
    assert [wheel.add(delta) for delta in (100, -100, -20)] == [0, 0, -1]


@pytest.mark.parametrize(
    ("scale", "room", "length"), [(1.0, 200, 200), (1.0, 199, 100), (0.2, 200, 500), (9.0, 20, 0)]
)
def test_the_ruler_is_the_longest_round_length_that_fits(scale: float, room: float, length: int) -> None:
    assert ruler_length(scale, room) == length


def test_a_reduced_image_is_the_mean_of_its_blocks() -> None:
    pixels = np.array([[0, 4, 65535], [8, 12, 65535]], np.uint16)
    assert reduced(pixels, 2).tolist() == [[6]]
    assert reduced(pixels, 2).dtype == np.uint16


def test_padding_does_not_leak_into_the_mean() -> None:
    pixels = np.array([[0, 0, 0, 100], [0, 0, 100, 102]], np.uint16)
    assert reduced(pixels, 2, (0, 0)).tolist() == [[0, 101]]


def test_colour_is_reduced_channel_by_channel() -> None:
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[..., 0] = 250
    assert reduced(pixels, 2).tolist() == [[[250, 0, 0]]]
