"""multipart/related (RFC 2046 5.1, RFC 2387) part by part: pieces are handed out as they come, and all is bounded."""

import re
from collections.abc import Callable, Iterator

BOUNDARY_MAX = 200
PROLOGUE_MAX = 65536
PADDING_MAX = 256
HEADERS_MAX = 16384
PARTS_MAX = 200_000
WINDOW = 1 << 18
PARAMETER = re.compile(r";\s*([!#-'*+.^_`|~\w-]+)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s;\"]+))", re.ASCII)
LENGTH = re.compile(rb"(?:^|\r\n)content-length[ \t]*:[ \t]*([0-9]{1,15})[ \t]*(?:\r\n|$)", re.IGNORECASE)

ReadInto = Callable[[memoryview], int]
"""Puts what comes next at the beginning of a buffer and says how many bytes that are; 0 at the end."""


class Malformed(Exception):
    """What came is not the multipart message that it claims to be; the text completes "the hospital sent …"."""


class Part:
    """The content of one part, to be read before the next part is asked for.

    `is_cut` tells, once all is read, whether it is shorter than its own Content-Length.
    """

    def __init__(self, arriving: Iterator[memoryview], announced: int) -> None:
        self._arriving, self._lacking = arriving, announced

    @property
    def is_cut(self) -> bool:
        """Whether less has come than was announced."""
        return self._lacking > 0

    def pieces(self) -> Iterator[memoryview]:
        """What was not read yet, none of it empty; each holds until the next is asked for. Raises Malformed."""
        for piece in self._arriving:
            self._lacking -= len(piece)
            yield piece


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
    for _ in range(PARTS_MAX):
        if _is_closing(window):
            return
        told = LENGTH.search(_headers(window))
        part = Part(window.pieces_until(delimiter, part_max), int(told[1]) if told else 0)
        yield part
        _pass_over(part.pieces())
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
    """What was read last and is not taken yet, where it was put by whoever reads."""

    def __init__(self, read_into: ReadInto) -> None:
        self._read_into = read_into
        self._bytes = bytearray(WINDOW)
        self._view = memoryview(self._bytes)
        # The line end before the first delimiter is missing where nothing precedes it.
        self._bytes[:2] = b"\r\n"
        self._begin, self._end = 0, 2

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

    def begins_with(self, two: bytes) -> bool:
        """Whether these two bytes come next; they are not taken."""
        while self._end - self._begin < len(two):
            self._fill()
        return self._view[self._begin : self._begin + len(two)] == two

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
        got = self._read_into(self._view[left:])
        if not got:
            raise Malformed("images that end too early")
        self._end += got
