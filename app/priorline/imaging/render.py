"""One frame through the pixel path of the window into a PNG file, without a window."""

from pathlib import Path

from PIL import Image

from priorline.errors import EnvironmentFault, UsageError
from priorline.imaging.frame import DecodedFrame, ValueMapping
from priorline.imaging.geometry import display_size, pixel_aspect
from priorline.imaging.instance import Window
from priorline.imaging.windowing import PRESETS, Levels, apply, display_table


def render_png(
    frame: DecodedFrame,
    out: Path,
    *,
    window: Window | None = None,
    preset: str = "",
    voi: int | None = None,
    invert: bool = False,
    size: tuple[int, int] | None = None,
) -> None:
    """Write a frame as PNG: 8-bit grey, or RGB for colour.

    At most one of `window`, `preset` (a name of PRESETS, only for Hounsfield units) and `voi` (from 1: the file's
    VOI LUTs, then its windows) is given; without them it is the file's own choice, see `display_table`. `size` is
    (width, height) of the picture, which the image fills in its true shape on black; without it one PNG pixel is
    one image pixel. Raises UsageError for a wrong choice, EnvironmentFault where the file cannot be written.
    """
    levels = rendered(frame, window=window, preset=preset, voi=voi, invert=invert)
    image = Image.fromarray(levels)
    if size is not None:
        image = _fitted(image, frame, size)
    try:
        image.save(out, format="PNG")
    except OSError as fault:
        raise EnvironmentFault("The picture cannot be written; check the folder and its free space.") from fault


def rendered(
    frame: DecodedFrame,
    *,
    window: Window | None = None,
    preset: str = "",
    voi: int | None = None,
    invert: bool = False,
) -> Levels:
    """The display levels of a frame, shape of its array, uint8; the choices are those of `render_png`."""
    if sum((window is not None, bool(preset), voi is not None)) > 1:
        raise UsageError("Choose one of a window, a preset and a VOI of the file.")
    lut = None
    if preset:
        window = _preset(preset, frame.mapping)
    elif voi is not None:
        window, lut = _own_voi(voi, frame.mapping)
    if window is not None and window.width <= 0:
        raise UsageError("The width of a window must be more than 0.")
    return apply(frame.array, display_table(frame.mapping, window, lut, invert))


def _preset(name: str, mapping: ValueMapping) -> Window:
    known = dict(PRESETS)
    if name not in known:
        raise UsageError(f"There is no preset of that name; choose one of {', '.join(known)}.")
    if mapping.unit != "HU":
        raise UsageError("Presets are in Hounsfield units and fit only CT; give a window instead.")
    return known[name]


def _own_voi(number: int, mapping: ValueMapping) -> tuple[Window | None, int | None]:
    luts = len(mapping.voi_luts)
    there = luts + len(mapping.windows)
    if not 1 <= number <= there:
        raise UsageError(f"The image has {there} VOI LUTs and windows of its own; count from 1.")
    return (None, number - 1) if number <= luts else (mapping.windows[number - 1 - luts], None)


def _fitted(image: Image.Image, frame: DecodedFrame, size: tuple[int, int]) -> Image.Image:
    if min(size) < 1 or max(size) > 32768:
        raise UsageError("The size of a picture is WIDTHxHEIGHT, each from 1 to 32768.")
    aspect = pixel_aspect(frame.header.spacing, frame.header.pixel_aspect)
    width, height = display_size(image.height, image.width, aspect)
    scale = min(size[0] / width, size[1] / height)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    scaled = image.resize(inner, Image.Resampling.BILINEAR)
    sheet = Image.new(image.mode, size)
    sheet.paste(scaled, ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2))
    return sheet
