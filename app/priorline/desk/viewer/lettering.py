"""Text on images: small, quiet, and legible on white bone as on black air."""

from dataclasses import dataclass
from functools import lru_cache

from PySide6.QtCore import QPointF, QRectF, QSizeF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter

from priorline.desk import theme

LEADING = 18.0
"""Height of one line of text on an image, in logical pixels."""

_NEAR = ((-1, 0), (1, 0), (0, -1), (0, 1))
_FAR = ((-2, 0), (2, 0), (0, -2), (0, 2), (-1.5, -1.5), (1.5, -1.5), (-1.5, 1.5), (1.5, 1.5))
_ROOM = 4
"""Around the letters of a kept picture, for the halo and for what leans out, in logical pixels."""


@dataclass(frozen=True, slots=True)
class Ink:
    """How a piece of text looks."""

    colour: str = theme.TEXT
    pixels: int = theme.NORMAL
    weight: QFont.Weight = QFont.Weight.Normal

    @property
    def font(self) -> QFont:
        """The typeface in this size and weight."""
        return _font(self.pixels, self.weight)

    def width(self, text: str) -> float:
        """How wide the text is, in logical pixels."""
        return _width(text, self.pixels, self.weight)

    def elided(self, text: str, width: float) -> str:
        """The text, its end replaced by an ellipsis where it is wider than `width`."""
        if self.width(text) <= width:
            return text
        return _metrics(self.pixels, self.weight).elidedText(text, Qt.TextElideMode.ElideRight, width)


@lru_cache(maxsize=16)
def _font(pixels: int, weight: QFont.Weight) -> QFont:
    return theme.font(pixels, weight)


@lru_cache(maxsize=16)
def _metrics(pixels: int, weight: QFont.Weight) -> QFontMetricsF:
    return QFontMetricsF(_font(pixels, weight))


@lru_cache(maxsize=512)
def _width(text: str, pixels: int, weight: QFont.Weight) -> float:
    return _metrics(pixels, weight).horizontalAdvance(text)


PLAIN = Ink()
QUIET = Ink(theme.QUIET)
STRONG = Ink(weight=QFont.Weight.DemiBold)
AMBER = Ink(theme.PARTIAL, weight=QFont.Weight.DemiBold)
LETTER = Ink(pixels=theme.LARGE, weight=QFont.Weight.DemiBold)


def halo_text(painter: QPainter, x: float, baseline: float, text: str, ink: Ink) -> None:
    """Draw text with a dark halo, which keeps it legible on any image."""
    if not text:
        return
    ratio = painter.device().devicePixelRatioF()
    corner = QPointF(round(x) - _ROOM, round(baseline) - _ROOM - ink.pixels)
    # On whole device pixels, or the letters would be blurred.
    placed = QPointF(round(corner.x() * ratio), round(corner.y() * ratio)) / ratio
    painter.drawImage(placed, _haloed(text, ink, ratio))


@lru_cache(maxsize=256)
def _haloed(text: str, ink: Ink, ratio: float) -> QImage:
    """The text as a picture; its baseline is `_ROOM` + the letters' size below the upper edge.

    Kept, because while a stack is scrolled nearly all words stay, and drawing each 13 times took half of a frame.
    """
    size = QSizeF(ink.width(text) + 3 * _ROOM, 2 * ink.pixels + 2 * _ROOM)
    picture = QImage((size * ratio).toSize(), QImage.Format.Format_ARGB32_Premultiplied)
    picture.setDevicePixelRatio(ratio)
    picture.fill(Qt.GlobalColor.transparent)
    x, baseline = _ROOM, _ROOM + ink.pixels
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.TextAntialiasing)
    painter.setFont(ink.font)
    # Two rings of shifted copies keep the hinted glyphs, and cost a tenth of stroking their outlines.
    painter.setPen(QColor(theme.HALO))
    for across, down in _FAR + _NEAR:
        painter.drawText(QPointF(x + across, baseline + down), text)
    painter.setPen(QColor(ink.colour))
    painter.drawText(QPointF(x, baseline), text)
    painter.end()
    return picture


def forget_words() -> None:
    """Another patient: no word about the last one stays in memory."""
    _haloed.cache_clear()
    _width.cache_clear()


def halo_text_right(painter: QPainter, right: float, baseline: float, text: str, ink: Ink) -> None:
    """Draw text with a dark halo that ends at `right`."""
    halo_text(painter, right - ink.width(text), baseline, text, ink)


def halo_text_centred(painter: QPainter, middle: float, baseline: float, text: str, ink: Ink) -> None:
    """Draw text with a dark halo around the middle."""
    halo_text(painter, middle - ink.width(text) / 2, baseline, text, ink)


def paragraph(painter: QPainter, box: QRectF, text: str, ink: Ink) -> float:
    """Draw centred text over as many lines as it needs; returns its height in logical pixels."""
    flags = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop | Qt.TextFlag.TextWordWrap
    painter.setFont(ink.font)
    painter.setPen(QColor(ink.colour))
    return painter.drawText(box, flags, text).height()


def wrapped(text: str, width: float, ink: Ink) -> list[str]:
    """The text broken at its middle dots into lines no wider than `width`; a longer part is elided."""
    return [ink.elided(line, width) for line in _packed(_parts(text), " · ", width, ink)]


def wrapped_whole(text: str, width: float, ink: Ink) -> list[str]:
    """As `wrapped`, but a part that is too long is broken between words, and only a single word is elided."""
    words = [line.split(" ") for line in _packed(_parts(text), " · ", width, ink)]
    return [ink.elided(line, width) for parts in words for line in _packed(parts, " ", width, ink)]


def _parts(text: str) -> list[str]:
    return text.split(" · ") if text else []


def _packed(parts: list[str], joint: str, width: float, ink: Ink) -> list[str]:
    """As many parts on each line as fit."""
    lines: list[str] = []
    for part in parts:
        joined = f"{lines[-1]}{joint}{part}" if lines else part
        if lines and ink.width(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(part)
    return lines
