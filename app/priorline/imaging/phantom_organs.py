"""Where the phantom's soft organs lie: diaphragm, bowel, vessels and airway, in millimetres (LPS)."""

from functools import cache
from itertools import pairwise

import numpy as np

from priorline.imaging import phantom_skeleton as skeleton
from priorline.imaging.phantom_canvas import Floats, Point, Tube, TubeSet, chain, smooth_path


def diaphragm(x: Floats, y: Floats) -> Floats:
    """Height of the whole diaphragm over each point, in millimetres; the right dome is the higher one."""
    right = x < 0
    aside = np.where(right, -66 - x, x - 70) / 68.0
    sideways = aside**2 * np.where(aside > 0, 46, 12)
    back = (y + 10) / np.where(y > -10, 95, 85)
    return np.asarray(np.where(right, -42, -55) - sideways - back**2 * np.where(back > 0, 72, 24), np.float32)


SAC: tuple[Point, Point] = ((84.0, -2.0, -30.0), (62.0, 84.0, 82.0))
LOOP = (
    (96.0, -62.0, -190.0), (112.0, -50.0, -95.0), (116.0, -30.0, -40.0), (116.0, 6.0, 0.0), (92.0, 38.0, 28.0),
    (66.0, 54.0, 10.0), (84.0, 60.0, -34.0), (110.0, 44.0, -70.0), (112.0, 36.0, -190.0),
)  # fmt: skip
SMALL_LOOP = ((60.0, -62.0, -60.0), (56.0, -64.0, -12.0), (78.0, -54.0, 24.0), (100.0, -40.0, 22.0))
COLON = ((-110.0, -30.0, -215.0), (-100.0, -52.0, -150.0), (-30.0, -78.0, -165.0), (60.0, -74.0, -150.0),
          (108.0, -20.0, -110.0), (118.0, 20.0, -215.0))  # fmt: skip


def haustra(points: tuple[Point, ...], radius: float, swing: float) -> list[Tube]:
    """A loop of bowel through `points`, its radius swinging as haustra do."""
    path = smooth_path(points, 8)
    radii = [radius + swing * float(np.cos(i * np.pi / 2.5)) for i in range(len(path))]
    return [Tube(a, b, radii[i], radii[i + 1]) for i, (a, b) in enumerate(pairwise(path))]


@cache
def lung_vessels(hernia: bool, finest: float) -> TubeSet:
    """The vessels of both lungs, as fine as `finest` (radius in millimetres); they keep clear of a hernia."""

    def inside(point: Point) -> float:
        x, y, z = point
        width, depth, middle = skeleton.cavity(z)
        hull = (1 - float(np.hypot(x / width, (y - middle) / depth))) * depth
        floor = (z - float(diaphragm(np.array(x, np.float32), np.array(y, np.float32)))) * 0.8
        sac = np.linalg.norm((np.array(point) - SAC[0]) / SAC[1]) - 1 if hernia else 1.0
        return min(hull, floor, 60 * float(sac), abs(x) - 14)

    tubes = (*skeleton.vessel_tree(-1, inside), *skeleton.vessel_tree(1, inside))
    return TubeSet(tube for tube in tubes if tube.start_radius > finest)


@cache
def great_vessels(shift: float) -> dict[str, tuple[Tube, ...]]:
    """Aorta, pulmonary arteries, veins and neck arteries of a heart that lies `shift` millimetres to the left."""

    def at(points: tuple[Point, ...], share: float = 1.0) -> list[Point]:
        return [(x + shift * share, y, z) for x, y, z in points]

    aorta = at(((2, -22, 22), (-10, -24, 50), (-6, -16, 80), (8, 4, 97), (22, 30, 92), (27, 48, 72)), 0.5)
    trunk = at(((18, -32, 22), (22, -26, 46), (20, -8, 62)))
    lungs = at(((-44, 14, 52), (-20, 0, 58), (10, -4, 60), (22, 2, 66), (42, 18, 64)))
    descending = ((27, 48, 72), (22, 44, -60), (8, 30, -120), (6, 20, -215))
    cava = at(((-22, -10, 105), (-26, -16, 70), (-26, -16, 25)), 0.6)
    left_vein = at(((28, -34, 118), (0, -34, 104), (-22, -12, 98)))
    right_vein = at(((-34, -28, 122), (-22, -12, 100)))
    carotid, subclavian = ((14, 8, 104), (24, -6, 200)), ((22, 24, 100), (34, 14, 136), (70, -14, 142))
    return {
        "aorta": (*chain(smooth_path(aorta), 15.5, 13), *chain(descending, 12.5, 10)),
        "pulmonary": (*chain(smooth_path(trunk), 14), *chain(smooth_path(lungs), 9.5)),
        "veins": (
            *chain(cava, 9),
            *chain(((-22, -2, -30), (-18, 14, -215)), 11),
            *chain(smooth_path(left_vein), 6.5),
            *chain(right_vein, 6.5),
        ),
        "arteries": (
            *chain(((-4, -8, 98), (-22, -14, 132), (-26, -4, 200)), 5.5),
            *chain(carotid, 4.2),
            *chain(subclavian, 4.5),
        ),
    }


AIRWAY = (
    *chain(((0, 8, 215), (0, 10, 140), (2, 20, 76)), 8.5),
    *chain(((2, 20, 76), (-20, 22, 58), (-34, 22, 46)), 7, 5.5),
    *chain(((2, 20, 76), (26, 26, 58), (46, 28, 50)), 6.2, 4.8),
    *chain(((-34, 22, 46), (-46, 30, 20)), 4, 2.5),
    *chain(((46, 28, 50), (52, 40, 26)), 3.8, 2.5),
)  # fmt: skip
