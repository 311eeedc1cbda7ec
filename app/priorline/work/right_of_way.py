"""The window goes first: while an image is due in it, those who receive let go of the cores.

Being behind (`own_process.work_behind`) decides who gets a core, but who holds one keeps it, on Linux until the next
tick: up to 4 ms, a quarter of the time for a picture. So the window tells that an image is due, by a byte in a pipe
that is there while none is, and who receives looks for that between two pieces. Only the window reads it.
Where a process cannot inherit a pipe so, nothing is told and nobody waits.
"""

import os
import select
import sys
from contextlib import suppress

# A picture takes half of this. A window that hangs costs a retrieval so much once.
LONGEST_MILLISECONDS = 12


class RightOfWay:
    """The window's side; at first no image is due. `descriptor` is for its courier to inherit, if it can."""

    def __init__(self) -> None:
        self.descriptor: int | None = None
        self._told: int | None = None
        self._is_due = False
        if sys.platform != "win32":
            self.descriptor, self._told = os.pipe()
            for end in (self.descriptor, self._told):
                os.set_blocking(end, False)
            os.write(self._told, b"\n")

    def take(self) -> None:
        """An image is due."""
        if self.descriptor is not None and not self._is_due:
            self._is_due = True
            # Nobody waits here for a byte that somebody else took.
            with suppress(BlockingIOError):
                os.read(self.descriptor, 1)

    def leave(self) -> None:
        """It is painted, or not wanted any more."""
        if self._told is not None and self._is_due:
            self._is_due = False
            with suppress(BlockingIOError):
                os.write(self._told, b"\n")

    def close(self) -> None:
        """Nobody is told any more, and nobody waits."""
        for end in (self.descriptor, self._told):
            if end is not None:
                os.close(end)
        self.descriptor = self._told = None


class GivingWay:
    """The courier's side, with the `descriptor` that it inherited, or None; any number of threads may wait."""

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = descriptor
        self._waited_long = False

    def pause(self) -> None:
        """Wait while an image is due, but not for long, and not again before one was painted."""
        if self._descriptor is None:
            return
        nothing_due = select.poll()
        nothing_due.register(self._descriptor, select.POLLIN)
        self._waited_long = not nothing_due.poll(0 if self._waited_long else LONGEST_MILLISECONDS)
