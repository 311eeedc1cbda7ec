"""The list in step with the line: two text lines a study, in the chosen order, filtered by what is typed."""

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QModelIndex, QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QPainter, QPen
from PySide6.QtWidgets import (
    QAbstractItemView,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from priorline.desk import theme
from priorline.desk.timeline.controls import ChoiceButton
from priorline.desk.timeline.list_model import Index, SortBy, TimelineListModel
from priorline.desk.timeline.rows import TimelineRow

ROW_HEIGHT = 50
GAP = 4
SIDE_MOST, STATUS_MOST = 0.58, 0.72
"""The shares of a row that place and status may fill together, and the status alone."""
LEAST_PLACE = 60
"""With less room, in pixels, nobody would know a hospital's name again."""


class TimelineList(QListView):
    """The list; emits the study that is pointed at, and the one to compare."""

    pointed = Signal(str)
    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows = TimelineListModel(self)
        self.setModel(self.rows)
        self.delegate = RowDelegate(self)
        self.setItemDelegate(self.delegate)
        self.setUniformItemSizes(True)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName("Studies")
        self.setMouseTracking(True)
        self.selectionModel().currentChanged.connect(self._point)
        self.doubleClicked.connect(self._choose)
        self.activated.connect(self._choose)

    def select(self, study_uid: str) -> None:
        """Move to a study."""
        index = self.rows.place(study_uid)
        if index.isValid() and index != self.currentIndex():
            self.setCurrentIndex(index)

    def set_sort(self, sort: SortBy) -> None:
        """Choose the order, and stay on the same study."""
        row = self.currentIndex().data(Qt.ItemDataRole.UserRole)
        self.rows.set_sort(sort)
        if isinstance(row, TimelineRow):
            self.select(row.study_uid)

    def dataChanged(self, first: Index, last: Index, roles: Sequence[int] = ()) -> None:
        """As Qt defines it, but rows keep their height: a list would lay all of them out anew and draw them all."""
        QAbstractItemView.dataChanged(self, first, last, roles)

    def _point(self, index: QModelIndex) -> None:
        row = index.data(Qt.ItemDataRole.UserRole)
        if isinstance(row, TimelineRow):
            self.pointed.emit(row.study_uid)

    def _choose(self, index: QModelIndex) -> None:
        row = index.data(Qt.ItemDataRole.UserRole)
        if isinstance(row, TimelineRow):
            self.chosen.emit(row.study_uid)


class SortControl(ChoiceButton):
    """Sets the order of a list."""

    def __init__(self, studies: TimelineList, parent: QWidget) -> None:
        super().__init__("Sort", tuple(sort.value for sort in SortBy), (), parent)
        self._studies = studies
        self.chosen.connect(self._sort)

    def _sort(self, number: int) -> None:
        self._studies.set_sort(tuple(SortBy)[number])


class RowDelegate(QStyledItemDelegate):
    """Draws a row: date and modality, what the study is, who holds it; a frame for current and prior."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.prior_uid = ""

    def sizeHint(self, _option: QStyleOptionViewItem, _index: Index) -> QSize:
        """As Qt defines it."""
        return QSize(200, ROW_HEIGHT + GAP)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """As Qt defines it."""
        row = index.data(Qt.ItemDataRole.UserRole)
        if not isinstance(row, TimelineRow):
            return
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRect(option.rect).adjusted(1, 1, -1, -GAP)
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        self._frame(painter, box, row, selected)
        self._words(painter, box.adjusted(11, 7, -11, -7), row)
        if row.share is not None:
            self._bar(painter, box, row)
        painter.restore()

    def _colour(self, row: TimelineRow) -> str:
        if row.current:
            return theme.CURRENT
        return theme.PRIOR if row.study_uid == self.prior_uid else ""

    def _frame(self, painter: QPainter, box: QRect, row: TimelineRow, selected: bool) -> None:
        colour = self._colour(row)
        if colour or selected:
            painter.setBrush(QColor(theme.RAISED))
            painter.setPen(QPen(QColor(colour or theme.QUIET), 1.5 if colour else 1))
            painter.drawRoundedRect(box, theme.RADIUS, theme.RADIUS)

    def _words(self, painter: QPainter, box: QRect, row: TimelineRow) -> None:
        top, bottom = QRect(box), QRect(box)
        top.setHeight(18)
        bottom.setTop(box.bottom() - 17)
        colour = self._colour(row)
        mark = "CURRENT" if row.current else "PRIOR" if colour else row.distance
        used = _put(painter, top, row.written_date, Look(theme.TEXT, bold=True))
        _put(painter, top.adjusted(used + 10, 0, 0, 0), row.modality, Look(colour or theme.QUIET, bold=True))
        _put(painter, top, mark, Look(colour or theme.QUIET, bold=bool(colour), small=True, right=True))
        # Of a study on its way, how far it is says more than who holds it: the place is cut first.
        colour = theme.PARTIAL if row.lacking else theme.QUIET
        used = _put(painter, bottom, row.status, Look(colour, small=True, right=True, most=STATUS_MOST))
        room = round(SIDE_MOST * box.width()) - used
        if room >= LEAST_PLACE or not used:
            joint = f"{row.place}{' · ' if row.status else ''}"
            left = bottom.adjusted(0, 0, -used, 0)
            used += _put(painter, left, joint, Look(theme.QUIET, small=True, right=True, most=room / left.width()))
        title = Look(theme.QUIET if row.shut else theme.TEXT)
        _put(painter, bottom.adjusted(0, 0, -used - 8, 0), row.title, title)

    def _bar(self, painter: QPainter, box: QRect, row: TimelineRow) -> None:
        """How much has come, along the lower edge."""
        line = QRect(box.left() + 11, box.bottom() - 3, box.width() - 22, 2)
        painter.fillRect(line, QColor(theme.LINE))
        line.setWidth(round(line.width() * (row.share or 0.0)))
        painter.fillRect(line, QColor(theme.QUIET if row.ahead else theme.CURRENT))


@dataclass(frozen=True, slots=True)
class Look:
    """How a line of text is drawn; `most` is the share of the box that it may fill."""

    colour: str
    bold: bool = False
    small: bool = False
    right: bool = False
    most: float = 1.0


def _put(painter: QPainter, box: QRect, text: str, look: Look) -> int:
    """Draw one line of text, cut with an ellipsis; returns its width."""
    weight = QFont.Weight.DemiBold if look.bold else QFont.Weight.Normal
    painter.setFont(theme.font(theme.SMALL if look.small else theme.NORMAL, weight))
    painter.setPen(QColor(look.colour))
    metrics = painter.fontMetrics()
    cut = metrics.elidedText(text, Qt.TextElideMode.ElideRight, int(box.width() * look.most))
    side = Qt.AlignmentFlag.AlignRight if look.right else Qt.AlignmentFlag.AlignLeft
    painter.drawText(box, side | Qt.AlignmentFlag.AlignVCenter, cut)
    return metrics.horizontalAdvance(cut)
