"""From pixel values to display levels: one table for each window, applied by look-up."""

import numpy as np
from numpy.typing import NDArray

from priorline.imaging.frame import LookupTable, Pixels, ValueMapping
from priorline.imaging.instance import Window

PRESETS: tuple[tuple[str, Window], ...] = (
    ("brain", Window(35, 110)),
    ("abdomen", Window(50, 320)),
    ("mediastinum", Window(80, 400)),
    ("bone", Window(350, 2000)),
    ("lung", Window(-500, 1500)),
    ("angio", Window(120, 380)),
)
"""Names and windows in Hounsfield units; only for CT."""

Values = NDArray[np.float64]
Levels = NDArray[np.uint8]


def output_values(mapping: ValueMapping) -> Values:
    """The output value of every number the array can hold, shape (2 ** bits,): the modality step, PS3.3 C.11.1."""
    unsigned = np.arange(1 << mapping.bits, dtype=np.float64)
    if mapping.modality_lut is None:
        return unsigned * mapping.slope + mapping.intercept
    return _looked_up(unsigned, mapping.modality_lut)


def default_window(mapping: ValueMapping) -> Window:
    """The file's first window, else the one that shows all values present (padding excluded)."""
    return mapping.windows[0] if mapping.windows else full_window(mapping)


def full_window(mapping: ValueMapping) -> Window:
    """The window that puts the lowest value present at the first level and the highest at the last."""
    present = output_values(mapping)[mapping.minimum : mapping.maximum + 1]
    if not present.size:
        return Window(0.5, 1.0)
    low, high = float(present.min()), float(present.max())
    return Window((low + high + 1) / 2, high - low + 1)


def display_table(
    mapping: ValueMapping, window: Window | None = None, voi_lut: int | None = None, invert: bool = False
) -> Levels:
    """The display level (0 dark, 255 bright) of every number the array can hold, shape (2 ** bits,).

    `voi_lut` counts from 0 into `mapping.voi_luts` (IndexError beyond) and goes before `window`; without both it is
    the file's first VOI LUT, else its first window, else the full range. Polarity is one exclusive or of the file's
    and the user's inversion after the VOI step; padding is dark whatever the polarity.
    """
    if mapping.photometric != "grey":
        levels = np.arange(1 << mapping.bits, dtype=np.uint8)
        return np.subtract(255, levels, dtype=np.uint8) if invert else levels
    if voi_lut is None and window is None and mapping.voi_luts:
        voi_lut = 0
    values = output_values(mapping)
    if voi_lut is not None:
        unit = _lut_levels(values, mapping.voi_luts[voi_lut])
    else:
        unit = _window_levels(values, window or default_window(mapping))
    levels = np.rint(np.clip(unit, 0.0, 1.0) * 255).astype(np.uint8)
    if mapping.inverted != invert:
        levels = np.subtract(255, levels, dtype=np.uint8)
    if mapping.padding is not None:
        levels[mapping.padding[0] : mapping.padding[1] + 1] = 0
    return levels


def apply(array: Pixels, table: Levels) -> Levels:
    """Display levels of an array of unsigned values; same shape, uint8."""
    # Every index fits: the table has an entry for each number of the array's type.
    return np.take(table, array, mode="clip")


def _window_levels(values: Values, window: Window) -> Values:
    """Levels 0.0 to 1.0 (outside: beyond the window) by PS3.3 C.11.2.1.2.1 and C.11.2.1.3."""
    center, width = window.center, window.width
    if window.function == "SIGMOID":
        return np.asarray(1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - center) / width, -700.0, 700.0))))
    if window.function != "LINEAR_EXACT" and width >= 1.0:
        # LINEAR counts the values inside: the first and the last one get the first and the last level.
        center, width = center - 0.5, width - 1.0
    if width <= 0.0:
        return (values > center).astype(np.float64)
    return (values - center) / width + 0.5


def _lut_levels(values: Values, table: LookupTable) -> Values:
    return _looked_up(values, table) / float((1 << table.bits) - 1)


def _looked_up(values: Values, table: LookupTable) -> Values:
    entries = np.frombuffer(table.entries, dtype="<u2")
    index = np.clip(np.floor(values - table.first), 0, entries.size - 1).astype(np.intp)
    return entries[index].astype(np.float64)
