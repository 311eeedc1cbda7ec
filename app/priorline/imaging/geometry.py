"""Where patient directions lie on the screen, and the true shape of a picture.

Everything is derived from one view matrix (image to screen), so that letters, rulers and lines cannot disagree.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

_TOWARDS = ("LR", "PA", "HF")
_OPPOSITE = str.maketrans("LRAPHF", "RLPAFH")
_SIGNIFICANT = 0.25  # about 15 degrees out of a main axis


@dataclass(frozen=True, slots=True)
class View:
    """How an image lies on the screen: screen = matrix * image, both with x to the right and y down.

    `matrix` (xx, xy, yx, yy) holds only quarter turns and mirrorings: entries -1, 0 or 1.
    """

    matrix: tuple[int, int, int, int] = (1, 0, 0, 1)

    def rotated(self, quarter_turns: int = 1) -> "View":
        """The view after clockwise quarter turns on the screen; negative ones turn back."""
        view = self
        for _ in range(quarter_turns % 4):
            view = view._then((0, -1, 1, 0))
        return view

    def flipped_horizontally(self) -> "View":
        """The view with left and right of the screen exchanged."""
        return self._then((-1, 0, 0, 1))

    def flipped_vertically(self) -> "View":
        """The view with top and bottom of the screen exchanged."""
        return self._then((1, 0, 0, -1))

    def _then(self, step: tuple[int, int, int, int]) -> "View":
        a, b, c, d = step
        xx, xy, yx, yy = self.matrix
        return View((a * xx + b * yx, a * xy + b * yy, c * xx + d * yx, c * xy + d * yy))

    @property
    def mirrored(self) -> bool:
        """Whether the picture is seen as in a mirror."""
        xx, xy, yx, yy = self.matrix
        return xx * yy - xy * yx < 0

    @property
    def swaps_axes(self) -> bool:
        """Whether image rows run down the screen, so that width and height change places."""
        return self.matrix[0] == 0


@dataclass(frozen=True, slots=True)
class EdgeLetters:
    """The patient direction at each edge of the picture, in letters of PS3.3 C.7.6.1.1.1; empty where unknown."""

    left: str = ""
    right: str = ""
    top: str = ""
    bottom: str = ""


def edge_letters(
    orientation: tuple[float, ...], patient_orientation: tuple[str, ...] = (), view: View | None = None
) -> EdgeLetters:
    """The letters at the edges of the screen.

    From `orientation` (six cosines, Image Orientation (Patient)) where there is one, else from the two entries of
    Patient Orientation (0020,0020); nothing where neither is known or makes sense.
    """
    row, column = _axis_letters(orientation, patient_orientation)
    xx, xy, yx, yy = (view or View()).matrix
    # The inverse of a turn or mirroring is its transpose: row i of the matrix is screen axis i in image axes.
    right = _signed(row, xx) or _signed(column, xy)
    bottom = _signed(row, yx) or _signed(column, yy)
    return EdgeLetters(opposite(right), right, opposite(bottom), bottom)


def direction_letters(vector: Vector) -> str:
    """The letters of a direction in the patient's LPS system, the strongest first, such as "L" or "LA"."""
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length < 1e-6:
        return ""
    unit = vector / length
    strongest_first = sorted(range(3), key=lambda axis: (-round(abs(float(unit[axis])), 6), axis))
    kept = [axis for n, axis in enumerate(strongest_first) if n == 0 or abs(unit[axis]) >= _SIGNIFICANT]
    return "".join(_TOWARDS[axis][0 if unit[axis] > 0 else 1] for axis in kept)


def opposite(letters: str) -> str:
    """The letters of the opposite direction."""
    return letters.translate(_OPPOSITE)


def axes(orientation: tuple[float, ...]) -> tuple[Vector, Vector] | None:
    """Row and column direction as unit vectors; None where they are missing or not perpendicular."""
    if len(orientation) != 6 or not np.all(np.isfinite(orientation)):
        return None
    row, column = np.array(orientation[:3], dtype=np.float64), np.array(orientation[3:], dtype=np.float64)
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if min(lengths) < 0.5 or max(lengths) > 2.0:
        return None
    row, column = row / lengths[0], column / lengths[1]
    return (row, column) if abs(float(row @ column)) < 0.05 else None


@lru_cache(maxsize=1024)
def normal(orientation: tuple[float, ...]) -> Vector | None:
    """The unit vector row x column, out of the image plane; None where the orientation is unknown."""
    pair = axes(orientation)
    if pair is None:
        return None
    cross = np.cross(*pair)
    unit = np.asarray(cross / np.linalg.norm(cross))
    unit.flags.writeable = False  # Slices of a series share it.
    return unit


def pixel_aspect(spacing: tuple[float, ...], aspect_ratio: tuple[float, ...] = ()) -> float:
    """Height of a pixel over its width, 1.0 where unknown.

    From `spacing` (row, column distance in mm), else from Pixel Aspect Ratio (0028,0034), vertical then horizontal.
    """
    for pair in (spacing, aspect_ratio):
        if len(pair) == 2 and min(pair) > 0 and np.all(np.isfinite(pair)):
            return float(pair[0] / pair[1])
    return 1.0


def display_size(rows: int, columns: int, aspect: float) -> tuple[float, float]:
    """(width, height) of a picture with square pixels that loses no row and no column of the image."""
    return (float(columns), rows * aspect) if aspect >= 1.0 else (columns / aspect, float(rows))


@lru_cache(maxsize=256)
def _axis_letters(orientation: tuple[float, ...], letters: tuple[str, ...]) -> tuple[str, str]:
    pair = axes(orientation)
    if pair is not None:
        return direction_letters(pair[0]), direction_letters(pair[1])
    if len(letters) == 2 and all(_sensible(entry) for entry in letters):
        row, column = letters
        if column[0] not in (row[0], opposite(row[0])):
            return row, column
    return "", ""


def _sensible(letters: str) -> bool:
    """One to three of L R, A P, H F, none with its opposite."""
    used = set(letters)
    return 0 < len(letters) <= 3 and used <= set("LRAPHF") and not used & set(opposite(letters))


def _signed(letters: str, sign: int) -> str:
    return letters if sign > 0 else opposite(letters) if sign < 0 else ""
