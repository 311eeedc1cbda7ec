"""The values of DICOM elements as text, numbers and items, each read when it is asked for; faults are no values."""

import logging
import math
import re
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import pydicom
from pydicom.charset import convert_encodings, default_encoding
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from priorline.errors import NotDicom
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

_CHARACTERS = int(Tag("SpecificCharacterSet"))
_SHORT_VALUE = 128
# What stands in nearly every object, and is a dozen steps of pydicom: UIDs (UI), integers (IS) and decimals (DS)
# written as nothing else can be meant by.
_PLAIN_UID = re.compile(rb"[0-9.]+\0?").fullmatch
_PLAIN_NUMBERS = {
    b"IS": re.compile(rb"[+-]?[0-9]{1,9} ?").fullmatch,
    b"DS": re.compile(rb"[+-]?[0-9]{1,9}(?:\.[0-9]{1,9})?(?:\\[+-]?[0-9]{1,9}(?:\.[0-9]{1,9})?)* ?").fullmatch,
}
_quiet_lock = threading.RLock()
# pydicom writes values of the object, that is identifiers, into its messages.
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
Coding = tuple[bool, bool, tuple[str, ...]]
"""Implicit value representations, little endian, Python's names of the character sets."""


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Keep pydicom's warnings, which quote values of the object, to itself."""
    # The lock, because the list of warning filters belongs to all threads of the process.
    with _quiet_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


Stored = tuple[bytes, bytes]
"""Value representation and encoded value."""


class Head:
    """The elements of the top level of an object, each read when it is asked for: most are never.

    `asked` notes which were, with what stood there; `has_fault` whether any of it could not be understood. Raises
    NotDicom where nobody can tell the characters of its texts.
    """

    def __init__(self, whole: Outline, places: dict[int, Place]) -> None:
        self._body, self._places = whole.body, places
        self.asked: dict[int, Stored | None] = {}
        self.has_fault = False
        self._coding: Coding = whole.implicit, whole.little, (default_encoding,)
        characters = self._asked_for(_CHARACTERS)
        if characters is not None:
            try:
                self._coding = whole.implicit, whole.little, _encodings(*characters, self._coding)
            except PYDICOM_FAULTS as fault:
                raise NotDicom("The file is damaged: it cannot be told in which characters it is written.") from fault

    def value(self, tag: int) -> Any:
        """The value of an element, None where it is missing; raises one of PYDICOM_FAULTS."""
        found = self._asked_for(tag)
        try:
            return None if found is None else _converted(tag, *found, self._coding)
        except PYDICOM_FAULTS:
            self.has_fault = True
            raise

    def texts(self, tag: int) -> tuple[str, ...]:
        """As the function."""
        found = self._asked_for(tag)
        if found is None:
            return ()
        read = _texts if len(found[1]) <= _SHORT_VALUE else _texts.__wrapped__
        try:
            return read(tag, *found, self._coding)
        except PYDICOM_FAULTS:
            # Not remembered: memory, for one, may be there again the next time.
            self.has_fault = True
            return ()

    def numbers(self, tag: int, count: int) -> tuple[float, ...]:
        """As the function."""
        found = self._asked_for(tag)
        if found is None:
            return ()
        read = _numbers if len(found[1]) <= _SHORT_VALUE else _numbers.__wrapped__
        try:
            return read(tag, *found, self._coding, count)
        except PYDICOM_FAULTS:
            self.has_fault = True
            return ()

    def _asked_for(self, tag: int) -> Stored | None:
        found = self.asked[tag] = self.stored(tag)
        return found

    def holds(self, others: list[tuple[int, Stored | None]]) -> bool:
        """Whether all of these stand here as they are, and those that are None are missing."""
        places, body = self._places, self._body
        for tag, stored in others:
            place = places.get(tag)
            if place is None or stored is None:
                if (place is None) != (stored is None):
                    return False
                continue
            vr, start, length = place
            if vr != stored[0] or body[start : start + length] != stored[1]:
                return False
        return True

    def stored(self, tag: int) -> Stored | None:
        """An element as it stands there; not noted in `asked`."""
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
        tag = tag_of(keyword)
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
        return ds.texts(tag_of(keyword))
    return _as_texts(raw(ds, keyword))


def numbers(ds: Elements, keyword: str, count: int) -> tuple[float, ...]:
    """Exactly `count` finite numbers; () where there are fewer, or one of them is none."""
    if isinstance(ds, Head):
        return ds.numbers(tag_of(keyword), count)
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
def tag_of(keyword: str) -> int:
    """A tag as a plain number: pydicom's compares with itself in Python, at every look into a dictionary."""
    return int(Tag(keyword))


@lru_cache(maxsize=64)
def _encodings(vr: bytes, value: bytes, coding: Coding) -> tuple[str, ...]:
    with quiet_pydicom():
        return tuple(convert_encodings(_converted(_CHARACTERS, vr, value, coding)))


# The images of a series repeat nearly all of their values: each is converted once, and looked up with one step.
@lru_cache(maxsize=4096)
def _texts(tag: int, vr: bytes, value: bytes, coding: Coding) -> tuple[str, ...]:
    if vr == b"UI" and _PLAIN_UID(value):
        return (value.rstrip(b"\0").decode("ascii"),)
    # Names are decoded when they are made to text.
    with quiet_pydicom():
        return _as_texts(_converted(tag, vr, value, coding))


@lru_cache(maxsize=4096)
def _numbers(tag: int, vr: bytes, value: bytes, coding: Coding, count: int) -> tuple[float, ...]:
    plain = _PLAIN_NUMBERS.get(vr)
    if plain and plain(value):
        # As what pydicom makes of them: the rest of the rules is the same.
        return _as_numbers(list(map(float, value.split(b"\\"))), count)
    return _as_numbers(_converted(tag, vr, value, coding), count)


def _converted(tag: int, vr: bytes, value: bytes, coding: Coding) -> Any:
    implicit, little, characters = coding
    element = RawDataElement(BaseTag(tag), vr.decode("ascii") or None, len(value), value, 0, implicit, little, True)
    with quiet_pydicom():
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
