"""The line itself: a lane for each region, modality or hospital, a block for each study, at its date."""

from datetime import date

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPointF, QRect, Qt, Signal
from PySide6.QtGui import QColor, QFontMetrics, QKeyEvent, QWheelEvent
from PySide6.QtWidgets import QWidget

from priorline.desk import theme
from priorline.desk.timeline.axis import DAYS_A_YEAR, TimeAxis
from priorline.desk.timeline.blocks import Block, Blocks
from priorline.desk.timeline.canvas import Canvas, today
from priorline.desk.timeline.card import HoverCard
from priorline.desk.timeline.lanes import LaneBy
from priorline.desk.timeline.places import FARTHEST, WIDTH
from priorline.desk.timeline.rows import TimelineRow

LANE_PIXELS, LOW_LANE_PIXELS = 25, 20
AXIS_PIXELS = 26
LABEL_PIXELS = 116
MARGIN_PIXELS = 30.0
# The oldest studies may have to fan out to the left.
FAN_PIXELS = FARTHEST + WIDTH / 2
FEWEST_LANES = 6
MANY_LANES = 8
FEWEST_DAYS, MOST_DAYS = 5.0, 150 * DAYS_A_YEAR
ZOOM_A_KEY = 1.5
EMPTY_YEARS = 1.0


