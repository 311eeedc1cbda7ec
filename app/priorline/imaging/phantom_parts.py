"""Simple computed pictures of other parts: head CT, knee and hand films, spine and knee MR, belly ultrasound."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from priorline.imaging.phantom_canvas import Canvas, Floats, Point, Tube, chain

_Layers = tuple[tuple[float, float], ...]


def _canvas(rows: int, columns: int, pixel_mm: float, fill: float) -> Canvas:
    x, y = (
        (np.arange(count, dtype=np.float32) - np.float32((count - 1) / 2)) * np.float32(pixel_mm)
        for count in (columns, rows)
    )
    return Canvas(x, y, fill)


def _noise(shape: tuple[int, ...], seed: int) -> Floats:
    random = np.random.default_rng(seed)
    return random.standard_normal(shape, dtype=np.float32)


def _twelve_bit(image: Floats) -> npt.NDArray[np.uint16]:
    return np.asarray(np.clip(np.rint(image), 0, 4095), dtype=np.uint16)


def head_ct(z_mm: float, size: int = 512, pixel_mm: float = 0.46) -> npt.NDArray[np.int16]:
    """An axial slice of a head in HU, (size, size); skull base near -60, vertex near 80."""
    canvas = _canvas(size, size, pixel_mm, -1000)
    for shrink, hu in (
        (0.0, 25.0),
        (1.5, -70.0),
        (5.0, 1100.0),
        (6.5, 550.0),
        (9.5, 1100.0),
        (11.5, 8.0),
        (13.5, 36.0),
    ):
        canvas.paint_ellipsoid(z_mm, (0, 0, 0), (84 - shrink, 100 - shrink, 92 - shrink), hu)
    brain = canvas.ellipsoid(z_mm, (0, 0, 0), (68.0, 84.0, 76.0))
    if brain is not None:
        canvas.paint(
            brain.distance + 7 + np.float32(1.6) * np.sin(canvas.x[brain.window[1]] / 4)[None, :], 28, brain.window
        )
    for side in (-1, 1):
        canvas.paint_ellipsoid(z_mm, (side * 24, 4, 4), (15, 13, 20), 37, side * 0.3)
        canvas.paint_ellipsoid(z_mm, (side * 11, -18, 16), (6, 20, 15), 6, side * 0.25)
        canvas.paint_ellipsoid(z_mm, (side * 21, 32, 10), (7, 20, 14), 6, -side * 0.4)
        canvas.paint_ellipsoid(z_mm, (side * 36, -74, -58), (19, 22, 22), -5)
        canvas.paint_ellipsoid(z_mm, (side * 36, -78, -58), (13, 13, 13), 20)
        canvas.paint_ellipsoid(z_mm, (side * 56, 22, -62), (16, 15, 22), 750)
        canvas.paint_ellipsoid(z_mm, (side * 54, 24, -62), (9, 8, 14), -700)
    canvas.paint_ellipsoid(z_mm, (0, 6, 0), (2.5, 13, 12), 6)
    canvas.paint_ellipsoid(z_mm, (0, -66, -66), (14, 18, 22), -800)
    falx = canvas.window(-0.9, 0.9, -76, 76)
    if 10 < z_mm < 68:
        inside = canvas.hu[falx] > 0
        canvas.hu[falx] = np.where(inside, 52, canvas.hu[falx])
    noise = _noise(canvas.hu.shape, 300 + round(z_mm * 10))
    return np.asarray(np.clip(np.rint(canvas.hu + 3.5 * noise), -1024, 3071), dtype=np.int16)


def _bone_film(
    bones: list[Tube], soft: list[Tube], shape: tuple[int, int], pixel_mm: float, seed: int
) -> npt.NDArray[np.uint16]:
    """Bones in soft tissue as a film: each tube adds the thickness that a ray meets."""
    canvas = _canvas(*shape, pixel_mm, 0)
    flesh = _depth(canvas, soft)
    marrow, cortex = _depth(canvas, bones), _depth(canvas, bones, 2.2)
    dense = 0.016 * flesh + 0.016 * marrow + 0.05 * (marrow - cortex)
    grain = _noise((shape[0] // 4 + 1, shape[1] // 4 + 1), seed)
    texture = np.repeat(np.repeat(grain, 4, 0), 4, 1)[: shape[0], : shape[1]]
    picture = 4000 * (1 - np.exp(-dense * 0.62)) + (marrow > 2) * texture * 22
    return _twelve_bit(picture + 90 + 14 * _noise(shape, seed + 1))


def _depth(canvas: Canvas, tubes: list[Tube], shell: float = 0.0) -> Floats:
    """How many millimetres of tube a ray meets at each pixel, the tubes less a `shell`; overlaps count once."""
    depth = np.zeros_like(canvas.hu)
    for tube in tubes:
        cut = canvas.tube(0.0, tube)
        if cut is None:
            continue
        radius = max(tube.start_radius, tube.end_radius)
        inner = np.clip(-cut.distance - shell, 0, None)
        chord = 2 * np.sqrt(np.clip(inner * (2 * (radius - shell) - inner), 0, None))
        np.maximum(depth[cut.window], chord, out=depth[cut.window])
    return depth


def _flat(points: tuple[tuple[float, float], ...], radius: float, end_radius: float | None = None) -> list[Tube]:
    return chain([(x, y, 0.0) for x, y in points], radius, end_radius)


def knee_film(rows: int = 1024, columns: int = 800, pixel_mm: float = 0.2) -> npt.NDArray[np.uint16]:
    """A left knee from the front, 12 bit, fibula on the image right."""
    bones = _flat(((0, -120), (0, -45)), 15, 18) + _flat(((0, -45), (0, -30)), 18, 26)
    bones += _flat(((-19, -22), (-18, -16)), 19) + _flat(((19, -22), (18, -16)), 19)
    bones += _flat(((-24, 16), (24, 16)), 13) + _flat(((0, 24), (0, 52)), 27, 16) + _flat(((0, 52), (0, 130)), 16, 14)
    bones += _flat(((37, 34), (36, 40)), 9) + _flat(((35, 44), (33, 130)), 6)
    soft = (
        _flat(((0, -130), (0, -40)), 62, 52) + _flat(((0, -40), (0, 30)), 52, 50) + _flat(((0, 30), (4, 130)), 50, 54)
    )
    return _bone_film(bones, soft, (rows, columns), pixel_mm, 61)


_FINGERS = ((-27.0, -0.18, 0.92), (-9.0, -0.05, 1.0), (9.0, 0.06, 0.93), (26.0, 0.2, 0.76))


def hand_film(rows: int = 1024, columns: int = 800, pixel_mm: float = 0.2) -> npt.NDArray[np.uint16]:
    """A right hand from the back, 12 bit, fingers up, thumb on the image left."""
    bones: list[Tube] = []
    soft = _flat(((0, 20), (0, 60)), 42, 32) + _flat(((0, 60), (0, 110)), 30, 28)
    for x, slant, length in _FINGERS:
        tip, y, at = 8.0, 30.0, x * 0.72
        for bone, radius in ((52.0, 5.2), (34.0, 4.6), (22.0, 3.9), (15.0, 3.2)):
            end_y, end_x = y - bone * length, at + slant * bone * length
            bones += _flat(((at, y - 4), (end_x, end_y + 4)), radius + 1.2, radius)
            if radius < 5:
                soft += _flat(((at, y), (end_x, end_y)), tip, tip - 0.6)
            y, at = end_y - 1.5, end_x
    thumb = ((-22.0, 38.0), (-44.0, 6.0), (-60.0, -20.0), (-68.0, -40.0))
    soft += _flat(thumb, 13, 9)
    for (x0, y0), (x1, y1) in pairwise(thumb):
        bones += _flat(
            ((x0 + 0.1 * (x1 - x0), y0 + 0.1 * (y1 - y0)), (x1 - 0.1 * (x1 - x0), y1 - 0.1 * (y1 - y0))), 6, 5
        )
    for x, y in ((-17, 40), (-6, 39), (7, 40), (17, 41), (-14, 53), (-2, 54), (10, 53)):
        bones += _flat(((x, y), (x + 0.5, y + 1)), 6.6)
    bones += _flat(((-9, 66), (-9, 112)), 12, 8) + _flat(((14, 68), (15, 112)), 7, 6.5)
    return _bone_film(bones, soft, (rows, columns), pixel_mm, 71)


def spine_mr(x_mm: float, size: int = 384, pixel_mm: float = 0.78) -> npt.NDArray[np.uint16]:
    """A sagittal T2-like plane of the lumbar spine, 12 bit, front on the left, head up; midline at 0."""
    canvas = _canvas(size, size, pixel_mm, 30)
    flesh = _flat(((0, -200), (0, 200)), 108)
    canvas.paint_tubes(0, flesh, ((0.0, 1500.0), (14.0, 620.0)))
    canvas.paint_tubes(0, _flat(((-52, -160), (-46, 0), (-60, 160)), 34), ((0.0, 900.0), (8.0, 480.0)))
    middle = abs(x_mm)
    if middle < 11:
        canal: tuple[tuple[float, float], ...] = ((44, -160), (36, -60), (26, 20), (38, 90), (62, 150))
        canvas.paint_tubes(0, _flat(canal, 10 - middle * 0.5), ((0.0, 300.0), (1.2, 2700.0)))
        canvas.paint_tubes(0, _flat(canal[:2], 4.2, 3), ((0.0, 1050.0),))
    if middle < 25:
        for number in range(9):
            _lumbar(canvas, number, middle)
    noise = _noise(canvas.hu.shape, 500 + round(x_mm * 10))
    return _twelve_bit(np.abs(canvas.hu * (1 + 0.04 * _noise(canvas.hu.shape, 5)) + 45 * noise))


def _lumbar(canvas: Canvas, number: int, middle: float) -> None:
    y = -142.0 + 34.0 * number
    x = float(np.interp(y, (-150, -60, 20, 90, 150), (22, 14, 2, 12, 34)))
    lean = float(np.interp(y, (-150, 20, 90, 150), (-0.1, 0.1, -0.25, -0.6)))
    reach = 11.0 - middle * 0.12
    tilt = 6 * lean
    body: list[Tube] = _flat(((x - reach, y - tilt), (x + reach, y + tilt)), 10.5)
    canvas.paint_tubes(0, body, ((-0.8, 250.0), (0.4, 1150.0)))
    if number < 7:
        worn = number in (5, 6)
        disc = _flat(((x - reach, y + 17), (x + reach, y + 17)), 4.4)
        canvas.paint_tubes(0, disc, ((-0.6, 260.0), (1.6, 520.0 if worn else 1900.0)))
    if middle < 7:
        canvas.paint_tubes(0, _flat(((x + 38, y + 8), (x + 56, y + 15)), 6.5), ((0.0, 240.0), (1.2, 1050.0)))


def knee_mr(x_mm: float, size: int = 320, pixel_mm: float = 0.5) -> npt.NDArray[np.uint16]:
    """A sagittal PD-like plane of a knee, 12 bit, front on the left, head up; midline at 0."""
    canvas = _canvas(size, size, pixel_mm, 25)
    side = float(np.clip(1 - (x_mm / 52) ** 2, 0.05, 1)) ** 0.5
    canvas.paint_tubes(0, _flat(((4, -110), (0, 0), (6, 110)), 58 * side), ((0.0, 1900.0), (7.0, 800.0)))
    condyle = 21 * max(0.55, 1 - ((abs(x_mm) - 20) / 40) ** 2)
    bone: _Layers = ((-2.4, 1350.0), (0.0, 280.0), (1.2, 1500.0))
    canvas.paint_tubes(0, _flat(((-2, -110), (-2, -45)), 15 * side) + _flat(((2, -20), (6, -18)), condyle), bone)
    canvas.paint_tubes(0, _flat(((-14, 18), (18, 18)), 10) + _flat(((0, 28), (-2, 110)), 21 * side, 15 * side), bone)
    if abs(x_mm) < 18:
        canvas.paint_tubes(0, _flat(((-37, -26), (-39, -10)), 9), bone)
        canvas.paint_tubes(0, _flat(((-38, 2), (-27, 34)), 2.6), ((0.0, 140.0),))
        canvas.paint_tubes(0, _flat(((14, -14), (-8, 10)), 2.8), ((0.0, 260.0),))
    else:
        canvas.paint_tubes(
            0, _flat(((-20, 4), (-9, 5)), 3.6, 0.8) + _flat(((24, 4), (13, 5)), 3.8, 0.8), ((0.0, 160.0),)
        )
    return _twelve_bit(np.abs(canvas.hu + 40 * _noise(canvas.hu.shape, 700 + round(x_mm * 10))))


def abdomen_us(number: int = 1, rows: int = 480, columns: int = 640, pixel_mm: float = 0.35) -> npt.NDArray[np.uint8]:
    """A sector of liver, gall bladder and kidney, 8 bit, with speckle and shadow; `number` moves the probe."""
    canvas = _canvas(rows, columns, pixel_mm, 0)
    y = canvas.y[:, None] - canvas.y[0] + 14
    radius, angle = np.hypot(canvas.x[None, :], y), np.arctan2(canvas.x[None, :], y)
    echo = Canvas(canvas.x, canvas.y, 105)
    shift = 4.0 * (number - 3)
    parts: tuple[tuple[Point, Point, float, float], ...] = (
        ((shift + 8, 16, 0), (56, 20, 1), 70, 0.25),
        ((shift + 8, 16, 0), (36, 8, 1), 165, 0.25),
        ((shift - 34, -22, 0), (22, 11, 1), 6, 0.5),
        ((shift + 30, -30, 0), (5, 4, 1), 18, 0.0),
    )
    for center, radii, level, turn in parts:
        echo.paint_ellipsoid(0, center, radii, level, turn)
    diaphragm = np.abs(np.hypot(canvas.x[None, :] + 20, canvas.y[:, None] + 90) - 146) < 1.6
    picture = np.where(diaphragm, 235, echo.hu)
    behind = (np.abs(angle + 0.36 - shift * 0.004) < 0.09) & (radius > 74)
    picture = picture * np.where(behind, 1.35, 1.0) * np.clip(1.25 - radius / 260, 0.3, 1)
    coarse = _noise((rows // 2 + 1, columns // 3 + 1), 900 + number)
    speckle = np.abs(np.repeat(np.repeat(coarse, 2, 0), 3, 1)[:rows, :columns]) * 0.55 + 0.5
    fan = (np.abs(angle) < 0.62) & (radius > 16) & (radius < 176)
    return np.asarray(np.clip(np.where(fan, picture * speckle, 0), 0, 255), dtype=np.uint8)
