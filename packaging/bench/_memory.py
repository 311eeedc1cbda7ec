"""Memory as on a machine that has run for a day, where the host of a virtual one lends it page by page; Linux only.

What was used once is used for others at once. What is free for two seconds may be taken back by the host (free page
reporting), and then costs up to 16 microseconds a page instead of a quarter of one when it is touched: more than all
that is done with it, and whoever writes the next file pays.
"""

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from _common import note

# Enough for what is measured, its files and the archives.
LEFT_OVER = 5 << 30
LEFT_ALONE = 256 << 20
AT_HAND = 1 << 30
BLOCK = 1 << 20
# Of a container: (limit, in use), by version 2 and 1 of control groups.
GROUPS = Path("/sys/fs/cgroup")
LIMITS = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))


@contextmanager
def memory_in_use() -> Iterator[None]:
    """Most of the memory taken for good: what is only full of files is given back by systems that watch for that."""
    size = _available() - LEFT_OVER
    if size < BLOCK:
        yield
        return
    note(f"filling {size >> 20} MB of memory")
    try:
        ballast = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as problem:
        note(f"not filled: {problem.strerror}")
        yield
        return
    with ballast:
        for advice in ("MADV_DONTFORK", "MADV_HUGEPAGE"):
            with suppress(AttributeError, OSError):
                ballast.madvise(getattr(mmap, advice))
        # Not zeros, which a host may keep as nothing.
        block = os.urandom(BLOCK)
        while len(ballast) - ballast.tell() >= BLOCK:
            ballast.write(block)
        yield


def settle() -> None:
    """To be called before the clock starts: what others wrote is on the disk, and there is memory to write into.

    All that is free is touched, as the system does not take what was free last, and is free again: it is little where
    `memory_in_use` has taken the rest.
    """
    os.sync()
    available = _available() - LEFT_ALONE
    size = min(max(_told("MemFree") - LEFT_ALONE, AT_HAND), available)
    if size > 0 and hasattr(mmap, "MAP_POPULATE"):
        with suppress(OSError):
            mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE).close()


def _available() -> int:
    """Bytes that programs may still take; 0 where the system does not say."""
    left = [_told("MemAvailable")]
    for limit, used in LIMITS:
        with suppress(OSError, ValueError):
            left.append(int((GROUPS / limit).read_text("ascii")) - int((GROUPS / used).read_text("ascii")))
    return min(left)


def _told(name: str) -> int:
    """Bytes of a line of /proc/meminfo."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except FileNotFoundError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith(f"{name}:")), 0)
