"""The values of DICOM elements as text, numbers and items, each read when it is asked for; faults are no values."""

import math
import struct
from functools import lru_cache
from typing import Any

import pydicom
from pydicom.charset import convert_encodings, default_encoding
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from priorline.imaging.outline import Outline, Place

PYDICOM_FAULTS: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
"""What pydicom and the codecs behind it raise on damaged or unknown input (tried); all but our own mistakes."""

_CHARACTERS = Tag("SpecificCharacterSet")
_SHORT_VALUE = 128
Coding = tuple[bool, bool, tuple[str, ...]]
"""Implicit value representations, little endian, Python's names of the character sets."""


class Head:
    """The elements of the top level of an object, each read when it is asked for: most are never."""

    def __init__(self, whole: Outline, places: dict[int, Place]) -> None:
        self._body, self._places = whole.body, places
        self._coding: Coding = whole.implicit, whole.little, (default_encoding,)
        characters = self._found(_CHARACTERS)
        if characters is not None:
            self._coding = whole.implicit, whole.little, _encodings(*characters, self._coding)

    def value(self, tag: BaseTag) -> Any:
        """The value of an element, None where it is missing; raises one of PYDICOM_FAULTS."""
        found = self._found(tag)
        return None if found is None else _converted(tag, *found, self._coding)

    def texts(self, tag: BaseTag) -> tuple[str, ...]:
        """As the function."""
        found = self._found(tag)
        if found is None:
            return ()
        read = _texts if len(found[1]) <= _SHORT_VALUE else _texts.__wrapped__
        try:
            return read(tag, *found, self._coding)
        except PYDICOM_FAULTS:
            # Not remembered: memory, for one, may be there again the next time.
            return ()

    def numbers(self, tag: BaseTag, count: int) -> tuple[float, ...]:
        """As the function."""
        found = self._found(tag)
        if found is None:
            return ()
        read = _numbers if len(found[1]) <= _SHORT_VALUE else _numbers.__wrapped__
        try:
            return read(tag, *found, self._coding, count)
        except PYDICOM_FAULTS:
            return ()

    def _found(self, tag: BaseTag) -> tuple[bytes, bytes] | None:
        """Value representation and value of an element as it stands there."""
        place = self._places.get(tag)
        if place is None:
            return None
        vr, start, length = place
        return vr, bytes(self._body[start : start + length])


Elements = Dataset | Head


def raw(ds: Elements, keyword: str) -> Any:
    """The value of an element, None where it is missing or cannot be understood."""
    try:
        # By tag: pydicom looks a keyword up at every call.
        tag = _tag(keyword)
        if isinstance(ds, Head):
            return ds.value(tag)
        return ds[tag].value if tag in ds else None
    except PYDICOM_FAULTS:
        return None


def text(ds: Elements, keyword: str) -> str:
    """The first value as text, stripped; "" where there is none."""
    found = texts(ds, keyword)
    return found[0] if found else ""


def texts(ds: Elements, keyword: str) -> tuple[str, ...]:
    """All values as text, stripped."""
    if isinstance(ds, Head):
        return ds.texts(_tag(keyword))
    return _as_texts(raw(ds, keyword))


def numbers(ds: Elements, keyword: str, count: int) -> tuple[float, ...]:
    """Exactly `count` finite numbers; () where there are fewer, or one of them is none."""
    if isinstance(ds, Head):
        return ds.numbers(_tag(keyword), count)
    return _as_numbers(raw(ds, keyword), count)


def integer(ds: Elements, keyword: str) -> int | None:
    """The first value as a whole number; None where it is missing or none."""
    found = numbers(ds, keyword, 1)
    return int(found[0]) if found else None


def items(ds: Elements, keyword: str) -> list[Dataset]:
    """The items of a sequence; empty where it is missing or is no sequence."""
    value = raw(ds, keyword)
    return list(value) if isinstance(value, pydicom.Sequence) else []


def functional_group(ds: Elements, macro: str, frame: int) -> Dataset | None:
    """The first item of a functional group macro, of the frame before the shared one (PS3.3 C.7.6.16)."""
    per_frame = raw(ds, "PerFrameFunctionalGroupsSequence")
    shared = items(ds, "SharedFunctionalGroupsSequence")
    own = [per_frame[frame]] if isinstance(per_frame, pydicom.Sequence) and frame < len(per_frame) else []
    for group in (*own, *shared[:1]):
        if found := items(group, macro):
            return found[0]
    return None


@lru_cache(maxsize=256)
def _tag(keyword: str) -> BaseTag:
    return Tag(keyword)


@lru_cache(maxsize=64)
def _encodings(vr: bytes, value: bytes, coding: Coding) -> tuple[str, ...]:
    return tuple(convert_encodings(_converted(_CHARACTERS, vr, value, coding)))


# The images of a series repeat nearly all of their values: each is converted once, and looked up with one step.
@lru_cache(maxsize=4096)
def _texts(tag: BaseTag, vr: bytes, value: bytes, coding: Coding) -> tuple[str, ...]:
    return _as_texts(_converted(tag, vr, value, coding))


@lru_cache(maxsize=4096)
def _numbers(tag: BaseTag, vr: bytes, value: bytes, coding: Coding, count: int) -> tuple[float, ...]:
    return _as_numbers(_converted(tag, vr, value, coding), count)


def _converted(tag: BaseTag, vr: bytes, value: bytes, coding: Coding) -> Any:
    implicit, little, characters = coding
    element = RawDataElement(tag, vr.decode("ascii") or None, len(value), value, 0, implicit, little, True)
    return convert_raw_data_element(element, encoding=list(characters)).value


def _as_texts(value: Any) -> tuple[str, ...]:
    return tuple(str(entry).strip(" \0") for entry in _values(value))


def _as_numbers(value: Any, count: int) -> tuple[float, ...]:
    try:
        found = tuple(float(entry) for entry in _values(value)[:count])
    except (TypeError, ValueError):
        return ()
    return found if len(found) == count and all(math.isfinite(entry) for entry in found) else ()


def _values(value: Any) -> list[Any]:
    if value is None or value == "" or isinstance(value, bytes | pydicom.Sequence):
        return []
    if isinstance(value, list | tuple | pydicom.multival.MultiValue):
        return list(value)
    return [value]
