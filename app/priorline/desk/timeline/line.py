"""The line itself: a lane for each region, a block for each study, at its date."""

from collections.abc import Iterable
from datetime import date

import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPen
from PySide6.QtWidgets import QStyleOptionGraphicsItem, QToolTip, QWidget

from priorline.desk import theme
from priorline.desk.timeline.axis import DAYS_A_YEAR, TimeAxis
from priorline.desk.timeline.blocks import Block, Places, draw_block, draw_suggestion, lay_out
from priorline.desk.timeline.rows import TimelineRow
from priorline.domain.region import Region

LANE_PIXELS = 25
AXIS_PIXELS = 26
LABEL_PIXELS = 116
LANE_ORDER = tuple(region.value for region in Region)
MARGIN_DAYS = 200.0
FEWEST_LANES = 6


class Blocks(pg.GraphicsObject):  # type: ignore[misc]
    """Paints every block in screen pixels, so that letters never stretch with the zoom."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: tuple[TimelineRow, ...] = ()
        self.lanes: tuple[str, ...] = ()
        self.blocks: tuple[Block, ...] = ()
        self.pointed_uid = ""
        self.message = ""
        self.prior_uid = ""

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
        view = self.getViewBox()
        area = view.mapRectToScene(view.boundingRect()) if view is not None else QRectF()
        to_pixels = self.sceneTransform()
        places = Places(lambda x, y: to_pixels.map(QPointF(x, y)), area.left() + 4, LANE_PIXELS)
        self.blocks = lay_out(self.rows, self.lanes, places)
        painter.save()
        painter.resetTransform()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._draw_lanes(painter, to_pixels.map(QPointF(0, 0)).y(), area)
        self._draw_today(painter, to_pixels.map(QPointF(_today(), 0)).x(), area)
        current = next((block for block in self.blocks if block.row.current), None)
        lit = next((block for block in self.blocks if block.row.suggested), None)
        if lit is not None and current is not None:
            draw_suggestion(painter, lit, current, area, self.blocks, to_pixels.map(QPointF(0, len(self.lanes))).y())
        if not self.rows:
            painter.setPen(QColor(theme.TEXT))
            painter.setFont(theme.font(theme.LARGE))
            painter.drawText(area, Qt.AlignmentFlag.AlignCenter, self.message)
        for block in self.blocks:
            draw_block(painter, block, pointed=block.row.study_uid == self.pointed_uid, prior_uid=self.prior_uid)
        painter.restore()

    def at(self, pixel: QPointF) -> Block | None:
        """The block under a point of the scene, the uppermost first."""
        return next((block for block in reversed(self.blocks) if block.box.contains(pixel)), None)

    def _draw_lanes(self, painter: QPainter, first: float, area: QRectF) -> None:
        """Every second lane has a quiet ground, so that the eye keeps to its row."""
        for number in range(0, len(self.lanes), 2):
            top = first + (number - 0.5) * LANE_PIXELS
            painter.fillRect(QRectF(area.left(), top, area.width(), LANE_PIXELS), QColor(255, 255, 255, 8))

    @staticmethod
    def _draw_today(painter: QPainter, x: float, area: QRectF) -> None:
        painter.setPen(QPen(QColor(theme.GOOD), 1, Qt.PenStyle.DotLine))
        painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))


class TimelineLine(pg.PlotWidget):  # type: ignore[misc]
    """The line with its axis; wheel zooms in time at the pointer, dragging pans."""

    pointed = Signal(str)
    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, background=theme.GROUND, axisItems={"bottom": TimeAxis()})
        self._items = Blocks()
        self._span_is_the_users = False
        plot = self.getPlotItem()
        plot.hideButtons()
        plot.setMenuEnabled(False)
        plot.setMouseEnabled(x=True, y=False)
        plot.getViewBox().setDefaultPadding(0)
        plot.getViewBox().disableAutoRange()
        plot.showGrid(x=True, alpha=1.0)
        plot.getViewBox().sigRangeChangedManually.connect(self._keep_span)
        left = plot.getAxis("left")
        left.setStyle(tickFont=theme.font(theme.SMALL), tickLength=0, tickTextOffset=10, tickAlpha=0)
        left.setWidth(LABEL_PIXELS)
        left.setTextPen(QColor(theme.TEXT))
        left.setPen(None)
        # The grid belongs to the axis, and would cross the blocks.
        plot.getAxis("bottom").setZValue(-1000)
        plot.getAxis("bottom").setHeight(AXIS_PIXELS)
        self.addItem(self._items)
        self._set_lanes(())
        self.setAccessibleName("Timeline of all studies")
        self.setMouseTracking(True)
        self.scene().sigMouseClicked.connect(self._click)
        self.scene().sigMouseMoved.connect(self._hover)

    def set_rows(self, rows: tuple[TimelineRow, ...]) -> None:
        """Show these studies; all years are shown until somebody zooms or pans."""
        lanes = _lanes(rows)
        self._items.rows = rows
        if lanes != self._items.lanes:
            self._items.lanes = lanes
            self._set_lanes(lanes)
        if rows and not self._span_is_the_users:
            self.fit()
        self._items.update()

    def say(self, message: str) -> None:
        """What stands there while there is no study to show."""
        self._items.message = message
        self._items.update()

    @property
    def message(self) -> str:
        """What stands there while there is no study to show."""
        return self._items.message

    def fit(self) -> None:
        """Show all years from the first study to today."""
        # A date far in the future is a placeholder (31 Dec 9999), not a reason to squeeze the rest.
        latest = _today() + DAYS_A_YEAR
        days = [float(row.when.toordinal()) for row in self._items.rows if row.when and row.when.toordinal() < latest]
        first, last = min(days, default=_today() - DAYS_A_YEAR), max([*days, _today()])
        margin = max(MARGIN_DAYS, 0.04 * (last - first))
        self.setXRange(first - margin, last + margin, padding=0)

    def forget_span(self) -> None:
        """The next studies are of another patient: fit again."""
        self._span_is_the_users = False

    def _keep_span(self, _axes: object) -> None:
        self._span_is_the_users = True

    def point_at(self, study_uid: str, prior_uid: str) -> None:
        """Mark the study that the keyboard is on, and the one in the prior's pane."""
        self._items.pointed_uid, self._items.prior_uid = study_uid, prior_uid
        self._items.update()

    def step(self, direction: int) -> None:
        """Point at the next study in time: 1 newer, -1 older."""
        dated = [row for row in self._items.rows if row.when]
        uids = [row.study_uid for row in sorted(dated, key=lambda row: row.when or date.min)]
        if not uids:
            return
        here = uids.index(self._items.pointed_uid) if self._items.pointed_uid in uids else len(uids) - 1
        self.pointed.emit(uids[min(max(here + direction, 0), len(uids) - 1)])

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows go along time, Enter compares."""
        steps = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
        if event.key() in steps:
            self.step(steps[Qt.Key(event.key())])
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._items.pointed_uid:
            self.chosen.emit(self._items.pointed_uid)
        else:
            super().keyPressEvent(event)

    def _set_lanes(self, lanes: tuple[str, ...]) -> None:
        # One lane more than there are: the reason of the suggestion always finds a free place.
        count = max(len(lanes) + 1, FEWEST_LANES)
        self.setYRange(count - 0.5, -0.5, padding=0)
        self.getPlotItem().getViewBox().invertY(True)
        self.getPlotItem().getAxis("left").setTicks([[(n, lane.capitalize()) for n, lane in enumerate(lanes)]])
        self.setFixedHeight(count * LANE_PIXELS + AXIS_PIXELS + 12)

    def _click(self, event: object) -> None:
        block = self._items.at(event.scenePos())  # type: ignore[attr-defined]
        if block is not None:
            signal = self.chosen if event.double() else self.pointed  # type: ignore[attr-defined]
            signal.emit(block.row.study_uid)

    def _hover(self, pixel: QPointF) -> None:
        block = self._items.at(pixel)
        if block is None:
            QToolTip.hideText()
            return
        row = block.row
        lines = (f"{row.written_date}   {row.modality}", row.title, f"{row.place} · {row.status}", row.distance)
        text = "\n".join(line for line in (*lines, row.presence.value) if line)
        QToolTip.showText(self.mapToGlobal(pixel.toPoint()), text, self)


def _lanes(rows: Iterable[TimelineRow]) -> tuple[str, ...]:
    used = {row.lane for row in rows}
    return tuple(lane for lane in LANE_ORDER if lane in used)


def _today() -> float:
    return float(date.today().toordinal())  # noqa: DTZ011 - the reader's own calendar day
