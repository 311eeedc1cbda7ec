"""What of a patient's studies is in the cache, and the retrievals that bring the rest, one holder after another."""

from collections.abc import Iterable
from typing import NamedTuple

from PySide6.QtCore import QObject, Signal

from priorline.desk.bridge import Bridge
from priorline.domain.study import FetchReport, FetchState, StudyAnswer, measured_by
from priorline.domain.timeline import TimelineStudy
from priorline.work.messages import (
    AskPresence,
    Discard,
    Event,
    Fetch,
    FetchEnded,
    InstanceArrived,
    PresenceItem,
    PresenceKnown,
    RequestFailed,
)


class _Asked(NamedTuple):
    """One open retrieval."""

    study_uid: str
    hospital: str


class Fetches(QObject):
    """The cache and the retrievals as one patient's window sees them; `changed` comes with every count."""

    changed = Signal()
    ended = Signal(object)
    instance_arrived = Signal(str, object, int, int)

    def __init__(self, bridge: Bridge, hospitals: tuple[str, ...], parent: QObject) -> None:
        super().__init__(parent)
        self._bridge, self._hospitals = bridge, hospitals
        self.reason = ""
        self.presence: dict[str, PresenceItem] = {}
        self.reports: dict[str, FetchReport] = {}
        self.fetching: dict[str, tuple[int, int]] = {}
        self._asked: dict[int, _Asked] = {}
        self._stopped: set[int] = set()
        self._presence_asked: dict[int, tuple[str, ...]] = {}
        self._waiting: dict[str, TimelineStudy] = {}
        self._holders: dict[str, list[StudyAnswer]] = {}
        self._found_damaged: set[str] = set()
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
        """Retrieve a study, as soon as it is known what of it is here, unless nothing is missing."""
        uid = study.study_uid
        if uid not in self.presence or self._is_fetching(uid):
            self._waiting[uid] = study
        elif not self.is_whole(study):
            # A folder holds nothing more: all there is was taken in at once.
            self._holders[uid] = [copy for copy in study.holders if copy.hospital in self._hospitals]
            self._ask_next_holder(uid)

    def stop(self, study_uid: str) -> None:
        """Nobody looks at this study any more; what has arrived stays."""
        self._waiting.pop(study_uid, None)
        self._holders.pop(study_uid, None)
        self.fetching.pop(study_uid, None)
        for number, asked in self._asked.items():
            if asked.study_uid == study_uid and number not in self._stopped:
                self._stopped.add(number)
                self._bridge.cancel(number)

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
        self._bridge.heard.disconnect(self._take)
        for number in self._asked:
            self._bridge.cancel(number)
        # What is on its way already is still delivered, and means nobody here.
        for waiting in (self._asked, self._presence_asked, self._waiting, self._holders):
            waiting.clear()

    def _is_fetching(self, uid: str) -> bool:
        return any(asked.study_uid == uid for number, asked in self._asked.items() if number not in self._stopped)

    def _ask_next_holder(self, uid: str) -> bool:
        """Retrieve from the next hospital that holds the study; false where none is left."""
        if not self._holders.get(uid):
            return False
        holder = self._holders[uid].pop(0)
        here = self.presence.get(uid)
        number = self._bridge.next_number()
        self._asked[number] = _Asked(uid, holder.hospital)
        self.fetching[uid] = (here.images if here else 0, holder.images or 0)
        self.reports.pop(uid, None)
        self._bridge.send(Fetch(number, holder, reason=self.reason))
        self.changed.emit()
        return True

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
            study = self._waiting.pop(uid, None)
            if study is not None:
                self.start(study)
        self.changed.emit()

    def _take_fetch(self, event: Event, asked: _Asked) -> None:
        uid = asked.study_uid
        match event:
            case InstanceArrived():
                if event.number not in self._stopped:
                    self.fetching[uid] = (event.received, event.expected)
                self.presence[uid] = PresenceItem(event.received, complete=False, hospital=asked.hospital)
                self.instance_arrived.emit(uid, event.instance, event.received, event.expected)
                self.changed.emit()
            case FetchEnded():
                self._end(event.number, event.report)
            case RequestFailed():
                self._end(event.number, FetchReport(uid, asked.hospital, FetchState.FAILED, message=event.message))

    def _end(self, number: int, report: FetchReport) -> None:
        uid = report.study_uid
        self._asked.pop(number)
        if number in self._stopped:
            self._stopped.discard(number)
            self.ask_presence((uid,))
            return
        self.fetching.pop(uid, None)
        report = measured_by(report, self._holders.get(uid, ()))
        if report.state is not FetchState.COMPLETE and self._ask_next_holder(uid):
            return
        self.reports[uid] = report
        self.ask_presence((uid,))
        self.ended.emit(report)
        self.changed.emit()
