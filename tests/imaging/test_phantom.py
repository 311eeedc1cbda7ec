"""The computed man, and the film view that is made of him."""

import numpy as np
import pytest

from priorline.errors import ImageError
from priorline.imaging import phantom, phantom_parts
from priorline.imaging.projection import FILM_MAXIMUM, develop, film_view, ray_sums

SIZE, SPACING = 180, 2.0


def plane(z: float, variant: phantom.Variant = phantom.TRAUMA_CT) -> np.ndarray:
    return phantom.slice_hu(z, SIZE, SPACING, variant)


def at(image: np.ndarray, x: float, y: float) -> float:
    """Mean HU in a small square around a point in millimetres."""
    column, row = (round(value / SPACING + (SIZE - 1) / 2) for value in (x, y))
    return float(image[row - 1 : row + 2, column - 1 : column + 2].mean())


def gas(image: np.ndarray, x0: float, x1: float) -> int:
    columns = slice(*(round(value / SPACING + SIZE / 2) for value in (x0, x1)))
    return int((image[:, columns] < -930).sum())


def test_slice_is_the_same_every_time() -> None:
    again = plane(12.5)
    assert again.dtype == np.int16
    assert again.shape == (SIZE, SIZE)
    np.testing.assert_array_equal(plane(12.5), again)
    assert not np.array_equal(plane(15.0), again)


def test_tissues_lie_where_they_belong() -> None:
    chest, belly = plane(60.0), plane(-100.0)
    assert -950 < at(chest, -85, 20) < -700, "right lung"
    assert at(chest, 26, 46) > 200, "contrast in the descending aorta, on the patient's left"
    assert at(chest, 0, 66) > 100, "vertebra behind"
    assert 60 < at(belly, -80, -10) < 150, "liver on the patient's right"
    assert at(chest, 0, -175) < -950, "air in front of the patient"


def test_stomach_and_bowel_in_the_left_chest_only_with_the_hernia() -> None:
    z = 0.0
    torn, whole = plane(z), plane(z, phantom.NORMAL_CT)
    assert at(torn, 70, -45) < -930, "gas rises to the front of a man on his back"
    assert at(torn, 70, 8) > -20, "fluid behind it"
    assert at(whole, 70, 20) < -700, "lung instead"
    assert at(whole, 70, 20) > -930, "lung instead"
    assert gas(torn, 40, 130) > gas(whole, 40, 130) + 200


