"""Widgets that wrap like words: as many in a row as fit, rows to the right."""

from collections.abc import Sequence

from PySide6.QtCore import QPoint, QSize
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QWidget


class Flow(QWidget):
    """Places children that `arrange` names; a row that is full goes on below.

    Not a QLayout: that would measure all children anew, up to the window, for each one that is shown or changes.
    """

    def __init__(self, spacing: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._spacing = spacing
        self._children: tuple[QWidget, ...] = ()
        self._sizes: list[QSize] = []
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def arrange(self, children: Sequence[QWidget]) -> None:
        """Show these children, in reading order; whoever is above is asked for room only where that changes."""
        before = self.minimumSizeHint().width(), self.heightForWidth(self.width())
        self._children, self._sizes = tuple(children), [child.sizeHint() for child in children]
        self._place()
        for child in children:
            child.show()
        if before != (self.minimumSizeHint().width(), self.heightForWidth(self.width())):
            self.updateGeometry()

    def heightForWidth(self, width: int) -> int:
        """As Qt defines it."""
        rows = rows_of([size.width() for size in self._sizes], width, self._spacing)
        return sum(self._height(row) for row in rows) + self._spacing * max(0, len(rows) - 1)

    def sizeHint(self) -> QSize:
        """As Qt defines it; it takes what is left beside it."""
        return self.minimumSizeHint()

    def minimumSizeHint(self) -> QSize:
        """As Qt defines it: the widest child alone."""
        widest = max((size.width() for size in self._sizes), default=0)
        return QSize(widest, max((size.height() for size in self._sizes), default=0))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """As Qt defines it."""
        super().resizeEvent(event)
        self._place()

    def _place(self) -> None:
        widths = [size.width() for size in self._sizes]
        top = 0
        for row in rows_of(widths, self.width(), self._spacing):
            left = self.width() - sum(widths[at] for at in row) - self._spacing * (len(row) - 1)
            for at in row:
                self._children[at].resize(self._sizes[at])
                self._children[at].move(QPoint(left, top))
                left += widths[at] + self._spacing
            top += self._height(row) + self._spacing

    def _height(self, row: range) -> int:
        return max((self._sizes[at].height() for at in row), default=0)


def rows_of(widths: Sequence[int], width: int, spacing: int) -> list[range]:
    """Which of these widths share a row of `width` pixels; one that is too wide has a row of its own."""
    rows: list[range] = []
    start, used = 0, 0
    for at, wanted in enumerate(widths):
        if at > start and used + wanted > width:
            rows.append(range(start, at))
            start, used = at, 0
        used += wanted + spacing
    return [*rows, range(start, len(widths))] if widths else []
