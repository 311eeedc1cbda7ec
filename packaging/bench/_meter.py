"""Wall and CPU seconds of an act."""

import os
import resource
import time
from collections.abc import Callable


def timed(act: Callable[[], object], who: int = resource.RUSAGE_CHILDREN) -> dict[str, float]:
    """Seconds of an act, and CPU seconds of this process or of its children that ended meanwhile.

    What others wrote before is on the disk when the clock starts, so that nobody pays for them; `load` is that of the
    machine at the end.
    """
    os.sync()
    cpu, began = _cpu_of(who), time.perf_counter()
    act()
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "cpu": _cpu_of(who) - cpu, "load": os.getloadavg()[0]}


def _cpu_of(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime
