"""multipart/related (RFC 2046 5.1, RFC 2387) part by part: pieces are handed out as they come, and all is bounded.

A part ends where a delimiter begins. Where the part before was as long as its own Content-Length said, the next one
is read by its length into where it is wanted, neither searched nor copied; a delimiter has to follow all the same.
"""

import re
from collections.abc import Callable, Iterator
from typing import Protocol

from priorline.archives.incoming import Incoming, put

BOUNDARY_MAX = 200
PROLOGUE_MAX = 65536
PADDING_MAX = 256
HEADERS_MAX = 16384
PARTS_MAX = 200_000
WINDOW = 1 << 18
# What is read at once of the beginning of a part whose length is believed: its headers, and what is looked at first.
BEGINNING = 1 << 12
PARAMETER = re.compile(r";\s*([!#-'*+.^_`|~\w-]+)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s;\"]+))", re.ASCII)
LENGTH = re.compile(rb"(?:^|\r\n)content-length[ \t]*:[ \t]*([0-9]{1,15})[ \t]*(?:\r\n|$)", re.IGNORECASE)

ReadInto = Callable[[memoryview], int]
"""Puts what comes next at the beginning of a buffer and says how many bytes that are; 0 at the end."""


class Malformed(Exception):
    """What came is not the multipart message that it claims to be; the text completes "the hospital sent …"."""


class Part(Protocol):
    """The content of one part, to be read before the next part is asked for; all that reads raises Malformed."""

    @property
    def is_cut(self) -> bool:
        """Once all is read: whether it is shorter than its own Content-Length, or not what that says."""

    def pieces(self) -> Iterator[memoryview]:
        """What was not read yet, none of it empty; each holds until the next is asked for."""

    def put_into(self, incoming: Incoming) -> None:
        """Put what was not read yet there."""


class _Searched:
    """A part that goes to the next delimiter, of which `window` has the beginning."""

    def __init__(self, window: "_Window", delimiter: bytes, announced: int, most: int) -> None:
        self._arriving, self._lacking = window.pieces_until(delimiter, most), announced
        self._is_told = announced > 0

    @property
    def is_cut(self) -> bool:
        return self._lacking > 0

    @property
    def is_as_told(self) -> bool:
        """Once all is read: whether its length was told, and right."""
        return self._is_told and not self._lacking

    def pieces(self) -> Iterator[memoryview]:
        for piece in self._arriving:
            self._lacking -= len(piece)
            yield piece

    def put_into(self, incoming: Incoming) -> None:
        for piece in self.pieces():
            put(incoming, piece)


