"""How a block is drawn for what it says; each look is drawn once and then only copied to the screen."""

from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPainterPath, QPen, QPixmap

from priorline.desk import theme
from priorline.desk.held import Presence
from priorline.desk.timeline.places import NARROW, WIDTH

CORNER = 3.0
FOLD = 6.0
MARGIN = 8
"""Pixels around the box that frame and copies may use."""
FILLED = "#33435a"
SHARES = {Presence.REMOTE: 0.0, Presence.PARTIAL: 0.5, Presence.HERE: 1.0, Presence.DAMAGED: 1.0}
MOST_LOOKS = 2000


@dataclass(frozen=True, slots=True)
class Look:
    """All that tells two blocks apart; `share` is how much of the box is filled, `pile` marks several studies."""

    width: float
    height: float
    letters: str
    colour: str
    share: float
    damaged: bool = False
    shut: bool = False
    copies: bool = False
    report: bool = False
    pile: bool = False
    pointed: bool = False


class Looks:
    """Keeps the drawn looks for one screen scale."""

    def __init__(self) -> None:
        self._drawn: dict[Look, QPixmap] = {}
        self._scale = 1.0

    def draw(self, painter: QPainter, look: Look, left: float, top: float) -> None:
        """Draw `look` with its box at (left, top)."""
        scale = painter.device().devicePixelRatioF()
        if scale != self._scale or len(self._drawn) > MOST_LOOKS:
            self._drawn.clear()
            self._scale = scale
        pixmap = self._drawn.get(look)
        if pixmap is None:
            pixmap = self._drawn[look] = _pixmap(look, scale)
        # On whole pixels, so that lines stay sharp while the line is moved.
        painter.drawPixmap(QPointF(round(left * scale) / scale - MARGIN, round(top) - MARGIN), pixmap)


def _pixmap(look: Look, scale: float) -> QPixmap:
    pixmap = QPixmap(round((look.width + 2 * MARGIN) * scale), round((look.height + 2 * MARGIN) * scale))
    pixmap.setDevicePixelRatio(scale)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    _paint(painter, look, QRectF(MARGIN + 0.5, MARGIN + 0.5, look.width - 1, look.height - 1))
    painter.end()
    return pixmap


def _paint(painter: QPainter, look: Look, box: QRectF) -> None:
    shape = _shape(look, box)
    loud = look.colour != theme.QUIET
    _paint_behind(painter, look, shape, box)
    painter.fillPath(shape, QColor(theme.PANEL))
    painter.save()
    painter.setClipPath(shape)
    painter.fillRect(QRectF(box.left(), box.top(), box.width() * look.share, box.height()), QColor(FILLED))
    if look.damaged:
        _paint_hatching(painter, box)
    painter.restore()
    pen = QPen(QColor(look.colour), 1.6 if loud or look.pointed else 1.0)
    if look.shut:
        pen.setStyle(Qt.PenStyle.DashLine)
    painter.setPen(pen)
    painter.drawPath(shape)
    if look.report and box.width() > NARROW:
        corner = QPointF(box.right() - FOLD, box.top())
        painter.drawPolyline([corner, corner + QPointF(0, FOLD), corner + QPointF(FOLD, FOLD)])
    if look.pointed:
        painter.setPen(QPen(QColor(theme.TEXT), 1.0))
        painter.drawRoundedRect(box.adjusted(-3, -3, 3, 3), CORNER + 2, CORNER + 2)
    if box.width() >= WIDTH - 1:
        painter.setPen(QColor(look.colour if loud else theme.TEXT))
        painter.setFont(theme.font(theme.SMALL, QFont.Weight.DemiBold))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, look.letters)


def _shape(look: Look, box: QRectF) -> QPainterPath:
    """A rounded box; a report is a page with a folded corner, or a low box where that is too small to see."""
    path = QPainterPath()
    if look.report and box.width() > NARROW:
        path.moveTo(box.topLeft())
        path.lineTo(box.right() - FOLD, box.top())
        path.lineTo(box.right(), box.top() + FOLD)
        path.lineTo(box.bottomRight())
        path.lineTo(box.bottomLeft())
        path.closeSubpath()
        return path
    inner = box.adjusted(0, box.height() / 4, 0, -box.height() / 4) if look.report else box
    corner = min(CORNER, box.width() / 2)
    path.addRoundedRect(inner, corner, corner)
    return path


def _paint_behind(painter: QPainter, look: Look, shape: QPainterPath, box: QRectF) -> None:
    """Copies show a second outline above right; several studies show the edges of those below."""
    painter.setPen(QPen(QColor(look.colour), 1.0))
    if look.copies:
        shift = 3.0 if box.width() > NARROW else 2.0
        painter.drawPath(shape.translated(shift, -shift))
    if look.pile:
        for depth in (2.0, 4.0):
            y = box.bottom() + depth
            painter.drawLine(QPointF(box.left() + depth, y), QPointF(box.right() - depth, y))


def _paint_hatching(painter: QPainter, box: QRectF) -> None:
    colour = QColor(theme.TROUBLE)
    colour.setAlpha(150)
    painter.setPen(QPen(colour, 1.2))
    x = box.left()
    while x < box.right() + box.height():
        painter.drawLine(QPointF(x, box.top()), QPointF(x - box.height(), box.bottom()))
        x += 7.0
