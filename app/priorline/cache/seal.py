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
import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from priorline.errors import CacheDamaged, CacheError

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
_NONCE = struct.Struct(">7xIB")
_DAMAGED = "A cached image is damaged and was not used; fetch the study again."
_MISSING = "A cached image is missing from the disk; fetch the study again."


def seal(data: Data, key: bytes, aad: bytes, head: bytes = b"") -> bytes:
    """The container of `data`; `key` is the object's ticket key, empty for one that is not encrypted.

    `aad` is the study handle and the object handle, 16 bytes each.
    """
    return b"".join(segments(data, key, aad, head))


def segments(data: Data, key: bytes, aad: bytes, head: bytes = b"") -> Iterator[Data]:
    """The container of `data` piece by piece, as `seal` would return it, without a second copy in memory."""
    sealer, view = Sealer(key, aad), memoryview(data).cast("B")
    yield sealer.header
    for _, start, stop, last in _cuts(len(view)):
        yield from sealer.segment(view[start:stop], last=last)
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
class _Frame:
    """What header and lengths of a container say, not yet authenticated."""

    header: bytes
    lengths: bytes
    name: bytes
    head_length: int
    length: int
    encrypted: bool

    @property
    def head_size(self) -> int:
        return self.head_length + (TAG if self.encrypted else DIGEST)

    @property
    def size(self) -> int:
        return container_size(self.length, self.head_length, encrypted=self.encrypted)

    @property
    def head_start(self) -> int:
        return self.size - _LENGTHS.size - self.head_size


