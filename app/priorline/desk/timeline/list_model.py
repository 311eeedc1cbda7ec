"""What the list shows: the rows in the chosen order that pass the filter."""

from enum import Enum
from html import escape

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from priorline.desk.timeline.rows import TimelineRow, matches

Index = QModelIndex | QPersistentModelIndex
MOST_RUNS = 40


class SortBy(Enum):
    """The order of the list; the value is the word in the control."""

    DATE = "date"
    RELEVANCE = "relevance"
    HOSPITAL = "hospital"


class TimelineListModel(QAbstractListModel):
    """Rows for the list; `UserRole` gives the row itself."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._rows: tuple[TimelineRow, ...] = ()
        self._shown: tuple[TimelineRow, ...] = ()
        self._numbers: dict[str, int] | None = None
        self._typed = ""
        self._sort = SortBy.DATE

    def set_rows(self, rows: tuple[TimelineRow, ...]) -> None:
        """Replace all rows."""
        if rows != self._rows:
            self._rows = rows
            self._show_again()

    def set_filter(self, typed: str) -> None:
        """Show only rows that have every typed word."""
        self._typed = typed
        self._show_again()

    def set_sort(self, sort: SortBy) -> None:
        """Choose the order."""
        self._sort = sort
        self._show_again()

    def shown(self) -> tuple[TimelineRow, ...]:
        """The rows that pass the filter."""
        return self._shown

    def total(self) -> int:
        """How many rows there are without the filter."""
        return len(self._rows)

    def place(self, study_uid: str) -> QModelIndex:
        """Where a study stands, invalid where it is filtered out."""
        if self._numbers is None:
            self._numbers = {row.study_uid: number for number, row in enumerate(self._shown)}
        number = self._numbers.get(study_uid)
        return self.index(number) if number is not None else QModelIndex()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own signature
        """As Qt defines it."""
        return 0 if parent.isValid() else len(self._shown)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """As Qt defines it; the accessible text is the whole row in words, the tool tip why it is not all here."""
        if not index.isValid() or index.row() >= len(self._shown):
            return None
        row = self._shown[index.row()]
        if role == Qt.ItemDataRole.UserRole:
            return row
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"<p>{escape(row.why_lacking)}</p>" if row.why_lacking else None
        return row.spoken() if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole) else None

    def _show_again(self) -> None:
        passing = tuple(row for row in self._rows if matches(row, self._typed)) if self._typed else self._rows
        shown = in_order(passing, self._sort)
        before, after = self._uids(self._shown), self._uids(shown)
        if before == after:
            self._say_changes(shown)
            return
        if runs := added_runs(before, after):
            # Rows that came are put between the others, so that nobody loses where he was looking.
            for first, last in runs:
                self.beginInsertRows(QModelIndex(), first, last)
                self._take((*self._shown[:first], *shown[first : last + 1], *self._shown[first:]))
                self.endInsertRows()
            self._take(shown)
        else:
            self.beginResetModel()
            self._take(shown)
            self.endResetModel()
        if shown:
            self.dataChanged.emit(self.index(0), self.index(len(shown) - 1))

    def _say_changes(self, shown: tuple[TimelineRow, ...]) -> None:
        """The same studies in the same order: only those are drawn again of which something changed."""
        pairs = enumerate(zip(self._shown, shown, strict=True))
        # Most are the very same object, and comparing thousands value by value would be seen.
        changed = [number for number, (old, new) in pairs if old is not new and old != new]
        self._take(shown)
        if len(changed) > MOST_RUNS:
            self.dataChanged.emit(self.index(changed[0]), self.index(changed[-1]))
            return
        for number in changed:
            self.dataChanged.emit(self.index(number), self.index(number))

    def _take(self, shown: tuple[TimelineRow, ...]) -> None:
        self._shown, self._numbers = shown, None

    @staticmethod
    def _uids(rows: tuple[TimelineRow, ...]) -> list[str]:
        return [row.study_uid for row in rows]


def in_order(rows: tuple[TimelineRow, ...], sort: SortBy) -> tuple[TimelineRow, ...]:
    """Rows that come newest first, in another order; the current study leads where relevance decides."""
    if sort is SortBy.RELEVANCE:
        return tuple(sorted(rows, key=lambda row: (not row.current, -row.score)))
    if sort is SortBy.HOSPITAL:
        return tuple(sorted(rows, key=lambda row: row.hospitals[0].casefold()))
    return rows


def added_runs(before: list[str], after: list[str]) -> list[tuple[int, int]]:
    """Where rows were put in, as (first, last) in the new order; empty where they were not only put in, or in many
    places, or where there were none before."""
    runs: list[tuple[int, int]] = []
    old = 0
    for number, uid in enumerate(after):
        if old < len(before) and before[old] == uid:
            old += 1
        elif runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs if before and old == len(before) and len(runs) <= MOST_RUNS else []