class _Measured:
    """A part that is as long as it says, where a delimiter follows; else it is none, and all up to one is passed."""

    def __init__(self, window: "_Window", delimiter: bytes, announced: int, most: int) -> None:
        self._window, self._delimiter, self._more = window, delimiter, most - announced
        self._left, self._is_over = announced, False
        self.is_as_told = True

    @property
    def is_cut(self) -> bool:
        return not self.is_as_told

    def pieces(self) -> Iterator[memoryview]:
        while self._left:
            piece = self._window.piece(min(self._left, BEGINNING))
            self._left -= len(piece)
            yield piece
        self._end()

    def put_into(self, incoming: Incoming) -> None:
        while self._left:
            room = incoming.room(self._left)
            count = self._window.take_into(room)
            room.release()
            self._left -= count
            incoming.filled(count)
        self._end()

    def _end(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        self.is_as_told = self._window.begins_with(self._delimiter)
        self._window.most = BEGINNING if self.is_as_told else WINDOW
        _pass_over(self._window.pieces_until(self._delimiter, self._more))


def boundary_of(content_type: str) -> bytes:
    """The boundary of a multipart/related Content-Type; raises Malformed where it is another type or has none."""
    kind, separator, rest = content_type.partition(";")
    if kind.strip().lower() != "multipart/related":
        raise Malformed("something else than images")
    for name, quoted, plain in PARAMETER.findall(separator + rest):
        if name.lower() == "boundary":
            return _usable(re.sub(r"\\(.)", r"\1", quoted) or plain)
    raise Malformed("images without a boundary between them")


def _usable(boundary: str) -> bytes:
    if not 0 < len(boundary) <= BOUNDARY_MAX or not (boundary.isascii() and boundary.isprintable()):
        raise Malformed("images with an unusable boundary between them")
    return boundary.encode("ascii")


def parts(read_into: ReadInto, boundary: bytes, part_max: int) -> Iterator[Part]:
    """The parts of a message, each as soon as it begins; what follows the last is not read.

    A part of more than `part_max` bytes, and a message that ends before its closing delimiter, raise Malformed.
    """
    window = _Window(read_into)
    delimiter = b"\r\n--" + boundary
    _pass_over(window.pieces_until(delimiter, PROLOGUE_MAX))
    is_believed, is_proven_wrong = False, False
    for _ in range(PARTS_MAX):
        if _is_closing(window):
            return
        told = LENGTH.search(_headers(window))
        length = int(told[1]) if told else 0
        is_measured = is_believed and 0 < length <= part_max
        window.most = BEGINNING if is_measured else WINDOW
        part = (_Measured if is_measured else _Searched)(window, delimiter, length, part_max)
        yield part
        _pass_over(part.pieces())
        # Whoever told a wrong length once is searched to the end.
        is_proven_wrong = is_proven_wrong or (length > 0 and not part.is_as_told)
        is_believed = part.is_as_told and not is_proven_wrong
    raise Malformed("parts without end")


def _pass_over(pieces: Iterator[memoryview]) -> None:
    for _ in pieces:
        pass


def _is_closing(window: "_Window") -> bool:
    """Whether the delimiter just taken was the closing one; else the rest of its line is taken."""
    if window.begins_with(b"--"):
        return True
    if window.until(b"\r\n", PADDING_MAX).strip(b" \t"):
        raise Malformed("a broken boundary between images")
    return False


def _headers(window: "_Window") -> bytes:
    """The header lines of a part, without the empty line that ends them."""
    if window.begins_with(b"\r\n"):
        window.until(b"\r\n", 0)
        return b""
    return window.until(b"\r\n\r\n", HEADERS_MAX)


class _Window:
    """What was read last and is not taken yet, where whoever reads put it; `most` bounds what is read ahead."""

    def __init__(self, read_into: ReadInto) -> None:
        self._read_into = read_into
        self._bytes = bytearray(WINDOW)
        self._view = memoryview(self._bytes)
        # The line end before the first delimiter is missing where nothing precedes it.
        self._bytes[:2] = b"\r\n"
        self._begin, self._end = 0, 2
        self.most = WINDOW

    def pieces_until(self, marker: bytes, most: int) -> Iterator[memoryview]:
        """What comes before the next `marker`, which is taken too."""
        while (at := self._bytes.find(marker, self._begin, self._end)) < 0:
            # The last bytes may be the beginning of the marker.
            sure = max(self._end - len(marker) + 1, self._begin)
            most -= sure - self._begin
            if most < 0:
                break
            yield from self._taken(sure)
            self._fill()
        most -= at - self._begin
        if at < 0 or most < 0:
            raise Malformed("a part that is too large")
        yield from self._taken(at)
        self._begin += len(marker)

    def begins_with(self, marker: bytes) -> bool:
        """Whether this, which is far less than the window, comes next; it is not taken."""
        while self._end - self._begin < len(marker):
            self._fill()
        return self._view[self._begin : self._begin + len(marker)] == marker

    def piece(self, most: int) -> memoryview:
        """What comes next, at least one byte."""
        if self._begin == self._end:
            self._fill()
        begin, self._begin = self._begin, min(self._begin + most, self._end)
        return self._view[begin : self._begin]

    def take_into(self, room: memoryview) -> int:
        """Put what comes next at the beginning of `room`, at least one byte; how many."""
        if self._begin == self._end:
            return self._read(room)
        piece = self.piece(len(room))
        room[: len(piece)] = piece
        return len(piece)

    def until(self, marker: bytes, most: int) -> bytes:
        """What comes before the next `marker`, which is taken too, as one; far less than the window."""
        searched = 0
        while (at := self._bytes.find(marker, self._begin + searched, self._end)) < 0:
            searched = max(0, self._end - self._begin - len(marker) + 1)
            if searched > most:
                break
            self._fill()
        if at < 0 or at - self._begin > most:
            raise Malformed("a part that is too large")
        found = bytes(self._view[self._begin : at])
        self._begin = at + len(marker)
        return found

    def _taken(self, end: int) -> Iterator[memoryview]:
        begin, self._begin = self._begin, end
        if begin < end:
            yield self._view[begin:end]

    def _fill(self) -> None:
        """Read more behind what is left, which is little, and moves to the beginning."""
        left = self._end - self._begin
        self._bytes[:left] = self._bytes[self._begin : self._end]
        self._begin, self._end = 0, left
        self._end += self._read(self._view[left : left + self.most])

    def _read(self, room: memoryview) -> int:
        count = self._read_into(room)
        if not count:
            raise Malformed("images that end too early")
        return count
