"""An instance that is sealed while it comes: no more of it than a segment is in memory, nothing of it in clear."""

import os
from collections.abc import Callable

from cryptography.exceptions import InvalidTag

from priorline.cache.catalogue import OpenStudy
from priorline.cache.seal import SEGMENT, Data, Sealer, opened_segment, segment_at
from priorline.cache.vault import Vault
from priorline.cache.writer import Aside
from priorline.errors import CacheDamaged, CacheError

ROOM_AT_ONCE = 16 << 20


class Spool:
    """One instance on its way; a `Body` to be read from, part by part, once `close` was called."""

    def __init__(
        self,
        vault: Vault,
        study: OpenStudy,
        handle: str,
        key: bytes,
        aside: Aside,
        make_room: Callable[[int], None],
    ) -> None:
        self.study, self.handle = study, handle
        self._vault, self._key, self._make_room = vault, key, make_room
        self._aside: Aside | None = aside
        self._sealer = Sealer(key, bytes.fromhex(study.handle + handle))
        self._pending = bytearray()
        self._tags: list[bytes] = []
        self._length = self._allowed = self._written = 0
        self._kept = (-1, b"")
        try:
            self._write((self._sealer.header,))
        except BaseException:
            self.drop()
            raise

    def write(self, piece: Data) -> None:
        """Add bytes; raises CacheFull or CacheError."""
        self._pending += piece
        # The last segment is marked, so one is held back until more comes.
        while len(self._pending) > SEGMENT:
            self._seal(SEGMENT, last=False)

    def close(self) -> None:
        """All has come."""
        self._seal(len(self._pending), last=True)

    def digest(self) -> bytes:
        """The digest of the content, as the vault's."""
        return self._vault.digest_of(self._tags)

    def end(self, head: bytes) -> int:
        """Write what follows the content; the size of the file."""
        self._write((self._sealer.end(head),))
        return self._written

    def give(self) -> Aside:
        """Hand the file over; from here on it is not dropped with the spool."""
        aside, self._aside = self._open(), None
        return aside

    def drop(self) -> None:
        """Remove what was written, unless it was handed over; a second call does nothing."""
        aside, self._aside = self._aside, None
        if aside is not None:
            aside.drop()

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, part: slice) -> bytes:
        start, stop, _ = part.indices(self._length)
        pieces = []
        for number in range(start // SEGMENT, -(-stop // SEGMENT)):
            base = number * SEGMENT
            pieces.append(self._segment(number)[max(start - base, 0) : stop - base])
        return b"".join(pieces)

    def _segment(self, number: int) -> bytes:
        if self._kept[0] != number:
            position, length = segment_at(number, self._length, encrypted=bool(self._key))
            try:
                sealed = os.pread(self._open().descriptor, length, position)
                self._kept = (number, opened_segment(sealed, number, self._length, self._key, self._sealer.header))
            except (OSError, InvalidTag) as problem:
                raise CacheDamaged("The disk gave back other bytes than were written; look at the disk.") from problem
        return self._kept[1]

    def _seal(self, length: int, *, last: bool) -> None:
        with memoryview(self._pending) as view, view[:length] as segment:
            self._tags.append(self._vault.tag(segment))
            pieces = self._sealer.segment(bytes(segment), last=last)
        del self._pending[:length]
        self._length += length
        self._write(pieces)

    def _write(self, pieces: tuple[Data, ...]) -> None:
        for piece in pieces:
            size = memoryview(piece).nbytes
            if self._written + size > self._allowed:
                self._make_room(self._written + ROOM_AT_ONCE)
                self._allowed = self._written + ROOM_AT_ONCE
            self._open().write((piece,))
            self._written += size

    def _open(self) -> Aside:
        if self._aside is None:
            raise CacheError("The image was given up already; fetch the study again.")
        return self._aside
