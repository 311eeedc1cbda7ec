"""The numbers of a view in words: window and zoom."""

from priorline.desk.viewer.interaction import is_hounsfield
from priorline.desk.viewer.painting import enlarges
from priorline.desk.viewer.view_state import ViewMatrix, ViewState
from priorline.imaging import windowing
from priorline.imaging.frame import DecodedFrame


def window_words(frame: DecodedFrame, view: ViewState) -> str:
    """Width, level and their name, such as "W 400  L 80 · mediastinum"."""
    parts = [_window(frame, view)]
    if view.invert:
        parts.append("inverted")
    return " · ".join(part for part in parts if part)


def _window(frame: DecodedFrame, view: ViewState) -> str:
    if frame.mapping.photometric != "grey":
        return "colour"
    if view.voi_lut is not None:
        return " · ".join(part for part in ("VOI LUT", frame.mapping.voi_luts[view.voi_lut].explanation) if part)
    window = view.window or windowing.default_window(frame.mapping)
    presets = windowing.PRESETS if is_hounsfield(frame.mapping, frame.header) else ()
    name = window.explanation or next((name for name, preset in presets if preset == window), "")
    sizes = f"W {_number(window.width, window.width)}  L {_number(window.center, window.width)}"
    return f"{sizes} · {name}" if name else sizes


def zoom_words(view: ViewState, matrix: ViewMatrix, ratio: float) -> str:
    """Device pixels per image column, and whether values between pixels are drawn: "zoom 1.6 · interpolated"."""
    zoom = f"zoom {matrix.across * ratio:.2g}" if matrix.across * ratio < 10 else f"zoom {matrix.across * ratio:.0f}"
    if not enlarges(matrix, ratio):
        return zoom
    return f"{zoom} · {'interpolated' if view.smooth else 'not interpolated'}"


def _number(value: float, width: float) -> str:
    digits = 0 if width >= 20 else 1 if width >= 2 else 3
    text = f"{value:.{digits}f}"
    return "0" if text.strip("-0.") == "" else text.replace("-", "\N{MINUS SIGN}")
