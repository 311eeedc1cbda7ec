"""The list of all hospitals with their states, for bars that cannot name every one of them."""

from collections.abc import Callable, Sequence

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, QPoint, Qt, Signal
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import (
    QFrame,
    QHeaderView,
    QLabel,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from priorline.desk import theme
from priorline.desk.timeline import states
from priorline.desk.timeline.states import spoken
from priorline.domain.study import HospitalReport, HospitalState

Index = QModelIndex | QPersistentModelIndex
COLUMNS = ("Hospital", "State", "Studies", "After", "Connection", "")
NAME, STATE, STUDIES, AFTER, CONNECTION, RETRY = range(len(COLUMNS))
WIDTHS = {STATE: 220, STUDIES: 76, AFTER: 76, CONNECTION: 116, RETRY: 76}
WIDTH, ROW_HEIGHT, MOST_ROWS = 836, 26, 16
DISPLAY = Qt.ItemDataRole.DisplayRole
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class HospitalModel(QAbstractTableModel):
    """Hospitals in the order of how much they need a look when the list was opened; `UserRole` gives the report.

    `in_clear` names those whose images cross a network unencrypted.
    """

    def __init__(self, parent: QObject, in_clear: frozenset[str] = frozenset()) -> None:
        super().__init__(parent)
        self._in_clear = in_clear
        self._reports: list[HospitalReport] = []

    def begin(self, reports: Sequence[HospitalReport]) -> None:
        """Replace all, those first that did not answer."""
        self.beginResetModel()
        self._reports = sorted(reports, key=_need)
        self.endResetModel()

    def take(self, reports: Sequence[HospitalReport]) -> None:
        """New states; rows keep their places, so that nobody presses the wrong one."""
        by_name = {report.hospital: report for report in reports}
        if by_name.keys() != {report.hospital for report in self._reports}:
            self.begin(reports)
            return
        for row, old in enumerate(self._reports):
            new = by_name[old.hospital]
            if new != old:
                self._reports[row] = new
                self.dataChanged.emit(self.index(row, 0), self.index(row, len(COLUMNS) - 1))

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own signature
        """As Qt defines it."""
        return 0 if parent.isValid() else len(self._reports)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own signature
        """As Qt defines it."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = DISPLAY) -> object:
        """As Qt defines it."""
        if orientation is not Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole and section in (STUDIES, AFTER):
            return RIGHT
        return COLUMNS[section] if role == DISPLAY else None

    def data(self, index: Index, role: int = DISPLAY) -> object:
        """As Qt defines it; the accessible text of the name is the whole row in words."""
        if not index.isValid() or index.row() >= len(self._reports):
            return None
        report, column = self._reports[index.row()], index.column()
        if report.hospital in self._in_clear and (column, role) in MARKS:
            return MARKS[column, role](report)
        answer = ANSWERS.get(role)
        return answer(report, column) if answer else None


def _need(report: HospitalReport) -> tuple[bool, bool, bool, bool]:
    """Sorts those in trouble first, then the late, those with something left out, with studies, and without."""
    return (
        report.state not in states.RETRIABLE,
        report.state is not HospitalState.ASKING,
        states.is_well(report),
        report.state is HospitalState.NONE,
    )


def _texts(report: HospitalReport) -> tuple[str, ...]:
    answered = report.state is HospitalState.ANSWERED
    state = states.word(report) if not answered else states.rest(report)
    seconds = f"{report.seconds:.1f} s" if report.seconds else ""
    count = str(report.studies) if answered else ""
    return report.place, f"● {state}", count, seconds, "", "retry" if report.state in states.RETRIABLE else ""


def _colour(report: HospitalReport, column: int) -> str:
    if column == STATE:
        return states.colour(report)
    if column == RETRY:
        return theme.CURRENT
    return theme.QUIET if states.is_well(report) and column != NAME else theme.TEXT


ANSWERS: dict[int, Callable[[HospitalReport, int], object]] = {
    DISPLAY: lambda report, column: _texts(report)[column],
    Qt.ItemDataRole.AccessibleTextRole: lambda report, column: _texts(report)[column] if column else spoken(report),
    Qt.ItemDataRole.ToolTipRole: lambda report, _column: report.message or None,
    Qt.ItemDataRole.ForegroundRole: lambda report, column: QColor(_colour(report, column)),
    Qt.ItemDataRole.TextAlignmentRole: lambda _report, column: RIGHT if column in (STUDIES, AFTER) else None,
    Qt.ItemDataRole.UserRole: lambda report, _column: report,
}


# What is said, by column and role, of a hospital whose images cross a network unencrypted.
MARKS: dict[tuple[int, int], Callable[[HospitalReport], str]] = {
    (CONNECTION, DISPLAY): lambda _report: states.IN_CLEAR,
    (CONNECTION, Qt.ItemDataRole.AccessibleTextRole): lambda _report: states.IN_CLEAR,
    (CONNECTION, Qt.ItemDataRole.ToolTipRole): lambda _report: states.IN_CLEAR_WHY,
    (NAME, Qt.ItemDataRole.AccessibleTextRole): lambda report: f"{spoken(report)}, {states.IN_CLEAR}",
}


class StateColours(QStyledItemDelegate):
    """Keeps the colour of a state where its row is marked."""

    def initStyleOption(self, option: QStyleOptionViewItem, index: Index) -> None:
        """As Qt defines it."""
        super().initStyleOption(option, index)
        colour = index.data(Qt.ItemDataRole.ForegroundRole)
        option.palette.setColor(QPalette.ColorRole.HighlightedText, colour)


class HospitalList(QFrame):
    """A popup with every hospital; Enter or a click on "retry" asks one again."""

    again = Signal(str)

    def __init__(self, parent: QWidget, in_clear: frozenset[str] = frozenset()) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setObjectName("hospitals")
        self.setStyleSheet(f"#hospitals {{ background: {theme.PANEL}; border: 1px solid {theme.QUIET}; }}")
        self.rows = HospitalModel(self, in_clear)
        self._head = QLabel(self)
        self._head.setFont(theme.font(theme.SMALL))
        self._head.setStyleSheet(f"color: {theme.QUIET};")
        self.table = self._table()
        column = QVBoxLayout(self)
        column.setContentsMargins(1, 8, 1, 1)
        column.setSpacing(8)
        self._head.setContentsMargins(8, 0, 8, 0)
        column.addWidget(self._head)
        column.addWidget(self.table)

    def open_at(self, corner: QPoint, reports: Sequence[HospitalReport]) -> None:
        """Show all hospitals; `corner` is where the upper right one of the list goes, on the screen."""
        self.rows.begin(reports)
        self._say(reports)
        rows = min(len(reports), MOST_ROWS) * ROW_HEIGHT
        self.table.setFixedHeight(rows + self.table.horizontalHeader().sizeHint().height())
        self.resize(WIDTH, self.sizeHint().height())
        self.move(corner - QPoint(WIDTH, 0))
        self.table.setCurrentIndex(self.rows.index(0, 0))
        self.table.scrollToTop()
        self.show()
        self.table.setFocus()

    def show_reports(self, reports: Sequence[HospitalReport]) -> None:
        """Show new states, where it is open."""
        if self.isVisible():
            self.rows.take(reports)
            self._say(reports)

    def _say(self, reports: Sequence[HospitalReport]) -> None:
        hint = " · ⏎ asks the marked one again" if any(one.state in states.RETRIABLE for one in reports) else ""
        self._head.setText(f"All {len(reports)} hospitals{hint} · Esc closes")

    def _table(self) -> QTableView:
        table = QTableView(self)
        table.setModel(self.rows)
        table.setItemDelegate(StateColours(table))
        table.setAccessibleName("All hospitals")
        table.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QTableView.SelectionMode.SingleSelection)
        table.setEditTriggers(QTableView.EditTrigger.NoEditTriggers)
        table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        table.setShowGrid(False)
        table.setWordWrap(False)
        table.setTabKeyNavigation(False)
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        header = table.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        for section, width in WIDTHS.items():
            header.resizeSection(section, width)
        table.activated.connect(self._activate)
        table.clicked.connect(self._click)
        return table

    def _click(self, index: QModelIndex) -> None:
        if index.column() == RETRY:
            self._activate(index)

    def _activate(self, index: QModelIndex) -> None:
        report = index.data(Qt.ItemDataRole.UserRole)
        if isinstance(report, HospitalReport) and report.state in states.RETRIABLE:
            self.again.emit(report.hospital)
