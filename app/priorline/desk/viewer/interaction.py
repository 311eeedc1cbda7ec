"""What hands do to an image: keys, wheel and drags, as small values that a pane turns into new views."""

from dataclasses import dataclass, replace
from enum import Enum

from PySide6.QtCore import QPointF, Qt

from priorline.desk.viewer.view_state import Area, PixelGrid, ViewState, panned, zoomed_at
from priorline.imaging import windowing
from priorline.imaging.frame import ValueMapping
from priorline.imaging.instance import InstanceHeader, Window

NOTCH = 120
"""Wheel units of one notch, as Qt counts them."""

FAST = 10
CLICK = 3.0
"""A pointer that moves less than this many logical pixels has clicked, not dragged."""

_ZOOM_PER_NOTCH = 1.2
_ZOOM_PER_PIXEL = 1.005
_WIDTH_PER_PIXEL = 1 / 300
_STEPS_OF_RANGE = 4096


class Command(Enum):
    """What a key asks of a pane; the value is the word for the sheet of all keys."""

    PREVIOUS_IMAGE = "previous image"
    NEXT_IMAGE = "next image"
    FIRST_IMAGE = "first image"
    LAST_IMAGE = "last image"
    PREVIOUS_SERIES = "previous series"
    NEXT_SERIES = "next series"
    FULL_RANGE = "full range of values"
    FILE_WINDOW_1 = "first window of the file"
    FILE_WINDOW_2 = "second window of the file"
    PRESET_1 = "brain (CT)"
    PRESET_2 = "abdomen (CT)"
    PRESET_3 = "mediastinum (CT)"
    PRESET_4 = "bone (CT)"
    PRESET_5 = "lung (CT)"
    PRESET_6 = "angio (CT)"
    INVERT = "invert"
    FIT_OR_ONE_TO_ONE = "whole image, or one to one"
    RESET = "undo the drag, or reset the view and keep the image"


_K, _NONE, _CTRL = Qt.Key, Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ControlModifier
KEYS: dict[tuple[Qt.Key, Qt.KeyboardModifier], Command] = {
    (_K.Key_Up, _NONE): Command.PREVIOUS_IMAGE,
    (_K.Key_Down, _NONE): Command.NEXT_IMAGE,
    (_K.Key_Home, _NONE): Command.FIRST_IMAGE,
    (_K.Key_End, _NONE): Command.LAST_IMAGE,
    (_K.Key_Left, _NONE): Command.PREVIOUS_SERIES,
    (_K.Key_Right, _NONE): Command.NEXT_SERIES,
    (_K.Key_PageUp, _NONE): Command.PREVIOUS_SERIES,
    (_K.Key_PageDown, _NONE): Command.NEXT_SERIES,
    (_K.Key_0, _NONE): Command.FULL_RANGE,
    (_K.Key_1, _NONE): Command.FILE_WINDOW_1,
    (_K.Key_2, _NONE): Command.FILE_WINDOW_2,
    (_K.Key_3, _NONE): Command.PRESET_1,
    (_K.Key_4, _NONE): Command.PRESET_2,
    (_K.Key_5, _NONE): Command.PRESET_3,
    (_K.Key_6, _NONE): Command.PRESET_4,
    (_K.Key_7, _NONE): Command.PRESET_5,
    (_K.Key_8, _NONE): Command.PRESET_6,
    (_K.Key_I, _CTRL): Command.INVERT,
    (_K.Key_Z, _NONE): Command.FIT_OR_ONE_TO_ONE,
    (_K.Key_Escape, _NONE): Command.RESET,
}
"""Which key does what in a pane; the sheet of all keys reads it too."""

_FILE = (Command.FILE_WINDOW_1, Command.FILE_WINDOW_2)
_PRESET = tuple(Command[f"PRESET_{number}"] for number in range(1, 7))


def command(key: int, modifiers: Qt.KeyboardModifier) -> Command | None:
    """The command of a key press, the keypad's keys being like the others; None where it has none."""
    plain = modifiers & ~Qt.KeyboardModifier.KeypadModifier
    try:
        return KEYS.get((Qt.Key(key), plain))
    except ValueError:
        return None


class WheelSteps:
    """Collects wheel movement until it is worth a whole notch; touchpads send many small parts of one."""

    def __init__(self) -> None:
        self._rest = 0

    def add(self, delta: int) -> int:
        """Whole notches that `delta` (in 120ths of a notch) completes; turning round forgets the part so far."""
        if self._rest * delta < 0:
            self._rest = 0
        total = self._rest + delta
        steps = int(total / NOTCH)
        self._rest = total - steps * NOTCH
        return steps


