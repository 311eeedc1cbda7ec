"""One axial plane to paint anatomy on, with soft edges, from shapes that are given in millimetres."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Window = tuple[slice, slice]
Point = tuple[float, float, float]


class Tube(NamedTuple):
    """A straight piece of a tube with round ends, in millimetres (LPS)."""

    start: Point
    end: Point
    start_radius: float
    end_radius: float


class TubeSet:
    """Many tubes that are found quickly by height."""

    def __init__(self, tubes: Iterable[Tube]) -> None:
        self.tubes = tuple(tubes)
        ends = np.array([(t.start[2], t.end[2]) for t in self.tubes])
        reach = np.array([max(t.start_radius, t.end_radius) for t in self.tubes])
        self._low, self._high = ends.min(axis=1) - reach, ends.max(axis=1) + reach

    def __iter__(self) -> Iterator[Tube]:
        return iter(self.tubes)

    def near(self, z: float) -> list[Tube]:
        """The tubes that reach the plane at `z`."""
        return [self.tubes[index] for index in np.flatnonzero((self._low < z) & (z < self._high))]


class Patch(NamedTuple):
    """Where a shape lies on the canvas, and its signed distance there in millimetres, negative inside."""

    window: Window
    distance: Floats


class Canvas:
    """A plane of HU at one height; `x` runs to the patient's left, `y` to the back, both in millimetres."""

    def __init__(self, x: Floats, y: Floats, fill: float = -1000.0) -> None:
        self.x, self.y = x, y
        self.hu: Floats = np.full((y.size, x.size), fill, dtype=np.float32)
        self.soft = float(max(x[1] - x[0], y[1] - y[0]))

    def coverage(self, distance: npt.NDArray[np.floating]) -> Floats:
        """How much of each pixel lies inside a shape, 0…1, from its signed distance in millimetres."""
        covered = np.asarray(distance * np.float32(-1.0 / self.soft), dtype=np.float32)
        covered += np.float32(0.5)
        return np.clip(covered, 0.0, 1.0, out=covered)

    def paint(self, distance: npt.NDArray[np.floating], hu: float | Floats, window: Window | None = None) -> None:
        """Replace what lies inside a shape."""
        target = self.hu if window is None else self.hu[window]
        step = hu - target
        step *= self.coverage(distance)
        target += step

    def window(self, left: float, right: float, front: float, back: float) -> Window:
        """The pixels of a rectangle that is given in millimetres."""
        columns = np.searchsorted(self.x, (left - self.soft, right + self.soft))
        rows = np.searchsorted(self.y, (front - self.soft, back + self.soft))
        return slice(int(rows[0]), int(rows[1])), slice(int(columns[0]), int(columns[1]))

    def ellipse(self, center: tuple[float, float], radii: tuple[float, float], turn: float = 0.0) -> Patch:
        """An ellipse; `turn` in radians from x towards y."""
        reach = max(radii) + self.soft
        window = self.window(center[0] - reach, center[0] + reach, center[1] - reach, center[1] + reach)
        x = self.x[window[1]][None, :] - np.float32(center[0])
        y = self.y[window[0]][:, None] - np.float32(center[1])
        cosine, sine = np.float32(np.cos(turn)), np.float32(np.sin(turn))
        across = (x * cosine + y * sine) / np.float32(radii[0])
        along = (y * cosine - x * sine) / np.float32(radii[1])
        return Patch(window, (np.hypot(across, along) - np.float32(1)) * np.float32(min(radii)))

    def ellipsoid(self, z: float, center: Point, radii: Point, turn: float = 0.0) -> Patch | None:
        """The cut of an ellipsoid at `z`, or None where it does not reach."""
        rest = 1.0 - ((z - center[2]) / radii[2]) ** 2
        if rest <= 0.01:
            return None
        scale = rest**0.5
        return self.ellipse(center[:2], (radii[0] * scale, radii[1] * scale), turn)

    def tube(self, z: float, tube: Tube) -> Patch | None:
        """The cut of a tube at `z`, or None where it does not reach."""
        start, end, r0, r1 = tube
        reach = max(r0, r1)
        if not min(start[2], end[2]) - reach < z < max(start[2], end[2]) + reach:
            return None
        window = self.window(
            min(start[0], end[0]) - reach,
            max(start[0], end[0]) + reach,
            min(start[1], end[1]) - reach,
            max(start[1], end[1]) + reach,
        )
        return Patch(window, self._tube_distance(window, z, tube))

    def _tube_distance(self, window: Window, z: float, tube: Tube) -> Floats:
        (x0, y0, z0), (x1, y1, z1), r0, r1 = tube
        axis = (x1 - x0, y1 - y0, z1 - z0)
        length = axis[0] ** 2 + axis[1] ** 2 + axis[2] ** 2 + 1e-6
        x = self.x[window[1]][None, :] - np.float32(x0)
        y = self.y[window[0]][:, None] - np.float32(y0)
        height = np.float32(z - z0)
        share = x * np.float32(axis[0] / length) + y * np.float32(axis[1] / length)
        share += height * np.float32(axis[2] / length)
        np.clip(share, 0.0, 1.0, out=share)
        square = (x - share * np.float32(axis[0])) ** 2 + (y - share * np.float32(axis[1])) ** 2
        square += (height - share * np.float32(axis[2])) ** 2
        return np.asarray(np.sqrt(square) - (np.float32(r0) + share * np.float32(r1 - r0)), dtype=np.float32)

    def paint_tubes(self, z: float, tubes: Iterable[Tube], layers: tuple[tuple[float, float], ...]) -> None:
        """Paint tubes in layers of (depth below the surface in millimetres, HU), outermost first."""
        if isinstance(tubes, TubeSet):
            tubes = tubes.near(z)
        cuts = [cut for cut in (self.tube(z, tube) for tube in tubes) if cut is not None]
        for depth, hu in layers:
            for cut in cuts:
                self.paint(cut.distance + np.float32(depth), hu, cut.window)

    def paint_ellipsoid(
        self, z: float, center: Point, radii: Point, hu: float, turn: float = 0.0, within: Floats | None = None
    ) -> None:
        """Paint an ellipsoid, where given only inside the shape `within` (signed distance, whole canvas)."""
        cut = self.ellipsoid(z, center, radii, turn)
        if cut is None:
            return
        distance = cut.distance if within is None else np.maximum(cut.distance, within[cut.window])
        self.paint(distance, hu, cut.window)


def chain(points: Iterable[Point], radius: float, end_radius: float | None = None) -> list[Tube]:
    """A bent tube through `points`, tapering evenly to `end_radius` where given."""
    path = list(points)
    radii = np.linspace(radius, radius if end_radius is None else end_radius, len(path))
    return [Tube(a, b, float(radii[i]), float(radii[i + 1])) for i, (a, b) in enumerate(pairwise(path))]


def smooth_path(points: Iterable[Point], steps: int = 6) -> list[Point]:
    """A smooth curve through `points` (Catmull-Rom, `steps` pieces between two of them)."""
    p = np.asarray(list(points), dtype=float)
    p = np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
    curve: list[Point] = []
    for a, b, c, d in zip(p, p[1:], p[2:], p[3:], strict=False):
        for t in np.arange(steps) / steps:
            q = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
            curve.append((float(q[0]), float(q[1]), float(q[2])))
    curve.append((float(p[-2][0]), float(p[-2][1]), float(p[-2][2])))
    return curve
