"""How far a retrieval is, how fast it goes and how long it still takes, as values and in words; knows no screen.

Nothing is said before it is known: a rate needs a second, a time left also some images and how many there will be.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass

from priorline.domain.retention import size_words

RATE_SECONDS, LEFT_SECONDS = 5.0, 15.0
"""What is looked back over: soon enough for a rate, long enough for a time left that does not jump."""
LEAST_SECONDS, LEAST_IMAGES = 1.0, 3
NEAR_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class FetchProgress:
    """Where one retrieval stands: `received` of `expected` images are here (0: not known how many), `bytes` came.

    `rate` is in bytes a second and `left` in seconds, None where that is not known. `ahead` counts the retrievals
    that go before it; `prefetch` says that nobody asked for it yet.
    """

    received: int = 0
    expected: int = 0
    bytes: int = 0
    rate: float | None = None
    left: float | None = None
    ahead: int = 0
    prefetch: bool = False

    @property
    def share(self) -> float:
        """How much is here, from 0 to 1; 0 where nobody said how much there is."""
        return min(self.received / self.expected, 1.0) if self.expected else 0.0

    @property
    def counted(self) -> str:
        """ "214 of 612", "214" where nobody said how many there are, "" before the first."""
        if self.expected:
            return f"{self.received} of {self.expected}"
        return str(self.received) if self.received else ""

    @property
    def waiting(self) -> str:
        """ "waiting behind 1 study", or "" for one that is being fetched."""
        if not self.ahead:
            return ""
        return f"waiting behind {self.ahead} {'study' if self.ahead == 1 else 'studies'}"

    def told(self) -> tuple[str, ...]:
        """Its parts in words, the most needed first: images, time left, rate, amount."""
        waits = self.waiting or left_words(self.left)
        return tuple(part for part in (self._images, waits, *self._speed) if part)

    def told_beside_count(self) -> tuple[str, ...]:
        """The same for where the images are counted already: how long it takes comes first, and there is a word."""
        waits = self.waiting or left_words(self.left) or "fetching"
        return tuple(part for part in (waits, self._images, *self._speed) if part)

    @property
    def _images(self) -> str:
        noun = "image" if (self.expected or self.received) == 1 else "images"
        return f"{self.counted} {noun}" if self.counted else ""

    @property
    def _speed(self) -> tuple[str, str]:
        rate = "" if self.ahead or self.rate is None or not self.bytes else rate_words(self.rate)
        return rate, size_words(self.bytes) if self.bytes else ""


class Pace:
    """Remembers what came when, over the last seconds; `clock` gives seconds that only grow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, int, int]] = deque()

    def note(self, received: int, count: int) -> None:
        """So many images and bytes are here now."""
        now, seen = self._clock(), self._seen
        if len(seen) > 1 and now - seen[-2][0] < NEAR_SECONDS:
            seen.pop()
        seen.append((now, received, count))
        self._forget(now)

    def rate(self) -> float | None:
        """Bytes a second over the last seconds; 0.0 where nothing comes, None before it is known."""
        span, _images, count = self._over(RATE_SECONDS)
        return count / span if span >= LEAST_SECONDS else None

    def left(self, missing: int) -> float | None:
        """Seconds until so many more images are here, None where that is not known."""
        span, images, _count = self._over(LEFT_SECONDS)
        if missing <= 0 or span < LEAST_SECONDS or images < LEAST_IMAGES:
            return None
        return missing * span / images

    def _over(self, seconds: float) -> tuple[float, int, int]:
        """How long is looked back over, at most about that long, and what came in it."""
        now, seen = self._clock(), self._seen
        self._forget(now)
        if not seen:
            return 0.0, 0, 0
        begin = next((one for one in reversed(seen) if one[0] <= now - seconds), seen[0])
        # Silence before the span is not counted in: what came later came in the span.
        span = min(now - begin[0], max(seconds, LEAST_SECONDS))
        return span, seen[-1][1] - begin[1], seen[-1][2] - begin[2]

    def _forget(self, now: float) -> None:
        """Keep what is looked back over, and the last before it."""
        while len(self._seen) > 1 and self._seen[1][0] <= now - LEFT_SECONDS:
            self._seen.popleft()


def rate_words(rate: float) -> str:
    """ "12 MB/s", "1.4 MB/s", "0 kB/s"."""
    for unit, name in ((10**9, "GB"), (10**6, "MB")):
        if rate >= unit:
            return f"{rate / unit:.{0 if rate >= 10 * unit else 1}f} {name}/s"
    return f"{rate / 1000:.0f} kB/s"


def left_words(seconds: float | None) -> str:
    """ "about 20 s", "about 3 min"; "" where it is not known. Rounded up, as nobody minds being early."""
    if seconds is None:
        return ""
    if seconds <= 5:
        return "a few seconds"
    if seconds <= 60:
        return f"about {math.ceil(seconds / 5) * 5} s"
    if seconds <= 3600:
        return f"about {math.ceil(seconds / 60)} min"
    return f"about {math.ceil(seconds / 3600)} h"


def together(several: Collection[FetchProgress]) -> FetchProgress:
    """All of them as one; the time left is known only where each tells its own."""
    rates = [one.rate for one in several if one.rate is not None]
    lefts = [one.left for one in several]
    known = [left for left in lefts if left is not None]
    return FetchProgress(
        received=sum(one.received for one in several),
        expected=sum(one.expected for one in several) if all(one.expected for one in several) else 0,
        bytes=sum(one.bytes for one in several),
        rate=sum(rates) if rates else None,
        left=max(known) if known and len(known) == len(lefts) else None,
        prefetch=all(one.prefetch for one in several),
    )
