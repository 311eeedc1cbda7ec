"""Paints the blocks that are in sight, in screen pixels, so that letters never stretch with the zoom."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen
from PySide6.QtWidgets import QStyleOptionGraphicsItem, QWidget

from priorline.desk import theme
from priorline.desk.timeline.blocks import Block, Blocks, colour_of, look_of_row
from priorline.desk.timeline.looks import Looks
from priorline.desk.timeline.places import WIDTH
from priorline.desk.timeline.suggestion import draw_suggestion, place_label

HEIGHT = 18.0
UNDATED_PIXELS = WIDTH + 18.0
NO_DATE, TODAY = "no date", "today"


@dataclass(frozen=True, slots=True)
class View:
    """What is in sight: the area in pixels, where day 0 and the first lane's middle are, and the scale."""

    area: QRectF
    origin: float
    scale: float
    first: float
    lane: float
    undated: float

    @property
    def dated(self) -> QRectF:
        """The part of the area where studies lie at their dates."""
        return self.area.adjusted(self.undated, 0, 0, 0)

    @property
    def block_height(self) -> float:
        """How high a block is."""
        return min(HEIGHT, self.lane - 5)

    def middle(self, lane: int) -> float:
        """The middle of a lane."""
        return self.first + lane * self.lane


class Canvas(pg.GraphicsObject):  # type: ignore[misc]
    """The item in the plot; `block_at` answers for what was painted last."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = Blocks()
        self.pointed_uid = ""
        self.prior_uid = ""
        self.message = ""
        self._looks = Looks()
        self._seen: list[Block] = []

    def boundingRect(self) -> QRectF:
        """All that is seen; the blocks have no extent of their own in days."""
        view = self.getViewBox()
        return QRectF(view.viewRect()) if view is not None else QRectF()

    def viewTransformChanged(self) -> None:
        """As pyqtgraph defines it."""
        self.prepareGeometryChange()
        self.update()

    def paint(self, painter: QPainter, _option: QStyleOptionGraphicsItem, _widget: QWidget | None = None) -> None:
        """As Qt defines it."""
        view = self.view()
        painter.save()
        painter.resetTransform()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setClipRect(view.area)
        self._draw_ground(painter, view)
        dated, undated = self._dated(view), self._undated(view)
        self._seen = [*undated, *dated]
        pointed = self.blocks.place_in_lane(self.pointed_uid)
        self._draw_suggestion(painter, view)
        painter.setClipRect(view.dated)
        for block in dated:
            self._draw_block(painter, block, pointed)
        painter.setClipRect(view.area)
        for block in undated:
            self._draw_block(painter, block, pointed)
        self._draw_message(painter, view)
        painter.restore()

    def view(self) -> View:
        """What is in sight now."""
        box = self.getViewBox()
        area = box.mapRectToScene(box.boundingRect())
        to_pixels = self.sceneTransform()
        first = to_pixels.map(QPointF(0, 0)).y()
        lane = to_pixels.map(QPointF(0, 1)).y() - first
        undated = UNDATED_PIXELS if self.blocks.has_undated else 0.0
        # Asked at the left edge: day 0 is so far away that its pixel would not be exact.
        days = box.viewRect()
        scale = area.width() / days.width()
        return View(area, area.left() - days.left() * scale, scale, first, lane, undated)

    def block_at(self, pixel: QPointF) -> Block | None:
        """The block under a point of the scene."""
        return next((block for block in self._seen if block.box.contains(pixel)), None)

    @property
    def seen(self) -> tuple[Block, ...]:
        """The blocks that were painted last."""
        return tuple(self._seen)

    def _dated(self, view: View) -> list[Block]:
        found = []
        start, end = view.dated.left() - view.origin, view.area.right() - view.origin
        height, half = view.block_height, view.block_height / 2
        for lane, places in enumerate(self.blocks.places(view.scale, self.prior_uid)):
            seen = places.visible(start, end)
            part = slice(seen.start, seen.stop)
            first, count = places.first[part].tolist(), places.count[part].tolist()
            left, width = (places.left[part] + view.origin).tolist(), places.width[part].tolist()
            top = view.middle(lane) - half
            for number, several, x, wide in zip(first, count, left, width, strict=True):
                box = QRectF(x, top, wide, height)
                found.append(Block(self.blocks, lane, number, several, box))
        return found

    def _undated(self, view: View) -> list[Block]:
        left, height = view.area.left() + (UNDATED_PIXELS - WIDTH) / 2, view.block_height
        lanes = zip(self.blocks.undated, self.blocks.in_lane, strict=True)
        return [
            Block(
                self.blocks,
                lane,
                start,
                len(numbers) - start,
                QRectF(left, view.middle(lane) - height / 2, WIDTH, height),
            )
            for lane, (start, numbers) in enumerate(lanes)
            if start < len(numbers)
        ]

    def _draw_block(self, painter: QPainter, block: Block, pointed: tuple[int, int]) -> None:
        box = block.box
        marked = block.has(*pointed)
        if block.count == 1:
            row = block.row
            colour = colour_of(row, self.prior_uid)
            look = look_of_row(row, box.width(), box.height(), colour, pointed=marked)
        else:
            look = self.blocks.look_of_several(block, pointed=marked)
        self._looks.draw(painter, look, box.left(), box.top())
        if marked and block.count == 1:
            self._draw_echoes(painter, block)

    def _draw_echoes(self, painter: QPainter, block: Block) -> None:
        """Where the study that is pointed at also belongs: a short bar in each other lane."""
        view = self.view()
        painter.setPen(QPen(QColor(theme.TEXT), 2))
        for lane in self.blocks.other_lanes(block.row):
            y = view.middle(lane)
            x = block.box.center().x()
            painter.drawLine(QPointF(x, y - 5), QPointF(x, y + 5))

    def _draw_ground(self, painter: QPainter, view: View) -> None:
        """Every second lane has a quiet ground, so that the eye keeps to its row; today and "no date" are marked."""
        for lane in range(0, len(self.blocks.lanes), 2):
            top = view.middle(lane) - view.lane / 2
            painter.fillRect(QRectF(view.area.left(), top, view.area.width(), view.lane), QColor(255, 255, 255, 8))
        painter.setFont(theme.font(theme.SMALL))
        self._draw_today(painter, view)
        if view.undated:
            painter.fillRect(QRectF(view.area.topLeft(), view.dated.bottomLeft()), QColor(theme.GROUND))
            painter.setPen(QPen(QColor(theme.QUIET), 1, Qt.PenStyle.DotLine))
            painter.drawLine(view.dated.topLeft(), view.dated.bottomLeft())
            painter.setPen(QColor(theme.QUIET))
            painter.drawText(_note(view, view.area.left(), UNDATED_PIXELS), Qt.AlignmentFlag.AlignCenter, NO_DATE)

    @staticmethod
    def _draw_today(painter: QPainter, view: View) -> None:
        x = round(view.origin + today() * view.scale) + 0.5
        if not view.dated.left() <= x <= view.area.right():
            return
        painter.setPen(QPen(QColor(theme.GOOD), 1, Qt.PenStyle.DotLine))
        painter.drawLine(QPointF(x, view.area.top()), QPointF(x, view.area.bottom()))
        painter.setPen(QColor(theme.GOOD))
        painter.drawText(_note(view, x - 46, 40), Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, TODAY)

    def _draw_suggestion(self, painter: QPainter, view: View) -> None:
        singles = [block for block in self._seen if block.count == 1]
        current = next((block for block in singles if block.row.current), None)
        lit = next((block for block in singles if block.row.suggested), None)
        if lit is None or current is None:
            return
        boxes = [block.box for block in self._seen]
        today_note = _note(view, view.origin + today() * view.scale - 46, 40)
        taken = np.array([box.getCoords() for box in (*boxes, today_note)], dtype=float)
        tops = [view.middle(lane) for lane in range(len(self.blocks.lanes) + 1)]
        reason = f"{lit.row.reason}   ⏎ compare"
        label = place_label(reason, lit.box, current.box, view.dated, taken, tops)
        draw_suggestion(painter, reason, lit.box, current.box, label)

    def _draw_message(self, painter: QPainter, view: View) -> None:
        if not self.blocks.rows:
            painter.setPen(QColor(theme.TEXT))
            painter.setFont(theme.font(theme.LARGE))
            painter.drawText(view.area, Qt.AlignmentFlag.AlignCenter, self.message)


def today() -> float:
    """The reader's own calendar day, as days since year 1."""
    return float(date.today().toordinal())  # noqa: DTZ011 - the reader's own calendar day


def _note(view: View, left: float, width: float) -> QRectF:
    """A place for a word at the foot of the line, in the lane that is always free."""
    return QRectF(left, view.area.bottom() - 20, width, 18)
