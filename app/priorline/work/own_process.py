"""How our processes behave: a crash leaves nothing of a patient behind, and a helper ends with its window."""

import contextlib
import faulthandler
import gc
import os
import signal
import sys
import threading
import traceback
from types import TracebackType

# Above what the largest image needs, below what would take the workstation down with it.
MOST_MEMORY = 16 * 1024**3
# Python looks for garbage when so many more objects were made than were given up.
OBJECTS_BETWEEN = 20_000
# A niceness of so much still gets what nobody else uses, which at a workstation is most.
BEHIND, LAST = 10, 19
BUG = "The program made a mistake in this; the others go on. Please try again, and report it if it comes back."


def settle_in() -> None:
    """To be called first in every helper."""
    # Ctrl+C reaches the whole process group; the window ends its helpers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.umask(0o077)
    crash_in_silence()
    _limit_memory()
    leave_what_stays()
    if sys.stderr is not None:
        faulthandler.enable()


def crash_in_silence() -> None:
    """To be called first in every process: no core dump, which would hold pixels and names; no values in traces."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.excepthook = _tell_without_values
    threading.excepthook = lambda told: _tell_without_values(told.exc_type, told.exc_value, told.exc_traceback)


def end_at(seconds: float) -> None:
    """End this process at that time from now, even inside a codec and with nobody to kill it; 0 takes that back."""
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_REAL, seconds)


def work_behind() -> None:
    """Let the window go first: this thread, and all that it starts from now on, take what is left of the cores.

    Where a system knows no priority of threads nothing changes.
    """
    if sys.platform == "linux":
        # Counted from the main thread: whoever starts this one may be behind already.
        behind = min(os.getpriority(os.PRIO_PROCESS, os.getpid()) + BEHIND, LAST)
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), behind)
        # What arrives wakes these threads all the time; so they do not push aside who is painting just then.
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def leave_what_stays() -> None:
    """Look for garbage seldom, and never among what the imports made: that is a twelfth of what a fetch costs."""
    gc.freeze()
    gc.set_threshold(OBJECTS_BETWEEN)


def _limit_memory() -> None:
    """No more memory than pictures need."""
    if sys.platform == "win32":
        return
    import resource

    # Not every system lets address space be limited.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _tell_without_values(
    kind: type[BaseException], _value: BaseException | None, trace: TracebackType | None
) -> None:
    """The place and the kind of a bug; its message may quote what was in a file."""
    if sys.stderr is not None and kind is not SystemExit:
        sys.stderr.write("".join([*traceback.format_tb(trace), kind.__name__, "\n"]))
