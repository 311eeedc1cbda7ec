"""The words over an image: who, when and where from above it; window, zoom, position and marks below it."""

from dataclasses import dataclass

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPen

from priorline.desk import theme
from priorline.desk.viewer.content import PaneContent
from priorline.desk.viewer.lettering import (
    LEADING,
    PLAIN,
    QUIET,
    STRONG,
    Ink,
    halo_text,
    halo_text_right,
    wrapped,
    wrapped_whole,
)

_DATE = Ink(pixels=theme.LARGE, weight=QFont.Weight.DemiBold)
_TAG = Ink(theme.GROUND, weight=QFont.Weight.Bold)
_PROGRESS = Ink(theme.CURRENT)
_TAG_HEIGHT = 22.0
_PARTIAL = "PARTIAL"
_GAP = 8.0


@dataclass(frozen=True, slots=True)
class Header:
    """The words above the image, broken into lines for one width: left and right parts from top to bottom.

    `mark` stands beside the tag where images are missing and none are coming; `progress` right of the line with the
    number `progress_line`, from 0.
    """

    tag: str
    date: str
    place: str
    lines: tuple[tuple[str, Ink], ...]
    mark: str = ""
    progress: str = ""
    progress_line: int = 0

    @property
    def height(self) -> float:
        """How much of the pane is above the image, in logical pixels."""
        first = _GAP + _TAG_HEIGHT if self.tag or self.date or self.place else 0.0
        below = LEADING * len(self.lines)
        return first + below + _GAP if first or below else 0.0


def margin(width: float) -> float:
    """Distance of all words from the edge of a pane this wide, in logical pixels."""
    return 12.0 if width >= 400 else 8.0


def layout_header(content: PaneContent, width: float) -> Header:
    """Break the header for a pane `width` logical pixels wide; identity wraps, only what is too long is elided.

    Of a withheld study only the role and the hospital are said.
    """
    inside = width - 2 * margin(width)
    mark = _PARTIAL if content.partial else ""
    left = _tag_width(content.role) + _tag_width(mark)
    if content.withheld:
        return Header(content.role, "", PLAIN.elided(content.hospital, inside - left), ())
    dates = wrapped(content.date, inside - left, _DATE)
    date = dates[0] if dates else ""
    room = inside - left - _DATE.width(date) - 2 * _GAP
    beside = PLAIN.width(content.place) <= room or (PLAIN.width(content.hospital) + 60 <= room)
    place = PLAIN.elided(content.place, room) if beside and content.place else ""
    lines: list[tuple[str, Ink]] = [(text, STRONG) for text in dates[1:]]
    lines += [(text, PLAIN) for text in wrapped_whole(content.patient, inside, PLAIN)]
    if not beside:
        lines += [(text, QUIET) for text in wrapped(content.place, inside, QUIET)]
    rooms = [inside - ink.width(text) - 2 * _GAP for text, ink in lines] or [inside]
    widest = max(range(len(rooms)), key=lambda number: (rooms[number], -number))
    progress = _fitting(content.progress, rooms[widest])
    return Header(content.role, date, place, tuple(lines), mark, progress, widest)


def _fitting(parts: tuple[str, ...], room: float) -> str:
    """As many of the parts as there is room for, the first ones first."""
    told = [" · ".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return next((text for text in told if _PROGRESS.width(text) <= room), "")


def full_width(content: PaneContent) -> int:
    """The width in logical pixels at which no word of the header is elided or wrapped."""
    tags = _tag_width(content.role) + (_tag_width(_PARTIAL) if content.partial else 0.0)
    first = tags + _DATE.width(content.date) + 3 * _GAP + PLAIN.width(content.place)
    return round(max(first, PLAIN.width(content.patient)) + 2 * margin(1000)) + 1


def paint_header(painter: QPainter, header: Header, width: float) -> None:
    """Draw the header; the tag is filled with the colour of its role and says it in a word."""
    edge = margin(width)
    baseline = _GAP + 16
    x = edge
    if header.tag:
        x += _paint_tag(painter, header.tag, x)
    if header.mark:
        x += _paint_mark(painter, header.mark, x)
    halo_text(painter, x, baseline, header.date, _DATE)
    halo_text_right(painter, width - edge, baseline, header.place, QUIET)
    baseline = _GAP + _TAG_HEIGHT + LEADING - 4
    below = baseline + LEADING * header.progress_line
    halo_text_right(painter, width - edge, below, header.progress, _PROGRESS)
    for text, ink in header.lines:
        halo_text(painter, edge, baseline, text, ink)
        baseline += LEADING


def _paint_tag(painter: QPainter, role: str, x: float) -> float:
    box = QRectF(x, _GAP, _tag_width(role) - _GAP, _TAG_HEIGHT)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(theme.CURRENT if role == "CURRENT" else theme.PRIOR))
    painter.drawRoundedRect(box, theme.RADIUS, theme.RADIUS)
    painter.setFont(_TAG.font)
    painter.setPen(QColor(_TAG.colour))
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, role)
    return box.width() + _GAP


def _paint_mark(painter: QPainter, mark: str, x: float) -> float:
    """An outline, half as loud as the tag beside it."""
    box = QRectF(x + 0.5, _GAP + 0.5, _tag_width(mark) - _GAP - 1, _TAG_HEIGHT - 1)
    painter.setPen(QPen(QColor(theme.PARTIAL), 1))
    painter.setBrush(QColor(theme.HALO))
    painter.drawRoundedRect(box, theme.RADIUS, theme.RADIUS)
    painter.setFont(_TAG.font)
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, mark)
    return box.width() + 1 + _GAP


def _tag_width(role: str) -> float:
    return round(_TAG.width(role)) + 16 + _GAP if role else 0.0
