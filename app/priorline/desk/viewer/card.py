"""What stands in a pane where no image can: a shape, what happened, and what to do."""

from dataclasses import dataclass

from PySide6.QtCore import QLineF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPen

from priorline.desk import theme
from priorline.desk.viewer.content import PaneContent, PaneState
from priorline.desk.viewer.lettering import QUIET, Ink, paragraph
from priorline.desk.viewer.view_state import Area

_WIDTH, _HEIGHT = 44.0, 28.0


@dataclass(frozen=True, slots=True)
class _Words:
    title: str
    message: str
    colour: str


_WORDS = {
    PaneState.EMPTY: _Words("No study here", "Choose one on the line and press Enter.", theme.QUIET),
    PaneState.WAITING: _Words("Waiting for the first image", "", theme.CURRENT),
    PaneState.CANNOT_SHOW: _Words("This image cannot be shown", "Ask the hospital to send it again.", theme.TROUBLE),
    PaneState.QUARANTINED: _Words(
        "Held back", "What arrived is not what was asked for, so it is not shown.", theme.TROUBLE
    ),
    PaneState.OTHER_PATIENT: _Words(
        "Another patient", "This is not certainly the same person, so it is not shown.", theme.TROUBLE
    ),
}


def paint_card(painter: QPainter, content: PaneContent, area: Area) -> None:
    """Draw the card of a state other than `IMAGE` in the middle of the area."""
    words = _WORDS[content.state]
    message = content.message or words.message
    width = min(area.width - 32, 360.0)
    left, middle = area.x + (area.width - width) / 2, area.x + area.width / 2
    top = area.y + area.height / 2 - 56
    quiet = content.state is PaneState.EMPTY
    _paint_shape(painter, content, QRectF(middle - _WIDTH / 2, round(top), _WIDTH, _HEIGHT), words.colour)
    ink = Ink(theme.QUIET if quiet else theme.TEXT, theme.LARGE, QFont.Weight.DemiBold)
    top += _HEIGHT + 16
    top += paragraph(painter, QRectF(left, top, width, 60), content.title or words.title, ink) + 4
    paragraph(painter, QRectF(left, top, width, 120), message, QUIET)


def _paint_shape(painter: QPainter, content: PaneContent, box: QRectF, colour: str) -> None:
    """The block as on the line: outline, filled as far as images are here, crossed out, or one behind another."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    box = box.adjusted(0.75, 0.75, -0.75, -0.75)
    if content.state is PaneState.WAITING and content.expected:
        part = min(1.0, content.received / content.expected)
        painter.fillRect(QRectF(box.x(), box.y(), box.width() * part, box.height()), QColor(colour))
    painter.setPen(QPen(QColor(colour), 1.5))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    if content.state is PaneState.OTHER_PATIENT:
        painter.drawRoundedRect(box.translated(6, -6), theme.RADIUS, theme.RADIUS)
        painter.setBrush(QColor(theme.IMAGE_GROUND))
    painter.drawRoundedRect(box, theme.RADIUS, theme.RADIUS)
    if content.state is PaneState.CANNOT_SHOW:
        painter.drawLine(QLineF(box.bottomLeft(), box.topRight()))
    if content.state is PaneState.QUARANTINED:
        x, y = box.center().x(), box.center().y()
        painter.drawLines([QLineF(x - 4, y - 6, x - 4, y + 6), QLineF(x + 4, y - 6, x + 4, y + 6)])
