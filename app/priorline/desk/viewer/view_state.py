"""How an image is looked at, in numbers: no screen is needed to compute with them.

Image coordinates are continuous: (0, 0) is the outer corner of the first pixel, (columns, rows) that of the last.
Screen coordinates are logical pixels of the pane, y downwards. A unit is a millimetre where the spacing is known
and otherwise the width of an image pixel.
"""

from dataclasses import dataclass, replace

from priorline.imaging.instance import InstanceHeader, Window

SMALLEST, LARGEST = 0.02, 64.0
"""Limits of the zoom, in logical screen pixels per image column."""


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle of the pane in logical pixels."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class PixelGrid:
    """The size of an image and of its pixels: `row_pitch` is the height and `column_pitch` the width of a pixel.

    `unit` is "mm" or "px"; pitches are in that unit. Follows PS3.3 10.7.1.3 (Pixel Spacing is row\\column).
    """

    rows: int
    columns: int
    row_pitch: float = 1.0
    column_pitch: float = 1.0
    unit: str = "px"


def grid_of(header: InstanceHeader, rows: int, columns: int) -> PixelGrid:
    """The grid of an image of `rows` and `columns` as its header describes it.

    Spacing goes before Pixel Aspect Ratio (0028,0034), which is height\\width (PS3.3 C.7.6.3.1.7).
    """
    if header.spacing_kind and _two_positive(header.spacing):
        return PixelGrid(rows, columns, header.spacing[0], header.spacing[1], "mm")
    if _two_positive(header.pixel_aspect):
        return PixelGrid(rows, columns, header.pixel_aspect[0] / header.pixel_aspect[1], 1.0)
    return PixelGrid(rows, columns)


def _two_positive(values: tuple[float, ...]) -> bool:
    return len(values) == 2 and min(values) > 0


@dataclass(frozen=True, slots=True)
class ViewState:
    """How one image is looked at.

    `scale` is screen pixels per unit (see above), so that two panes of equal scale show equal sizes; `pan` is the
    way of the image's centre from the middle of the area, in units. While `fitted`, both follow the size of the
    area instead. `window` is None for colour or when `voi_lut`, an index into the file's tables, is used.
    `smooth` is whether enlarged pixels are interpolated.
    """

    scale: float = 1.0
    pan: tuple[float, float] = (0.0, 0.0)
    fitted: bool = True
    window: Window | None = None
    voi_lut: int | None = None
    invert: bool = False
    smooth: bool = True


@dataclass(frozen=True, slots=True)
class ViewMatrix:
    """The one map between image and screen: screen = image * (`across`, `down`) + (`left`, `top`)."""

    across: float
    down: float
    left: float
    top: float

    def to_screen(self, column: float, row: float) -> tuple[float, float]:
        """Where a point of the image is on the screen."""
        return column * self.across + self.left, row * self.down + self.top

    def to_image(self, x: float, y: float) -> tuple[float, float]:
        """Which point of the image, as (column, row), is at a place on the screen."""
        return (x - self.left) / self.across, (y - self.top) / self.down


def fit_scale(grid: PixelGrid, area: Area) -> float:
    """The largest scale at which the whole image is inside the area."""
    across = area.width / (grid.columns * grid.column_pitch)
    down = area.height / (grid.rows * grid.row_pitch)
    return _within_limits(grid, min(across, down))


def resolved(state: ViewState, grid: PixelGrid, area: Area) -> ViewState:
    """The state with the scale and pan that a fitted view has in this area."""
    return replace(state, scale=fit_scale(grid, area), pan=(0.0, 0.0)) if state.fitted else state


def matrix(state: ViewState, grid: PixelGrid, area: Area, ratio: float = 1.0) -> ViewMatrix:
    """The map from image to screen; the image's corner lies on a whole device pixel.

    `ratio` is device pixels per logical pixel. Never mirrors: both factors are positive.
    """
    state = resolved(state, grid, area)
    across, down = grid.column_pitch * state.scale, grid.row_pitch * state.scale
    left = area.x + area.width / 2 + state.pan[0] * state.scale - grid.columns * across / 2
    top = area.y + area.height / 2 + state.pan[1] * state.scale - grid.rows * down / 2
    return ViewMatrix(across, down, round(left * ratio) / ratio, round(top * ratio) / ratio)


def zoomed_at(
    state: ViewState, grid: PixelGrid, area: Area, factor: float, pointer: tuple[float, float]
) -> ViewState:
    """The state enlarged by `factor`, with the point of the image under the pointer staying there."""
    state = resolved(state, grid, area)
    scale = _within_limits(grid, state.scale * factor)
    from_middle = pointer[0] - area.x - area.width / 2, pointer[1] - area.y - area.height / 2
    pan = tuple(old + where / scale - where / state.scale for old, where in zip(state.pan, from_middle, strict=True))
    return replace(state, scale=scale, pan=(pan[0], pan[1]), fitted=False)


def panned(state: ViewState, grid: PixelGrid, area: Area, by: tuple[float, float]) -> ViewState:
    """The state with the image moved `by` logical pixels, its middle never leaving the reach of the area."""
    state = resolved(state, grid, area)
    reach_x = (grid.columns * grid.column_pitch + area.width / state.scale) / 2
    reach_y = (grid.rows * grid.row_pitch + area.height / state.scale) / 2
    x = state.pan[0] + by[0] / state.scale
    y = state.pan[1] + by[1] / state.scale
    pan = max(-reach_x, min(reach_x, x)), max(-reach_y, min(reach_y, y))
    return replace(state, pan=pan, fitted=False)


def one_to_one(state: ViewState, grid: PixelGrid, ratio: float = 1.0) -> ViewState:
    """The state in which one image column takes one device pixel, in the middle of the area."""
    return replace(state, scale=1.0 / (ratio * grid.column_pitch), pan=(0.0, 0.0), fitted=False)


def _within_limits(grid: PixelGrid, scale: float) -> float:
    return min(max(scale, SMALLEST / grid.column_pitch), LARGEST / grid.column_pitch)
