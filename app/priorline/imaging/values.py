"""What the numbers of a grey frame mean, by the modality, VOI and presentation elements of the object."""

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from priorline.imaging.codecs import PixelFormat
from priorline.imaging.elements import functional_group, integer, items, numbers, raw, text, texts
from priorline.imaging.frame import LookupTable, Pixels, ValueMapping
from priorline.imaging.instance import Window


def grey_mapping(
    ds: Dataset, layout: PixelFormat, frame: int, unsigned: Pixels, to_stored: tuple[float, float]
) -> ValueMapping:
    """The mapping of a frame; stored value = unsigned * to_stored[0] + to_stored[1]."""
    scale, offset = to_stored
    slope, intercept, unit = _rescale(ds, frame)
    table = _modality_lut(ds, scale, offset)
    padding = None if layout.floating or scale != 1.0 else _padding(ds, layout, offset)
    low, high = _range(unsigned, padding)
    return ValueMapping(
        bits=8 * unsigned.dtype.itemsize,
        slope=slope * scale,
        intercept=slope * offset + intercept,
        unit=table[1] if table else unit,
        modality_lut=table[0] if table else None,
        inverted=_inverted(ds),
        padding=padding,
        minimum=low,
        maximum=high,
        windows=_windows(ds, frame),
        voi_luts=tuple(found for item in items(ds, "VOILUTSequence") if (found := _lookup_table(item)) is not None),
    )


def _rescale(ds: Dataset, frame: int) -> tuple[float, float, str]:
    """Slope, intercept and unit of the modality step (PS3.3 C.11.1.1.2, per frame C.7.6.16.2.9)."""
    group = functional_group(ds, "PixelValueTransformationSequence", frame) or ds
    slope, intercept = numbers(group, "RescaleSlope", 1), numbers(group, "RescaleIntercept", 1)
    modality, named = text(ds, "Modality"), text(group, "RescaleType")
    if modality == "CT" and intercept and named in ("", "US", "HU"):
        named = "HU"
    elif modality == "PT":
        named = text(ds, "Units")
    if not slope or slope[0] == 0.0:
        return 1.0, intercept[0] if intercept else 0.0, named if named != "US" else ""
    return slope[0], intercept[0] if intercept else 0.0, named if named != "US" else ""


def _modality_lut(ds: Dataset, scale: float, offset: float) -> tuple[LookupTable, str] | None:
    for item in items(ds, "ModalityLUTSequence")[:1]:
        found = _lookup_table(item)
        if found is not None and scale == 1.0:
            shifted = LookupTable(found.first - offset, found.entries, found.bits, found.explanation)
            kind = text(item, "ModalityLUTType")
            return shifted, "" if kind == "US" else kind
    return None


def _lookup_table(item: Dataset) -> LookupTable | None:
    """A table with its broken descriptors mended: a count of 0 means 65536, and bits may not fit the entries."""
    descriptor = numbers(item, "LUTDescriptor", 3)
    entries = _entries(item)
    if not descriptor or entries.size == 0:
        return None
    count = int(descriptor[0]) % 65536 or 65536
    if entries.size * 2 == count + count % 2 and descriptor[2] <= 8:
        # Two 8-bit entries in each word, as the standard once allowed.
        entries = entries.view(np.uint8).astype("<u2")
    entries = entries[:count]
    bits = max(int(descriptor[2]), int(entries.max()).bit_length(), 1)
    explanation = text(item, "LUTExplanation")
    return LookupTable(descriptor[1], entries.tobytes(), min(bits, 16), explanation)


def _entries(item: Dataset) -> NDArray[np.uint16]:
    data = raw(item, "LUTData")
    if isinstance(data, bytes):
        # OW keeps the byte order of its data set, unlike US.
        order = "<u2" if item.original_encoding[1] in (None, True) else ">u2"
        return np.frombuffer(data[: len(data) // 2 * 2], dtype=order).astype("<u2")
    values = data if isinstance(data, list) or hasattr(data, "__iter__") else [data]
    return np.array([int(entry) & 0xFFFF for entry in values if entry is not None], dtype="<u2")


def _windows(ds: Dataset, frame: int) -> tuple[Window, ...]:
    """The windows of the object in its order; those that make no sense are left out (PS3.3 C.11.2.1.2)."""
    group = functional_group(ds, "FrameVOILUTSequence", frame) or ds
    centers, widths = texts(group, "WindowCenter"), texts(group, "WindowWidth")
    explanations = texts(group, "WindowCenterWidthExplanation")
    function = text(group, "VOILUTFunction")
    function = function if function in ("LINEAR_EXACT", "SIGMOID") else "LINEAR"
    found = []
    for n, (center, width) in enumerate(zip(centers, widths, strict=False)):
        try:
            window = Window(float(center), float(width), function, explanations[n] if n < len(explanations) else "")
        except ValueError:
            continue
        if np.isfinite(window.center) and np.isfinite(window.width) and window.width > 0:
            found.append(window)
    return tuple(found)


def _inverted(ds: Dataset) -> bool:
    """Whether low values are bright: Presentation LUT Shape decides where it is given, else MONOCHROME1.

    The two say the same in a valid object (PS3.3 C.8.11.1.1.2), so together they are one inversion and not two.
    """
    shape = text(ds, "PresentationLUTShape")
    if shape in ("INVERSE", "IDENTITY"):
        return shape == "INVERSE"
    return text(ds, "PhotometricInterpretation") == "MONOCHROME1"


def _padding(ds: Dataset, layout: PixelFormat, offset: float) -> tuple[int, int] | None:
    """The range of unsigned values that are padding (PS3.3 C.7.5.1.1.2)."""
    first = _stored(integer(ds, "PixelPaddingValue"), layout)
    if first is None:
        return None
    limit = _stored(integer(ds, "PixelPaddingRangeLimit"), layout)
    low, high = sorted((first - int(offset), (first if limit is None else limit) - int(offset)))
    top = (1 << layout.stored) - 1
    return (max(low, 0), min(high, top)) if low <= top and high >= 0 else None


def _stored(value: int | None, layout: PixelFormat) -> int | None:
    """A pixel value that may have been written with the wrong sign, as a stored value."""
    if value is None:
        return None
    if layout.signed and value >= 1 << (layout.stored - 1):
        return value - (1 << layout.allocated)
    return value & ((1 << layout.allocated) - 1) if not layout.signed else value


def _range(unsigned: Pixels, padding: tuple[int, int] | None) -> tuple[int, int]:
    """Lowest and highest number present; padding is left out unless there is nothing else."""
    low, high = int(unsigned.min()), int(unsigned.max())
    if padding is None or padding[1] < low or padding[0] > high:
        return low, high
    measured = unsigned[(unsigned < padding[0]) | (unsigned > padding[1])]
    return (int(measured.min()), int(measured.max())) if measured.size else (low, high)
