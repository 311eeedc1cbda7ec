"""A computed man: chest and upper abdomen in HU, with or without a ruptured left diaphragm. Nobody's data."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from priorline.imaging import phantom_organs as organs
from priorline.imaging import phantom_skeleton as skeleton
from priorline.imaging.phantom_canvas import Canvas, Floats, Point, Tube, chain
from priorline.imaging.projection import develop, ray_sums, resample

_BODY_Z = (-215, -150, -60, 20, 90, 120, 140, 155, 172, 190, 215)
_BODY_X = (150, 154, 160, 165, 167, 166, 160, 148, 104, 66, 60)
_SHOULDERS_X = (150, 154, 160, 165, 172, 186, 196, 176, 108, 66, 60)
_BODY_Y = (106, 109, 112, 112, 104, 92, 82, 74, 66, 60, 60)
_FILM_TOP_MM = 200.0
_FILM_STEP_MM = 1.3
_FILM_LINE_MM = 1.6


@dataclass(frozen=True, slots=True)
class Variant:
    """Which man: `hernia` puts stomach and bowel into the left chest; `erect` lets gas rise to the head.

    `contrast` fills vessels and kidneys as in a trauma CT; `arms_up` is how people lie in a scanner, on a `table`.
    """

    hernia: bool = False
    erect: bool = False
    contrast: bool = False
    arms_up: bool = False
    table: bool = False


TRAUMA_CT = Variant(hernia=True, contrast=True, arms_up=True, table=True)
NORMAL_CT = Variant(contrast=True, arms_up=True, table=True)
FILM_HERNIA = Variant(hernia=True, erect=True)
FILM_NORMAL = Variant(erect=True)
FILM_BED = Variant(hernia=True)


def slice_hu(
    z_mm: float, size: int = 512, spacing: float = 0.7, variant: Variant = TRAUMA_CT
) -> npt.NDArray[np.int16]:
    """One axial slice, (size, size) in HU with the patient's left on the right and mild noise, the same every time.

    `z_mm` runs to the head: the domes of the diaphragm lie near -45, the tops of the lungs near 138; about
    -200…200 is filled. `spacing` is in millimetres.
    """
    man = _man(variant, size, size, spacing, spacing)
    plane = man.plane(z_mm)
    plane += man.noise(100_000 + round(z_mm * 10))
    return np.clip(np.rint(plane), -1024, 3071).astype(np.int16)


def film(
    variant: Variant = FILM_HERNIA, rows: int = 1400, columns: int = 1200, pixel_mm: float = 0.3
) -> npt.NDArray[np.uint16]:
    """A chest film of the same man, 12 bit, bright where dense, as the viewer faces him, with grain and a marker.

    Rays are parallel; the anatomy is sampled every 1.3 mm across and 1.6 mm down, then brought to (rows, columns).
    """
    width = round(columns * pixel_mm / _FILM_STEP_MM) + 1
    height = round(rows * pixel_mm / _FILM_LINE_MM) + 1
    man = _man(variant, width, 150, _FILM_STEP_MM, 1.7)
    heights = _FILM_TOP_MM - _FILM_LINE_MM * np.arange(height)
    lines = [ray_sums(man.plane(float(z)).astype(np.int16), 1.7, body_only=False) for z in heights]
    down, across = np.arange(rows) * (pixel_mm / _FILM_LINE_MM), np.arange(columns) * (pixel_mm / _FILM_STEP_MM)
    sums = resample(np.stack(lines), down, across)
    random = np.random.default_rng(rows * 7 + variant.hernia)
    sums += 0.02 * random.standard_normal(sums.shape, dtype=np.float32)
    picture = develop(sums, detail=0.62, reach=columns // 7)
    _marker(picture, pixel_mm)
    return picture


def _marker(picture: npt.NDArray[np.uint16], pixel_mm: float) -> None:
    """A lead letter L beside the patient's left shoulder."""
    unit = max(1, round(2.5 / pixel_mm))
    top, left = unit * 6, picture.shape[1] - unit * 12
    picture[top : top + 6 * unit, left : left + unit] = 4095
    picture[top + 5 * unit : top + 6 * unit, left : left + 4 * unit] = 4095


@lru_cache(maxsize=8)
def _man(variant: Variant, columns: int, rows: int, dx: float, dy: float) -> "_Man":
    x = (np.arange(columns, dtype=np.float32) - np.float32((columns - 1) / 2)) * np.float32(dx)
    y = (np.arange(rows, dtype=np.float32) - np.float32((rows - 1) / 2)) * np.float32(dy)
    return _Man(variant, x, y)


