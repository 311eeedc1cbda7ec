"""Where the phantom's bones and vessels run: lists of tubes in millimetres, made once."""

from collections.abc import Callable
from functools import cache

import numpy as np

from priorline.imaging.phantom_canvas import Point, Tube, TubeSet, chain, smooth_path

T1_HEIGHT = 138.0
VERTEBRA_STEP = 24.0
RIB_FLATTENING = 0.6

_CAVITY_Z = (-215, -150, -100, -60, -20, 20, 60, 90, 118, 132, 142, 150, 210)
_CAVITY_X = (126, 130, 135, 138, 137, 131, 119, 104, 80, 62, 42, 24, 22)
_CAVITY_Y = (84, 88, 92, 94, 93, 89, 82, 73, 58, 45, 30, 20, 20)
_CAVITY_MIDDLE = (-4, -3, -1, 0, 0, 1, 4, 8, 14, 18, 20, 20, 20)
_SPINE_Z = (-215, -150, -50, 50, 140, 210)
_SPINE_Y = (46, 50, 62, 66, 54, 34)


def cavity(z: float) -> tuple[float, float, float]:
    """Half width, half depth and middle (y) of the inside of the rib cage at a height, in millimetres."""
    width, depth, middle = (float(np.interp(z, _CAVITY_Z, v)) for v in (_CAVITY_X, _CAVITY_Y, _CAVITY_MIDDLE))
    return width, depth, middle


def spine_y(z: float) -> float:
    """The middle of the vertebral bodies from front to back."""
    return float(np.interp(z, _SPINE_Z, _SPINE_Y))


def _rib_point(number: int, side: int, angle: float) -> Point:
    start = T1_HEIGHT - VERTEBRA_STEP * (number - 1) + 6
    drop = float(np.interp(number, (1, 2, 4, 7, 10, 12), (34, 56, 82, 104, 98, 70)))
    z = start - drop * (1 - np.cos(angle)) / 2 + 5 * np.sin(2 * angle)
    width, depth, middle = cavity(z)
    x = (width + 4) * float(np.sin(angle)) ** 0.86
    y = middle + (depth + 4) * float(np.copysign(abs(np.cos(angle)) ** 0.9, np.cos(angle)))
    return side * x, y, float(z)


_RIB_ENDS = (0.80, 0.80, 0.80, 0.79, 0.78, 0.76, 0.73, 0.68, 0.63, 0.58, 0.42, 0.3)


@cache
def ribs() -> TubeSet:
    """Twelve pairs of ribs, sloping down from the spine to the front.

    Ribs are taller than thick: their z is multiplied by RIB_FLATTENING, so paint them at that height too.
    """
    tubes: list[Tube] = []
    for number, end in enumerate(_RIB_ENDS, start=1):
        for side in (-1, 1):
            angles = np.linspace(0.36, end * np.pi, 21)
            head_z = T1_HEIGHT - VERTEBRA_STEP * (number - 1) + 8
            head: Point = (side * 17.0, spine_y(head_z) + 6, head_z)
            _, depth, middle = cavity(head_z)
            neck: Point = (side * 28.0, middle + depth + 4, head_z - 1)
            path = [head, neck, *(_rib_point(number, side, float(angle)) for angle in angles)]
            tubes += chain([(x, y, z * RIB_FLATTENING) for x, y, z in path], 4.0, 4.4)
    return TubeSet(tubes)


@cache
def cartilage() -> TubeSet:
    """From the front ends of the upper ten ribs to the breast bone."""
    tubes: list[Tube] = []
    for number in range(1, 11):
        for side in (-1, 1):
            end = _rib_point(number, side, _RIB_ENDS[number - 1] * np.pi)
            target_z = max(end[2] + (0, 2, 4, 8, 16, 28, 44, 60, 70, 78)[number - 1], -42.0)
            _, depth, middle = cavity(target_z)
            goal: Point = (side * 17.0, middle - depth - 5, target_z)
            halfway: Point = (
                (end[0] * 0.5 + goal[0] * 0.5),
                min(end[1], goal[1] * 0.75 + end[1] * 0.25),
                end[2] * 0.6 + goal[2] * 0.4,
            )
            tubes += chain(smooth_path((end, halfway, goal), 4), 4.5)
    return TubeSet(tubes)


