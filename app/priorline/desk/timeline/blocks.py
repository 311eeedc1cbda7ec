"""A block for each study: where it lies, so that none covers another, and how its state is drawn."""

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPainterPath, QPen

from priorline.desk import theme
from priorline.desk.timeline.rows import Presence, TimelineRow

WIDTH, NARROW, THIN = 38.0, 9.0, 3.0
HEIGHT = 18.0
SPACE = 3.0
FARTHEST = 90.0
CORNER = 3.0
FILLED = "#33435a"


@dataclass(frozen=True, slots=True)
class Block:
    """A row and its box in pixels."""

    row: TimelineRow
    box: QRectF


@dataclass(frozen=True, slots=True)
class Places:
    """Where days and lanes are in pixels; studies without a date stand at `undated`."""

    to_pixel: Callable[[float, float], QPointF]
    undated: float
    lane_pixels: float


def lay_out(rows: tuple[TimelineRow, ...], lanes: tuple[str, ...], places: Places) -> tuple[Block, ...]:
    """Boxes for all rows; those that would overlap in a lane fan out to the left, the newest at its date.

    Where fanning out would move a block too far from its date, all blocks become narrower.
    """
    for width in (WIDTH, NARROW, THIN):
        blocks, moved = _lay_out(rows, lanes, places, width)
        if moved <= FARTHEST:
            break
    return blocks


def _lay_out(
    rows: tuple[TimelineRow, ...], lanes: tuple[str, ...], places: Places, width: float
) -> tuple[tuple[Block, ...], float]:
    height = min(HEIGHT, places.lane_pixels - 5)
    taken: dict[str, float] = {}
    blocks = []
    farthest = 0.0
    # Rows come newest first, those without a date last.
    for row in rows:
        centre = places.to_pixel(float(row.when.toordinal()) if row.when else 0.0, float(lanes.index(row.lane)))
        wanted = centre.x() - width / 2 if row.when else places.undated
        left = min(wanted, taken.get(row.lane, float("inf")) - width - SPACE)
        if row.when:
            farthest = max(farthest, wanted - left)
            taken[row.lane] = left
        blocks.append(Block(row, QRectF(left, centre.y() - height / 2, width, height)))
    return tuple(reversed(blocks)), farthest


def draw_block(painter: QPainter, block: Block, *, pointed: bool, prior_uid: str) -> None:
    """Outline: at the hospital; half filled: partly here; filled: here; stacked: several hospitals hold it."""
    row, box = block.row, block.box
    colour = _colour(row, prior_uid)
    pen = QPen(QColor(colour), 1.6 if colour != theme.QUIET or pointed else 1.0)
    if row.shut:
        pen.setStyle(Qt.PenStyle.DashLine)
    if row.copies > 1:
        painter.setPen(QPen(QColor(colour), 1.0))
        painter.setBrush(QColor(theme.GROUND))
        painter.drawRoundedRect(box.translated(3, -3), CORNER, CORNER)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(theme.PANEL))
    painter.drawRoundedRect(box, CORNER, CORNER)
    _fill(painter, box, row.presence)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(pen)
    painter.drawRoundedRect(box, CORNER, CORNER)
    if pointed:
        painter.setPen(QPen(QColor(theme.TEXT), 1.0))
        painter.drawRoundedRect(box.adjusted(-2.5, -2.5, 2.5, 2.5), CORNER + 2, CORNER + 2)
    if box.width() < WIDTH:
        return
    painter.setPen(QColor(colour if colour != theme.QUIET else theme.TEXT))
    painter.setFont(theme.font(theme.SMALL, QFont.Weight.DemiBold))
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, "?" if row.shut else row.modality)


def draw_suggestion(
    painter: QPainter, lit: Block, current: Block, area: QRectF, blocks: tuple[Block, ...], free: float
) -> None:
    """The thread from the lit prior to the current study, and the reason with the key that acts on it.

    `free` is the height of a lane in which nothing lies.
    """
    start, end = lit.box.center(), current.box.center()
    if start.x() >= end.x():
        return
    painter.setFont(theme.font(theme.SMALL))
    text = f"{lit.row.reason}   ⏎ compare"
    label = _free_place((start.x() + end.x()) / 2, painter.fontMetrics().horizontalAdvance(text), area, blocks, free)
    below = label.center().y()
    reach = min(120.0, (end.x() - start.x()) / 2)
    path = QPainterPath(QPointF(lit.box.right(), start.y()))
    path.cubicTo(
        QPointF(start.x() + reach, below), QPointF(end.x() - reach, below), QPointF(current.box.left(), end.y())
    )
    painter.setPen(QPen(QColor(theme.PRIOR), 1.2, Qt.PenStyle.DashLine))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawPath(path)
    _label(painter, text, label)


def _free_place(centre: float, text_width: int, area: QRectF, blocks: tuple[Block, ...], free: float) -> QRectF:
    """A box for the reason that covers as few blocks as can be, near `centre`."""
    width = text_width + 20.0
    lefts = [centre - width / 2 + shift for shift in (0.0, -140.0, 140.0, -280.0, 280.0)]
    tops = [*sorted({block.box.center().y() for block in blocks}), free]
    places = [
        QRectF(min(max(left, area.left() + 4), max(area.right() - width - 4, area.left() + 4)), top - 10, width, 20)
        for left in lefts
        for top in tops
    ]
    return min(places, key=lambda place: sum(place.intersects(block.box) for block in blocks))


def _label(painter: QPainter, text: str, box: QRectF) -> None:
    painter.setPen(QPen(QColor(theme.PRIOR), 1))
    painter.setBrush(QColor("#2a2008"))
    painter.drawRoundedRect(box, 10, 10)
    painter.setPen(QColor(theme.PRIOR))
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)


def _colour(row: TimelineRow, prior_uid: str) -> str:
    if row.current:
        return theme.CURRENT
    return theme.PRIOR if row.suggested or row.study_uid == prior_uid else theme.QUIET


def _fill(painter: QPainter, box: QRectF, presence: Presence) -> None:
    share = {Presence.REMOTE: 0.0, Presence.PARTIAL: 0.5, Presence.HERE: 1.0}[presence]
    if share:
        painter.save()
        painter.setClipRect(QRectF(box.left(), box.top(), box.width() * share, box.height()))
        painter.setBrush(QColor(FILLED))
        painter.drawRoundedRect(box, CORNER, CORNER)
        painter.restore()
