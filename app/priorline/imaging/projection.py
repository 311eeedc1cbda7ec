"""A CT seen like a chest film: ray sums from front to back, so that like can be compared with like.

A comparison aid: what comes out is derived, and not for diagnosis.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from priorline.errors import ImageError

FILM_MAXIMUM = 4095
_WATER_PER_MM = 0.02
_LOWEST, _HIGHEST = -1024, 3071
_AIR_BELOW = -950
_BONE_ABOVE = 200
_BONE_WEIGHT = 1.5
_CELL = 8
_AXIS_TOLERANCE = 0.01
_LARGEST_GAP = 2.6


@dataclass(frozen=True, slots=True)
class Film:
    """A film-like image: uint16 0…4095, bright where much was in the way, and its square pixel in millimetres.

    `slices` is the number of slices that went in.
    """

    pixels: npt.NDArray[np.uint16]
    pixel_mm: float
    slices: int


def _attenuation() -> npt.NDArray[np.float32]:
    hu = np.arange(_LOWEST, _HIGHEST + 1, dtype=np.float32)
    weighted = np.where(hu > _BONE_ABOVE, _BONE_ABOVE + (hu - _BONE_ABOVE) * _BONE_WEIGHT, hu)
    return np.where(hu < _AIR_BELOW, 0.0, _WATER_PER_MM * (1.0 + weighted / 1000.0)).astype(np.float32)


_TABLE = _attenuation()


def ray_sums(hu: npt.NDArray[np.int16], row_mm: float, body_only: bool = True) -> npt.NDArray[np.float32]:
    """One line of the film: attenuation summed down the rows of an axial slice (rows, columns) in HU.

    `row_mm` is the distance of two rows. With `body_only` the table and what lies beside the patient is left out.
    The result is the unitless line integral per column, 0 in air, about 4 through 200 mm of water.
    """
    values = _TABLE[np.clip(hu, _LOWEST, _HIGHEST) - _LOWEST]
    if body_only:
        values = values * _body(hu)
    return np.asarray(values.sum(axis=0, dtype=np.float32) * np.float32(row_mm), dtype=np.float32)


def _body(hu: npt.NDArray[np.int16]) -> npt.NDArray[np.bool_]:
    """The patient without the table: the largest connected body in coarse cells, grown by one cell."""
    rows, columns = (size // _CELL * _CELL for size in hu.shape)
    if not rows or not columns:
        return np.ones(hu.shape, dtype=np.bool_)
    coarse = hu[:rows:2, :columns:2].reshape(rows // _CELL, _CELL // 2, columns // _CELL, _CELL // 2)
    solid = (coarse > -400).mean(axis=(1, 3)) > 0.5
    body = np.repeat(np.repeat(_grow(_largest(solid)), _CELL, axis=0), _CELL, axis=1)
    missing = ((0, hu.shape[0] - rows), (0, hu.shape[1] - columns))
    hull = np.pad(body, missing, mode="edge")
    # Lungs are inside the patient: from the first to the last body row of each column everything counts.
    below = np.maximum.accumulate(hull, axis=0)
    above = np.maximum.accumulate(hull[::-1], axis=0)[::-1]
    return np.asarray(below & above, dtype=np.bool_)


def _grow(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown


def _largest(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    rest, best = mask.copy(), np.zeros_like(mask)
    while rest.sum() > best.sum():
        part = np.zeros_like(mask)
        part.flat[int(np.argmax(rest))] = True
        size = 0
        while (now := int(part.sum())) != size:
            size = now
            part = _grow(part) & rest
        if size > best.sum():
            best = part
        rest &= ~part
    return best


def develop(
    sums: npt.NDArray[np.float32], detail: float = 0.45, reach: int = 0, low: float = 2.0, high: float = 99.7
) -> npt.NDArray[np.uint16]:
    """Turn line integrals (any shape of two axes) into a 12-bit film: S-shaped curve, bright where dense.

    `detail` (0…1) takes that share of the coarse brightness away, as digital film systems do, so that ribs show
    through the mediastinum; `reach` is its size in pixels, 0 for a sixth of the width. `low` and `high` are
    the percentiles that become black and white.
    """
    reach = reach or max(3, sums.shape[1] // 6)
    flat = sums - np.float32(detail) * _blur(sums, reach)
    darkest, brightest = (float(value) for value in np.percentile(flat, (low, high)))
    tone = np.clip((flat - darkest) / max(brightest - darkest, 1e-6), 0.0, 1.0)
    curved = 0.45 * tone + 0.55 * tone * tone * (3.0 - 2.0 * tone)
    return np.asarray(np.rint(curved * FILM_MAXIMUM), dtype=np.uint16)


def _blur(image: npt.NDArray[np.float32], reach: int) -> npt.NDArray[np.float32]:
    for axis in (0, 1, 0, 1):
        image = _box(image, min(reach, image.shape[axis]) // 2, axis)
    return image


def _box(image: npt.NDArray[np.float32], half: int, axis: int) -> npt.NDArray[np.float32]:
    pad = [(0, 0), (0, 0)]
    pad[axis] = (half + 1, half)
    total = np.cumsum(np.pad(image, pad, mode="edge"), axis=axis, dtype=np.float64)
    size = image.shape[axis]
    ends = np.take(total, np.arange(size) + 2 * half + 1, axis=axis)
    starts = np.take(total, np.arange(size), axis=axis)
    return np.asarray((ends - starts) / (2 * half + 1), dtype=np.float32)


def resample(
    image: npt.NDArray[np.float32], rows: npt.NDArray[np.floating], columns: npt.NDArray[np.floating]
) -> npt.NDArray[np.float32]:
    """`image` at fractional row and column positions (separable, linear, edges held)."""
    upper, share = _between(rows, image.shape[0])
    lines = image[upper] * (1 - share)[:, None] + image[upper + 1] * share[:, None]
    left, share = _between(columns, image.shape[1])
    return np.asarray(lines[:, left] * (1 - share) + lines[:, left + 1] * share, dtype=np.float32)


def _between(positions: npt.NDArray[np.floating], size: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    held = np.clip(positions, 0, size - 1)
    lower = np.clip(np.floor(held), 0, max(size - 2, 0)).astype(np.intp)
    return lower, (held - lower).astype(np.float32)


def film_view(
    slices: Iterable[npt.NDArray[np.int16]],
    heights_mm: Sequence[float],
    spacing_mm: tuple[float, float],
    orientation: Sequence[float] = (1, 0, 0, 0, 1, 0),
) -> Film:
    """Axial CT slices in HU as a film from front to back, head up, patient's right on the viewer's left.

    `heights_mm` are the z of the slices (LPS, any order, unequal distances are evened out), `spacing_mm` is (row,
    column) as in Pixel Spacing (PS3.3 10.7.1.3), `orientation` Image Orientation (Patient) (PS3.3 C.7.6.2.1.1).
    Raises ImageError where the slices are tilted or not axial, fewer than two, or have a gap.
    """
    mirrored = _check_axes(orientation)
    lines = [ray_sums(plane, spacing_mm[0]) for plane in slices]
    heights = np.asarray(heights_mm, dtype=np.float64)
    order = _check_heights(heights, len(lines))
    sums = np.stack(lines)[order]
    if mirrored:
        sums = sums[:, ::-1]
    step, tall = spacing_mm[1], float(heights[order][0] - heights[order][-1])
    wanted = heights[order][0] - np.arange(0.0, tall + step / 2, step)
    rows = np.interp(-wanted, -heights[order], np.arange(len(lines), dtype=np.float64))
    square = resample(sums, rows, np.arange(sums.shape[1], dtype=np.float64))
    return Film(develop(square), step, len(lines))


def _check_axes(orientation: Sequence[float]) -> bool:
    cosines = np.asarray(orientation, dtype=np.float64)
    if cosines.shape != (6,) or not np.allclose(np.abs(cosines), (1, 0, 0, 0, 1, 0), atol=_AXIS_TOLERANCE):
        raise ImageError("This series is tilted or not axial, so no film view can be made of it.")
    return bool(cosines[0] < 0)


def _check_heights(heights: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.intp]:
    if count < 2 or heights.shape != (count,):
        raise ImageError("A film view needs at least two slices that each have a position.")
    order = np.argsort(-heights)
    steps = -np.diff(heights[order])
    typical = float(np.median(steps))
    if typical <= 0 or steps.min() <= 0:
        raise ImageError("Two slices of this series lie at the same position; choose one series of it.")
    if steps.max() > _LARGEST_GAP * typical:
        raise ImageError("Slices of this series are missing, so a film view would be distorted.")
    return order
