"""The object container: the bytes of one instance, sealed so that a changed bit or a swapped file is noticed.

Layout, big endian::

    header   magic "PLOB", version, flags (1 = encrypted), 2 unused, segment size, length of the content,
             study handle (16), object handle (16), random salt (16)
    content  encrypted: segments of 1 MiB, each followed by its AES-GCM tag (16)
             not encrypted: the content, then SHA-256 of header and content (32)

Every object has a key of its own, derived from its ticket key and the salt; so the nonce may simply count. The nonce
ends in 1 on the last segment, and the header is authenticated with every segment: neither cutting, nor reordering,
nor renaming survives. A ticket key opens one object and nothing else.
"""

import hmac
import os
import stat
import struct
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from priorline.cache.keys import derive
from priorline.errors import CacheDamaged, CacheError

Data = bytes | bytearray | memoryview

MAGIC = b"PLOB"
VERSION = 1
ENCRYPTED = 1
SEGMENT = 1 << 20
TAG = 16
DIGEST = 32
NAME = 32  # study handle and object handle
_HEADER = struct.Struct(">4sBBxxIQ32s16s")
_NONCE = struct.Struct(">7xIB")
_DAMAGED = "A cached image is damaged and was not used; fetch the study again."
_MISSING = "A cached image is missing from the disk; fetch the study again."


def seal(data: Data, key: bytes, aad: bytes) -> bytes:
    """The container of `data`; `key` is the object's ticket key, empty for one that is not encrypted.

    `aad` is the study handle and the object handle, 16 bytes each.
    """
    return b"".join(segments(data, key, aad))


def segments(data: Data, key: bytes, aad: bytes) -> Iterator[Data]:
    """The container of `data` piece by piece, as `seal` would return it, without a second copy in memory."""
    if len(aad) != NAME:
        raise ValueError("an object is bound to two handles of 16 bytes")
    view = memoryview(data).cast("B")
    salt = os.urandom(16)
    header = _HEADER.pack(MAGIC, VERSION, ENCRYPTED if key else 0, SEGMENT, len(view), aad, salt)
    yield header
    if not key:
        digest = sha256(header)
        digest.update(view)
        yield view
        yield digest.digest()
        return
    cipher = AESGCM(derive(key, b"object", salt))
    for number, start, stop, last in _cuts(len(view), SEGMENT):
        yield cipher.encrypt(_NONCE.pack(number, last), view[start:stop], _bound(header, number))


def unseal(container: Data, key: bytes, aad: bytes) -> bytes:
    """The content of a container that `seal` made with the same `key` and `aad`; raises CacheDamaged otherwise."""
    view = memoryview(container).cast("B")
    if len(view) < _HEADER.size:
        raise CacheDamaged(_DAMAGED)
    magic, version, flags, segment, length, name, salt = _HEADER.unpack_from(view)
    wanted = (MAGIC, VERSION, ENCRYPTED if key else 0, SEGMENT, aad)
    if (magic, version, flags, segment, name) != wanted or len(view) != container_size(length, bool(key)):
        raise CacheDamaged(_DAMAGED)
    header = bytes(view[: _HEADER.size])
    body = view[_HEADER.size :]
    return _decrypt(header, body, length, derive(key, b"object", salt)) if key else _checked(header, body)


def container_size(length: int, encrypted: bool) -> int:
    """How many bytes the container of a content of `length` bytes has."""
    if not encrypted:
        return _HEADER.size + length + DIGEST
    return _HEADER.size + length + TAG * max(1, -(-length // SEGMENT))


def object_name(container: Data) -> bytes:
    """The study handle and the object handle that the container says it has, not yet authenticated: 32 bytes."""
    if len(container) < _HEADER.size or bytes(container[:4]) != MAGIC:
        raise CacheDamaged(_DAMAGED)
    name: bytes = _HEADER.unpack_from(container)[5]
    return name


def read_object(path: Path, ticket_key: bytes, handle: str) -> bytes:
    """The content of the object file at `path`, which must be the object `handle`.

    Needs nothing but the object's own key (empty where the cache is not encrypted), so a decoder can call it.
    Raises CacheDamaged where the file is missing, changed, cut or another's, CacheError where the disk says no.
    """
    container = _read_file(path)
    name = object_name(container)
    if name[16:].hex() != handle:
        raise CacheDamaged(_DAMAGED)
    return unseal(container, ticket_key, name)


def _read_file(path: Path) -> bytes:
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise CacheDamaged(_DAMAGED)
            return file.read()
    except FileNotFoundError as error:
        raise CacheDamaged(_MISSING) from error
    except OSError as error:
        raise CacheError(f"A cached image cannot be read ({error.strerror}); look at the disk.") from error


def _cuts(length: int, segment: int) -> Iterator[tuple[int, int, int, bool]]:
    count = max(1, -(-length // segment))
    for number in range(count):
        yield number, number * segment, min(length, (number + 1) * segment), number == count - 1


def _bound(header: bytes, number: int) -> bytes:
    return header + number.to_bytes(4, "big")


def _decrypt(header: bytes, body: memoryview, length: int, key: bytes) -> bytes:
    cipher = AESGCM(key)
    parts = []
    for number, start, stop, last in _cuts(length, SEGMENT):
        piece = body[start + number * TAG : stop + (number + 1) * TAG]
        try:
            parts.append(cipher.decrypt(_NONCE.pack(number, last), piece, _bound(header, number)))
        except InvalidTag as error:
            raise CacheDamaged(_DAMAGED) from error
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _checked(header: bytes, body: memoryview) -> bytes:
    digest = sha256(header)
    digest.update(body[:-DIGEST])
    if not hmac.compare_digest(digest.digest(), bytes(body[-DIGEST:])):
        raise CacheDamaged(_DAMAGED)
    return bytes(body[:-DIGEST])