def test_heart_is_pushed_to_the_right_by_the_hernia() -> None:
    def heart_middle(variant: phantom.Variant) -> float:
        rows = slice(SIZE // 2 - 25, SIZE // 2)
        blood = plane(-10.0, variant)[rows] > 90
        blood[:, : SIZE // 4] = blood[:, -SIZE // 4 :] = False
        return float(np.nonzero(blood)[1].mean())

    assert heart_middle(phantom.TRAUMA_CT) < heart_middle(phantom.NORMAL_CT) - 4


def test_film_shows_dark_lungs_beside_a_bright_middle() -> None:
    film = phantom.film(phantom.FILM_NORMAL, 350, 300, 1.2)
    assert film.dtype == np.uint16
    assert film.shape == (350, 300)
    assert int(film.max()) <= FILM_MAXIMUM
    lungs = np.concatenate([film[120:170, 60:90].ravel(), film[120:170, 210:240].ravel()])
    assert lungs.mean() < film[120:170, 140:160].mean() / 2
    assert lungs.mean() < film[260:300, 80:120].mean() / 1.5, "liver is brighter"


def test_film_of_2019_has_the_shadow_that_the_older_one_lacks() -> None:
    torn, whole = (
        phantom.film(variant, 350, 300, 1.2).astype(int) for variant in (phantom.FILM_HERNIA, phantom.FILM_NORMAL)
    )
    gas_row, fluid_row, stomach = slice(165, 178), slice(190, 200), slice(200, 216)

    def level(film: np.ndarray) -> float:
        return float(film[fluid_row, stomach].mean() - film[gas_row, stomach].mean())

    assert level(torn) > 1000, "gas above fluid, higher than a whole left diaphragm"
    assert abs(level(whole)) < 500
    assert abs(torn[110:150, 60:80].mean() - whole[110:150, 60:80].mean()) < 400


def test_film_view_of_the_ct_does_not_depend_on_the_order_of_slices() -> None:
    heights = [float(z) for z in range(-60, 100, 8)]
    planes = [plane(z) for z in heights]
    forward = film_view(planes, heights, (SPACING, SPACING))
    backward = film_view(planes[::-1], heights[::-1], (SPACING, SPACING))
    np.testing.assert_array_equal(forward.pixels, backward.pixels)
    assert forward.pixels.shape == (round((heights[-1] - heights[0]) / SPACING) + 1, SIZE)
    assert forward.slices == len(heights)


def test_film_view_puts_head_up_and_right_on_the_left() -> None:
    planes = np.full((10, 64, 64), -1000, np.int16)
    planes[:, 16:48, 8:56] = 0
    planes[8:, 16:48, 8:24] = 600
    heights = [2.0 * index for index in range(10)]
    film = film_view(planes, heights, (1.0, 1.0)).pixels
    assert film[1, 16] > film[1, 46] + 500
    assert film[1, 16] > film[-2, 16] + 500
    mirrored = film_view(planes, heights, (1.0, 1.0), (-1, 0, 0, 0, -1, 0)).pixels
    np.testing.assert_allclose(mirrored.astype(int), film[:, ::-1].astype(int), atol=2)


def test_film_view_leaves_the_table_out() -> None:
    hu = np.full((160, 160), -1000, np.int16)
    hu[40:100, 40:120] = 0
    hu[50:90, 60:80] = -850
    without = ray_sums(hu, 1.0)
    hu[140:143] = 300
    np.testing.assert_allclose(ray_sums(hu, 1.0), without)
    assert without[70] == pytest.approx(0.02 * 20 + 0.02 * 0.15 * 40, rel=1e-3)
    assert ray_sums(hu, 1.0, body_only=False)[5] > 0


def test_film_view_evens_out_unequal_distances() -> None:
    planes = [np.full((16, 16), value, np.int16) for value in (-1000, 0, 0, 1000)]
    assert film_view(planes, [0.0, 4.0, 6.0, 10.0], (1.0, 1.0)).pixels.shape == (11, 16)


@pytest.mark.parametrize(
    ("heights", "orientation"),
    [
        ([0, 2, 4, 14], (1, 0, 0, 0, 1, 0)),
        ([0, 2, 2, 4], (1, 0, 0, 0, 1, 0)),
        ([0, 2, 4], (1, 0, 0, 0, 1, 0)),
        ([0, 2, 4, 6], (1, 0, 0, 0, 0.97, 0.24)),
        ([0, 2, 4, 6], (0, 1, 0, 0, 0, -1)),
        ([0, 2, 4, 6], ()),
    ],
    ids=["gap", "twice", "without position", "tilt", "sagittal", "no orientation"],
)
def test_film_view_refuses_what_it_would_distort(heights: list[float], orientation: tuple[float, ...]) -> None:
    with pytest.raises(ImageError):
        film_view([np.zeros((16, 16), np.int16)] * 4, heights, (1.0, 1.0), orientation)


def test_develop_keeps_the_order_of_densities() -> None:
    ramp = np.tile(np.linspace(0, 5, 64, dtype=np.float32), (32, 1))
    film = develop(ramp, detail=0.0)
    assert (np.diff(film[0].astype(int)) >= 0).all()
    assert film[0, 0] == 0
    assert film[0, -1] == FILM_MAXIMUM


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (phantom_parts.head_ct(5, 128, 1.8), np.int16),
        (phantom_parts.spine_mr(0, 128, 2.3), np.uint16),
        (phantom_parts.knee_mr(4, 128, 1.2), np.uint16),
        (phantom_parts.knee_film(128, 100, 1.6), np.uint16),
        (phantom_parts.hand_film(128, 100, 1.6), np.uint16),
        (phantom_parts.abdomen_us(2, 120, 160, 1.4), np.uint8),
    ],
)
def test_other_parts_have_the_type_and_range_of_their_modality(image: np.ndarray, kind: type) -> None:
    assert image.dtype == kind
    assert image.std() > 10
    assert image.max() <= 4095


def test_head_has_brain_inside_bone() -> None:
    head = phantom_parts.head_ct(30, 128, 1.8)
    middle = head[64 - 3 : 64 + 3, 64 + 18 : 64 + 24]
    assert 20 < middle.mean() < 50
    assert head[64].max() > 700
