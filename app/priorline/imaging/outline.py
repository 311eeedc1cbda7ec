"""Where the elements of an encoded DICOM object lie, and whether the bytes are whole; no value is interpreted."""

import struct
import zlib
from dataclasses import dataclass
from typing import Protocol

from priorline.errors import NotDicom

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"

PIXEL_TAGS = {0x7FE00010: "PixelData", 0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData"}

_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_KNOWN = _LONG | _SHORT
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_SOP_UID, _SYNTAX = 0x00020003, 0x00020010
_META, _DATA = range(0x0002, 0x0003), range(0xFFFE)
_DEEPEST = 32
_INFLATED_LIMIT = 1 << 30
# So much is looked at in one piece: the whole head of most objects.
_BEGINNING = 1 << 14
_PLAIN = struct.Struct("<HH2sHI")
_BIG, _LITTLE = ([struct.Struct(order + form).unpack_from for form in ("HHI", "HHxxH", "I")] for order in "><")

_CUT_OFF = "The file ends too early; fetch or copy it again."
_NOT_DICOM = "The file is not a DICOM object; choose another one."


class Body(Protocol):
    """Bytes that need not all be in memory; a slice of them is."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> bytes | bytearray | memoryview: ...


@dataclass(frozen=True, slots=True)
class PixelElement:
    """The element that holds the pixels: `start` and `end` of its value in `Outline.body`, in bytes."""

    keyword: str
    vr: str
    start: int
    end: int


Place = tuple[bytes, int, int]
"""Value representation, offset of the value in the body, length."""


@dataclass(frozen=True, slots=True)
class Outline:
    """A whole DICOM object: `body` from `start` on is the data set, inflated where it was deflated (PS3.5 A.5).

    `places` says where the elements of the top level are by their tags, the last one where a tag comes twice; None
    where that is not all there is to know, as lengths are undefined or value representations missing.
    """

    body: Body
    start: int
    implicit: bool
    little: bool
    transfer_syntax: str
    sop_uid: str
    pixels: PixelElement | None
    places: dict[int, Place] | None

    @property
    def head(self) -> bytes:
        """The data set up to the value of its pixels, all of it where there are none."""
        return bytes(self.body[self.start : self.pixels.start if self.pixels else len(self.body)])


def outline(data: Body) -> Outline:
    """Walk all elements of a file and say where its data set and its pixels are.

    Reads with and without preamble and file meta information (PS3.10 7.1); no value is copied except a deflated
    data set. Raises NotDicom for anything else, and for bytes that end before a declared length or delimiter.
    """
    start = 132 if bytes(data[128:132]) == b"DICM" else 0
    if not start and bytes(data[:2]) not in (b"\x02\x00", b"\x08\x00", b"\x00\x08"):
        raise NotDicom(_NOT_DICOM)
    meta, start = _file_meta(data, start)
    syntax = meta[_SYNTAX]
    if syntax == DEFLATED:
        data, start = _inflated(bytes(data[start : len(data)])), 0
    if start >= len(data):
        raise NotDicom(_CUT_OFF)
    implicit, little = _encoding(data, start, syntax)
    walker = _Walker(data, little)
    begun = start if implicit or not little else walker.begin(start, _DATA)
    pixels = walker.dataset(begun, len(data), implicit, 0)[1]
    places = walker.places if implicit or walker.is_plain else None
    if not syntax:
        syntax = IMPLICIT_LITTLE if implicit else EXPLICIT_LITTLE if little else EXPLICIT_BIG
    return Outline(data, start, implicit, little, syntax, meta[_SOP_UID], pixels, places)


def _file_meta(data: Body, at: int) -> tuple[dict[int, str], int]:
    """UIDs of the file meta information, which is always explicit little endian, and where it ends."""
    walker = _Walker(data, little=True)
    at = walker.begin(at, _META)
    while bytes(data[at : at + 2]) == b"\x02\x00":
        tag, vr, value, length = walker.element(at, implicit=False)
        if value + length > len(data):
            raise NotDicom(_CUT_OFF)
        walker.note(tag, vr, value, length)
        at = value + length
    return {tag: walker.uid(tag) for tag in (_SYNTAX, _SOP_UID)}, at


def _encoding(data: Body, start: int, syntax: str) -> tuple[bool, bool]:
    """(implicit, little endian) of the data set: what its first element shows goes before what is declared."""
    first = bytes(data[start : start + 6])
    known = first[4:] in _KNOWN
    if syntax:
        return (syntax == IMPLICIT_LITTLE and not known), syntax != EXPLICIT_BIG
    little = not (known and first[0] == 0 and first[1] != 0)
    return not known, little


def _inflated(data: bytes) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        body = inflater.decompress(data, _INFLATED_LIMIT)
    except zlib.error as fault:
        raise NotDicom("The deflated part of the file is damaged; fetch or copy it again.") from fault
    if inflater.unconsumed_tail:
        raise NotDicom("The deflated part of the file is larger than this program takes.")
    if not inflater.eof:
        raise NotDicom(_CUT_OFF)
    return body


class _Walker:
    """Steps from element to element (PS3.5 7.1 and 7.5) and never past the end of the bytes."""

    def __init__(self, data: Body, little: bool) -> None:
        self.data, self.end = data, len(data)
        self.places: dict[int, Place] | None = {}
        self.is_plain = True
        self.tag_and_length, self.tag_and_short, self.long = _LITTLE if little else _BIG

    def begin(self, at: int, groups: range) -> int:
        """Walk the plain beginning of a data set in explicit little endian, of these groups; where that ends.

        What is plain takes few steps: known value representations with lengths, in the first 16 KiB. Pixels, and all
        that may be wrong, are left to whoever walks on. To be called first: `places` begins here.
        """
        head, here, places = bytes(self.data[at : at + _BEGINNING]), 0, dict[int, Place]()
        while here + _PLAIN.size <= len(head):
            group, number, vr, short, long = _PLAIN.unpack_from(head, here)
            value, length = (here + 8, short) if vr in _SHORT else (here + 12, long)
            tag, end = group << 16 | number, value + length
            if vr not in _KNOWN or group not in groups or tag in PIXEL_TAGS or end > len(head):
                break
            places[tag], here = (vr, at + value, length), end
        self.places = places
        return at + here

    def element(self, at: int, implicit: bool) -> tuple[int, bytes, int, int]:
        """(tag, value representation, offset of the value, declared length) of the element at `at`."""
        begun = bytes(self.data[at : at + 12])
        try:
            group, number, length = self.tag_and_short(begun)
            vr = b"" if implicit else begun[4:6]
            # Some writers switch to implicit inside an explicit data set, and delimiters never carry a VR.
            if group == 0xFFFE or not (vr.isalpha() and vr.isupper()):
                return group << 16 | number, b"", at + 8, self.tag_and_length(begun)[2]
            if vr in _LONG:
                return group << 16 | number, vr, at + 12, self.long(begun, 8)[0]
            return group << 16 | number, vr, at + 8, length
        except struct.error as fault:
            raise NotDicom(_CUT_OFF) from fault

    def dataset(self, at: int, end: int, implicit: bool, depth: int) -> tuple[int, PixelElement | None]:
        """Walk to `end` or to an item delimiter; where that is, and the pixel element met on the way."""
        pixels = None
        while at < end:
            if end - at < 8 and not bytes(self.data[at:end]).strip(b"\0"):
                return end, pixels
            tag, vr, value, length = self.element(at, implicit)
            if tag == _ITEM_END and depth:
                return value, pixels
            if not depth:
                self.note(tag, vr, value, length)
            at = self.sequence(value, implicit or vr == b"UN", depth) if length == _UNDEFINED else value + length
            if at > end:
                raise NotDicom(_CUT_OFF)
            if tag in PIXEL_TAGS:
                pixels = PixelElement(PIXEL_TAGS[tag], vr.decode() or "OW", value, at)
        if depth:
            raise NotDicom(_CUT_OFF)
        return at, pixels

    def note(self, tag: int, vr: bytes, value: int, length: int) -> None:
        """Remember where an element of the top level is."""
        if length == _UNDEFINED and tag not in PIXEL_TAGS:
            self.places = None
        elif self.places is not None:
            self.places[tag] = vr, value, length
            self.is_plain = self.is_plain and vr in _KNOWN

    def uid(self, tag: int) -> str:
        """A UID of the top level, as it stands there; "" where it is missing."""
        _, value, length = (self.places or {}).get(tag, (b"", 0, 0))
        return bytes(self.data[value : value + length]).decode("ascii", "replace").strip("\0 ")

    def sequence(self, at: int, implicit: bool, depth: int) -> int:
        """Walk the items of a sequence or of encapsulated pixels up to and over the delimiter."""
        if depth > _DEEPEST:
            raise NotDicom("The file nests sequences deeper than this program follows.")
        while True:
            tag, _, value, length = self.element(at, implicit)
            if tag == _SEQUENCE_END:
                return value
            if tag != _ITEM:
                raise NotDicom("The file breaks off inside a sequence; fetch or copy it again.")
            at = self.dataset(value, self.end, implicit, depth + 1)[0] if length == _UNDEFINED else value + length
            if at > self.end:
                raise NotDicom(_CUT_OFF)
