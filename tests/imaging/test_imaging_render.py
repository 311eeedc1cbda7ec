"""Pictures as files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from priorline.domain.patient import Identifier, Patient
from priorline.errors import EnvironmentFault, UsageError
from priorline.imaging.frame import DecodedFrame, LookupTable, ValueMapping
from priorline.imaging.instance import InstanceHeader, Window
from priorline.imaging.render import render_png

RAMP = np.arange(256, dtype=np.uint8).reshape(8, 32)
LUT = LookupTable(0.0, np.arange(255, -1, -1, dtype="<u2").tobytes(), 8)


def frame(array: np.ndarray = RAMP, spacing: tuple[float, ...] = (), **mapping: object) -> DecodedFrame:
    header = InstanceHeader("1", "1", "1", "1", "1", Patient(Identifier("1")), spacing=spacing)
    return DecodedFrame(array, ValueMapping(**mapping), header)  # type: ignore[arg-type]


def drawn(path: Path, what: DecodedFrame, **choices: object) -> Image.Image:
    render_png(what, path / "o.png", **choices)  # type: ignore[arg-type]
    with Image.open(path / "o.png") as image:
        image.load()
        return image


def test_one_pixel_is_one_pixel_and_nothing_is_written_on_it(tmp_path: Path) -> None:
    image = drawn(tmp_path, frame())
    assert (image.mode, image.size) == ("L", (32, 8))
    assert np.array_equal(np.asarray(image), RAMP)


def test_colour_stays_colour(tmp_path: Path) -> None:
    colours = np.stack([RAMP, RAMP[::-1], 255 - RAMP], axis=-1)
    image = drawn(tmp_path, frame(colours, photometric="rgb"))
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), colours)
    assert np.array_equal(np.asarray(drawn(tmp_path, frame(colours, photometric="rgb"), invert=True)), 255 - colours)


def test_choices_of_window_preset_and_own_voi(tmp_path: Path) -> None:
    what = frame(windows=(Window(128, 256), Window(100, 10)), voi_luts=(LUT,), unit="HU")
    by_table = np.asarray(drawn(tmp_path, what))
    assert np.array_equal(by_table, 255 - RAMP)
    assert np.array_equal(np.asarray(drawn(tmp_path, what, voi=1)), by_table)
    assert np.array_equal(np.asarray(drawn(tmp_path, what, voi=2)), RAMP)
    narrow = np.asarray(drawn(tmp_path, what, voi=3))
    assert np.array_equal(np.asarray(drawn(tmp_path, what, window=Window(100, 10))), narrow)
    brain = np.asarray(drawn(tmp_path, what, preset="brain"))
    assert (brain[0, 0], brain[0, 31], brain[7, 31]) == (47, 119, 255)


@pytest.mark.parametrize(
    "choices",
    [
        {"preset": "liver"},
        {"voi": 0},
        {"voi": 1},
        {"window": Window(0, 0)},
        {"window": Window(0, 1), "voi": 1},
        {"size": (0, 5)},
    ],
)
def test_wrong_choices_are_wrong_use(choices: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        drawn(tmp_path, frame(unit="HU"), **choices)
    assert not list(tmp_path.iterdir())


def test_presets_are_only_for_hounsfield_units(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        drawn(tmp_path, frame(), preset="lung")


def test_a_size_is_met_exactly_and_the_shape_kept(tmp_path: Path) -> None:
    white = np.full((8, 32), 255, dtype=np.uint8)
    mapping = {"windows": (Window(128, 256),)}
    image = np.asarray(drawn(tmp_path, frame(white, spacing=(2.0, 1.0), **mapping), size=(64, 64)))
    assert image.shape == (64, 64)
    assert set(image[:16].ravel()) == set(image[48:].ravel()) == {0}
    assert set(image[16:48].ravel()) == {255}


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault):
        render_png(frame(), tmp_path / "missing" / "o.png")
