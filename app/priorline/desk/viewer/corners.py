"""The words at the bottom of an image: window, zoom and position; marks and completeness."""

from dataclasses import dataclass

from PySide6.QtGui import QPainter

from priorline.desk.viewer.content import PaneContent, PaneState
from priorline.desk.viewer.lettering import (
    AMBER,
    LEADING,
    PLAIN,
    STRONG,
    Ink,
    halo_text,
    halo_text_right,
)
from priorline.desk.viewer.strip import margin

_GAP = 12.0
_ASCENT = 13.0
Lines = tuple[tuple[str, Ink], ...]


@dataclass(frozen=True, slots=True)
class Corners:
    """The words in a pane of `width` and `height` logical pixels, each side from the bottom line upwards."""

    left: Lines
    right: Lines
    width: float
    height: float

    @property
    def top(self) -> float:
        """The upper edge of the higher side; the bottom margin where nothing is said."""
        return self._upper_edge(max(len(self.left), len(self.right)))

    @property
    def right_top(self) -> float:
        """The upper edge of the right side."""
        return self._upper_edge(len(self.right))

    def free_baseline(self, half: float) -> float:
        """The lowest line on which the middle of the pane is free for `half` logical pixels to both sides."""
        row = 0
        while row < max(len(self.left), len(self.right)) and not self._free(row, half):
            row += 1
        return self.baseline(row)

    def baseline(self, row: int) -> float:
        """Where the text of a line stands, counted from the bottom."""
        return self._upper_edge(row + 1) + _ASCENT

    def _upper_edge(self, rows: int) -> float:
        return self.height - margin(self.width) + 4 - LEADING * rows

    def _free(self, row: int, half: float) -> bool:
        taken = max(_width(self.left, row), _width(self.right, row))
        return margin(self.width) + taken <= self.width / 2 - half


def layout_corners(content: PaneContent, window: str, zoom: str, size: tuple[float, float]) -> Corners:
    """Place what is said at the bottom so that nothing touches; a line that would is moved up on the right."""
    width, height = size
    if content.withheld or content.state is PaneState.EMPTY:
        return Corners((), (), width, height)
    said = [content.position, zoom, window] if content.state is PaneState.IMAGE else [content.position]
    left = tuple((text, PLAIN) for text in said if text)
    room = width - 2 * margin(width) - _GAP
    lines = _marks(content)
    placed: list[tuple[str, Ink]] = []
    for line in lines:
        while _width(left, len(placed)) + line[1].width(line[0]) > room and len(placed) < len(left):
            placed.append(("", PLAIN))
        placed.append(line)
    return Corners(left, tuple(placed), width, height)


def _marks(content: PaneContent) -> Lines:
    """Completeness and what else must be said of the pixels, the most needed nearest to the corner."""
    lines = [(content.completeness, PLAIN if content.complete else AMBER)]
    if content.lossy:
        lines.append(("LOSSY", STRONG))
    if content.derived:
        lines.append(("DERIVED · NOT FOR DIAGNOSIS", STRONG))
    return tuple(lines)


def paint_corners(painter: QPainter, corners: Corners) -> None:
    """Draw the words at the bottom."""
    edge = margin(corners.width)
    for row, (text, ink) in enumerate(corners.left):
        halo_text(painter, edge, corners.baseline(row), text, ink)
    for row, (text, ink) in enumerate(corners.right):
        halo_text_right(painter, corners.width - edge, corners.baseline(row), text, ink)


def _width(lines: Lines, row: int) -> float:
    return lines[row][1].width(lines[row][0]) if row < len(lines) else 0.0
