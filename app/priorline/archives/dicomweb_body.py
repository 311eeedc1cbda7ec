"""The content of an HTTP/1.1 response (RFC 9112 6.3), read into where it is wanted."""

import re

from priorline.archives.dicomweb_connection import Connection
from priorline.errors import ArchiveBroken

CHUNK_LINE_MAX = 1024
BLOCK = 1 << 16
ENDLESS = 1 << 62
CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]{1,12}")


class Body:
    """The content that follows the head of a response; more than `most` bytes are an error.

    Raises ArchiveBroken where the headers say nothing usable of where it ends.
    """

    def __init__(self, connection: Connection, name: str, status: int, headers: dict[str, str], most: int) -> None:
        self._connection, self._name, self._rest = connection, name, most
        self._is_chunked = self._is_begun = False
        self._left = self._length(status, headers)

    def _length(self, status: int, headers: dict[str, str]) -> int:
        """How much comes until the end, or until the next chunk begins."""
        coding, length = headers.get("transfer-encoding", "").lower(), headers.get("content-length")
        if status in (204, 304):
            return 0
        if coding:
            if coding != "chunked":
                raise self._connection.broken()
            self._is_chunked = True
            return 0
        if length is None:
            return ENDLESS
        if not (length.isdecimal() and length.isascii() and len(length) <= 15):
            raise self._connection.broken()
        return int(length)

    def read_into(self, view: memoryview) -> int:
        """Put what comes next at the beginning of `view`, which is not empty; how many bytes, 0 at the end."""
        if not self._left and self._is_chunked:
            self._begin_chunk()
        if not self._left:
            return 0
        count = self._connection.read_into(view[: self._left])
        if not count:
            if self._left < ENDLESS:
                raise self._connection.broken()
            return 0
        self._rest -= count
        if self._rest < 0:
            raise ArchiveBroken(f"{self._name} sends more than an answer may be; ask its IT department.")
        # An end that nobody told of does not come nearer.
        self._left -= count if self._left < ENDLESS else 0
        return count

    def read(self) -> bytearray:
        """All of it."""
        whole, block = bytearray(), memoryview(bytearray(BLOCK))
        while count := self.read_into(block):
            whole += block[:count]
        return whole

    def _begin_chunk(self) -> None:
        """Take the end of a chunk and the size of the next one; the last has none, and trailers are not read."""
        if self._is_begun and self._connection.until(b"\r\n", 0):
            raise self._connection.broken()
        self._is_begun = True
        size = self._connection.until(b"\r\n", CHUNK_LINE_MAX).split(b";")[0].strip(b" \t")
        if not CHUNK_SIZE.fullmatch(size):
            raise self._connection.broken()
        self._left = int(size, 16)
        self._is_chunked = self._left > 0
