"""Letters at the edges and the shape of a picture."""

from itertools import permutations, product

import numpy as np
import pytest

from priorline.imaging.geometry import EdgeLetters, View, display_size, edge_letters, opposite, pixel_aspect

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
VIEWS = [flip.rotated(turns) for turns in range(4) for flip in (View(), View().flipped_horizontally())]


def test_an_axial_slice_is_seen_from_the_feet() -> None:
    assert edge_letters(AXIAL) == EdgeLetters(left="R", right="L", top="A", bottom="P")


def test_a_mirrored_and_a_turned_slice() -> None:
    mirrored = edge_letters(AXIAL, view=View().flipped_horizontally())
    assert (mirrored.left, mirrored.right, mirrored.top) == ("L", "R", "A")
    turned = edge_letters(AXIAL, view=View().rotated())
    assert turned == EdgeLetters(left="P", right="A", top="R", bottom="L")


def letters_of_pixels(row: np.ndarray, column: np.ndarray, view: View) -> EdgeLetters:
    """The same by brute force: a picture of patient coordinates, turned by numpy."""
    y, x = np.mgrid[0:3, 0:3]
    places = x[..., None] * row + y[..., None] * column
    turns = {View().rotated(n): np.rot90(places, -n) for n in range(4)}
    turns |= {View().flipped_horizontally().rotated(n): np.rot90(places[:, ::-1], -n) for n in range(4)}
    picture = turns[view]
    right, bottom = picture[1, 2] - picture[1, 0], picture[2, 1] - picture[0, 1]

    def letter(vector: np.ndarray) -> str:
        axis = int(np.argmax(np.abs(vector)))
        return ("LR", "PA", "HF")[axis][int(vector[axis] < 0)]

    return EdgeLetters(letter(-right), letter(right), letter(-bottom), letter(bottom))


@pytest.mark.parametrize("view", VIEWS)
def test_all_orientations_in_all_views(view: View) -> None:
    for axes, signs in product(permutations(range(3), 2), product((1, -1), repeat=2)):
        row, column = signs[0] * np.eye(3)[axes[0]], signs[1] * np.eye(3)[axes[1]]
        orientation = tuple(float(part) for part in (*row, *column))
        assert edge_letters(orientation, view=view) == letters_of_pixels(row, column, view)


def test_oblique_directions_have_two_letters_and_slight_ones_one() -> None:
    def at(degrees: float) -> str:
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        return edge_letters((c, -s, 0.0, s, c, 0.0)).right

    assert (at(5), at(30), at(60)) == ("L", "LA", "AL")


def test_projections_take_the_letters_of_the_object() -> None:
    assert edge_letters((), ("L", "F")) == EdgeLetters(left="R", right="L", top="H", bottom="F")
    mirrored = edge_letters((), ("L", "F"), View().flipped_horizontally())
    assert (mirrored.left, mirrored.right) == ("L", "R")


@pytest.mark.parametrize("letters", [(), ("L",), ("", "F"), ("X", "F"), ("L", "R"), ("LR", "F")])
def test_unknown_orientation_has_no_letters(letters: tuple[str, ...]) -> None:
    assert edge_letters((), letters) == EdgeLetters()
    assert edge_letters((1.0, 0.0, 0.0, 1.0, 0.0, 0.0), letters) == EdgeLetters()


def test_views_form_a_group() -> None:
    assert View().rotated(4) == View().flipped_vertically().flipped_vertically() == View()
    assert View().flipped_horizontally().flipped_vertically() == View().rotated(2)
    assert View().rotated(-1) == View().rotated(3)
    assert View().flipped_vertically().mirrored
    assert View().rotated().swaps_axes


def test_opposites() -> None:
    assert opposite("LAH") == "RPF"


def test_the_shape_of_pixels() -> None:
    assert pixel_aspect((0.5, 0.25)) == 2.0
    assert pixel_aspect((), (1.0, 2.0)) == 0.5
    assert pixel_aspect((0.0, 0.0)) == 1.0
    assert display_size(100, 50, 2.0) == (50.0, 200.0)
    assert display_size(100, 50, 0.5) == (100.0, 100.0)
