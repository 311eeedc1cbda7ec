"""Marks on the image that follow from its geometry: patient directions at the edges and the ruler."""

from PySide6.QtCore import QLineF
from PySide6.QtGui import QColor, QPainter, QPen

from priorline.desk import theme
from priorline.desk.viewer.corners import Corners
from priorline.desk.viewer.lettering import LETTER, PLAIN, halo_text, halo_text_centred, halo_text_right
from priorline.desk.viewer.strip import margin
from priorline.desk.viewer.view_state import Area
from priorline.imaging.geometry import EdgeLetters

_LENGTHS = (500, 200, 100, 50, 20, 10, 5, 2, 1)
_LETTER_ROOM = 32.0
_ASCENT = 11.0


def ruler_length(scale: float, room: float) -> int:
    """The longest round length in millimetres that takes at most `room` logical pixels; 0 where none fits.

    `scale` is logical pixels per millimetre.
    """
    return next((length for length in _LENGTHS if 24 <= length * scale <= room), 0)


def paint_letters(painter: QPainter, letters: EdgeLetters, area: Area, corners: Corners) -> None:
    """Draw the patient directions at the edges of the area; the bottom one keeps clear of the corners' words."""
    edge = margin(area.width)
    middle_x, middle_y = area.x + area.width / 2, area.y + area.height / 2
    halo_text(painter, area.x + edge, middle_y + _ASCENT / 2, letters.left, LETTER)
    halo_text_right(painter, area.x + area.width - edge, middle_y + _ASCENT / 2, letters.right, LETTER)
    halo_text_centred(painter, middle_x, area.y + _ASCENT + 4, letters.top, LETTER)
    bottom = corners.free_baseline(LETTER.width(letters.bottom) / 2 + 8)
    halo_text_centred(painter, middle_x, bottom, letters.bottom, LETTER)


def paint_ruler(painter: QPainter, scale: float, kind: str, area: Area, corners: Corners) -> None:
    """Draw a ruler with ten or five parts inside the right edge, above the words there.

    `scale` is logical pixels per millimetre; `kind` is the header's `spacing_kind`: "detector" distances are not
    those in the patient (PS3.3 10.7.1.3), which a star and words say.
    """
    floor = min(area.y + area.height, corners.right_top) - 16
    label = 2 * 16.0 if kind == "detector" else 16.0
    length = ruler_length(scale, min(0.4 * area.height, floor - area.y - label - 24))
    if not length or area.width < 200:
        return
    tall = length * scale
    # Level with the letter where that leaves room, so that eyes find it at the same place in every pane.
    top = min(area.y + (area.height - tall) / 2, floor - label - tall)
    right = area.x + area.width - margin(area.width) - _LETTER_ROOM
    _paint_bar(painter, right, round(top), tall, 5 if str(length).startswith("5") else 10)
    star = "*" if kind == "detector" else ""
    halo_text_right(painter, right + 12, top + tall + 17, f"{length} mm{star}", PLAIN)
    if star:
        halo_text_right(painter, right + 12, top + tall + 33, "* at detector", PLAIN)


def _paint_bar(painter: QPainter, right: float, top: float, tall: float, parts: int) -> None:
    right = round(right) + 0.5
    lines = [QLineF(right, top + 0.5, right, top + tall + 0.5)]
    for part in range(parts + 1):
        y = round(top + tall * part / parts) + 0.5
        lines.append(QLineF(right - (10 if part in (0, parts) else 5), y, right, y))
    for colour, width in ((theme.HALO, 3), (theme.TEXT, 1)):
        painter.setPen(QPen(QColor(colour), width))
        painter.drawLines(lines)
