"""Encoded datasets (PS3.5 7.1): where their elements and items lie; no value is interpreted."""

import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

DELIMITER_GROUP = 0xFFFE
ITEM = 0xE000
UNDEFINED_LENGTH = 0xFFFFFFFF
LAST_TAG = 0xFFFFFFFF
LONG_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))


class Span(NamedTuple):
    """An element (`key` is its tag) or an item (`key` is where it begins): its value lies from `begin` to `end`."""

    key: int
    begin: int
    end: int


class _Order(NamedTuple):
    tag: Callable[..., tuple[Any, ...]]
    short: Callable[..., tuple[Any, ...]]
    long: Callable[..., tuple[Any, ...]]


_LITTLE, _BIG = (_Order(*(struct.Struct(order + form).unpack_from for form in ("HH", "H", "L"))) for order in "<>")


def elements(encoded: bytes, *, implicit: bool, big: bool = False, last: int = LAST_TAG) -> dict[int, bytes]:
    """Raw values by tag at the top level of a dataset; a sequence is its encoded items.

    Reads no further than to the tag `last`. Raises struct.error where the dataset ends too early.
    """
    found: dict[int, bytes] = {}
    for tag, begin, end in spans(encoded, implicit=implicit, big=big, last=last):
        found.setdefault(tag, encoded[begin:end])
    return found


def items(encoded: bytes, *, implicit: bool, big: bool = False) -> Iterator[dict[int, bytes]]:
    """The items of a sequence, each as its elements; raises struct.error where they end too early."""
    for item in item_spans(encoded, implicit=implicit, big=big):
        yield elements(encoded[item.begin : item.end], implicit=implicit, big=big)


def spans(
    encoded: bytes, at: int = 0, end: int | None = None, *, implicit: bool, big: bool = False, last: int = LAST_TAG
) -> Iterator[Span]:
    """The elements at the top level of the dataset that lies from `at` to `end`; as `elements`, without a copy."""
    order, limit = _BIG if big else _LITTLE, len(encoded) if end is None else end
    while at < limit:
        group, number = order.tag(encoded, at)
        if group << 16 | number > last:
            return
        begin, length = _length(encoded, at + 4, implicit or group == DELIMITER_GROUP, order)
        if length == UNDEFINED_LENGTH:
            # What is unknown is encoded as implicit (PS3.5 6.2.2).
            at = _end(encoded, begin, implicit or encoded[at + 4 : at + 6] == b"UN", order)
        else:
            at = begin + length
        if at > limit:
            raise struct.error("the dataset ends too early")
        if group != DELIMITER_GROUP:
            yield Span(group << 16 | number, begin, at)


def item_spans(
    encoded: bytes, at: int = 0, end: int | None = None, *, implicit: bool, big: bool = False
) -> Iterator[Span]:
    """The items of the sequence that lies from `at` to `end`; raises struct.error where they end too early."""
    order, limit = _BIG if big else _LITTLE, len(encoded) if end is None else end
    while at < limit:
        start = at
        group, number = order.tag(encoded, at)
        at, length = _length(encoded, at + 4, True, order)
        if (group, number) != (DELIMITER_GROUP, ITEM):
            return
        begin, at = at, _end(encoded, at, implicit, order) if length == UNDEFINED_LENGTH else at + length
        if at > limit:
            raise struct.error("the sequence ends too early")
        yield Span(start, begin, at)


def _end(encoded: bytes, at: int, implicit: bool, order: _Order) -> int:
    """Where what was opened with an undefined length before `at` ends, its delimiter included."""
    depth = 1
    while depth:
        group, number = order.tag(encoded, at)
        at, length = _length(encoded, at + 4, implicit or group == DELIMITER_GROUP, order)
        if length == UNDEFINED_LENGTH:
            depth += 1
        elif group == DELIMITER_GROUP:
            # Delimiters end what was opened; the content of an item of known length is stepped through.
            depth -= number != ITEM
        else:
            at += length
    return at


def _length(encoded: bytes, at: int, implicit: bool, order: _Order) -> tuple[int, int]:
    """Where the value begins, and its length."""
    if implicit:
        return at + 4, order.long(encoded, at)[0]
    if encoded[at : at + 2] in LONG_VRS:
        return at + 8, order.long(encoded, at + 4)[0]
    return at + 4, order.short(encoded, at + 2)[0]