class _Man:
    """One man on one grid; every plane is painted from outside to inside."""

    def __init__(self, variant: Variant, x: Floats, y: Floats) -> None:
        self.variant, self.x, self.y = variant, x, y
        self.floor = organs.diaphragm(x[None, :], y[:, None])
        random = np.random.default_rng(5)
        self.grain = [_smooth(random.standard_normal((y.size, x.size), dtype=np.float32)) for _ in range(6)]
        self.shift = -16.0 if variant.hernia else 0.0
        white = random.standard_normal((y.size + 1, x.size + 1), dtype=np.float32)
        self._noise = 9.0 * (white[1:, 1:] + 0.7 * white[:-1, 1:] + 0.7 * white[1:, :-1])
        self.empty = self._table()

    def _table(self) -> Floats:
        canvas = Canvas(self.x, self.y)
        reach = np.hypot(self.x[None, :], self.y[:, None] + np.float32(500))
        canvas.paint(np.abs(reach - np.float32(624)) - np.float32(1.5), -150)
        return canvas.hu

    def noise(self, seed: int) -> Floats:
        """Noise of the reconstruction in HU: one field, shifted and turned so that no two seeds look alike."""
        random = np.random.default_rng(seed)
        down, across = random.integers(self.y.size), random.integers(self.x.size)
        field = np.roll(self._noise, (down, across), (0, 1))
        turned = field[:: 1 if random.integers(2) else -1, :: 1 if random.integers(2) else -1]
        return np.asarray(turned, dtype=np.float32)

    def plane(self, z: float) -> Floats:
        """HU at a height as float32 (rows, columns), without noise."""
        canvas = Canvas(self.x, self.y)
        if self.variant.table:
            canvas.hu[:] = self.empty
        chest = self._wall(canvas, z)
        self._lungs(canvas, z, chest)
        self._abdomen(canvas, z, np.maximum(chest + 4, z - self.floor + 4 if z > -140 else chest))
        self._heart(canvas, z, chest)
        if self.variant.hernia:
            self._hernia(canvas, z, chest)
        elif z < -50:
            self._stomach(canvas, z, (64.0, -18.0, -108.0), (46.0, 46.0, 48.0), chest + 5)
        self._vessels(canvas, z)
        self._bones(canvas, z)
        return canvas.hu

    def _oval(self, width: float, depth: float, middle: float, power: float) -> Floats:
        across = np.abs(self.x / np.float32(width)) ** power
        along = np.abs((self.y - np.float32(middle)) / np.float32(depth)) ** power
        # A square root is quick and has the same edge as the root of that power; 2/power mends the slope there.
        rho = np.sqrt(across[None, :] + along[:, None])
        return np.asarray((rho - 1) * np.float32(min(width, depth) * 2 / power), dtype=np.float32)

    def _wall(self, canvas: Canvas, z: float) -> Floats:
        """Table, skin, fat and muscle; answers the distance to the inside of the rib cage."""
        width = float(np.interp(z, _BODY_Z, _BODY_X if self.variant.arms_up else _SHOULDERS_X))
        depth = float(np.interp(z, _BODY_Z, _BODY_Y))
        body = self._oval(width, depth, 4.0 if z < 130 else 8.0, 2.5)
        canvas.paint(body, 20)
        canvas.paint(body + 2, -102)
        canvas.paint(body + (12 if z < 100 else 8) + 0.03 * self.y[:, None], 52)
        chest = self._oval(*skeleton.cavity(z), 2.2)
        canvas.paint(np.abs(chest - 17) - 1.2, -45)
        grain = self._grain(z)
        canvas.hu += np.where(canvas.hu > -150, grain * 7, 0)
        return chest

    def _grain(self, z: float) -> Floats:
        share = z / 4.0
        lower = int(np.floor(share))
        part = np.float32(share - lower)
        first, second = self.grain[lower % 6], self.grain[(lower + 1) % 6]
        return np.asarray(first * (1 - part) + second * part, dtype=np.float32)

    def _lungs(self, canvas: Canvas, z: float, chest: Floats) -> None:
        base = float(np.interp(z, (-70, -30, 0, 55, 90, 115, 145), (38, 22, 16, 22, 24, 24, 36)))
        half = 3 + base * np.exp(-(((self.y - 8) / 58) ** 2))
        middle = np.abs(self.x[None, :] - np.float32(self.shift * 0.4)) - half[:, None]
        canvas.paint(np.maximum(chest, -middle) if z < 150 else chest, -88)
        canvas.paint(np.maximum(chest + 3, middle - 2), -75)
        lung = np.maximum(np.maximum(chest, -middle), (self.floor - np.float32(z)) * np.float32(0.7))
        if z > 144:
            lung += np.float32(4 * (z - 144))
        air = np.float32(-862) + 0.35 * self.y[:, None] + self._grain(z) * 26
        canvas.paint(lung, air.astype(np.float32))

    def _vessels(self, canvas: Canvas, z: float) -> None:
        blood = 190.0 if self.variant.contrast else 42.0
        vessels = organs.lung_vessels(self.variant.hernia, 1.0 if canvas.soft > 1 else 0.0)
        canvas.paint_tubes(z, vessels, ((0.0, blood * 0.8),))
        canvas.paint_tubes(z, organs.AIRWAY, ((-1.6, 40.0), (0.0, -990.0)))

    def _heart(self, canvas: Canvas, z: float, chest: Floats) -> None:
        blood = 1.0 if self.variant.contrast else 0.0
        s = self.shift
        inside = chest + 3
        canvas.paint_ellipsoid(z, (16 + s, -26, -20), (66, 52, 58), -85, 0.5, inside)
        canvas.paint_ellipsoid(z, (30 + s, -22, -18), (54, 41, 46), 55 + 55 * blood, 0.5, inside)
        canvas.paint_ellipsoid(z, (-16 + s, -20, -8), (34, 38, 52), 45 + 165 * blood, 0.2, inside)
        canvas.paint_ellipsoid(z, (8 + s, 10, 18), (36, 20, 26), 45 + 155 * blood, 0.0, inside)
        canvas.paint_ellipsoid(z, (44 + s, -14, -20), (36, 20, 28), 45 + 175 * blood, 0.55, inside)
        canvas.paint_ellipsoid(z, (6 + s, -46, -14), (38, 17, 34), 45 + 155 * blood, 0.3, inside)
        great = organs.great_vessels(s)
        canvas.paint_tubes(z, great["veins"], ((0.0, 44 + 110 * blood),))
        canvas.paint_tubes(z, great["pulmonary"], ((0.0, 44 + 170 * blood),))
        canvas.paint_tubes(z, (*great["aorta"], *great["arteries"]), ((0.0, 50.0), (1.3, 44 + 210 * blood)))
        canvas.paint_tubes(z, chain(((2, 34, 150), (4, 38, 40), (14, 30, -70)), 7, 8), ((0.0, 42.0),))

    def _abdomen(self, canvas: Canvas, z: float, inside: Floats) -> None:
        blood = 1.0 if self.variant.contrast else 0.0
        if z > -38:
            return
        canvas.paint(inside, -98)
        canvas.paint_tubes(z, organs.haustra(organs.COLON, 17, 3), ((0.0, 45.0), (2.5, -5.0), (7.0, -850.0)))
        canvas.paint_ellipsoid(z, (-66, 2, -118), (98, 104, 92), 58 + 48 * blood, 0.0, inside)
        canvas.paint_ellipsoid(z, (8, -42, -100), (62, 38, 46), 58 + 46 * blood, 0.2, inside)
        canvas.paint_ellipsoid(z, (100, 48, -112), (27, 44, 46), 48 + 72 * blood, -0.5, inside)
        for side in (-1, 1):
            canvas.paint_ellipsoid(z, (side * 62, 46, -172 + 6 * side), (27, 31, 54), 35 + 145 * blood, side * 0.5)
            canvas.paint_ellipsoid(z, (side * 54, 40, -172 + 6 * side), (12, 14, 28), -80 + 60 * blood)
            canvas.paint_ellipsoid(z, (side * 36, 52, -200), (22, 24, 70), 55)

    def _hernia(self, canvas: Canvas, z: float, chest: Floats) -> None:
        """Fat, stomach and bowel that went up through the left diaphragm."""
        inside = np.maximum(chest + 2, np.float32(20) - self.x[None, :])
        canvas.paint_ellipsoid(z, *organs.SAC, -92, 0.0, inside)
        self._stomach(canvas, z, (72.0, -18.0, -24.0), (44.0, 52.0, 62.0), inside + 2)
        for loop in (organs.haustra(organs.LOOP, 16, 4), organs.haustra(organs.SMALL_LOOP, 11, 2)):
            canvas.paint_tubes(z, loop, ((-1.5, 48.0), (1.0, -930.0)))

    def _stomach(self, canvas: Canvas, z: float, center: Point, radii: Point, inside: Floats) -> None:
        cut = canvas.ellipsoid(z, center, radii, 0.25)
        if cut is None:
            return
        distance = np.maximum(cut.distance, inside[cut.window])
        canvas.paint(distance, 62, cut.window)
        y = self.y[cut.window[0]][:, None]
        level = np.float32(z - center[2] - 4) if self.variant.erect else np.float32(center[1] + 8) - y
        content = np.where(level > 0, np.float32(-985), np.float32(18) + self._grain(z)[cut.window] * 8)
        canvas.paint(distance + 4, content.astype(np.float32), cut.window)

    def _bones(self, canvas: Canvas, z: float) -> None:
        cortex = ((0.0, 800.0), (1.9, 260.0))
        canvas.paint_tubes(z, skeleton.cartilage(), ((0.0, 95.0),))
        canvas.paint_tubes(z * skeleton.RIB_FLATTENING, skeleton.ribs(), cortex)
        canvas.paint_tubes(z, skeleton.shoulder_girdle(self.variant.arms_up), cortex)
        self._sternum(canvas, z)
        self._vertebra(canvas, z)

    def _sternum(self, canvas: Canvas, z: float) -> None:
        if not -48 < z < 104:
            return
        _, depth, middle = skeleton.cavity(z)
        half = float(np.interp(z, (-48, -30, 20, 60, 72, 104), (6, 13, 17, 14, 20, 27)))
        bone = canvas.ellipse((0.0, middle - depth - 6), (half, 6.5))
        for depth_in, hu in ((0.0, 450.0), (1.6, 140.0)):
            canvas.paint(bone.distance + np.float32(depth_in), hu, bone.window)

    def _vertebra(self, canvas: Canvas, z: float) -> None:
        """Body or disc, canal with cord, arch, transverse and spinous processes."""
        offset = (z - skeleton.T1_HEIGHT + 300 * skeleton.VERTEBRA_STEP) % skeleton.VERTEBRA_STEP
        offset -= skeleton.VERTEBRA_STEP / 2
        y, size = skeleton.spine_y(z), float(np.interp(z, (-200, 140), (1.2, 0.85)))
        body = canvas.ellipse((0.0, y), (18 * size, 15 * size))
        disc = abs(offset) > 9.5
        waist = np.float32(0.0 if disc else 1.6 * (1 - (offset / 9.5) ** 2))
        canvas.paint(body.distance + waist, 95 if disc else 430, body.window)
        if abs(offset) < 8.3:
            canvas.paint(body.distance + waist + np.float32(1.8), 175, body.window)
        back = y + 23 * size
        tip = 0.5 * (1 + np.cos(offset / 12 * np.pi))
        arch = [Tube((0, back + 8, z), (0, back + 12 + 18 * float(tip), z), 4, 3)]
        if offset > -6:
            arch += [Tube((s * 10.0, back - 8, z), (s * 9.0, back + 6, z), 4.5, 4) for s in (-1, 1)]
            arch += [Tube((s * 8.0, back + 6, z), (0, back + 11, z), 4, 3.5) for s in (-1, 1)]
        if 0 < offset < 9 and z < 148:
            out = 15 + 18 * float(np.sin(offset / 9 * np.pi))
            arch += [Tube((s * 14.0, back + 2, z), (s * out, back + out * 0.4, z), 4.5, 4) for s in (-1, 1)]
        canvas.paint_tubes(z, arch, ((0.0, 560.0), (1.8, 220.0)))
        for radii, hu in (((9.0, 7.5), -20.0), ((7.5, 6.3), 12.0), ((5.0, 4.0), 38.0)):
            canal = canvas.ellipse((0.0, back - 1.5), radii)
            canvas.paint(canal.distance, hu, canal.window)


def _smooth(noise: Floats) -> Floats:
    for _ in range(2):
        noise = noise + np.roll(noise, 1, 0) + np.roll(noise, 1, 1) + np.roll(noise, (1, 1), (0, 1))
    return np.asarray(noise / noise.std(), dtype=np.float32)
