"""One decoded frame and what its numbers mean; no DICOM library is needed to read it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from priorline.imaging.instance import InstanceHeader, Window

Pixels = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class LookupTable:
    """A lookup table (PS3.3 C.11.1 and C.11.2): `entries` holds 16-bit little endian numbers of `bits` bits.

    The first entry is for the input `first` and all below it, the last one for all above. The input is an unsigned
    array value for a modality LUT and an output value (after the modality step) for a VOI LUT.
    """

    first: float
    entries: bytes
    bits: int
    explanation: str = ""


@dataclass(frozen=True, slots=True)
class ValueMapping:
    """What the unsigned numbers of a pixel array mean.

    The output value is `unsigned * slope + intercept`, or what `modality_lut` says, in `unit` ("HU", "" unknown);
    `windows` and `voi_luts` take output values. `bits` (8 or 16) is the width of the array's numbers.
    `inverted` says that low output values are bright (MONOCHROME1 or Presentation LUT Shape INVERSE).
    `padding` (lowest, highest) are unsigned values that are no measurement (PS3.3 C.7.5.1.1.2); `minimum` and
    `maximum` are the unsigned values present without them. `photometric` is "grey" or "rgb"; for "rgb" the numbers
    are display values and the rest is empty.
    """

    bits: int = 8
    slope: float = 1.0
    intercept: float = 0.0
    unit: str = ""
    modality_lut: LookupTable | None = None
    inverted: bool = False
    padding: tuple[int, int] | None = None
    minimum: int = 0
    maximum: int = 255
    windows: tuple[Window, ...] = ()
    voi_luts: tuple[LookupTable, ...] = ()
    photometric: str = "grey"


@dataclass(frozen=True, slots=True, eq=False)
class DecodedFrame:
    """One frame: `array` (rows, columns) of uint8 or uint16, or (rows, columns, 3) of uint8 in red, green, blue.

    `header` is that of the instance with position, orientation and spacing of this frame.
    """

    array: Pixels
    mapping: ValueMapping
    header: InstanceHeader
