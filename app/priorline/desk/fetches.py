"""What of a patient's studies is in the cache, and the retrievals that bring the rest, one holder after another."""

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

from PySide6.QtCore import QObject, QTimer, Signal

from priorline.desk.bridge import Bridge
from priorline.domain.study import FetchReport, FetchState, StudyAnswer, measured_by
from priorline.domain.timeline import TimelineStudy
from priorline.work.messages import (
    AskPresence,
    Discard,
    Event,
    Fetch,
    FetchEnded,
    FetchPlace,
    InstanceArrived,
    PresenceItem,
    PresenceKnown,
    RequestFailed,
)
from priorline.work.progress import FetchProgress, Pace

TICK_MILLISECONDS = 1000
"""How often rate and time left are said anew; more often they could not be read."""


@dataclass(slots=True)
class _Asked:
    """One open retrieval; `stopped` where nobody waits for it any more."""

    holder: StudyAnswer
    prefetch: bool
    stopped: bool = False

    @property
    def study_uid(self) -> str:
        return self.holder.study_uid


class Fetches(QObject):
    """The cache and the retrievals as one patient's window sees them; `changed` comes with every count.

    `fetching` has what is on its way or waits for its turn, `reports` how retrievals ended that somebody asked for,
    `ahead_reports` those that nobody did. `clock` gives seconds that only grow.
    """

    changed = Signal()
    ended = Signal(object)
    instance_arrived = Signal(str, object, int, int)

    def __init__(
        self,
        bridge: Bridge,
        hospitals: tuple[str, ...],
        parent: QObject,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(parent)
        self._bridge, self._hospitals, self._clock = bridge, hospitals, clock
        self.reason = ""
        self.presence: dict[str, PresenceItem] = {}
        self.reports: dict[str, FetchReport] = {}
        self.ahead_reports: dict[str, FetchReport] = {}
        self.fetching: dict[str, FetchProgress] = {}
        self._paces: dict[str, Pace] = {}
        self._asked: dict[int, _Asked] = {}
        self._presence_asked: dict[int, tuple[str, ...]] = {}
        self._waiting: dict[str, TimelineStudy] = {}
        self._holders: dict[str, list[StudyAnswer]] = {}
        self._found_damaged: set[str] = set()
        self._ticking = QTimer(self)
        self._ticking.setInterval(TICK_MILLISECONDS)
        self._ticking.timeout.connect(self.tick)
        bridge.heard.connect(self._take)

    def ask_presence(self, study_uids: Iterable[str]) -> None:
        """Ask how much of these studies is in the cache."""
        request = AskPresence(self._bridge.next_number(), tuple(study_uids))
        self._presence_asked[request.number] = request.study_uids
        self._bridge.send(request)

    def is_whole(self, study: TimelineStudy) -> bool:
        """Whether all of a study is in the cache, also counted against what hospitals say now."""
        here = self.presence.get(study.study_uid)
        return bool(here and here.complete and here.images >= (study.images or 0))

    def start(self, study: TimelineStudy) -> None:
        """A person wants this study: retrieve it, unless nothing is missing, before all that was wanted before."""
        uid = study.study_uid
        if self._numbers(uid):
            self._hurry(study)
        elif uid not in self.presence:
            self._waiting[uid] = study
        elif not self.is_whole(study):
            self._holders[uid] = self._copies(study)
            self._ask_next_holder(uid)

    def start_ahead(self, study: TimelineStudy, holders: Collection[StudyAnswer]) -> bool:
        """Nobody wants this study yet, but somebody may: retrieve it behind all else; False where it is not known
        what of it is here."""
        uid = study.study_uid
        if uid not in self.presence:
            return False
        if not self.is_whole(study) and not self._numbers(uid) and uid not in self.reports:
            self._holders[uid] = list(holders)
            self._ask_next_holder(uid, prefetch=True)
        return True

    def stop(self, study_uid: str) -> None:
        """Nobody looks at this study any more; what has arrived stays."""
        for waiting in (self._waiting, self._holders, self.fetching, self._paces):
            waiting.pop(study_uid, None)
        for number in self._numbers(study_uid):
            self._stop(number)

    def stop_ahead(self, kept: Collection[str]) -> None:
        """Stop what is retrieved without anybody's asking, but for these studies."""
        for uid in {asked.study_uid for asked in self._asked.values() if asked.prefetch and not asked.stopped}:
            if uid not in kept:
                self.stop(uid)

    def prefer(self, study_uid: str, series_uid: str, sop_uid: str) -> None:
        """Somebody looks at this image: what is around it is to come first, while the study is being retrieved."""
        if self._numbers(study_uid):
            self._bridge.prefer(study_uid, series_uid, sop_uid)

    def discard(self, study: TimelineStudy, handle: str) -> None:
        """An object was found damaged: it is taken out of the cache, and fetched again where somebody holds it.

        Fetched by itself only once for each study, as a disk that damages again would never let it end.
        """
        uid = study.study_uid
        if uid not in self._found_damaged:
            self._found_damaged.add(uid)
            self.presence.pop(uid, None)
            self._waiting[uid] = study
        request = Discard(self._bridge.next_number(), uid, (handle,))
        self._presence_asked[request.number] = (uid,)
        self._bridge.send(request)

    def close(self) -> None:
        """Stop everything: another patient."""
        self._ticking.stop()
        self._bridge.heard.disconnect(self._take)
        for number in self._asked:
            self._bridge.cancel(number)
        # What is on its way already is still delivered, and means nobody here.
        for waiting in (self._asked, self._presence_asked, self._waiting, self._holders, self.fetching):
            waiting.clear()

    def tick(self) -> None:
        """Say anew how fast it goes."""
        for uid, progress in self.fetching.items():
            pace = self._paces[uid]
            left = pace.left(progress.expected - progress.received)
            known = (None, None) if progress.ahead else (pace.rate(), left)
            self.fetching[uid] = replace(progress, rate=known[0], left=known[1])
        if self.fetching:
            self.changed.emit()
        else:
            self._ticking.stop()

    def _numbers(self, uid: str) -> list[int]:
        """The open requests for a study that somebody or something waits for."""
        return [number for number, asked in self._asked.items() if asked.study_uid == uid and not asked.stopped]

    def _copies(self, study: TimelineStudy) -> list[StudyAnswer]:
        # A folder holds nothing more: all there is was taken in at once.
        return [copy for copy in study.holders if copy.hospital in self._hospitals]

    def _stop(self, number: int) -> None:
        self._asked[number].stopped = True
        self._bridge.cancel(number)

    def _hurry(self, study: TimelineStudy) -> None:
        """It is on its way: the same asked for once more goes before what was asked for since, and loses nothing."""
        uid = study.study_uid
        numbers = self._numbers(uid)
        asked = self._asked[numbers[0]]
        if asked.prefetch:
            self._holders[uid] = [copy for copy in self._copies(study) if copy.hospital != asked.holder.hospital]
        self._send(asked.holder, prefetch=False)
        self.fetching[uid] = replace(self.fetching[uid], prefetch=False)
        # Only now: without anybody who waits for it, it would end.
        for number in numbers:
            self._stop(number)
        self.changed.emit()

    def _ask_next_holder(self, uid: str, *, prefetch: bool = False) -> bool:
        """Retrieve from the next hospital that holds the study; false where none is left."""
        if not self._holders.get(uid):
            return False
        holder = self._holders[uid].pop(0)
        here = self.presence.get(uid)
        self._begin(uid, FetchProgress(here.images if here else 0, holder.images or 0, prefetch=prefetch))
        for reports in (self.reports, self.ahead_reports):
            reports.pop(uid, None)
        self._send(holder, prefetch=prefetch)
        self.changed.emit()
        return True

    def _send(self, holder: StudyAnswer, *, prefetch: bool) -> None:
        number = self._bridge.next_number()
        self._asked[number] = _Asked(holder, prefetch)
        reason = (
            f"prefetch of a suggested prior{f': {self.reason}' if self.reason else ''}" if prefetch else self.reason
        )
        self._bridge.send(Fetch(number, holder, reason=reason, prefetch=prefetch))

    def _begin(self, uid: str, progress: FetchProgress) -> None:
        self.fetching[uid] = progress
        pace = self._paces[uid] = Pace(self._clock)
        pace.note(progress.received, progress.bytes)
        self._ticking.start()

    def _take(self, event: Event) -> None:
        if event.number in self._presence_asked:
            uids = self._presence_asked.pop(event.number)
            # Where the cache did not say, nothing of it counts as here: what is here is not sent again.
            absent = dict.fromkeys(uids, PresenceItem(0, complete=False))
            self._take_presence(event.studies if isinstance(event, PresenceKnown) else absent)
        elif event.number in self._asked:
            self._take_fetch(event, self._asked[event.number])

    def _take_presence(self, studies: dict[str, PresenceItem]) -> None:
        self.presence.update(studies)
        for uid in studies:
            # What is asked for again while it is fetched was found damaged: it is missing when that has ended.
            study = None if self._numbers(uid) else self._waiting.pop(uid, None)
            if study is not None:
                self.start(study)
        self.changed.emit()

    def _take_fetch(self, event: Event, asked: _Asked) -> None:
        uid = asked.study_uid
        match event:
            case FetchPlace():
                self._take_place(asked, event.ahead)
            case InstanceArrived():
                self._take_instance(asked, event)
            case FetchEnded():
                self._end(event.number, event.report)
            case RequestFailed():
                failed = FetchReport(uid, asked.holder.hospital, FetchState.FAILED, message=event.message)
                self._end(event.number, failed)

    def _take_place(self, asked: _Asked, ahead: int) -> None:
        progress = self.fetching.get(asked.study_uid)
        if progress is None or asked.stopped:
            return
        # How fast it went before it had to wait says nothing of now.
        self._begin(asked.study_uid, replace(progress, ahead=ahead, rate=None, left=None))
        self.changed.emit()

    def _take_instance(self, asked: _Asked, event: InstanceArrived) -> None:
        uid = asked.study_uid
        progress = self.fetching.get(uid)
        if progress is not None:
            counted = replace(progress, received=event.received, expected=event.expected, bytes=event.bytes)
            self.fetching[uid] = counted
            self._paces[uid].note(event.received, event.bytes)
        self.presence[uid] = PresenceItem(event.received, complete=False, hospital=asked.holder.hospital)
        self.instance_arrived.emit(uid, event.instance, event.received, event.expected)
        self.changed.emit()

    def _end(self, number: int, report: FetchReport) -> None:
        uid = report.study_uid
        asked = self._asked.pop(number)
        if asked.stopped:
            self.ask_presence((uid,))
            return
        for over in (self.fetching, self._paces):
            over.pop(uid, None)
        report = measured_by(report, self._holders.get(uid, ()))
        whole = report.state is FetchState.COMPLETE
        # What came ahead in part is enough, where nobody asked; what did not come at all may come from another.
        again = not whole and (not asked.prefetch or report.state is FetchState.FAILED)
        if again and self._ask_next_holder(uid, prefetch=asked.prefetch):
            return
        (self.ahead_reports if asked.prefetch else self.reports)[uid] = report
        self.ask_presence((uid,))
        self.ended.emit(report)
        self.changed.emit()
