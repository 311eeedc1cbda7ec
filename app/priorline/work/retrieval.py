"""Asks one hospital for what is missing of a study: by name on several connections where it can, else as a whole."""

import threading
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from priorline.archives.base import Archive, RetrieveSummary
from priorline.archives.incoming import Receiver
from priorline.domain.fetch_order import Batch, FetchOrder
from priorline.domain.study import FirstListed, StudyListing
from priorline.errors import ArchiveBroken, ArchiveError
from priorline.work.companion import Companion
from priorline.work.finishing import Finishing
from priorline.work.scout import Scout
from priorline.work.wanted import Part, Wanted

NOTHING = RetrieveSummary(0, 0, 0, 0, 0)
# So many seconds the list waits for the first image: enough where both take turns on our cores, little where the line
# is slow, which carries both at once.
LEAD = 0.08
# After so many requests by name that brought nothing, of a study of which nothing came, it is not done by name.
IN_VAIN = 2


class Retrieval:
    """One study from one archive.

    `arrived` has the SOP Instance UIDs that are here now, `came` those under which anything was sent, fit or not;
    both grow while it runs. What of it may use `scout` is to be done in a `with` of that.
    """

    def __init__(
        self,
        archive: Archive,
        study_uid: str,
        receiver: Receiver,
        arrived: set[str],
        came: set[str],
        cancelled: Callable[[], bool],
    ) -> None:
        self._archive, self._study_uid, self._receiver = archive, study_uid, receiver
        self._arrived, self._came, self._cancelled = arrived, came, cancelled
        self._order: FetchOrder | None = None
        self._preferred: tuple[str, str] | None = None
        self._companion = Companion(came)
        self.scout = Scout(self._fetch_first)
        self._over = False
        self._noting = threading.Lock()
        self._problem: ArchiveError | None = None
        self.failed = 0
        self.messages: list[str] = []
        self.was_cancelled = False

    def prefer(self, series_uid: str, sop_uid: str) -> None:
        """Bring forward what somebody looks at."""
        self._preferred = series_uid, sop_uid
        if self._order is not None:
            self._order.prefer(series_uid, sop_uid)
            self._companion.wake()

    def stream(self) -> None:
        """Retrieve the whole study before anybody knows what is to be in it."""
        try:
            self._run_stream(None)
        finally:
            self._companion.end()

    def accompany(self, wanted: Wanted) -> None:
        """While `stream` runs: bring a sample of what the list says, and what somebody looks at; ends with it."""
        order = wanted.order(self._arrived.copy(), 1)
        if order is not None:
            self._follow(order)
            # Whatever the hospital says to it, the stream and the list decide.
            self._companion.run(order, lambda next_batch: self._ask(next_batch, wanted.classes))

    def _follow(self, order: FetchOrder) -> None:
        self._order = order
        if self._preferred is not None:
            order.prefer(*self._preferred)

    def listing(self, series_uid: str, here: set[str]) -> StudyListing:
        """What the hospital lists of the study; meanwhile its first image comes, where nothing is `here` yet."""

        def on_first(first: FirstListed) -> None:
            by_name = self._archive.by_name
            if by_name and by_name.connections > 1 and not here and series_uid in ("", first.series_uid):
                self.scout(first)
                self.scout.lead(LEAD)

        try:
            # To its end also where the first image met a full disk: whoever is told so wants to know of how many.
            return self._archive.list_study(self._study_uid, on_first, self._cancelled)
        except BaseException:
            self._over = True
            raise

    def run(self, wanted: Wanted, here: set[str]) -> None:
        """Retrieve what is not `here`; raises what ended it where that left something out."""
        if self._cancelled():
            self.was_cancelled = True
            return
        if self._over:
            self.scout.wait()
        first = self.scout.sent_for
        connections = self._archive.by_name.connections if self._archive.by_name else 1
        # A series of which nothing is here comes faster as a stream, where there are streams.
        begun = self._archive.streams_studies
        order = wanted.order(here | {first.sop_uid} if first else here, connections, begun=begun)
        if order is not None:
            self._follow(order)
            self._run_listed(order, wanted)
        self.scout.wait()
        parts = self._left(wanted, here)
        if parts:
            self._problem = None
            self._run_parts(parts, wanted)
        if self._problem is not None and not wanted.is_in(here | self._arrived):
            raise self._problem

    def _left(self, wanted: Wanted, here: set[str]) -> list[Part]:
        """What is to be asked for as a whole: nobody gave a list, or the archive does not go by it."""
        now = here | self._arrived
        if self.was_cancelled or self._cancelled():
            return []
        if self._order is None:
            return wanted.parts(now)
        if self._archive.streams_studies:
            # What ended it by name need not end a stream, and of a series of which nothing came it may do better.
            return wanted.parts(now) if self._problem else wanted.streams(here, now, self._came)
        # There are archives that break off when they are asked by name.
        may_answer = self._problem is None or isinstance(self._problem, ArchiveBroken)
        is_left = may_answer and self._came <= self._scouted and not wanted.is_in(here)
        return wanted.parts(now) if is_left else []

    @property
    def _scouted(self) -> set[str]:
        """What came before anybody asked for several: who answers a single name may not do so for a list of them."""
        return {self.scout.sent_for.sop_uid} if self.scout.sent_for else set()

    def _run_parts(self, parts: Iterable[Part], wanted: Wanted) -> None:
        for part in parts:
            if self._archive.streams_studies:
                self._run_stream(part.series_uid)
            else:
                self._note(
                    self._archive.retrieve(
                        self._study_uid, part.series_uid, wanted.classes, self._receiver, self._cancelled
                    )
                )
            if self.was_cancelled:
                return

    def _run_stream(self, series_uid: str | None) -> None:
        with Finishing(self._receiver) as finishing:
            summary = self._archive.retrieve(
                self._study_uid,
                series_uid,
                (),
                finishing,
                lambda: self._cancelled() or finishing.has_failed or self._companion.has_failed,
            )
        self._note(summary)

    def _fetch_first(self, first: FirstListed) -> None:
        """Bring one image by name; what the hospital has against it is met again by whoever asks for the others."""
        batches = iter([_batch_of(first)])
        try:
            with suppress(ArchiveError):
                self._note(self._ask(lambda: next(batches, None), first.sop_classes))
        except BaseException:
            self._over = True
            raise

    def _run_listed(self, order: FetchOrder, wanted: Wanted) -> None:
        if order.lanes == 1:
            self._first_lane(order, wanted)
            return
        ended_well = []
        with ThreadPoolExecutor(order.lanes, thread_name_prefix="fetch") as pool:
            ways = [self._first_lane, *[self._lane] * (order.lanes - 1)]
            for future in [pool.submit(way, order, wanted) for way in ways]:
                try:
                    ended_well.append(future.result())
                except BaseException:
                    self._over = True
                    raise
        # What a lane gave back when it died may have found no other one that was still there.
        if any(ended_well) and self._came and not self._is_over():
            self._lane(order, wanted)

    def _first_lane(self, order: FetchOrder, wanted: Wanted) -> bool:
        """The connection that takes the place of the scout's."""
        self.scout.wait()
        first = self.scout.sent_for
        if first is not None:
            order.put_back(_batch_of(first), self._came)
        return self._lane(order, wanted)

    def _lane(self, order: FetchOrder, wanted: Wanted) -> bool:
        """One connection; what its end leaves out is left to the others. Whether it ended well."""
        if not len(order):
            return True
        lane = _Lane(order, self._came, self._scouted)
        try:
            self._note(self._ask(lane.next, wanted.classes))
            return True
        except ArchiveError as problem:
            # An archive may allow fewer connections than we open, or lose one of them.
            self._problem = self._problem or problem
            return False
        except BaseException:
            self._over = True
            raise
        finally:
            lane.settle()

    def _ask(self, next_batch: Callable[[], Batch | None], classes: Collection[str]) -> RetrieveSummary:
        by_name = self._archive.by_name
        if by_name is None:
            return NOTHING
        # The answer to each instance is waited for over the network; it does not wait for our disk as well. Nobody
        # relies on it: what is here is compared with the list in the end.
        with Finishing(self._receiver, self._came.add) as finishing:
            summary = by_name.retrieve_listed(
                self._study_uid, next_batch, classes, finishing, lambda: self._is_over() or finishing.has_failed
            )
        return summary or NOTHING

    def _is_over(self) -> bool:
        return self._over or self._companion.has_ended or self._cancelled()

    def _note(self, summary: RetrieveSummary) -> None:
        with self._noting:
            self.failed += summary.failed
            if summary.message:
                self.messages.append(summary.message)
            # A lane also ends so when another one met what ends them all; that is not somebody's wish.
            met = self._over or self._companion.has_failed
            self.was_cancelled = self.was_cancelled or (summary.cancelled and not met)


def _batch_of(first: FirstListed) -> Batch:
    return Batch(first.series_uid, (first.sop_uid,))


class _Lane:
    """The batches of one connection, one after another."""

    def __init__(self, order: FetchOrder, came: set[str], scouted: set[str]) -> None:
        self._order, self._came, self._scouted = order, came, scouted
        self._batch: Batch | None = None
        self._asked = 0

    def next(self) -> Batch | None:
        self.settle()
        if self._asked >= IN_VAIN and self._came <= self._scouted:
            return None
        self._asked += 1
        self._batch = self._order.next(self._came)
        return self._batch

    def settle(self) -> None:
        """What of the last batch did not come is given back."""
        if self._batch is not None:
            self._order.put_back(self._batch, self._came)
            self._batch = None
