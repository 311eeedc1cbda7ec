"""The page about the cache: how full it is, of which hospitals, what goes next, and cleaning now; nobody is named."""

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QFont
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QProgressBar,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from priorline.desk import theme, wording
from priorline.desk.bridge import Bridge
from priorline.domain.retention import PINNED, size_words
from priorline.work.messages import AskCache, CacheTold, Event, Leaving, RequestFailed

TITLE = "Cache on this workstation"
KEPT_IN = {
    "keyring": "the system's keyring",
    "file": "a file of this user",
    "session": "memory, for this session only",
}
WIDTHS, NUMBERS = (200, 80, 90, 120, 210), (1, 2)
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class CachePage(QDialog):
    """Asks the courier when it opens; one at a time."""

    def __init__(self, bridge: Bridge, parent: QWidget) -> None:
        super().__init__(parent)
        self._bridge = bridge
        self._asked = 0
        self.setWindowTitle(TITLE)
        self.resize(760, 600)
        self.sentence, self.outcome = _label(), _label(theme.QUIET)
        self.sentence.setFont(theme.font(theme.NORMAL, QFont.Weight.DemiBold))
        self.bar = QProgressBar(self)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        self.bar.setStyleSheet(f"QProgressBar::chunk {{ background: {theme.CURRENT}; }}")
        self.bar.setAccessibleName("How full the cache is")
        self.hospitals = _table(("Hospital", "Studies", "Size"), self)
        self.leaving = _table(("Hospital", "Images", "Size", "Last viewed", "When it goes"), self)
        self.clean, close = QPushButton("Clean now", self), QPushButton("Close", self)
        self.clean.clicked.connect(self._clean)
        close.clicked.connect(self.accept)
        foot = QHBoxLayout()
        foot.addWidget(self.outcome, 1)
        foot.addWidget(self.clean)
        foot.addWidget(close)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 16, 20, 16)
        column.setSpacing(8)
        for widget in (self.sentence, self.bar, _label(theme.QUIET, "By hospital"), self.hospitals):
            column.addWidget(widget)
        column.addWidget(_label(theme.QUIET, "What goes next, the longest unviewed first"))
        column.addWidget(self.leaving, 1)
        column.addLayout(foot)
        bridge.heard.connect(self._take)

    def look(self) -> None:
        """Open, and ask how the cache is now."""
        self.outcome.setText("")
        self.open()
        self._ask(clean=False)

    def _clean(self) -> None:
        self._ask(clean=True)

    def _ask(self, *, clean: bool) -> None:
        self.clean.setEnabled(False)
        self._asked = self._bridge.next_number()
        self._bridge.send(AskCache(self._asked, clean))

    def _take(self, event: Event) -> None:
        if event.number != self._asked:
            return
        self.clean.setEnabled(True)
        if isinstance(event, CacheTold):
            self._show(event)
        elif isinstance(event, RequestFailed):
            self.outcome.setText(event.message)

    def _show(self, told: CacheTold) -> None:
        limit = f" of {size_words(told.limit)}" if told.limit else ""
        sealed = f"encrypted, key in {KEPT_IN[told.key]}" if told.key in KEPT_IN else "not encrypted"
        studies = f"{told.studies} {'study' if told.studies == 1 else 'studies'}"
        parts = (f"{size_words(told.bytes)}{limit}", studies, f"{size_words(told.free)} free on the disk", sealed)
        self.sentence.setText(" · ".join(parts))
        self.bar.setRange(0, 1000)
        self.bar.setValue(min(1000, told.bytes * 1000 // told.limit) if told.limit else 0)
        _fill(self.hospitals, [(one.hospital, str(one.studies), size_words(one.bytes)) for one in told.hospitals])
        _fill(self.leaving, [_row(one) for one in told.leaving])
        if told.removed:
            noun = "study" if told.removed == 1 else "studies"
            self.outcome.setText(f"{told.removed} {noun} removed, {size_words(told.freed)} freed.")
        elif not any(one.why not in ("", PINNED) for one in told.leaving):
            self.outcome.setText("Within its limits: nothing is due to go.")


def _row(one: Leaving) -> tuple[str, ...]:
    viewed = wording.written_date(one.viewed_at.astimezone().date())
    when = {"": "not due yet", PINNED: "stays: pinned"}.get(one.why, f"now: {one.why}")
    return one.hospital, str(one.images), size_words(one.bytes), viewed, when


def _label(colour: str = theme.TEXT, text: str = "") -> QLabel:
    made = QLabel(text)
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setStyleSheet(f"color: {colour};")
    return made


def _table(columns: Sequence[str], parent: QWidget) -> QTableWidget:
    table = QTableWidget(0, len(columns), parent)
    table.setHorizontalHeaderLabels(list(columns))
    table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
    table.setSelectionMode(QTableWidget.SelectionMode.NoSelection)
    table.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    table.setShowGrid(False)
    table.verticalHeader().hide()
    table.verticalHeader().setDefaultSectionSize(24)
    for section, width in enumerate(WIDTHS[: len(columns)]):
        table.setColumnWidth(section, width)
        head = table.horizontalHeaderItem(section)
        if head is not None and section in NUMBERS:
            head.setTextAlignment(RIGHT)
    table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
    table.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    return table


def _fill(table: QTableWidget, rows: Sequence[tuple[str, ...]]) -> None:
    table.setRowCount(len(rows))
    for number, row in enumerate(rows):
        for column, text in enumerate(row):
            item = QTableWidgetItem(text)
            if column in NUMBERS:
                item.setTextAlignment(RIGHT)
            table.setItem(number, column, item)
