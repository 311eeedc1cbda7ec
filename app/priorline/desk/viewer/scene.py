"""A whole pane drawn on any device: the window and a saved picture show the same."""

from dataclasses import dataclass, replace

from PySide6.QtCore import QRectF
from PySide6.QtGui import QColor, QPainter

from priorline.desk import theme
from priorline.desk.viewer import card, marks, readout, strip
from priorline.desk.viewer.content import PaneContent, PaneState
from priorline.desk.viewer.corners import Corners, layout_corners, paint_corners
from priorline.desk.viewer.painting import FramePainter
from priorline.desk.viewer.view_state import Area, PixelGrid, ViewState, grid_of, matrix, resolved
from priorline.imaging.frame import DecodedFrame
from priorline.imaging.geometry import edge_letters
from priorline.imaging.instance import InstanceHeader


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What is to be drawn: the words, the pixels, and how they are looked at."""

    content: PaneContent
    frame: DecodedFrame | None
    view: ViewState


def image_area(content: PaneContent, width: int, height: int) -> Area:
    """The part of a pane for its image: all below the header, in logical pixels."""
    return _below(strip.layout_header(content, width), width, height)


def _below(header: strip.Header, width: int, height: int) -> Area:
    return Area(0, header.height, width, max(1.0, height - header.height))


def spoken(content: PaneContent) -> list[str]:
    """What a screen reader says of a pane; of a withheld study only the role and the hospital."""
    if content.withheld:
        return [part for part in (content.role, content.hospital, "not shown") if part]
    partial = f"partial, {content.completeness}" if content.partial else ""
    parts = (content.role, partial, content.date, content.place, content.patient, *content.progress)
    return [part for part in parts if part]


def paint(painter: QPainter, size: tuple[int, int], scene: Scene, frames: FramePainter) -> None:
    """Draw a pane of `size` (width, height) in logical pixels."""
    width, height = size
    content, frame = scene.content, scene.frame
    if frame is None and content.state is PaneState.IMAGE:
        content = replace(content, state=PaneState.WAITING)
    painter.fillRect(QRectF(0, 0, width, height), QColor(theme.IMAGE_GROUND))
    painter.setRenderHint(QPainter.RenderHint.TextAntialiasing)
    header = strip.layout_header(content, width)
    area = _below(header, width, height)
    if content.state is PaneState.IMAGE and frame is not None:
        _paint_image(painter, size, area, scene, frame, frames)
    else:
        paint_corners(painter, layout_corners(content, "", "", size))
        card.paint_card(painter, content, area)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    strip.paint_header(painter, header, width)


def _paint_image(
    painter: QPainter,
    size: tuple[int, int],
    area: Area,
    scene: Scene,
    frame: DecodedFrame,
    frames: FramePainter,
) -> None:
    ratio = painter.device().devicePixelRatioF()
    grid = grid_of(frame.header, *frame.array.shape[:2])
    view = resolved(scene.view, grid, area)
    placed = matrix(view, grid, area, ratio)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, on=view.smooth)
    frames.paint(painter, frame, view, placed, area)
    window, zoom = readout.window_words(frame, view), readout.zoom_words(view, placed, ratio)
    corners = layout_corners(scene.content, window, zoom, size)
    _paint_marks(painter, area, frame.header, (grid, view), corners)


def _paint_marks(
    painter: QPainter,
    area: Area,
    header: InstanceHeader,
    looked: tuple[PixelGrid, ViewState],
    corners: Corners,
) -> None:
    grid, view = looked
    letters = edge_letters(header.orientation, header.patient_orientation)
    marks.paint_letters(painter, letters, area, corners)
    if grid.unit == "mm":
        marks.paint_ruler(painter, view.scale, header.spacing_kind, area, corners)
    paint_corners(painter, corners)