def wheel_zoom(delta: int) -> float:
    """The factor of zoom that a wheel movement of `delta` (in 120ths of a notch) asks for."""
    return float(_ZOOM_PER_NOTCH ** (delta / NOTCH))


class DragKind(Enum):
    """What a drag changes."""

    WINDOW = "window"
    PAN = "pan"
    ZOOM = "zoom"


def drag_kind(button: Qt.MouseButton, modifiers: Qt.KeyboardModifier) -> DragKind | None:
    """What a drag with this button does."""
    if button == Qt.MouseButton.LeftButton:
        return DragKind.PAN if modifiers & Qt.KeyboardModifier.ShiftModifier else DragKind.WINDOW
    return {Qt.MouseButton.MiddleButton: DragKind.PAN, Qt.MouseButton.RightButton: DragKind.ZOOM}.get(button)


@dataclass(frozen=True, slots=True)
class Drag:
    """A drag and what it started from, so that each movement is computed anew and can be undone."""

    kind: DragKind
    button: Qt.MouseButton
    start: QPointF
    view: ViewState
    moved: bool = False


def dragged(drag: Drag, to: QPointF, mapping: ValueMapping, grid: PixelGrid, area: Area) -> ViewState:
    """The view after dragging to a point of the pane."""
    right, down = to.x() - drag.start.x(), to.y() - drag.start.y()
    if drag.kind is DragKind.PAN:
        return panned(drag.view, grid, area, (right, down))
    if drag.kind is DragKind.ZOOM:
        pointer = drag.start.x(), drag.start.y()
        return zoomed_at(drag.view, grid, area, _ZOOM_PER_PIXEL**-down, pointer)
    if mapping.photometric != "grey":
        return drag.view
    return replace(drag.view, window=_drawn_window(drag.view, mapping, right, down), voi_lut=None)


def _drawn_window(view: ViewState, mapping: ValueMapping, right: float, down: float) -> Window:
    """Right is wider, down is brighter whatever the polarity; the gain follows the width at the start."""
    start = view.window or windowing.default_window(mapping)
    smallest_step = windowing.full_window(mapping).width / _STEPS_OF_RANGE
    gain = max(start.width * _WIDTH_PER_PIXEL, smallest_step)
    # LINEAR below a width of 1 is not allowed (PS3.3 C.11.2.1.2.1).
    floor = 1.0 if start.function == "LINEAR" else smallest_step
    brighter = gain * down
    centre = start.center + brighter if mapping.inverted != view.invert else start.center - brighter
    return Window(centre, max(floor, start.width + gain * right), start.function)


def opening_window(view: ViewState, mapping: ValueMapping) -> ViewState:
    """The view with the file's own first VOI LUT or window, else the full range; none for colour."""
    if mapping.photometric != "grey":
        return replace(view, window=None, voi_lut=None)
    if mapping.voi_luts:
        return replace(view, window=None, voi_lut=0)
    return replace(view, window=windowing.default_window(mapping), voi_lut=None)


def chosen_window(
    wanted: Command, view: ViewState, mapping: ValueMapping, header: InstanceHeader
) -> ViewState | None:
    """The view with the window that a digit asks for; None where this image has no such window."""
    if mapping.photometric != "grey":
        return None
    if wanted is Command.FULL_RANGE:
        return replace(view, window=windowing.full_window(mapping), voi_lut=None)
    if wanted in _FILE:
        return _file_window(_FILE.index(wanted), view, mapping)
    if wanted in _PRESET and is_hounsfield(mapping, header):
        return replace(view, window=windowing.PRESETS[_PRESET.index(wanted)][1], voi_lut=None)
    return None


def is_hounsfield(mapping: ValueMapping, header: InstanceHeader) -> bool:
    """Whether windows in Hounsfield units mean anything here."""
    return header.modality == "CT" and mapping.unit == "HU"


def _file_window(number: int, view: ViewState, mapping: ValueMapping) -> ViewState | None:
    if number < len(mapping.windows):
        return replace(view, window=mapping.windows[number], voi_lut=None)
    number -= len(mapping.windows)
    return replace(view, window=None, voi_lut=number) if number < len(mapping.voi_luts) else None
