"""Wall and CPU seconds of an act."""

import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

from _memory import settle


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
