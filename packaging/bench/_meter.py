"""Wall and CPU seconds of an act."""

import mmap
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

LEFT_ALONE = 256 << 20
AT_HAND = 1 << 30


def settle() -> None:
    """To be called before the clock starts: what others wrote is on the disk, and there is memory to write into.

    The host of a virtual machine may lend it memory only where that is touched, and takes back what is free for two
    seconds (free page reporting). A page costs up to 16 microseconds then instead of a quarter of one, more than all
    that is done with it, and whoever writes the next file pays. All that is free is touched here, as the system does
    not take what was free last, and is free again; it is little where `memory_in_use` has taken the rest.
    """
    os.sync()
    size = max(memory_of("MemFree") - LEFT_ALONE, AT_HAND)
    if hasattr(mmap, "MAP_POPULATE"):
        mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE).close()


def memory_of(name: str) -> int:
    """Bytes of a line of Linux's /proc/meminfo; 0 where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except FileNotFoundError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith(f"{name}:")), 0)


def stolen() -> float:
    """CPU seconds since the start that the host of a virtual machine gave to others; 0 where that is not told."""
    try:
        first, *_ = Path("/proc/stat").read_text("ascii").splitlines()
    except FileNotFoundError:
        return 0.0
    return int(first.split()[8]) / os.sysconf("SC_CLK_TCK")


def timed(act: Callable[[], object], who: int = resource.RUSAGE_CHILDREN) -> dict[str, float]:
    """Seconds of an act, and CPU seconds of this process or of its children that ended meanwhile.

    `load` is that of the machine at the end.
    """
    settle()
    cpu, began = _cpu_of(who), time.perf_counter()
    act()
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "cpu": _cpu_of(who) - cpu, "load": os.getloadavg()[0]}


def _cpu_of(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime
