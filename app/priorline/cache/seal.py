"""The object container: the bytes of one instance, sealed so that a changed bit or a swapped file is noticed.

Layout, big endian::

    header   magic "PLOB", version, flags (1 = encrypted), 2 unused, segment size, study and object handle (32)
    content  encrypted: segments of 1 MiB, each followed by its AES-GCM tag (16)
             not encrypted: the content, then SHA-256 of the header and it (32)
    head     what an index needs to know of the object, then its tag, or SHA-256 of header, lengths and it
    lengths  of the head and of the content

What is known only when the content has come stands behind it, so that an object can be written while it comes. A
ticket key opens one object and nothing else. It is derived from a random handle that is used once, so the nonce may
simply count: 0 is the head, segments follow from 1, and the nonce ends in 1 on the last one. The header is
authenticated with every piece, the lengths with the head: neither cutting, nor reordering, nor renaming survives.
Each piece opens without the others.
"""

import hmac
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from priorline.errors import CacheDamaged

Data = bytes | bytearray | memoryview

MAGIC = b"PLOB"
VERSION = 3
ENCRYPTED = 1
SEGMENT = 1 << 20
TAG = 16
DIGEST = 32
NAME = 32  # study handle and object handle
_HEADER = struct.Struct(">4sBBxxI32s")
_LENGTHS = struct.Struct(">IQ")
HEADER_SIZE, LENGTHS_SIZE = _HEADER.size, _LENGTHS.size
_NONCE = struct.Struct(">7xIB")
DAMAGED = "A cached image is damaged and was not used; fetch the study again."


def seal(data: Data, key: bytes, aad: bytes, head: bytes = b"") -> bytes:
    """The container of `data`; `key` is the object's ticket key, empty for one that is not encrypted.

    `aad` is the study handle and the object handle, 16 bytes each.
    """
    return b"".join(segments(data, key, aad, head))


def segments(data: Data, key: bytes, aad: bytes, head: bytes = b"") -> Iterator[Data]:
    """The container of `data` piece by piece, as `seal` would return it, without a second copy in memory."""
    sealer, view = Sealer(key, aad), memoryview(data).cast("B")
    yield sealer.header
    count = segment_count(len(view))
    for number in range(count):
        yield from sealer.segment(view[number * SEGMENT : (number + 1) * SEGMENT], last=number == count - 1)
    yield sealer.end(head)


class Sealer:
    """Makes the container of a content that comes in pieces: `header`, then segments in their order, then the end."""

    def __init__(self, key: bytes, aad: bytes) -> None:
        if len(aad) != NAME:
            raise ValueError("an object is bound to two handles of 16 bytes")
        self.header = _HEADER.pack(MAGIC, VERSION, ENCRYPTED if key else 0, SEGMENT, aad)
        self._cipher = AESGCM(key) if key else None
        self._digest = sha256(self.header)
        self._number = self._length = 0

    def segment(self, piece: Data, *, last: bool) -> tuple[Data, ...]:
        """What is to be written for the next segment: 1 MiB of the content, the rest of it where it is the last."""
        self._number += 1
        self._length += memoryview(piece).nbytes
        if self._cipher is not None:
            return (self._cipher.encrypt(_NONCE.pack(self._number, last), piece, self.header),)
        self._digest.update(piece)
        return (piece, self._digest.digest()) if last else (piece,)

    def end(self, head: bytes) -> bytes:
        """What is to be written after the last segment."""
        lengths = _LENGTHS.pack(len(head), self._length)
        if self._cipher is None:
            return head + sha256(self.header + lengths + head).digest() + lengths
        return self._cipher.encrypt(_NONCE.pack(0, False), head, self.header + lengths) + lengths


