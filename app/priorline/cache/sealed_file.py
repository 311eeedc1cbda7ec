"""Reading the files of containers: whole, the head alone, a part, or one after the other.

All that is needed is the object's own key.
"""

import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from mmap import mmap
from pathlib import Path
from typing import TypeVar

from priorline.cache.seal import (
    DAMAGED,
    HEADER_SIZE,
    LENGTHS_SIZE,
    SEGMENT,
    Frame,
    object_name,
    opened_segment,
    segment_at,
    unseal,
)
from priorline.errors import CacheDamaged, CacheError

_MISSING = "A cached image is missing from the disk; fetch the study again."
_KEPT = 2 << 20  # larger files are rare enough to ask the system for their memory each time
_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)


T = TypeVar("T")


def read_bytes(path: Path) -> bytes:
    """All of a regular file, never through a link; raises CacheDamaged where there is none, CacheError."""
    with _opened(path) as file:
        return file.read()


def read_object(path: Path, ticket_key: bytes, handle: str) -> bytes:
    """The content of the object file at `path`, which must be the object `handle`.

    Needs nothing but the object's own key (empty where the cache is not encrypted), so a decoder can call it.
    Raises CacheDamaged where the file is missing, changed, cut or another's, CacheError where the disk says no.
    """
    with _opened(path) as file:
        container = _SCRATCH.filled_from(file)
    name = object_name(container)
    if name[16:].hex() != handle:
        raise CacheDamaged(DAMAGED)
    return unseal(container, ticket_key, name)


def read_head(path: Path, ticket_key: bytes, name: bytes) -> bytes:
    """The head of an object file, without reading its content; raises as `read_object`.

    `name` is the study handle and the object handle, 16 bytes each.
    """
    with _opened(path) as file:
        frame = _frame_of(file, ticket_key)
        if frame.name != name:
            raise CacheDamaged(DAMAGED)
        file.seek(frame.head_start)
        box = file.read(frame.head_size)
    return frame.opened_head(box, ticket_key)


def read_part(path: Path, ticket_key: bytes, handle: str, start: int, stop: int) -> bytes:
    """The bytes `start` to `stop` (exclusive) of an encrypted object's content; reads these segments only.

    0 <= start < stop <= the length of the content, else ValueError. Raises as `read_object`.
    """
    with _opened(path) as file:
        frame = _frame_of(file, ticket_key)
        if frame.name[16:].hex() != handle:
            raise CacheDamaged(DAMAGED)
        if not (ticket_key and 0 <= start < stop <= frame.length):
            raise ValueError("this part is not in an encrypted object")
        parts = []
        for number in range(start // SEGMENT, -(-stop // SEGMENT)):
            place, size = segment_at(number, frame.length, encrypted=True)
            file.seek(place)
            parts.append(opened_segment(file.read(size), number, frame.length, ticket_key, frame.header))
    skipped = start % SEGMENT
    return b"".join(parts)[skipped : skipped + stop - start]


def ahead(items: Iterable[T], path_of: Callable[[T], Path]) -> Iterator[T]:
    """The items in their order; the disk is asked for the file of each while the one before it is at work.

    A missing or unreadable file is not noticed here but by who reads it.
    """
    waiting = iter(items)
    item = next(waiting, None)
    while item is not None:
        following = next(waiting, None)
        if following is not None:
            _ask_for(path_of(following))
        yield item
        item = following


class _Scratch(threading.local):
    """Where a thread reads a container to: always the same memory.

    With memory of its own for every object the system clears as many pages as it reads, which costs more than the
    decryption does. It begins at a page, since copying to a place 16 bytes behind one, where `bytearray` begins,
    takes some processors three times as long.
    """

    def __init__(self) -> None:
        self._memory: mmap | None = None

    def filled_from(self, file: FileIO) -> memoryview:
        """The bytes of a file, valid until the thread's next call."""
        size = os.fstat(file.fileno()).st_size
        if size > _KEPT:
            return memoryview(file.read())
        self._memory = self._memory or mmap(-1, _KEPT)
        view, length = memoryview(self._memory)[:size], 0
        while length < size and (count := file.readinto(view[length:])):
            length += count
        return view[:length]


_SCRATCH = _Scratch()


def _ask_for(path: Path) -> None:
    with suppress(CacheError), _opened(path) as file:
        _advise(file.fileno())


def _advise(handle: int) -> None:
    if hasattr(os, "posix_fadvise"):
        # All of it is wanted, so that the disk need not find out how far to read ahead.
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_WILLNEED)


@contextmanager
def _opened(path: Path) -> Iterator[FileIO]:
    """A regular file opened for reading, never through a link; its faults are those of the cache."""
    try:
        with FileIO(os.open(path, _FLAGS)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise CacheDamaged(DAMAGED)
            yield file
    except FileNotFoundError as error:
        raise CacheDamaged(_MISSING) from error
    except OSError as error:
        raise CacheError(f"A cached image cannot be read ({error.strerror}); look at the disk.") from error


def _frame_of(file: FileIO, key: bytes) -> Frame:
    header, size = file.read(HEADER_SIZE), os.fstat(file.fileno()).st_size
    file.seek(max(0, size - LENGTHS_SIZE))
    return Frame.of(header, file.read(LENGTHS_SIZE), key, size)
