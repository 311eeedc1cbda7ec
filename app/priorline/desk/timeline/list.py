"""The list in step with the line: two text lines a study, newest first, filtered by what is typed."""

from dataclasses import dataclass

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QPainter, QPen
from PySide6.QtWidgets import QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from priorline.desk import theme
from priorline.desk.timeline.rows import TimelineRow, matches

Index = QModelIndex | QPersistentModelIndex
ROW_HEIGHT = 50
GAP = 4


class TimelineListModel(QAbstractListModel):
    """Rows for the list; `UserRole` gives the row itself."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._rows: tuple[TimelineRow, ...] = ()
        self._shown: tuple[TimelineRow, ...] = ()
        self._typed = ""

    def set_rows(self, rows: tuple[TimelineRow, ...]) -> None:
        """Replace all rows."""
        if rows != self._rows:
            self._rows = rows
            self._refilter()

    def set_filter(self, typed: str) -> None:
        """Show only rows that have every typed word."""
        self._typed = typed
        self._refilter()

    def shown(self) -> tuple[TimelineRow, ...]:
        """The rows that pass the filter."""
        return self._shown

    def total(self) -> int:
        """How many rows there are without the filter."""
        return len(self._rows)

    def place(self, study_uid: str) -> QModelIndex:
        """Where a study stands, invalid where it is filtered out."""
        numbers = (number for number, row in enumerate(self._shown) if row.study_uid == study_uid)
        number = next(numbers, None)
        return self.index(number) if number is not None else QModelIndex()

    def _refilter(self) -> None:
        shown = tuple(row for row in self._rows if matches(row, self._typed))
        if [row.study_uid for row in shown] == [row.study_uid for row in self._shown]:
            self._shown = shown
            if shown:
                self.dataChanged.emit(self.index(0), self.index(len(shown) - 1))
            return
        self.beginResetModel()
        self._shown = shown
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own signature
        """As Qt defines it."""
        return 0 if parent.isValid() else len(self._shown)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """As Qt defines it; the accessible text is the whole row in words."""
        if not index.isValid() or index.row() >= len(self._shown):
            return None
        row = self._shown[index.row()]
        if role == Qt.ItemDataRole.UserRole:
            return row
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            mark = "current" if row.current else row.distance
            parts = (row.written_date, row.modality, row.title, row.place, row.status, row.presence.value, mark)
            return ", ".join(part for part in parts if part)
        return None


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
        self.setAccessibleName("Studies, newest first")
        self.setMouseTracking(True)
        self.selectionModel().currentChanged.connect(self._point)
        self.doubleClicked.connect(self._choose)
        self.activated.connect(self._choose)

    def select(self, study_uid: str) -> None:
        """Move to a study."""
        index = self.rows.place(study_uid)
        if index.isValid() and index != self.currentIndex():
            self.setCurrentIndex(index)

    def _point(self, index: QModelIndex) -> None:
        row = index.data(Qt.ItemDataRole.UserRole)
        if isinstance(row, TimelineRow):
            self.pointed.emit(row.study_uid)

    def _choose(self, index: QModelIndex) -> None:
        row = index.data(Qt.ItemDataRole.UserRole)
        if isinstance(row, TimelineRow):
            self.chosen.emit(row.study_uid)


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
        side = " · ".join(part for part in (row.place, row.status) if part)
        used = _put(painter, bottom, side, Look(theme.QUIET, small=True, right=True, most=0.58))
        title = Look(theme.QUIET if row.shut else theme.TEXT)
        _put(painter, bottom.adjusted(0, 0, -used - 8, 0), row.title, title)


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
