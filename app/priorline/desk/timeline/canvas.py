"""Paints the blocks that are in sight, in screen pixels, so that letters never stretch with the zoom."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen
from PySide6.QtWidgets import QStyleOptionGraphicsItem, QWidget

from priorline.desk import theme
from priorline.desk.timeline.blocks import Block, Blocks, colour_of, look_of
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
        self._seen = [*self._dated(view), *self._undated(view)]
        self._draw_suggestion(painter, view)
        painter.setClipRect(view.dated)
        dated = True
        for block in self._seen:
            if dated and block.row.when is None:
                dated = False
                painter.setClipRect(view.area)
            self._draw_block(painter, block)
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
        rows = self.blocks.rows
        found = []
        start, end = view.dated.left() - view.origin, view.area.right() - view.origin
        for lane, places in enumerate(self.blocks.places(view.scale, self.prior_uid)):
            for number in places.visible(start, end):
                first, count = places.first[number], places.count[number]
                members = tuple(rows[row] for row in places.rows[first : first + count].tolist())
                left = view.origin + float(places.left[number])
                found.append(Block(members, _box(view, left, lane, float(places.width[number]))))
        return found

    def _undated(self, view: View) -> list[Block]:
        left = view.area.left() + (UNDATED_PIXELS - WIDTH) / 2
        return [
            Block(tuple(self.blocks.rows[row] for row in numbers.tolist()), _box(view, left, lane, WIDTH))
            for lane, numbers in enumerate(self.blocks.undated)
            if numbers.size
        ]

    def _draw_block(self, painter: QPainter, block: Block) -> None:
        pointed = any(row.study_uid == self.pointed_uid for row in block.rows) if self.pointed_uid else False
        colours = (colour_of(row, self.prior_uid) for row in block.rows)
        colour = next((one for one in colours if one != theme.QUIET), theme.QUIET)
        box = block.box
        look = look_of(block.rows, box.width(), box.height(), colour, pointed=pointed)
        self._looks.draw(painter, look, box.left(), box.top())
        if pointed and len(block.rows) == 1:
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
        singles = [block for block in self._seen if len(block.rows) == 1]
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


def _box(view: View, left: float, lane: int, width: float) -> QRectF:
    height = min(HEIGHT, view.lane - 5)
    return QRectF(left, view.middle(lane) - height / 2, width, height)


def _note(view: View, left: float, width: float) -> QRectF:
    """A place for a word at the foot of the line, in the lane that is always free."""
    return QRectF(left, view.area.bottom() - 20, width, 18)
