"""From the bytes of a DICOM object to one frame of unsigned numbers and what they mean.

The modality step is applied wherever the object has one, for MR, XA and PT too: IHE Basic Image Review leaves it
out for MR and XA, but windows in the object are given in output values (PS3.3 C.11.2.1.2), and PET needs it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut

from priorline.errors import CannotDecode
from priorline.imaging.codecs import PixelFormat, decoded_array
from priorline.imaging.elements import PYDICOM_FAULTS, integer, quiet_pydicom, text
from priorline.imaging.frame import DecodedFrame, Pixels, ValueMapping
from priorline.imaging.outline import Outline, outline
from priorline.imaging.read import header_of, parse
from priorline.imaging.values import grey_mapping

LARGEST_FRAME = 200_000_000
"""Samples (rows x columns x samples of a pixel) of one frame that are decoded at most."""


def decode_frame(data: bytes, frame: int = 0, largest: int = LARGEST_FRAME) -> DecodedFrame:
    """Decode one frame, counted from 0, of a DICOM object.

    Grey gives (rows, columns) of uint8 or uint16 without bits above High Bit, signed values shifted up to
    unsigned; numbers of more than 16 bits and floats are spread over uint16 (exact where their range fits), and the
    mapping leads back. Palette, YBR and RGB give (rows, columns, 3) of uint8. Raises NotDicom for what is not
    DICOM or is cut off, CannotDecode for all else, also before anything larger than `largest` samples is allocated.
    """
    whole = outline(data)
    with quiet_pydicom():
        ds = parse(whole)
        header = header_of(whole, ds, frame)
        if whole.pixels is None or not header.displayable:
            raise CannotDecode("The object has no picture.")
        if not 0 <= frame < header.frames:
            raise CannotDecode(f"The object has {header.frames} frames; there is no frame {frame + 1}.")
        layout = _format(whole, ds)
        if header.rows * header.columns * header.samples > largest:
            raise CannotDecode(f"The picture has more than {largest} samples; that is more than is shown here.")
        try:
            array, photometric = decoded_array(whole, ds, layout, frame)
            pixels, mapping = _grey(array, ds, layout, frame) if layout.grey else _colour(array, ds, photometric)
        except PYDICOM_FAULTS as fault:
            raise CannotDecode("The pixels of the object cannot be read; they may be damaged.") from fault
    return DecodedFrame(pixels, mapping, header)


def _format(whole: Outline, ds: Dataset) -> PixelFormat:
    allocated = integer(ds, "BitsAllocated") or 0
    stored = integer(ds, "BitsStored") or allocated
    high = integer(ds, "HighBit")
    layout = PixelFormat(
        photometric=text(ds, "PhotometricInterpretation"),
        samples=integer(ds, "SamplesPerPixel") or 1,
        allocated=allocated,
        stored=stored,
        high=stored - 1 if high is None else high,
        signed=integer(ds, "PixelRepresentation") == 1,
        floating=whole.pixels is not None and whole.pixels.keyword != "PixelData",
    )
    if layout.allocated not in (1, 8, 16, 32, 64) or not 0 < layout.stored <= layout.allocated:
        raise CannotDecode(f"Pixels of {layout.stored} in {layout.allocated} bits are not read here.")
    if layout.photometric not in _GREY | _COLOUR or layout.samples not in (1, 3):
        raise CannotDecode("The photometric interpretation of the picture is not known here.")
    return layout


_GREY = frozenset(("MONOCHROME1", "MONOCHROME2"))
_YBR = frozenset(("YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"))
_COLOUR = _YBR | {"RGB", "PALETTE COLOR"}


def _grey(array: NDArray[Any], ds: Dataset, layout: PixelFormat, frame: int) -> tuple[Pixels, ValueMapping]:
    if layout.samples != 1:
        raise CannotDecode("The picture says that it is grey and has several samples a pixel.")
    if layout.floating or layout.stored > 16:
        unsigned, scale, offset = _spread(array)
    else:
        unsigned, offset = _unsigned(array, layout)
        scale = 1.0
    return unsigned, grey_mapping(ds, layout, frame, unsigned, (scale, offset))


def _unsigned(array: NDArray[Any], layout: PixelFormat) -> tuple[Pixels, float]:
    """Stored bits only, as unsigned numbers, and the stored value that the number 0 stands for."""
    bits: NDArray[Any] = array.view(f"u{array.dtype.itemsize}")
    mask = (1 << layout.stored) - 1
    if layout.shift:
        bits = bits >> layout.shift
    if mask < np.iinfo(bits.dtype).max:
        bits = bits & bits.dtype.type(mask)
    half = 1 << (layout.stored - 1) if layout.signed else 0
    if half:
        bits = bits ^ bits.dtype.type(half)
    if layout.stored <= 8:
        return np.ascontiguousarray(bits, dtype=np.uint8), float(-half)
    return np.ascontiguousarray(bits, dtype=np.uint16), float(-half)


def _spread(array: NDArray[Any]) -> tuple[Pixels, float, float]:
    """Numbers that do not fit 16 bits over the whole of uint16: (unsigned, slope, intercept) of the way back."""
    values = array.astype(np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        raise CannotDecode("The picture holds no number that can be shown.")
    low, high = float(values[finite].min()), float(values[finite].max())
    whole_numbers = array.dtype.kind in "iu" and high - low <= 65535
    step = 1.0 if whole_numbers or high == low else (high - low) / 65535
    unsigned = np.rint((np.where(finite, values, low) - low) / step).astype(np.uint16)
    return unsigned, step, low


def _colour(array: NDArray[Any], ds: Dataset, photometric: str) -> tuple[Pixels, ValueMapping]:
    if text(ds, "PhotometricInterpretation") == "PALETTE COLOR":
        array = apply_color_lut(array, ds)[..., :3]
        bits = 8 * array.dtype.itemsize
    elif photometric in _YBR:
        raise CannotDecode("The colour of the picture could not be converted.")
    else:
        bits = integer(ds, "BitsStored") or 8
    if array.ndim != 3 or array.shape[2] != 3:
        raise CannotDecode("The colours of the picture are not understood here.")
    if bits > 8:
        array = array >> (bits - 8)
    return np.ascontiguousarray(array, dtype=np.uint8), ValueMapping(photometric="rgb")
