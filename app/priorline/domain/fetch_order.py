"""The order in which a study is fetched: so that scrolling works early, and what is looked at comes first."""

import threading
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

# How many are asked for at once: few enough that a change of mind is followed soon, and that lanes end together;
# enough that one more question is rare: it costs a slow line five images.
BATCH_LEAST, BATCH_MOST = 8, 64
# A connection takes a moment to be agreed on; for fewer images than this one more is not worth it.
LANE_LEAST = 16
SAMPLE = 3
TRIES = 2


@dataclass(frozen=True, slots=True)
class Batch:
    """Some instances of one series, by SOP Instance UID."""

    series_uid: str
    sop_uids: tuple[str, ...]


class FetchOrder:
    """The instances still to be fetched, given out in batches to several lanes at once.

    First a sample of each series: first, middle and last image, which is all of a scout or of key images; then series
    by series, in halves of halves, so that what is here is spread evenly. `listed` has the instances of each series
    in their order, `here` those that need not be fetched. `lanes` is how many of `connections` it is worth to use. A
    batch is a lane's share of what is left, so that batches grow small towards the end (guided self-scheduling,
    Polychronopoulos and Kuck, 1987).
    """

    def __init__(self, listed: Mapping[str, Sequence[str]], here: Collection[str], connections: int = 1) -> None:
        self._lock = threading.Lock()
        self._listed = listed
        self._waiting = {series: deque(_missing(uids, here)) for series, uids in listed.items()}
        self._series = sorted(self._waiting, key=lambda series: len(listed[series]) > SAMPLE)
        self._unsampled = [series for series in self._series if self._waiting[series]]
        # A single series begins with its sample anyway.
        self._is_single = len(self._unsampled) == 1
        self._wished = ""
        self._given: Counter[str] = Counter()
        self.lanes = max(1, min(connections, -(-self._left() // LANE_LEAST)))

    def __len__(self) -> int:
        with self._lock:
            return self._left()

    def _left(self) -> int:
        return sum(map(len, self._waiting.values()))

    def next(self, come: Collection[str] = ()) -> Batch | None:
        """What to ask for next, None where nothing is left to be given out; not what has `come` unasked."""
        with self._lock:
            sample = None if self._is_single else self._sample(come)
            if sample is not None:
                return sample
            share = min(max(-(-self._left() // self.lanes), BATCH_LEAST), BATCH_MOST)
            taken = (self._take(series, share, come) for series in self._series)
            return next((batch for batch in taken if batch is not None), None)

    def few(self, come: Collection[str]) -> Batch | None:
        """What is asked for beside a stream: the sample of each series, then what was preferred since; else None."""
        with self._lock:
            while self._unsampled:
                series = self._unsampled.pop(0)
                ends = tuple(uid for uid in islice(self._waiting[series], SAMPLE) if uid not in come)
                # Of a series that is no more than its sample, all would come twice.
                if ends and len(self._listed[series]) > SAMPLE:
                    return Batch(series, ends)
            wished, self._wished = self._wished, ""
            return self._take(wished, BATCH_LEAST, come) if wished else None

    def _sample(self, come: Collection[str]) -> Batch | None:
        while self._unsampled:
            batch = self._take(self._unsampled.pop(0), SAMPLE, come)
            if batch is not None:
                return batch
        return None

    def _take(self, series: str, most: int, come: Collection[str]) -> Batch | None:
        waiting, taken = self._waiting[series], list[str]()
        while waiting and len(taken) < most:
            is_again = waiting[0] in self._given
            if is_again and taken:
                break
            uid = waiting.popleft()
            if uid not in come:
                taken.append(uid)
            if is_again and taken:
                break
        self._given.update(taken)
        return Batch(series, tuple(taken)) if taken else None

    def put_back(self, batch: Batch, come: Collection[str]) -> None:
        """What of a batch did not come is given out once more, one by one, and then given up.

        There are archives that send the first of a list only, and one that cannot be sent may cost the others.
        """
        with self._lock:
            again = [uid for uid in batch.sop_uids if uid not in come and self._given[uid] < TRIES]
            self._waiting[batch.series_uid].extendleft(reversed(again))

    def prefer(self, series_uid: str, sop_uid: str = "") -> None:
        """Bring a series to the front, and in it what lies around one instance; what is unknown changes nothing."""
        with self._lock:
            if series_uid not in self._waiting:
                return
            self._wished = series_uid
            self._series.sort(key=lambda series: series != series_uid)
            self._unsampled = [series for series in self._unsampled if series != series_uid]
            uids = self._listed[series_uid]
            if sop_uid in uids:
                place = {uid: number for number, uid in enumerate(uids)}
                waiting = self._waiting[series_uid]
                self._waiting[series_uid] = deque(sorted(waiting, key=lambda uid: abs(place[uid] - place[sop_uid])))


def _missing(uids: Sequence[str], here: Collection[str]) -> list[str]:
    return [uids[number] for number in spread(len(uids)) if uids[number] not in here]


def spread(count: int) -> Iterator[int]:
    """The numbers from 0 below `count`, each once: first, middle, last, then the middles of what lies between."""
    ends = [0, count // 2, count - 1] if count > 2 else list(range(count))
    yield from ends
    gaps = deque(pairwise(ends))
    while gaps:
        low, high = gaps.popleft()
        if high - low < 2:
            continue
        middle = (low + high) // 2
        yield middle
        gaps += [(low, middle), (middle, high)]