def container_size(length: int, head_length: int, *, encrypted: bool) -> int:
    """How many bytes the container of a content of `length` bytes has."""
    marks = TAG * (1 + max(1, -(-length // SEGMENT))) if encrypted else 2 * DIGEST
    return _HEADER.size + length + head_length + marks + _LENGTHS.size


def unseal(container: Data, key: bytes, aad: bytes) -> bytes:
    """The content of a container that `seal` made with the same `key` and `aad`; raises CacheDamaged otherwise."""
    view = memoryview(container).cast("B")
    frame = _frame(bytes(view[: _HEADER.size]), bytes(view[-_LENGTHS.size :]), key, len(view))
    if frame.name != aad:
        raise CacheDamaged(_DAMAGED)
    _opened_head(frame, view[frame.head_start : -_LENGTHS.size], key)
    body = view[_HEADER.size : frame.head_start]
    if not key:
        return _checked(frame, body)
    cipher = AESGCM(key)
    parts = []
    for number, start, stop, last in _cuts(frame.length):
        piece = body[start + (number - 1) * TAG : stop + number * TAG]
        parts.append(_decrypted(cipher, _NONCE.pack(number, last), piece, frame.header))
    return parts[0] if len(parts) == 1 else b"".join(parts)


def segment_at(number: int, length: int, *, encrypted: bool) -> tuple[int, int]:
    """Where in its file the segment `number`, from 0, of a content of `length` bytes is, and how long."""
    start, size = number * SEGMENT, min(SEGMENT, length - number * SEGMENT)
    return (_HEADER.size + start + number * TAG, size + TAG) if encrypted else (_HEADER.size + start, size)


def opened_segment(sealed: bytes, number: int, length: int, key: bytes, header: bytes) -> bytes:
    """The content of a segment; raises CacheDamaged."""
    if not key:
        return sealed
    last = (number + 1) * SEGMENT >= length
    return _decrypted(AESGCM(key), _NONCE.pack(number + 1, last), sealed, header)


def object_name(container: Data) -> bytes:
    """The study handle and the object handle that a container says it has, not yet authenticated: 32 bytes."""
    if len(container) < _HEADER.size:
        raise CacheDamaged(_DAMAGED)
    name: bytes = _HEADER.unpack_from(container)[-1]
    return name


def read_bytes(path: Path) -> bytes:
    """All of a regular file, never through a link; raises CacheDamaged where there is none, CacheError."""
    with _Opened(path) as file:
        if hasattr(os, "posix_fadvise"):
            # All of it is wanted, so that the disk need not find out how far to read ahead.
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
        return file.read()


def read_object(path: Path, ticket_key: bytes, handle: str) -> bytes:
    """The content of the object file at `path`, which must be the object `handle`.

    Needs nothing but the object's own key (empty where the cache is not encrypted), so a decoder can call it.
    Raises CacheDamaged where the file is missing, changed, cut or another's, CacheError where the disk says no.
    """
    container = read_bytes(path)
    name = object_name(container)
    if name[16:].hex() != handle:
        raise CacheDamaged(_DAMAGED)
    return unseal(container, ticket_key, name)


def read_head(path: Path, ticket_key: bytes, name: bytes) -> bytes:
    """The head of an object file, without reading its content; raises as `read_object`.

    `name` is the study handle and the object handle, 16 bytes each.
    """
    with _Opened(path) as file:
        frame = _frame_of(file, ticket_key)
        if frame.name != name:
            raise CacheDamaged(_DAMAGED)
        file.seek(frame.head_start)
        box = file.read(frame.head_size)
    return _opened_head(frame, box, ticket_key)


def read_part(path: Path, ticket_key: bytes, handle: str, start: int, stop: int) -> bytes:
    """The bytes `start` to `stop` (exclusive) of an encrypted object's content; reads these segments only.

    0 <= start < stop <= the length of the content, else ValueError. Raises as `read_object`.
    """
    with _Opened(path) as file:
        frame = _frame_of(file, ticket_key)
        if frame.name[16:].hex() != handle:
            raise CacheDamaged(_DAMAGED)
        if not (ticket_key and 0 <= start < stop <= frame.length):
            raise ValueError("this part is not in an encrypted object")
        cuts = list(_cuts(frame.length))[start // SEGMENT : -(-stop // SEGMENT)]
        file.seek(_HEADER.size + start // SEGMENT * (SEGMENT + TAG))
        cipher = AESGCM(ticket_key)
        parts = []
        for number, first, end, last in cuts:
            piece = file.read(end - first + TAG)
            parts.append(_decrypted(cipher, _NONCE.pack(number, last), piece, frame.header))
    skipped = start % SEGMENT
    return b"".join(parts)[skipped : skipped + stop - start]


class _Opened:
    """A regular file opened for reading, never through a link; its faults are those of the cache."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> BinaryIO:
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            self._file: BinaryIO = os.fdopen(os.open(self._path, flags), "rb", buffering=0)
        except FileNotFoundError as error:
            raise CacheDamaged(_MISSING) from error
        except OSError as error:
            raise _unreadable(error) from error
        if not stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
            self._file.close()
            raise CacheDamaged(_DAMAGED)
        return self._file

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if isinstance(error, OSError):
            raise _unreadable(error) from error


def _unreadable(error: OSError) -> CacheError:
    return CacheError(f"A cached image cannot be read ({error.strerror}); look at the disk.")


def _frame_of(file: BinaryIO, key: bytes) -> _Frame:
    header, size = file.read(_HEADER.size), os.fstat(file.fileno()).st_size
    file.seek(max(0, size - _LENGTHS.size))
    return _frame(header, file.read(_LENGTHS.size), key, size)


def _frame(header: bytes, lengths: bytes, key: bytes, size: int) -> _Frame:
    """Header and lengths of a container of `size` bytes: before memory is taken for what they claim."""
    if len(header) < _HEADER.size or len(lengths) < _LENGTHS.size:
        raise CacheDamaged(_DAMAGED)
    magic, version, flags, segment, name = _HEADER.unpack(header)
    head_length, length = _LENGTHS.unpack(lengths)
    frame = _Frame(header, lengths, name, head_length, length, bool(key))
    if (magic, version, flags, segment) != (MAGIC, VERSION, ENCRYPTED if key else 0, SEGMENT) or frame.size != size:
        raise CacheDamaged(_DAMAGED)
    return frame


def _opened_head(frame: _Frame, box: Data, key: bytes) -> bytes:
    if key:
        return _decrypted(AESGCM(key), _NONCE.pack(0, False), box, frame.header + frame.lengths)
    head, digest = bytes(box[:-DIGEST]), bytes(box[-DIGEST:])
    if not hmac.compare_digest(sha256(frame.header + frame.lengths + head).digest(), digest):
        raise CacheDamaged(_DAMAGED)
    return head


def _cuts(length: int) -> Iterator[tuple[int, int, int, bool]]:
    """Number, start, stop and "is the last" of every segment of a content."""
    count = max(1, -(-length // SEGMENT))
    for number in range(count):
        yield number + 1, number * SEGMENT, min(length, (number + 1) * SEGMENT), number == count - 1


def _decrypted(cipher: AESGCM, nonce: bytes, piece: Data, header: bytes) -> bytes:
    try:
        return cipher.decrypt(nonce, piece, header)
    except (InvalidTag, ValueError) as error:
        raise CacheDamaged(_DAMAGED) from error


def _checked(frame: _Frame, body: memoryview) -> bytes:
    digest = sha256(frame.header)
    digest.update(body[:-DIGEST])
    if not hmac.compare_digest(digest.digest(), bytes(body[-DIGEST:])):
        raise CacheDamaged(_DAMAGED)
    return bytes(body[:-DIGEST])
