"""Display tables against the formulas of PS3.3 C.11.2.1."""

import math
from dataclasses import replace

import numpy as np
import pytest

from priorline.imaging.frame import LookupTable, ValueMapping
from priorline.imaging.instance import Window
from priorline.imaging.windowing import apply, default_window, display_table, full_window

PLAIN = ValueMapping(bits=16, minimum=0, maximum=4095)


def linear(x: float, c: float, w: float) -> float:
    """PS3.3 C.11.2.1.2.1, written as it stands there."""
    if x <= c - 0.5 - (w - 1) / 2:
        return 0.0
    if x > c - 0.5 + (w - 1) / 2:
        return 255.0
    return ((x - (c - 0.5)) / (w - 1) + 0.5) * 255


def linear_exact(x: float, c: float, w: float) -> float:
    """PS3.3 C.11.2.1.3.2."""
    if x <= c - w / 2:
        return 0.0
    return 255.0 if x > c + w / 2 else ((x - c) / w + 0.5) * 255


def sigmoid(x: float, c: float, w: float) -> float:
    """PS3.3 C.11.2.1.3.1."""
    return 255 / (1 + math.exp(-4 * (x - c) / w))


@pytest.mark.parametrize(("center", "width"), [(100.0, 1.0), (100.0, 2.0), (50.0, 100.0), (1000.0, 3000.0)])
@pytest.mark.parametrize(
    ("function", "formula"), [("LINEAR", linear), ("LINEAR_EXACT", linear_exact), ("SIGMOID", sigmoid)]
)
def test_window_functions(center: float, width: float, function: str, formula: object) -> None:
    table = display_table(PLAIN, Window(center, width, function))
    assert callable(formula)
    expected = [formula(float(x), center, width) for x in range(2000)]
    assert np.abs(table[:2000] - np.array(expected)).max() <= 0.5 + 1e-9


def test_inversions_of_file_and_user_cancel_each_other() -> None:
    window = Window(50, 100)
    normal = display_table(PLAIN, window)
    assert np.array_equal(display_table(PLAIN, window, invert=True), 255 - normal)
    mono1 = replace(PLAIN, inverted=True)
    assert np.array_equal(display_table(mono1, window), 255 - normal)
    assert np.array_equal(display_table(mono1, window, invert=True), normal)


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("inverted", [False, True])
def test_padding_is_dark_in_every_polarity(invert: bool, inverted: bool) -> None:
    table = display_table(replace(PLAIN, padding=(10, 12), inverted=inverted), Window(11, 4), invert=invert)
    assert set(table[10:13]) == {0}
    assert table[9] + table[13] == 255


def test_the_full_range_is_the_last_resort() -> None:
    mapping = ValueMapping(bits=16, slope=-2.0, intercept=7.0, minimum=100, maximum=300)
    table = display_table(mapping)
    assert (table[100], table[300]) == (255, 0)
    assert full_window(mapping) == default_window(mapping)
    own = replace(mapping, windows=(Window(1, 2), Window(3, 4)))
    assert default_window(own) == Window(1, 2)


def test_a_lookup_table_goes_first_and_holds_beyond_its_ends() -> None:
    lut = LookupTable(first=-1000.0, entries=np.array([0, 2048, 4095], dtype="<u2").tobytes(), bits=12)
    mapping = ValueMapping(bits=16, intercept=-1024.0, windows=(Window(0, 1),), voi_luts=(lut,))
    table = display_table(mapping)
    assert list(table[[0, 24, 25, 26, 27, 65535]]) == [0, 0, 128, 255, 255, 255]
    assert np.array_equal(display_table(mapping, voi_lut=0), table)
    with pytest.raises(IndexError):
        display_table(mapping, voi_lut=1)


def test_apply_keeps_the_shape() -> None:
    table = display_table(ValueMapping(), Window(128, 256))
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert np.array_equal(apply(array, table), array)
