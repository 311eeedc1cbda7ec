"""The card beside a block that the pointer rests on: what the study is, in plain text, never as markup."""

from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QFrame, QLabel, QVBoxLayout, QWidget

from priorline.desk import theme, wording
from priorline.desk.timeline import states
from priorline.desk.timeline.blocks import Block
from priorline.desk.timeline.rows import TimelineRow

WIDTH = 340
GAP = 8
MOST_HOSPITALS = 6


class HoverCard(QFrame):
    """One card for the whole line; it takes no mouse and no focus."""

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._window = window
        self.setObjectName("card")
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setStyleSheet(
            f"#card {{ background: {theme.RAISED}; border: 1px solid {theme.QUIET};"
            f" border-radius: {theme.RADIUS}px; }}"
        )
        self._head, self._title, self._facts, self._alert = (self._label() for _ in range(4))
        self._head.setFont(theme.font(theme.NORMAL, QFont.Weight.DemiBold))
        self._facts.setStyleSheet(f"color: {theme.QUIET};")
        self._alert.setStyleSheet(f"color: {theme.PARTIAL};")
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 8, 12, 8)
        column.setSpacing(4)
        for label in (self._head, self._title, self._facts, self._alert):
            column.addWidget(label)
        self.hide()

    def show_block(self, block: Block, place: QRect) -> None:
        """Say what a block is, below `place` (of the window) or where there is room."""
        if len(block.rows) == 1:
            self._say(head(block.row), block.row.title, facts(block.row), alerts(block.row))
        else:
            self._say(*of_several(block.rows), "")
        self.setFixedWidth(WIDTH)
        column = self.layout()
        if column is not None:
            self.setFixedHeight(column.totalHeightForWidth(WIDTH))
        self.move(self._beside(place))
        self.show()
        self.raise_()

    @property
    def text(self) -> str:
        """All that it says."""
        labels = (self._head, self._title, self._facts, self._alert)
        return "\n".join(label.text() for label in labels if label.text())

    def _say(self, *texts: str) -> None:
        for label, text in zip((self._head, self._title, self._facts, self._alert), texts, strict=True):
            label.setText(text)
            label.setVisible(bool(text))

    def _beside(self, place: QRect) -> QPoint:
        window = self._window
        right, bottom = window.width() - self.width() - GAP, window.height() - self.height() - GAP
        top = place.bottom() + GAP
        if top > bottom:
            top = place.top() - self.height() - GAP
        return QPoint(max(min(place.left(), right), GAP), max(top, GAP))

    def _label(self) -> QLabel:
        label = QLabel(self)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setWordWrap(True)
        return label


def head(row: TimelineRow) -> str:
    """Date, distance and modality."""
    what = "report only" if row.report_only else ""
    mark = "current" if row.current else row.distance
    return "   ".join(
        part for part in (row.written_date, " ".join(row.modalities) or row.modality, mark, what) if part
    )


def facts(row: TimelineRow) -> str:
    """Hospitals with their counts, what is here, the region, and why it matters, one a line."""
    counted = [
        " · ".join(
            part for part in (name, wording.images(count), states.IN_CLEAR if name in row.in_clear else "") if part
        )
        for name, count in zip(row.hospitals, row.counts, strict=True)
    ]
    more = len(counted) - MOST_HOSPITALS
    counted = [*counted[:MOST_HOSPITALS], *([f"and {more} more hospitals"] if more > 0 else [])]
    status = row.status if row.status not in ("", *map(wording.images, row.counts)) else ""
    presence = " · ".join(part for part in (row.presence.value, status) if part)
    shown = "" if row.current else ", ".join(row.reasons)
    relevance = f"Relevance: {shown}" if shown else ""
    return "\n".join(part for part in (*counted, presence.capitalize(), _shows(row), relevance) if part)


def _shows(row: TimelineRow) -> str:
    return f"Shows: {row.region}{f' ({row.region_why})' if row.region_why else ''}"


def alerts(row: TimelineRow) -> str:
    """Whose it may not be, why it is not all here, what it is probably a copy of, and that it is suggested."""
    lit = f"Suggested prior: {row.reason}" if row.suggested else ""
    twins = f"Probably the same study under another number: {'; '.join(row.twins)}" if row.twins else ""
    whose = row.identity[:1].upper() + row.identity[1:]
    return "\n".join(part for part in (whose, row.why_lacking, twins, lit) if part)


def of_several(rows: tuple[TimelineRow, ...]) -> tuple[str, str, str]:
    """The same for a block that several studies share."""
    newest, oldest = rows[0], rows[-1]
    kinds: dict[str, int] = {}
    for row in rows:
        kinds[row.modality] = kinds.get(row.modality, 0) + 1
    most = sorted(kinds, key=lambda name: -kinds[name])
    span = f"{oldest.written_date} to {newest.written_date}" if newest.when else newest.written_date
    listed = " · ".join(f"{name} {kinds[name]}" for name in most[:8])
    how = "Double-click or wheel to come nearer" if newest.when else "Click to go through them"
    return f"{len(rows)} studies", span, f"{listed}\n{how}"