class TimelineLine(pg.PlotWidget):  # type: ignore[misc]
    """The line with its axis; the wheel zooms at the pointer, dragging pans.

    `pointed` and `chosen` give a Study Instance UID; `span_changed` the years shown before today, 0 for all, None
    where somebody zoomed or panned.
    """

    pointed = Signal(str)
    chosen = Signal(str)
    span_changed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, background=theme.GROUND, axisItems={"bottom": TimeAxis()})
        self._canvas = Canvas()
        self._span: int | None = 0
        self._card: HoverCard | None = None
        self._told: tuple[Block, QRect] | None = None
        plot = self.getPlotItem()
        plot.hideButtons()
        plot.setMenuEnabled(False)
        plot.setMouseEnabled(x=True, y=False)
        plot.showGrid(x=True, alpha=1.0)
        box = plot.getViewBox()
        box.setDefaultPadding(0)
        box.disableAutoRange()
        box.setLimits(minXRange=FEWEST_DAYS, maxXRange=MOST_DAYS, xMin=1, xMax=date.max.toordinal())
        box.sigRangeChangedManually.connect(self._leave_span)
        self._dress_axes()
        self.addItem(self._canvas)
        self._set_lanes()
        box.sigResized.connect(self._keep_span)
        self.setAccessibleName("Timeline of all studies")
        self.setMouseTracking(True)
        self.scene().sigMouseClicked.connect(self._click)
        self.scene().sigMouseMoved.connect(self._hover)

    def set_rows(self, rows: tuple[TimelineRow, ...]) -> None:
        """Show these studies; the span stays as it was chosen."""
        # While a study comes its words change some times a second, and nothing that is drawn here.
        if self._canvas.blocks.takes(rows):
            self._tell_again()
            return
        self._set_blocks(Blocks(rows, self._canvas.blocks.by))
        self._describe_pointed()
        if self._span is not None:
            self.show_span(self._span)

    def set_lanes(self, by: LaneBy) -> None:
        """Make the lanes stand for something else."""
        self._set_blocks(Blocks(self._canvas.blocks.rows, by))

    def say(self, message: str) -> None:
        """What stands there while there is no study to show."""
        self._canvas.message = message
        # Beside blocks it is not drawn.
        if not self._canvas.blocks.rows:
            self._canvas.update()

    @property
    def message(self) -> str:
        """What stands there while there is no study to show."""
        return str(self._canvas.message)

    @property
    def lanes(self) -> tuple[str, ...]:
        """The lanes from top to bottom."""
        return self._canvas.blocks.lanes

    @property
    def seen(self) -> tuple[Block, ...]:
        """The blocks in sight, as they were painted last."""
        return self._canvas.seen

    def fit(self) -> None:
        """Show all years from the first study to today."""
        self.show_span(0)

    def show_span(self, years: int) -> None:
        """Show this many years before today, or all years for 0."""
        self._span = years
        days = self._canvas.blocks.days
        # A date far in the future is a placeholder (31 Dec 9999), not a reason to squeeze the rest.
        days = days[days < today() + DAYS_A_YEAR]
        last = max(float(days.max(initial=0.0)), today())
        first = min(float(days.min(initial=np.inf)), today() - EMPTY_YEARS * DAYS_A_YEAR)
        if years:
            first = today() - years * DAYS_A_YEAR
        view = self._canvas.view()
        pixels = max(view.dated.width() - FAN_PIXELS - MARGIN_PIXELS, 100.0)
        a_pixel = (last - first) / pixels
        self.setXRange(first - (FAN_PIXELS + view.undated) * a_pixel, last + MARGIN_PIXELS * a_pixel, padding=0)
        self.span_changed.emit(years)

    def forget_span(self) -> None:
        """The next studies are of another patient: fit again."""
        self.show_span(0)

    def point_at(self, study_uid: str, prior_uid: str) -> None:
        """Mark the study that the keyboard is on, and the one in the prior's pane."""
        canvas = self._canvas
        if (study_uid, prior_uid) == (canvas.pointed_uid, canvas.prior_uid):
            return
        canvas.pointed_uid, canvas.prior_uid = study_uid, prior_uid
        self._describe_pointed()
        canvas.update()

    def step(self, direction: int) -> None:
        """Point at the next study in time: 1 newer, -1 older; those without a date come before the oldest."""
        blocks = self._canvas.blocks
        if blocks.rows:
            here = blocks.numbers.get(self._canvas.pointed_uid, 0)
            self._point(min(max(here - direction, 0), len(blocks.rows) - 1))

    def step_lane(self, direction: int) -> None:
        """Point at the study nearest in time in the lane below (1) or above (-1)."""
        blocks = self._canvas.blocks
        if not blocks.rows:
            return
        here = blocks.numbers.get(self._canvas.pointed_uid, 0)
        lane = int(blocks.lane_of[here]) + direction
        there = np.flatnonzero(blocks.lane_of == lane)
        if there.size:
            days, day = np.nan_to_num(blocks.days), np.nan_to_num(blocks.days[here])
            self._point(int(there[np.argmin(np.abs(days[there] - day))]))

    def zoom(self, factor: float) -> None:
        """Show `factor` times as many days around the study that is pointed at, or around the middle."""
        first, last = self.viewRange()[0]
        number = self._canvas.blocks.numbers.get(self._canvas.pointed_uid)
        day = float(self._canvas.blocks.days[number]) if number is not None else np.nan
        centre = day if first < day < last else (first + last) / 2
        self._leave_span()
        self.setXRange(centre - (centre - first) * factor, centre + (last - centre) * factor, padding=0)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Left and Right go along time, Up and Down between lanes, Enter compares, Home shows all."""
        match event.key():
            case Qt.Key.Key_Left | Qt.Key.Key_Right as key:
                self.step(1 if key == Qt.Key.Key_Right else -1)
            case Qt.Key.Key_Up | Qt.Key.Key_Down as key:
                self.step_lane(1 if key == Qt.Key.Key_Down else -1)
            case Qt.Key.Key_PageUp | Qt.Key.Key_PageDown as key:
                self.zoom(1 / ZOOM_A_KEY if key == Qt.Key.Key_PageUp else ZOOM_A_KEY)
            case Qt.Key.Key_Home:
                self.fit()
            case Qt.Key.Key_Return | Qt.Key.Key_Enter if self._canvas.pointed_uid:
                self.chosen.emit(self._canvas.pointed_uid)
            case _:
                super().keyPressEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """As Qt defines it; a sideways wheel pans."""
        self.hide_card()
        aside, along = event.angleDelta().x(), event.angleDelta().y()
        if abs(aside) > abs(along):
            self._leave_span()
            first, last = self.viewRange()[0]
            shift = -aside / 120 * (last - first) / 12
            self.setXRange(first + shift, last + shift, padding=0)
            event.accept()
        else:
            super().wheelEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        """As Qt defines it."""
        self.hide_card()
        super().leaveEvent(event)

    def hide_card(self) -> None:
        """Take the hover card away."""
        self._told = None
        if self._card is not None:
            self._card.hide()

    @property
    def card(self) -> HoverCard:
        """The hover card of the window that the line is in."""
        if self._card is None:
            self._card = HoverCard(self.window())
        return self._card

    def _dress_axes(self) -> None:
        plot = self.getPlotItem()
        left, bottom = plot.getAxis("left"), plot.getAxis("bottom")
        left.setStyle(tickFont=theme.font(theme.SMALL), tickLength=0, tickTextOffset=10, tickAlpha=0)
        left.setWidth(LABEL_PIXELS)
        left.setTextPen(QColor(theme.TEXT))
        left.setPen(None)
        # The grid belongs to the axis, and would cross the blocks.
        bottom.setZValue(-1000)
        bottom.setHeight(AXIS_PIXELS)

    def _set_blocks(self, blocks: Blocks) -> None:
        changed = blocks.lanes != self._canvas.blocks.lanes
        self._canvas.blocks = blocks
        self.hide_card()
        if changed:
            self._set_lanes()
        self._canvas.update()

    def _set_lanes(self) -> None:
        lanes = self.lanes
        # One lane more than there are: the reason of the suggestion always finds a free place.
        count = max(len(lanes) + 1, FEWEST_LANES)
        self.setYRange(count - 0.5, -0.5, padding=0)
        self.getPlotItem().getViewBox().invertY(True)
        metrics = QFontMetrics(theme.font(theme.SMALL))
        names = [lane[:1].upper() + lane[1:] for lane in lanes]
        short = [metrics.elidedText(name, Qt.TextElideMode.ElideRight, LABEL_PIXELS - 14) for name in names]
        self.getPlotItem().getAxis("left").setTicks([list(enumerate(short))])
        height = LANE_PIXELS if count <= MANY_LANES else LOW_LANE_PIXELS
        self.setFixedHeight(count * height + AXIS_PIXELS + 12)

    def _tell_again(self) -> None:
        """What is said of a study beside its block is true of what has come by now."""
        self._describe_pointed()
        if self._told is not None:
            self.card.show_block(*self._told)

    def _describe_pointed(self) -> None:
        blocks = self._canvas.blocks
        number = blocks.numbers.get(self._canvas.pointed_uid)
        self.setAccessibleDescription(blocks.rows[number].spoken() if number is not None else "")

    def _keep_span(self, _box: object) -> None:
        """A chosen span stays as it is when the line becomes wider or narrower."""
        if self._span is not None:
            self.show_span(self._span)

    def _leave_span(self, _axes: object = None) -> None:
        self._span = None
        self.span_changed.emit(None)

    def _point(self, number: int) -> None:
        """Point at a row, and move the line so that it is in sight."""
        blocks = self._canvas.blocks
        day = float(blocks.days[number])
        view = self._canvas.view()
        pixel = view.origin + day * view.scale
        if np.isfinite(day) and not view.dated.left() + MARGIN_PIXELS <= pixel <= view.area.right() - MARGIN_PIXELS:
            self._leave_span()
            shift = day - (view.dated.center().x() - view.origin) / view.scale
            first, last = self.viewRange()[0]
            self.setXRange(first + shift, last + shift, padding=0)
        self.pointed.emit(blocks.rows[number].study_uid)

    def _click(self, event: object) -> None:
        block = self._canvas.block_at(event.scenePos())  # type: ignore[attr-defined]
        if block is None:
            return
        if not event.double():  # type: ignore[attr-defined]
            self.pointed.emit(_next_in(block, self._canvas.pointed_uid))
        elif len(block.rows) == 1:
            self.chosen.emit(block.row.study_uid)
        elif block.row.when is not None:
            self._come_nearer(block)

    def _come_nearer(self, block: Block) -> None:
        """Zoom so that the studies which share a block fill a third of the line."""
        newest, oldest = block.rows[0].when or date.max, block.rows[-1].when or date.min
        days = max((newest - oldest).days, 2)
        self._leave_span()
        self.setXRange(oldest.toordinal() - days, newest.toordinal() + days, padding=0)

    def _hover(self, pixel: QPointF) -> None:
        block = self._canvas.block_at(pixel)
        if block is None:
            self.hide_card()
            return
        corner = self.mapTo(self.window(), self.mapFromScene(block.box.topLeft()))
        self._told = block, QRect(corner, block.box.size().toSize())
        self.card.show_block(*self._told)


def _next_in(block: Block, pointed_uid: str) -> str:
    """Clicking a shared block again goes to the next study in it."""
    uids = [row.study_uid for row in block.rows]
    return uids[(uids.index(pointed_uid) + 1) % len(uids)] if pointed_uid in uids else uids[0]