@dataclass(frozen=True, slots=True)
class Frame:
    """What header and lengths of a container say, not yet authenticated."""

    header: bytes
    lengths: bytes
    name: bytes
    head_length: int
    length: int
    encrypted: bool

    @classmethod
    def of(cls, header: bytes, lengths: bytes, key: bytes, size: int) -> Self:
        """Read before memory is taken for what they claim of a container of `size` bytes; raises CacheDamaged."""
        if len(header) < HEADER_SIZE or len(lengths) < LENGTHS_SIZE:
            raise CacheDamaged(DAMAGED)
        magic, version, flags, segment, name = _HEADER.unpack(header)
        head_length, length = _LENGTHS.unpack(lengths)
        frame = cls(header, lengths, name, head_length, length, bool(key))
        if (magic, version, flags, segment) != (
            MAGIC,
            VERSION,
            ENCRYPTED if key else 0,
            SEGMENT,
        ) or frame.size != size:
            raise CacheDamaged(DAMAGED)
        return frame

    @property
    def head_size(self) -> int:
        return self.head_length + (TAG if self.encrypted else DIGEST)

    @property
    def size(self) -> int:
        return container_size(self.length, self.head_length, encrypted=self.encrypted)

    @property
    def head_start(self) -> int:
        return self.size - LENGTHS_SIZE - self.head_size

    def opened_head(self, box: Data, key: bytes) -> bytes:
        """The head, of which `box` is what stands in the container; raises CacheDamaged."""
        if key:
            return _decrypted(key, _NONCE.pack(0, False), box, self.header + self.lengths)
        head, digest = bytes(box[:-DIGEST]), bytes(box[-DIGEST:])
        if not hmac.compare_digest(sha256(self.header + self.lengths + head).digest(), digest):
            raise CacheDamaged(DAMAGED)
        return head


def segment_count(length: int) -> int:
    """Of how many segments a content of `length` bytes is; an empty one has one, too."""
    return max(1, -(-length // SEGMENT))


def container_size(length: int, head_length: int, *, encrypted: bool) -> int:
    """How many bytes the container of a content of `length` bytes has."""
    marks = TAG * (1 + segment_count(length)) if encrypted else 2 * DIGEST
    return HEADER_SIZE + length + head_length + marks + LENGTHS_SIZE


def unseal(container: Data, key: bytes, aad: bytes) -> bytes:
    """The content of a container that `seal` made with the same `key` and `aad`; raises CacheDamaged otherwise."""
    view = memoryview(container).cast("B")
    frame = Frame.of(bytes(view[:HEADER_SIZE]), bytes(view[-LENGTHS_SIZE:]), key, len(view))
    if frame.name != aad:
        raise CacheDamaged(DAMAGED)
    frame.opened_head(view[frame.head_start : -LENGTHS_SIZE], key)
    if not key:
        return _checked(frame, view[HEADER_SIZE : frame.head_start])
    parts = []
    for number in range(segment_count(frame.length)):
        start, size = segment_at(number, frame.length, encrypted=True)
        parts.append(opened_segment(view[start : start + size], number, frame.length, key, frame.header))
    return parts[0] if len(parts) == 1 else b"".join(parts)


def segment_at(number: int, length: int, *, encrypted: bool) -> tuple[int, int]:
    """Where in its file the segment `number`, from 0, of a content of `length` bytes is, and how long."""
    start, size = number * SEGMENT, min(SEGMENT, length - number * SEGMENT)
    return (HEADER_SIZE + start + number * TAG, size + TAG) if encrypted else (HEADER_SIZE + start, size)


def opened_segment(sealed: Data, number: int, length: int, key: bytes, header: bytes) -> bytes:
    """The content of a segment; raises CacheDamaged."""
    if not key:
        return bytes(sealed)
    last = (number + 1) * SEGMENT >= length
    return _decrypted(key, _NONCE.pack(number + 1, last), sealed, header)


def object_name(container: Data) -> bytes:
    """The study handle and the object handle that a container says it has, not yet authenticated: 32 bytes."""
    if len(container) < HEADER_SIZE:
        raise CacheDamaged(DAMAGED)
    name: bytes = _HEADER.unpack_from(container)[-1]
    return name


def _decrypted(key: bytes, nonce: bytes, piece: Data, authenticated: bytes) -> bytes:
    try:
        return AESGCM(key).decrypt(nonce, piece, authenticated)
    except (InvalidTag, ValueError) as error:
        raise CacheDamaged(DAMAGED) from error


def _checked(frame: Frame, body: memoryview) -> bytes:
    digest = sha256(frame.header)
    digest.update(body[:-DIGEST])
    if not hmac.compare_digest(digest.digest(), bytes(body[-DIGEST:])):
        raise CacheDamaged(DAMAGED)
    return bytes(body[:-DIGEST])
