"""QIDO-RS answers (PS3.18 F, the DICOM JSON Model) as rows like those of C-FIND, however odd a value is written.

One row that cannot be read costs that row. Texts are UTF-8 by the standard; others are read as Latin-1, and marked.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from pydicom.datadict import tag_for_keyword

from priorline.archives.translate import IDENTIFIER_LENGTH_MAX, Row

CHARACTER_SET = 0x00080005
VALUES_MAX = 1024
NUMBER_MAX = 10**18
# These bound the memory that an answer takes: 10,000 rows with 20 attributes each have 400,000 commas.
COMMAS_MAX = 400_000
ROWS_MAX = 20_000
PERSON_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_split = msgspec.json.Decoder(list[msgspec.Raw]).decode
_attributes = msgspec.json.Decoder(dict[str, Any]).decode


class TooMuch(ValueError):
    """More rows or values than one answer may have."""


class JsonRow(Row):
    """One dataset of the DICOM JSON Model as a `Row`; of sequences in sequences nothing is kept."""

    def __init__(self, attributes: dict[str, Any], *, doubtful: bool = False, nested: bool = False) -> None:
        self._sequences: dict[int, list[JsonRow]] = {}
        elements: dict[int, bytes] = {}
        for tag, values in _values_by_tag(attributes):
            items = [value for value in values if isinstance(value, dict) and not _is_name(value)]
            if not items:
                elements[tag] = "\\".join(map(_text, values)).encode("utf-8")
            elif not nested:
                self._sequences[tag] = [JsonRow(item, doubtful=doubtful, nested=True) for item in items]
        super().__init__({**elements, CHARACTER_SET: b"ISO_IR 192"})
        self.doubtful = doubtful

    def items(self, keyword: str) -> Iterator[Row]:
        """The items of a sequence."""
        yield from self._sequences.get(tag_for_keyword(keyword) or 0, ())


def read_rows(body: bytes | bytearray) -> list[JsonRow | None]:
    """The rows of an answer, None for each that cannot be read; raises ValueError where it is not a list in JSON."""
    if body.count(b",") > COMMAS_MAX:
        raise TooMuch
    try:
        rows = _split(body)
    except RecursionError as problem:
        raise ValueError("nested too deep") from problem
    if len(rows) > ROWS_MAX:
        raise TooMuch
    return [_row(bytes(row)) for row in rows]


def _row(encoded: bytes) -> JsonRow | None:
    if len(encoded) > IDENTIFIER_LENGTH_MAX:
        return None
    doubtful = False
    try:
        encoded.decode("utf-8")
    except UnicodeDecodeError:
        encoded, doubtful = encoded.decode("latin-1").encode("utf-8"), True
    try:
        return JsonRow(_attributes(encoded), doubtful=doubtful)
    except (ValueError, RecursionError):
        return None


def _values_by_tag(attributes: dict[str, Any]) -> Iterator[tuple[int, list[Any]]]:
    for tag, attribute in attributes.items():
        try:
            number = int(tag, 16) if len(tag) == 8 else 0
        except ValueError:
            continue
        values = attribute.get("Value") if isinstance(attribute, dict) else None
        if number and values is not None:
            # Some servers write a single value without its list.
            yield number, (values if isinstance(values, list) else [values])[:VALUES_MAX]


def _is_name(value: dict[str, Any]) -> bool:
    return any(group in value for group in PERSON_NAME_GROUPS)


def _text(value: Any) -> str:
    """A value as it would stand in an element; null, true and what is nested say nothing."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        groups = [value.get(group) for group in PERSON_NAME_GROUPS]
        return "=".join(group if isinstance(group, str) else "" for group in groups).rstrip("=")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > NUMBER_MAX:
        return ""
    return str(int(value)) if value == int(value) else str(value)
