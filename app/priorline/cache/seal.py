"""The object container: the bytes of one instance, sealed so that a changed bit or a swapped file is noticed.

Layout, big endian::

    header   magic "PLOB", version, flags (1 = encrypted), 2 unused, segment size, length of the head,
             length of the content, study handle (16), object handle (16)
    head     what an index needs to know of the object, then its tag
    content  encrypted: segments of 1 MiB, each followed by its AES-GCM tag (16)
             not encrypted: the content, then SHA-256 of all before it (32)

A ticket key opens one object and nothing else. It is derived from a random handle that is used once, so the nonce may
simply count: 0 is the head, segments follow from 1, and the nonce ends in 1 on the last one. The header is
authenticated with every piece: neither cutting, nor reordering, nor renaming survives. Each piece opens without the
others.
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
VERSION = 2
ENCRYPTED = 1
SEGMENT = 1 << 20
TAG = 16
DIGEST = 32
NAME = 32  # study handle and object handle
_HEADER = struct.Struct(">4sBBxxIIQ32s")
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
    if len(aad) != NAME:
        raise ValueError("an object is bound to two handles of 16 bytes")
    view = memoryview(data).cast("B")
    header = _HEADER.pack(MAGIC, VERSION, ENCRYPTED if key else 0, SEGMENT, len(head), len(view), aad)
    yield header
    if not key:
        yield from _plain(header, head, view)
        return
    cipher = AESGCM(key)
    yield cipher.encrypt(_NONCE.pack(0, False), head, header)
    for number, start, stop, last in _cuts(len(view)):
        yield cipher.encrypt(_NONCE.pack(number, last), view[start:stop], header)


def _plain(header: bytes, head: bytes, view: memoryview) -> Iterator[Data]:
    digest = sha256(header + head)
    yield head + digest.digest()
    digest.update(view)
    yield view
    yield digest.digest()


@dataclass(frozen=True, slots=True)
class _Frame:
    """What the header of a container says, not yet authenticated."""

    header: bytes
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


def container_size(length: int, head_length: int, *, encrypted: bool) -> int:
    """How many bytes the container of a content of `length` bytes has."""
    if not encrypted:
        return _HEADER.size + head_length + length + 2 * DIGEST
    return _HEADER.size + head_length + length + TAG * (1 + max(1, -(-length // SEGMENT)))


def unseal(container: Data, key: bytes, aad: bytes) -> bytes:
    """The content of a container that `seal` made with the same `key` and `aad`; raises CacheDamaged otherwise."""
    view = memoryview(container).cast("B")
    frame = _frame(bytes(view[: _HEADER.size]), key)
    if frame.name != aad or len(view) != frame.size:
        raise CacheDamaged(_DAMAGED)
    if not key:
        return _checked(frame, view)
    cipher = AESGCM(key)
    head, body = view[_HEADER.size :][: frame.head_size], view[_HEADER.size + frame.head_size :]
    _decrypted(cipher, _NONCE.pack(0, False), head, frame.header)
    parts = []
    for number, start, stop, last in _cuts(frame.length):
        piece = body[start + (number - 1) * TAG : stop + number * TAG]
        parts.append(_decrypted(cipher, _NONCE.pack(number, last), piece, frame.header))
    return parts[0] if len(parts) == 1 else b"".join(parts)


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
    frame = _named(container[: _HEADER.size], ticket_key, handle)
    return unseal(container, ticket_key, frame.name)


def read_head(path: Path, ticket_key: bytes, name: bytes) -> bytes:
    """The head of an object file, without reading its content; raises as `read_object`.

    `name` is the study handle and the object handle, 16 bytes each.
    """
    with _Opened(path) as file:
        frame = _frame(file.read(_HEADER.size), ticket_key)
        if frame.name != name:
            raise CacheDamaged(_DAMAGED)
        # Before memory is taken for a head: its length is not authenticated yet.
        if os.fstat(file.fileno()).st_size != frame.size:
            raise CacheDamaged(_DAMAGED)
        box = file.read(frame.head_size)
    if not ticket_key:
        head, digest = box[:-DIGEST], box[-DIGEST:]
        if not hmac.compare_digest(sha256(frame.header + head).digest(), digest):
            raise CacheDamaged(_DAMAGED)
        return head
    return _decrypted(AESGCM(ticket_key), _NONCE.pack(0, False), box, frame.header)


def read_part(path: Path, ticket_key: bytes, handle: str, start: int, stop: int) -> bytes:
    """The bytes `start` to `stop` (exclusive) of an encrypted object's content; reads these segments only.

    0 <= start < stop <= the length of the content, else ValueError. Raises as `read_object`.
    """
    with _Opened(path) as file:
        frame = _named(file.read(_HEADER.size), ticket_key, handle)
        if not (ticket_key and 0 <= start < stop <= frame.length):
            raise ValueError("this part is not in an encrypted object")
        cuts = list(_cuts(frame.length))[start // SEGMENT : -(-stop // SEGMENT)]
        file.seek(_HEADER.size + frame.head_size + start // SEGMENT * (SEGMENT + TAG))
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


def _named(header: bytes, key: bytes, handle: str) -> _Frame:
    """The frame of a container that says it is the object `handle`."""
    frame = _frame(header, key)
    if frame.name[16:].hex() != handle:
        raise CacheDamaged(_DAMAGED)
    return frame


def _frame(header: bytes, key: bytes) -> _Frame:
    if len(header) < _HEADER.size:
        raise CacheDamaged(_DAMAGED)
    magic, version, flags, segment, head_length, length, name = _HEADER.unpack(header)
    if (magic, version, flags, segment) != (MAGIC, VERSION, ENCRYPTED if key else 0, SEGMENT):
        raise CacheDamaged(_DAMAGED)
    return _Frame(header, name, head_length, length, bool(key))


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


def _checked(frame: _Frame, view: memoryview) -> bytes:
    head_stop = _HEADER.size + frame.head_length
    body = view[head_stop + DIGEST : -DIGEST]
    digest = sha256(view[:head_stop])
    sound = hmac.compare_digest(digest.digest(), bytes(view[head_stop : head_stop + DIGEST]))
    digest.update(body)
    if not (hmac.compare_digest(digest.digest(), bytes(view[-DIGEST:])) and sound):
        raise CacheDamaged(_DAMAGED)
    return bytes(body)
