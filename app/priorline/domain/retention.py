"""Which studies a cache lets go of: age since last viewed, its size, the room left on the disk."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

GRACE = timedelta(hours=1)
# A fetch that brings nothing for so long is over, or is begun anew.
FETCHING = timedelta(minutes=10)
OPEN = "open in a window"
PINNED = "pinned"


class Held(Protocol):
    """What the decision needs to know of a stored study."""

    @property
    def handle(self) -> str: ...
    @property
    def bytes(self) -> int: ...
    @property
    def fetched_at(self) -> datetime: ...
    @property
    def viewed_at(self) -> datetime: ...
    @property
    def pinned(self) -> bool: ...
    @property
    def complete(self) -> bool: ...


S = TypeVar("S", bound=Held)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a cache may keep; None is no limit.

    `max_age` counts since last viewed, `max_size` is the whole cache in bytes, `min_free` the bytes that stay free on
    the disk. What was fetched less than `grace` ago stays, so that nothing vanishes while somebody waits for it.
    """

    max_age: timedelta | None = None
    max_size: int | None = None
    min_free: int | None = None
    grace: timedelta = GRACE


@dataclass(frozen=True, slots=True)
class CleanPlan(Generic[S]):
    """What a cleaning removes, and what it would have removed but for the reason given in words."""

    removed: tuple[tuple[S, str], ...]
    kept: tuple[tuple[S, str], ...]

    @property
    def freed_bytes(self) -> int:
        """Bytes of the instances that go."""
        return sum(study.bytes for study, _reason in self.removed)


def plan_cleaning(
    oldest_first: Iterable[S],
    now: datetime,
    limits: Limits,
    size: int,
    free_bytes: int,
    spared: Collection[str] = (),
) -> CleanPlan[S]:
    """Decide what goes: first what is too old, then the longest unviewed until size and free room are met.

    `oldest_first` are all studies, longest unviewed first; no more of them are looked at than are due. `size` is what
    all of them take. `spared` are the handles of studies open in a window. Those, pinned, just fetched ones and ones
    that are being fetched are never removed.
    """
    removed: list[tuple[S, str]] = []
    kept: list[tuple[S, str]] = []
    for study in oldest_first:
        reason = _reason(study, now, limits, size, free_bytes)
        if not reason:
            break  # all that follow were viewed later
        protection = _protection(study, now, limits, spared)
        if protection:
            kept.append((study, protection))
            continue
        removed.append((study, reason))
        size -= study.bytes
        free_bytes += study.bytes
    return CleanPlan(tuple(removed), tuple(kept))


def last_used(study: Held) -> datetime:
    """When a study was last fetched or viewed."""
    return max(study.viewed_at, study.fetched_at)


def expires_at(study: Held, max_age: timedelta | None) -> datetime | None:
    """When a study becomes too old; None where it never does."""
    return None if max_age is None or study.pinned else last_used(study) + max_age


def _protection(study: Held, now: datetime, limits: Limits, spared: Collection[str]) -> str:
    if study.handle in spared:
        return OPEN
    if study.pinned:
        return PINNED
    since = now - study.fetched_at
    if not study.complete and since < FETCHING:
        return "being fetched"
    if since < limits.grace:
        return f"fetched within the last {_duration(limits.grace)}"
    return ""


def _reason(study: Held, now: datetime, limits: Limits, size: int, free_bytes: int) -> str:
    if limits.max_age is not None and now - last_used(study) > limits.max_age:
        return f"older than {_duration(limits.max_age)}"
    if limits.max_size is not None and size > limits.max_size:
        return f"the cache is larger than {size_words(limits.max_size)}"
    if limits.min_free is not None and free_bytes < limits.min_free:
        return f"less than {size_words(limits.min_free)} free on the disk"
    return ""


def _duration(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds and seconds % unit == 0:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"


def size_words(count: int) -> str:
    """ "1.25 GB", "312 MB", "17 bytes"."""
    for unit, name in ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= unit:
            amount = count / unit
            return f"{amount:.3g} {name}" if amount < 1000 else f"{amount:.0f} {name}"
    return f"{count} bytes"
