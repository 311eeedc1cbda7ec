"""multipart/related (RFC 2046 5.1, RFC 2387) part by part: no more than one is held, and everything is bounded."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

BOUNDARY_MAX = 200
PROLOGUE_MAX = 65536
PADDING_MAX = 256
HEADERS_MAX = 16384
PARTS_MAX = 200_000
PARAMETER = re.compile(r";\s*([!#-'*+.^_`|~\w-]+)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s;\"]+))", re.ASCII)
LENGTH = re.compile(rb"(?:^|\r\n)content-length[ \t]*:[ \t]*([0-9]{1,15})[ \t]*(?:\r\n|$)", re.IGNORECASE)


class Malformed(Exception):
    """What came is not the multipart message that it claims to be; the text completes "the hospital sent …"."""


@dataclass(frozen=True, slots=True)
class Part:
    """The content of one part; `is_cut` where it is shorter than its own Content-Length."""

    content: bytes
    is_cut: bool = False


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


def parts(blocks: Iterator[bytes], boundary: bytes, part_max: int) -> Iterator[Part]:
    """The parts of a message that comes in `blocks`, each as soon as it is whole; what follows the last is not read.

    A part of more than `part_max` bytes, and a message that ends before its closing delimiter, raise Malformed.
    """
    reader = _Reader(blocks, b"\r\n--" + boundary)
    reader.until_delimiter(PROLOGUE_MAX)
    for _ in range(PARTS_MAX):
        if reader.is_closing():
            return
        length = LENGTH.search(reader.headers())
        content = reader.until_delimiter(part_max)
        yield Part(content, length is not None and len(content) < int(length[1]))
    raise Malformed("parts without end")


class _Reader:
    def __init__(self, blocks: Iterator[bytes], delimiter: bytes) -> None:
        self._blocks, self._delimiter = blocks, delimiter
        # The line end before the first delimiter is missing where nothing precedes it.
        self._ahead = bytearray(b"\r\n")

    def until_delimiter(self, most: int) -> bytes:
        """What comes before the next delimiter, which is taken too."""
        return self._until(self._delimiter, most)

    def is_closing(self) -> bool:
        """Whether the delimiter just taken was the closing one; else the rest of its line is taken."""
        while len(self._ahead) < 2:
            self._fill()
        if self._ahead.startswith(b"--"):
            return True
        if self._until(b"\r\n", PADDING_MAX).strip(b" \t"):
            raise Malformed("a broken boundary between images")
        return False

    def headers(self) -> bytes:
        """The header lines of a part, without the empty line that ends them."""
        while len(self._ahead) < 2:
            self._fill()
        if self._ahead.startswith(b"\r\n"):
            del self._ahead[:2]
            return b""
        return self._until(b"\r\n\r\n", HEADERS_MAX)

    def _until(self, marker: bytes, most: int) -> bytes:
        searched = 0
        while (at := self._ahead.find(marker, searched)) < 0:
            searched = max(0, len(self._ahead) - len(marker) + 1)
            if searched > most:
                break
            self._fill()
        if at < 0 or at > most:
            raise Malformed("a part that is too large")
        with memoryview(self._ahead) as view:
            found = bytes(view[:at])
        del self._ahead[: at + len(marker)]
        return found

    def _fill(self) -> None:
        block = next(self._blocks, b"")
        if not block:
            raise Malformed("images that end too early")
        self._ahead += block
