"""Asks one hospital for what is missing of a study: by name on several connections where it can, else as a whole."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from priorline.archives.base import Archive, RetrieveSummary
from priorline.archives.incoming import Receiver
from priorline.domain.fetch_order import BATCH, Batch, FetchOrder
from priorline.errors import ArchiveError
from priorline.work.finishing import Finishing
from priorline.work.wanted import Wanted


class Retrieval:
    """One study from one archive; `arrived` has the SOP Instance UIDs that came, and grows while it runs."""

    def __init__(
        self,
        archive: Archive,
        study_uid: str,
        receiver: Receiver,
        arrived: set[str],
        cancelled: Callable[[], bool],
    ) -> None:
        self._archive, self._study_uid, self._receiver = archive, study_uid, receiver
        self._arrived, self._cancelled = arrived, cancelled
        self._order: FetchOrder | None = None
        # Whether the archive has shown that it sends what is asked for by name: None as long as nothing tells.
        self._by_name: bool | None = None
        self._over = False
        self._problem: ArchiveError | None = None
        self.failed = 0
        self.messages: list[str] = []
        self.was_cancelled = False

    def prefer(self, series_uid: str, sop_uid: str) -> None:
        """Bring forward what somebody looks at."""
        if self._order is not None:
            self._order.prefer(series_uid, sop_uid)

    def stream(self) -> None:
        """Retrieve the whole study before anybody knows what is to be in it."""
        self._run_stream(None)

    def run(self, wanted: Wanted, here: set[str]) -> None:
        """Retrieve what is not `here`; raises what ended it where that left something out."""
        self._order = wanted.order(here)
        if self._order is not None and len(self._order):
            self._run_listed(self._order, wanted)
        if self._is_left(wanted, here):
            self._problem = None
            self._run_parts(wanted, here)
        if self._problem is not None and not wanted.is_in(here | self._arrived):
            raise self._problem

    def _is_left(self, wanted: Wanted, here: set[str]) -> bool:
        """Whether the study is to be asked for as a whole: nobody gave a list, or the archive does not go by it."""
        if self.was_cancelled or self._cancelled() or (self._problem is not None and self._by_name is not False):
            return False
        return not self._by_name and not wanted.is_in(here | self._arrived)

    def _run_parts(self, wanted: Wanted, here: set[str]) -> None:
        for part in wanted.parts(here | self._arrived):
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
                self._study_uid, series_uid, (), finishing, lambda: self._cancelled() or finishing.has_failed
            )
        self._note(summary)

    def _run_listed(self, order: FetchOrder, wanted: Wanted) -> None:
        lanes = max(1, min(self._archive.connections, -(-len(order) // BATCH)))
        if lanes == 1:
            self._lane(order, wanted)
            return
        with ThreadPoolExecutor(lanes, thread_name_prefix="fetch") as pool:
            for future in [pool.submit(self._lane, order, wanted) for _ in range(lanes)]:
                try:
                    future.result()
                except BaseException:
                    self._over = True
                    raise

    def _lane(self, order: FetchOrder, wanted: Wanted) -> None:
        """One connection; what its end leaves out is left to the others."""
        lane = _Lane(order, self._arrived, self._judge)
        try:
            summary = self._archive.retrieve_listed(
                self._study_uid, lane.next, wanted.classes, self._receiver, self._is_over
            )
            if summary is None:
                self._by_name = False
            else:
                lane.judge()
                self._note(summary)
        except ArchiveError as problem:
            # An archive may allow fewer connections than we open, or lose one of them.
            self._problem = self._problem or problem
        except BaseException:
            self._over = True
            raise
        finally:
            lane.settle()

    def _judge(self, asked: int, came: int) -> bool:
        """Learn from what came of a batch whether the archive goes by name; whether to go on so."""
        if came > 1:
            self._by_name = True
        elif self._by_name is None and came < asked:
            # One of many: it has read the first UID of the list only.
            self._by_name = False
        return self._by_name is not False

    def _is_over(self) -> bool:
        return self._over or self._cancelled()

    def _note(self, summary: RetrieveSummary) -> None:
        self.failed += summary.failed
        if summary.message:
            self.messages.append(summary.message)
        self.was_cancelled = self.was_cancelled or summary.cancelled


class _Lane:
    """The batches of one connection, one after another."""

    def __init__(self, order: FetchOrder, arrived: set[str], judged: Callable[[int, int], bool]) -> None:
        self._order, self._arrived, self._judged = order, arrived, judged
        self._batch: Batch | None = None

    def next(self) -> Batch | None:
        if not self.judge():
            return None
        self._batch = self._order.next()
        return self._batch

    def judge(self) -> bool:
        """Look at what the archive made of the last batch; whether to ask for more."""
        batch = self._batch
        came = sum(uid in self._arrived for uid in batch.sop_uids) if batch else 0
        goes_on = self._judged(len(batch.sop_uids) if batch else 0, came)
        self.settle()
        return goes_on

    def settle(self) -> None:
        """What of the last batch did not come is given back."""
        if self._batch is not None:
            self._order.put_back(self._batch, self._arrived)
            self._batch = None
