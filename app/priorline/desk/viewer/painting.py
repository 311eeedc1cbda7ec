"""A decoded frame on the screen: reduced, windowed, scaled and drawn, each step kept until it changes."""

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QImage, QPainter

from priorline.desk.viewer.view_state import Area, ViewMatrix, ViewState
from priorline.imaging import windowing
from priorline.imaging.frame import DecodedFrame, Pixels, ValueMapping
from priorline.imaging.instance import Window

Levels = NDArray[np.uint8]
_GREYS = np.arange(256, dtype=np.uint32) * 0x010101 | np.uint32(0xFF000000)
"""The 32-bit words of a picture for each display level; numpy finds them three times faster than Qt converts."""


def reduced(pixels: Pixels, block: int, padding: tuple[int, int] | None = None) -> Pixels:
    """Mean of `block` x `block` pixels as the type of the input; a remainder at the right and bottom is left out.

    Values in `padding` (lowest, highest) do not count; a block of nothing else becomes padding. Without this,
    values that nobody measured would arise at the rim of the padding.
    """
    rows, columns = pixels.shape[0] // block, pixels.shape[1] // block
    used = pixels[: rows * block, : columns * block]
    total = np.zeros((rows, columns, *pixels.shape[2:]), np.uint32)
    count = np.full(total.shape, block * block, np.uint32) if padding is None else np.zeros_like(total)
    for down in range(block):
        for across in range(block):
            part = used[down::block, across::block]
            if padding is None:
                total += part
                continue
            measured = (part < padding[0]) | (part > padding[1])
            count += measured
            total += np.where(measured, part, 0)
    rounded = (total + count // 2) // np.maximum(count, 1)
    mean: Pixels = rounded.astype(np.uint8) if pixels.dtype == np.uint8 else rounded.astype(np.uint16)
    if padding is not None:
        mean[count == 0] = padding[0]
    return mean


@dataclass(frozen=True, slots=True)
class Shades:
    """What each pixel value looks like: its display level, and the 32-bit word of that grey in a picture."""

    levels: Levels
    words: NDArray[np.uint32]

    @classmethod
    def of(cls, levels: Levels) -> Self:
        """From the display levels of all values, (values,)."""
        return cls(levels, _GREYS[levels])


def picture_of(pixels: Pixels, shades: Shades, kept: QImage) -> QImage:
    """A 32-bit picture of pixels, (rows, columns) grey or (rows, columns, 3) red, green, blue, in their `shades`.

    Written into `kept` where that has the right size, since new memory for each slice costs more than the slice.
    """
    # Qt averages only 32-bit pictures over areas; grey and 24-bit ones it samples when shrinking by less than two,
    # which loses fine lines.
    rows, columns = pixels.shape[:2]
    if pixels.ndim == 2:
        if (kept.width(), kept.height(), kept.format()) != (columns, rows, QImage.Format.Format_RGB32):
            kept = QImage(columns, rows, QImage.Format.Format_RGB32)
        words = np.frombuffer(kept.bits(), np.uint32).reshape(rows, columns)
        # One look-up instead of two; every index fits, as in `windowing.apply`.
        np.take(shades.words, pixels, mode="clip", out=words)
        return kept
    levels = np.ascontiguousarray(windowing.apply(pixels, shades.levels))
    borrowed = QImage(levels.data, columns, rows, 3 * columns, QImage.Format.Format_RGB888)
    # This copies: Qt would else read memory that numpy may free.
    return borrowed.convertToFormat(QImage.Format.Format_RGB32)


@dataclass(frozen=True, slots=True)
class _Look:
    """What decides the display levels, beside the frame."""

    block: int
    window: object
    voi_lut: int | None
    invert: bool


class FramePainter:
    """Draws one frame at a time and keeps what the next drawing may use again.

    Shrunk pictures are averaged over areas, so that no line or nodule falls between pixels; at one to one the
    display levels reach the screen unchanged.
    """

    def __init__(self) -> None:
        self._frame: DecodedFrame | None = None
        self._reduced: dict[int, Pixels] = {}
        self._look: _Look | None = None
        self._picture = QImage()
        self._scaled = QImage()
        self._asked_table: tuple[ValueMapping, Window | None, int | None, bool] | None = None
        self._kept_shades = Shades.of(np.empty(0, np.uint8))

    def forget(self) -> None:
        """Let go of the frame and of everything made from it."""
        self._frame = None
        self._reduced.clear()
        self._look = None
        self._picture, self._scaled = QImage(), QImage()

    def paint(self, painter: QPainter, frame: DecodedFrame, state: ViewState, view: ViewMatrix, area: Area) -> None:
        """Draw the frame inside `area`; the painter's device decides how many device pixels a logical one has."""
        ratio = painter.device().devicePixelRatioF()
        across, down = view.across * ratio, view.down * ratio
        block = max(1, math.floor(1.0 / max(across, down) + 1e-9))
        picture = self._windowed(frame, state, min(block, *frame.array.shape[:2]))
        painter.save()
        painter.setClipRect(QRectF(area.x, area.y, area.width, area.height))
        self._draw(painter, picture, QPointF(view.left, view.top), across * block, down * block)
        painter.restore()

    def _draw(self, painter: QPainter, picture: QImage, corner: QPointF, across: float, down: float) -> None:
        ratio = painter.device().devicePixelRatioF()
        width, height = picture.width() * across, picture.height() * down
        if min(across, down) <= 1.0:
            scaled = self._shrunk(picture, max(1, round(width)), max(1, round(height)))
            scaled.setDevicePixelRatio(ratio)
            painter.drawImage(corner, scaled)
            return
        target = QRectF(corner.x(), corner.y(), width / ratio, height / ratio)
        painter.drawImage(target, picture, QRectF(picture.rect()))

    def _windowed(self, frame: DecodedFrame, state: ViewState, block: int) -> QImage:
        look = _Look(block, state.window, state.voi_lut, state.invert)
        if frame is not self._frame:
            self._frame, self._look = frame, None
            self._reduced.clear()
        if look != self._look:
            shades = self._shades(frame.mapping, state)
            self._picture = picture_of(self._pixels(frame, block), shades, self._picture)
            self._look, self._scaled = look, QImage()
        return self._picture

    def _pixels(self, frame: DecodedFrame, block: int) -> Pixels:
        if block == 1:
            return frame.array
        if block not in self._reduced:
            self._reduced = {block: reduced(frame.array, block, frame.mapping.padding)}
        return self._reduced[block]

    def _shades(self, mapping: ValueMapping, state: ViewState) -> Shades:
        """The looks of all values, kept while the slices of a stack mean the same by them."""
        if state.window is not None:
            # With a window chosen, neither what is in the slice nor the windows of its file change anything.
            mapping = replace(mapping, minimum=0, maximum=0, windows=())
        asked = (mapping, state.window, state.voi_lut, state.invert)
        if self._asked_table != asked:
            self._asked_table = asked
            self._kept_shades = Shades.of(windowing.display_table(*asked))
        return self._kept_shades

    def _shrunk(self, picture: QImage, width: int, height: int) -> QImage:
        if (width, height) == (picture.width(), picture.height()):
            return picture.copy()
        if (width, height) != (self._scaled.width(), self._scaled.height()):
            self._scaled = picture.scaled(
                width,
                height,
                Qt.AspectRatioMode.IgnoreAspectRatio,
                Qt.TransformationMode.SmoothTransformation,
            )
        return self._scaled


def enlarges(view: ViewMatrix, ratio: float) -> bool:
    """Whether some image pixel takes more than one device pixel, so that values between pixels are drawn."""
    return max(view.across, view.down) * ratio > 1.0 + 1e-6
