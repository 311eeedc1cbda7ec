"""The chips of the coverage bar: a dot, a name and a word, painted, so that many of them cost little."""

from dataclasses import dataclass
from functools import cache

from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontMetrics, QKeyEvent, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QPushButton, QStyle, QStyleOptionButton, QWidget

from priorline.desk import theme
from priorline.desk.timeline import states
from priorline.domain.study import HospitalReport, HospitalState

HEIGHT, MARGIN, GAP, DOT, LOCK = 26, 10, 6, 7, 10
LONGEST_NAME = 220


@cache
def _fonts() -> tuple[QFont, QFont]:
    return theme.font(), theme.font(weight=QFont.Weight.DemiBold)


@dataclass(frozen=True, slots=True)
class Face:
    """What a chip shows: `name` before `word`, each in its colour, either may be empty; perhaps an open lock."""

    dot: str
    name: str
    name_colour: str
    word: str
    word_colour: str
    in_clear: bool = False


class Chip(QPushButton):
    """A button that paints its face; Space and Enter press it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("chip")
        self._face = Face("", "", "", "", "")
        self._size = QSize(0, HEIGHT)

    def show_face(self, face: Face) -> None:
        """Show this; the size hint follows."""
        plain, bold = (QFontMetrics(font) for font in _fonts())
        self._face = face
        texts = [width for width in (plain.horizontalAdvance(face.name), bold.horizontalAdvance(face.word)) if width]
        lock = GAP + LOCK if face.in_clear else 0
        self._size = QSize(2 * MARGIN + DOT + lock + sum(GAP + width for width in texts), HEIGHT)
        self.update()

    @property
    def words(self) -> str:
        """What is read on it."""
        return " ".join(part for part in (self._face.name, self._face.word) if part)

    def sizeHint(self) -> QSize:
        """As Qt defines it."""
        return self._size

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """As Qt defines it."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.click()
        else:
            super().keyPressEvent(event)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """As Qt defines it."""
        option = QStyleOptionButton()
        self.initStyleOption(option)
        painter = QPainter(self)
        self.style().drawControl(QStyle.ControlElement.CE_PushButtonBevel, option, painter, self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(self._face.dot))
        painter.drawEllipse(QPointF(MARGIN + DOT / 2, HEIGHT / 2), DOT / 2, DOT / 2)
        face, left = self._face, MARGIN + DOT
        if face.in_clear:
            paint_open_lock(painter, QPointF(left + GAP, HEIGHT / 2))
            left += GAP + LOCK
        parts = ((face.name, face.name_colour), (face.word, face.word_colour))
        for font, (text, colour) in zip(_fonts(), parts, strict=True):
            if text:
                painter.setFont(font)
                painter.setPen(QColor(colour))
                width = QFontMetrics(font).horizontalAdvance(text)
                painter.drawText(QRect(left + GAP, 0, width + 1, HEIGHT), Qt.AlignmentFlag.AlignVCenter, text)
                left += GAP + width
        painter.end()


def paint_open_lock(painter: QPainter, left_middle: QPointF) -> None:
    """A small lock whose bow stands open, `LOCK` logical pixels wide."""
    x, y = left_middle.x(), left_middle.y()
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(QColor(theme.QUIET), 1.3))
    painter.drawRoundedRect(QRectF(x + 0.5, y - 0.5, 7, 5.5), 1, 1)
    bow = QPainterPath(QPointF(x + 5.5, y - 0.5))
    bow.lineTo(x + 5.5, y - 3)
    bow.arcTo(QRectF(x + 5.5, y - 5.5, 4, 5), 180, -180)
    painter.drawPath(bow)


class HospitalChip(Chip):
    """One hospital; pressing it asks again where that makes sense, and it says more when pointed at."""

    again = Signal(str)

    def __init__(self, report: HospitalReport, parent: QWidget, *, in_clear: bool = False) -> None:
        super().__init__(parent)
        self._in_clear = in_clear
        self._shown: HospitalReport | None = None
        self._hospital = report.hospital
        self.clicked.connect(self._press)
        self.show_report(report)

    def show_report(self, report: HospitalReport) -> None:
        """Show a state; a list that was cut is trouble even when it was answered."""
        if report == self._shown:
            return
        self._shown = report
        colour, word = states.colour(report), states.word(report)
        again = report.state in states.RETRIABLE
        loud = again or report.state is HospitalState.ASKING or not states.is_well(report)
        name_colour = theme.TEXT if again else theme.QUIET
        said = f"{word} · retry" if again else word
        word_colour = colour if loud else theme.QUIET
        self.show_face(Face(colour, short(report.place), name_colour, said, word_colour, self._in_clear))
        told = f"{report.place}: {word}{states.after(report)}. {report.message}".strip()
        self.setToolTip(f"{told}\n{states.IN_CLEAR_WHY}" if self._in_clear else told)
        mark = f", {states.IN_CLEAR}" if self._in_clear else ""
        self.setAccessibleName(f"{report.place}, {word}{mark}{', press to ask again' if again else ''}")
        self.setEnabled(again)

    def _press(self) -> None:
        self.again.emit(self._hospital)


def short(name: str) -> str:
    """The name of a hospital as far as there is room for it."""
    return QFontMetrics(_fonts()[0]).elidedText(name, Qt.TextElideMode.ElideRight, LONGEST_NAME)


def width_of(name: str, *, in_clear: bool = False) -> int:
    """How wide the chip of a hospital is when it has said how much it has; pixels."""
    plain, bold = (QFontMetrics(font) for font in _fonts())
    word = bold.horizontalAdvance("none")
    lock = GAP + LOCK if in_clear else 0
    return 2 * MARGIN + DOT + lock + 2 * GAP + plain.horizontalAdvance(short(name)) + word


class CountChip(Chip):
    """Hospitals that have no chip of their own; pressing it opens the list of all."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setToolTip("Show all hospitals")

    def show_count(self, said: str, colour: str, *, loud: bool) -> None:
        """Show a count in words."""
        quiet = "" if loud else f"{said} ▾"
        self.show_face(Face(colour, quiet, theme.QUIET, f"{said} ▾" if loud else "", colour))
        self.setAccessibleName(f"{said}, press to show all hospitals")
