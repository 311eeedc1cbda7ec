"""The column beside the panes: the list of studies, what it is filtered and sorted by, and how many it shows."""

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QVBoxLayout, QWidget

from priorline.desk import theme
from priorline.desk.timeline.list import SortControl, TimelineList

WIDTH = 360


class SidePanel(QWidget):
    """Filter, count and order above the list; Enter in the filter goes to the list, Esc also empties it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.list = TimelineList(self)
        self.filter = QLineEdit(self)
        self.count = QLabel(self)
        self.filter.setPlaceholderText("Filter: chest ct 2019      /")
        self.filter.setAccessibleName("Filter the list")
        self.filter.setClearButtonEnabled(True)
        self.count.setStyleSheet(f"color: {theme.QUIET};")
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(8)
        counted = QHBoxLayout()
        counted.addWidget(self.count, 1)
        counted.addWidget(SortControl(self.list, self))
        column.addWidget(self.filter)
        column.addLayout(counted)
        column.addWidget(self.list)
        self.filter.textChanged.connect(self._filter)
        self.filter.returnPressed.connect(self.list.setFocus)
        leave = QShortcut(QKeySequence("Esc"), self.filter)
        leave.setContext(Qt.ShortcutContext.WidgetShortcut)
        leave.activated.connect(self._leave_filter)

    def say_count(self) -> None:
        """Say how many studies there are, and how many of them the filter lets through."""
        shown, total = len(self.list.rows.shown()), self.list.rows.total()
        noun = "study" if total == 1 else "studies"
        self.count.setText(f"{shown} of {total} shown · Esc all" if shown != total else f"{total} {noun}")

    def _filter(self, typed: str) -> None:
        self.list.rows.set_filter(typed)
        self.say_count()

    def _leave_filter(self) -> None:
        self.filter.clear()
        self.list.setFocus()
