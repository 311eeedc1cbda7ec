"""One instance from its first byte to the cache: in memory until it is whole, or sealed while it comes."""

from collections.abc import Callable

from priorline.archives.base import part10_head
from priorline.archives.incoming import Announced, Growing
from priorline.cache.spool import Spool

# Beyond this an instance is sealed while it comes; what waits in memory is bounded by it and the connections.
IN_MEMORY_MAX = 2 << 20
PIECE = 1 << 18

Take = Callable[[Announced, memoryview | Spool], None]


class Arriving:
    """An `Incoming` that hands the whole DICOM file to `take`.

    `expected` is how large it may be, as a hint; `pause` is called between two pieces, and may wait.
    """

    def __init__(
        self,
        announced: Announced,
        own_title: str,
        take: Take,
        new_spool: Callable[[], Spool],
        expected: int,
        pause: Callable[[], None],
    ) -> None:
        self._announced, self._take, self._new_spool, self._pause = announced, take, new_spool, pause
        self._memory = Growing(part10_head(announced, own_title), min(expected, IN_MEMORY_MAX))
        self._spool: Spool | None = None

    def room(self, length: int) -> memoryview:
        """As `Incoming.room`."""
        if self._spool is None and self._memory.length + length > IN_MEMORY_MAX:
            self._spool = self._new_spool()
            begun, self._memory = self._memory.view(), Growing(expected=PIECE)
            # Piece by piece, so that it is not in memory twice.
            for start in range(0, len(begun), PIECE):
                self._spool.write(begun[start : start + PIECE])
        return self._memory.room(length if self._spool is None else min(length, PIECE))

    def filled(self, length: int) -> None:
        """As `Incoming.filled`."""
        self._pause()
        self._memory.filled(length)
        if self._spool is not None:
            self._spool.write(self._memory.view())
            self._memory.length = 0

    def finish(self) -> None:
        """As `Incoming.finish`."""
        self._pause()
        if self._spool is None:
            self._take(self._announced, self._memory.view())
            return
        try:
            self._spool.close()
            self._take(self._announced, self._spool)
        finally:
            self._spool.drop()

    def drop(self) -> None:
        """As `Incoming.drop`."""
        if self._spool is not None:
            self._spool.drop()
