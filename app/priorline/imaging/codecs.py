"""The codecs behind pydicom, in the order in which they are trusted, and the one case pydicom refuses."""

import io
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from priorline.errors import CannotDecode
from priorline.imaging.elements import PYDICOM_FAULTS, integer, raw
from priorline.imaging.outline import Outline

# python-gdcm comes last because a damaged stream can make it end the process.
_TRUSTED = ("pylibjpeg", "pyjpegls", "pillow", "pydicom", "gdcm")
_JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """The Image Pixel elements that say how a sample is stored (PS3.3 C.7.6.3, PS3.5 8.1.1)."""

    photometric: str
    samples: int
    allocated: int
    stored: int
    high: int
    signed: bool
    floating: bool

    @property
    def grey(self) -> bool:
        """Whether the samples are grey values and not colours or places in a palette."""
        return self.photometric.startswith("MONOCHROME")

    @property
    def shift(self) -> int:
        """Unused bits below the stored ones; 0 where High Bit makes no sense."""
        unused = self.high + 1 - self.stored
        return unused if unused >= 0 and self.high < self.allocated else 0


def decoded_array(whole: Outline, ds: Dataset, layout: PixelFormat, frame: int) -> tuple[NDArray[Any], str]:
    """The samples of one frame as the codec gives them, and the photometric interpretation that they are in.

    Shape (rows, columns) or (rows, columns, samples). Raises CannotDecode where no codec reads them, or whatever of
    PYDICOM_FAULTS the last codec raised.
    """
    if whole.pixels is None:
        raise CannotDecode("The object has no picture.")
    try:
        decoder = get_decoder(UID(whole.transfer_syntax))
    except NotImplementedError as fault:
        raise CannotDecode("The transfer syntax of the object is not read here.") from fault
    options = _options(whole, ds, layout)
    if decoder.is_encapsulated:
        _check_codestream(whole, ds, options, frame)
        if whole.transfer_syntax == _JPEG_EXTENDED and layout.stored > 8:
            return _twelve_bit_jpeg(whole, options, frame), layout.photometric
    else:
        _check_length(whole, options, frame)
    plugins = sorted(decoder.available_plugins, key=_TRUSTED.index) if decoder.is_encapsulated else [""]
    last: Exception = CannotDecode("There is no codec here for the transfer syntax of the object.")
    for plugin in plugins:
        try:
            array, properties = decoder.as_array(_stream(whole), index=frame, decoding_plugin=plugin, **options)
        except PYDICOM_FAULTS as fault:
            last = fault
            continue
        except BaseException as fault:
            # A codec in Rust (pylibjpeg-rle) panics on damaged streams; that class cannot be imported.
            if type(fault).__name__ != "PanicException":
                raise
            last = CannotDecode("The compressed pixels are damaged.")
            continue
        native = array.astype(array.dtype.newbyteorder("="), copy=False)
        return native, str(properties["photometric_interpretation"])
    raise last


def _stream(whole: Outline) -> io.BytesIO:
    stream = io.BytesIO(bytes(whole.body[0 : len(whole.body)]))
    stream.seek(whole.pixels.start if whole.pixels else 0)
    return stream


def _options(whole: Outline, ds: Dataset, layout: PixelFormat) -> dict[str, Any]:
    options: dict[str, Any] = {
        "rows": integer(ds, "Rows"),
        "columns": integer(ds, "Columns"),
        "samples_per_pixel": layout.samples,
        "bits_allocated": layout.allocated,
        "bits_stored": layout.stored,
        "number_of_frames": max(1, integer(ds, "NumberOfFrames") or 1),
        "photometric_interpretation": layout.photometric,
        "pixel_keyword": whole.pixels.keyword if whole.pixels else "PixelData",
        "pixel_vr": whole.pixels.vr if whole.pixels else "OW",
        "pixel_representation": int(layout.signed),
        # Bits beside the stored ones are removed by the caller, who knows High Bit.
        "correct_unused_bits": False,
    }
    if layout.samples > 1:
        options["planar_configuration"] = integer(ds, "PlanarConfiguration") or 0
    offsets, lengths = raw(ds, "ExtendedOffsetTable"), raw(ds, "ExtendedOffsetTableLengths")
    if isinstance(offsets, bytes) and isinstance(lengths, bytes):
        options["extended_offsets"] = (offsets, lengths)
    return options


def _check_length(whole: Outline, options: dict[str, Any], frame: int) -> None:
    """Refuse uncompressed pixels that end before the frame does; what follows them is no picture."""
    there = whole.pixels.end - whole.pixels.start if whole.pixels else 0
    samples = 2 if options["photometric_interpretation"] == "YBR_FULL_422" else options["samples_per_pixel"]
    bits = options["rows"] * options["columns"] * samples * options["bits_allocated"]
    if there * 8 < bits * (frame + 1):
        raise CannotDecode("The object holds fewer pixels than its header says.")


def _codestream(whole: Outline, options: dict[str, Any], frame: int) -> bytes:
    return get_frame(
        _stream(whole),
        frame,
        number_of_frames=options["number_of_frames"],
        extended_offsets=options.get("extended_offsets"),
    )


def _check_codestream(whole: Outline, ds: Dataset, options: dict[str, Any], frame: int) -> None:
    """Refuse a stream whose own size is not the one in the header, before a codec allocates for it."""
    if not whole.transfer_syntax.startswith("1.2.840.10008.1.2.4."):
        return
    size = codestream_size(_codestream(whole, options, frame))
    if size is not None and size != (options["rows"], options["columns"]):
        raise CannotDecode("The compressed picture has another size than its header says.")


def codestream_size(stream: bytes) -> tuple[int, int] | None:
    """(rows, columns) that a JPEG, JPEG-LS or JPEG 2000 stream declares; None where that is not found."""
    try:
        at = stream.find(b"\xff\x4f\xff\x51", 0, 4096)
        if at >= 0:
            right, bottom, left, top = struct.unpack_from(">4I", stream, at + 8)
            return bottom - top, right - left
        return _start_of_frame(stream)
    except struct.error:
        return None


def _start_of_frame(stream: bytes) -> tuple[int, int] | None:
    """Size in the first start-of-frame marker of a JPEG or JPEG-LS stream (ISO 10918-1 B.2.2, 14495-1 C.2.2)."""
    at = 2
    while stream[:2] == b"\xff\xd8" and stream[at : at + 1] == b"\xff":
        marker = stream[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        length = struct.unpack_from(">H", stream, at + 2)[0]
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            rows, columns = struct.unpack_from(">HH", stream, at + 5)
            return rows, columns
        at += 2 + length
    return None


def _twelve_bit_jpeg(whole: Outline, options: dict[str, Any], frame: int) -> NDArray[Any]:
    """JPEG extended with 12 bits a sample, which pydicom refuses for every codec but GPL ones."""
    import gdcm

    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(_codestream(whole, options, frame))
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Bitmap()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((options["columns"], options["rows"], 1))
    kind = gdcm.PhotometricInterpretation.GetPIType(options["photometric_interpretation"])
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(_JPEG_EXTENDED)))
    stored = options["bits_stored"]
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, stored, stored - 1, options["pixel_representation"]))
    image.SetDataElement(element)
    # The binding hands bytes over as text; this is its documented way back.
    samples = image.GetBuffer().encode("utf-8", "surrogateescape")
    return np.frombuffer(samples, dtype="<u2").reshape(options["rows"], options["columns"])
