"""The lit prior: the thread to the current study, and the reason with the key that acts on it."""

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPainterPath, QPen

from priorline.desk import theme
from priorline.desk.timeline.places import Floats

GROUND = "#2a2008"
HEIGHT = 20.0
LEAST_WIDTH = 80.0


def draw_suggestion(painter: QPainter, reason: str, lit: QRectF, current: QRectF, label: QRectF) -> None:
    """Draw the thread between the two boxes through `label`, and the reason in it."""
    path = QPainterPath()
    left, right = (lit, current) if lit.center().x() <= current.center().x() else (current, lit)
    start, end = QPointF(left.right(), left.center().y()), QPointF(right.left(), right.center().y())
    reach = min(120.0, max(end.x() - start.x(), 0.0) / 2)
    below = label.center().y()
    path.moveTo(start)
    path.cubicTo(QPointF(start.x() + reach, below), QPointF(end.x() - reach, below), end)
    painter.setPen(QPen(QColor(theme.PRIOR), 1.2, Qt.PenStyle.DashLine))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawPath(path)
    painter.setPen(QPen(QColor(theme.PRIOR), 1))
    painter.setBrush(QColor(GROUND))
    painter.drawRoundedRect(label, HEIGHT / 2, HEIGHT / 2)
    painter.setFont(theme.font(theme.SMALL))
    cut = painter.fontMetrics().elidedText(reason, Qt.TextElideMode.ElideRight, int(label.width() - 16))
    painter.drawText(label, Qt.AlignmentFlag.AlignCenter, cut)


def place_label(reason: str, lit: QRectF, current: QRectF, area: QRectF, taken: Floats, tops: list[float]) -> QRectF:
    """A box for the reason between the two that covers as few boxes as can be.

    `taken` has a row (left, top, right, bottom) for each box; `tops` are the middles of the lanes that may be used.
    """
    room = max(area.width() - 8, LEAST_WIDTH)
    width = min(QFontMetricsF(theme.font(theme.SMALL)).horizontalAdvance(reason) + 20, room)
    ends = sorted((lit.center().x(), current.center().x()))
    centre = (max(ends[0], area.left()) + min(ends[1], area.right())) / 2
    lefts = [centre - width / 2 + shift for shift in (0.0, -140.0, 140.0, -280.0, 280.0)]
    places = [
        QRectF(min(max(left, area.left() + 4), area.left() + 4 + room - width), top - HEIGHT / 2, width, HEIGHT)
        for left in lefts
        for top in tops
    ]
    return min(places, key=lambda box: _covered(box, taken))


def _covered(box: QRectF, taken: Floats) -> int:
    beside = (taken[:, 0] > box.right()) | (taken[:, 2] < box.left())
    apart = (taken[:, 1] > box.bottom()) | (taken[:, 3] < box.top())
    return int(np.count_nonzero(~(beside | apart)))