@cache
def shoulder_girdle(arms_up: bool) -> TubeSet:
    """Collar bones, shoulder blades and, with the arms down, the heads and shafts of the upper arms."""
    lift = 14.0 if arms_up else 0.0
    tubes: list[Tube] = []
    for side in (-1, 1):
        clavicle = (
            (side * 17.0, -66.0, 106.0),
            (side * 50.0, -66.0, 118.0 + lift * 0.3),
            (side * 95.0, -38.0, 131.0 + lift),
            (side * 142.0, -4.0, 136.0 + lift * 1.5),
        )
        tubes += chain(smooth_path(clavicle), 5.5)
        for z in np.arange(4.0, 122.0, 4.0):
            tubes.append(_blade(side, float(z), lift))
        spine_of_blade = ((side * 88.0, 100.0, 96.0 + lift), (side * 150.0, 36.0, 138.0 + lift))
        tubes += chain(smooth_path(spine_of_blade), 5.0, 6.5)
        if not arms_up:
            tubes += chain(((side * 172.0, 2.0, 118.0), (side * 173.0, 2.0, 116.0)), 22.0)
            tubes += chain(((side * 178.0, 2.0, 112.0), (side * 212.0, 6.0, -160.0)), 12.0)
    return TubeSet(tubes)


def _blade(side: int, z: float, lift: float) -> Tube:
    share = (z - 4.0) / 118.0
    outward = 8.0 if lift == 0.0 else 16.0
    _, depth, middle = cavity(z)
    back = middle + depth
    medial: Point = (side * (104 - 22 * share + outward * (1 - share)), back * 0.66 + 26, z + lift)
    lateral: Point = (side * (112 + 34 * share + outward * (1 - share)), back * 0.66 + 12 - 40 * share, z + lift)
    return Tube(medial, lateral, 2.6, 4.2)


_LOBES = (
    (1.1, -0.2), (0.9, 0.5), (0.6, -0.8), (0.1, -0.8), (0.0, 0.6), (-0.6, -0.7), (-0.8, -0.2),
    (-1.0, 0.6), (-1.1, 0.1),
)  # fmt: skip


def vessel_tree(side: int, inside: Callable[[Point], float]) -> tuple[Tube, ...]:
    """The vessels of one lung from the hilum outwards; `inside` gives the depth of a point in the lung in mm."""
    random = np.random.default_rng(40 + side)
    tubes: list[Tube] = []
    for height, forward in _LOBES:
        direction = np.array([side * 0.75, forward, height * 0.9])
        _branch(tubes, random, inside, np.array([side * 36.0, 14.0, 52.0 + 12 * height]), direction, 4.6)
    return tuple(tubes)


def _branch(
    tubes: list[Tube],
    random: np.random.Generator,
    inside: Callable[[Point], float],
    position: np.ndarray,
    direction: np.ndarray,
    radius: float,
) -> None:
    for _ in range(2):
        end = _ahead(random, inside, position, direction, radius)
        if end is None:
            return
        direction = end - position
        tubes.append(Tube(_point(position), _point(end), radius, radius * 0.96))
        position, radius = end, radius * 0.96
    if radius < 0.72:
        return
    direction = direction / np.linalg.norm(direction)
    spread = random.normal(0, 1, 3)
    spread -= direction * (spread @ direction) / (direction @ direction)
    spread *= 0.6 / np.linalg.norm(spread)
    _branch(tubes, random, inside, position, direction + spread, radius * 0.78)
    _branch(tubes, random, inside, position, direction - spread * 0.8, radius * 0.76)


def _ahead(
    random: np.random.Generator,
    inside: Callable[[Point], float],
    position: np.ndarray,
    direction: np.ndarray,
    radius: float,
) -> np.ndarray | None:
    """Where the next piece ends, turning away from the lung's surface; None where there is no room."""
    for turn in (0.14, 0.5, 0.8, 1.1):
        heading = direction / np.linalg.norm(direction) + random.normal(0, turn, 3)
        end: np.ndarray = position + heading * ((7.0 + 1.6 * radius) / np.linalg.norm(heading))
        if radius > 3.4 or inside(_point(end)) > 3.0:
            return end
    return None


def _point(position: np.ndarray) -> Point:
    return float(position[0]), float(position[1]), float(position[2])
