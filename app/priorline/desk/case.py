"""The one patient of the window: the question to the hospitals, the timeline it fills, and what is in the cache.

A new patient is a new `Case`; events of an older one carry other numbers and are dropped.
"""

from collections.abc import Mapping

from PySide6.QtCore import QObject, QTimer, Signal

from priorline.config import Prefetch
from priorline.desk.bridge import Bridge
from priorline.desk.decisions import Decisions
from priorline.desk.fetch_ahead import FetchAhead
from priorline.desk.fetches import Fetches
from priorline.desk.held import Held
from priorline.desk.lull import Lull
from priorline.domain.identity import Identity
from priorline.domain.patient import Patient
from priorline.domain.region import RegionTable
from priorline.domain.study import HospitalReport, HospitalState, StudyAnswer
from priorline.domain.timeline import Timeline, TimelineStudy
from priorline.work.messages import (
    Event,
    HospitalEnded,
    Notice,
    PatientKnown,
    ReadFolder,
    Request,
    RequestFailed,
    Search,
    SearchEnded,
    StudiesFound,
)

CHANGE_MILLISECONDS = 40
COUNT_MILLISECONDS = 200
"""Nobody reads numbers that change more often."""


class Case(QObject):
    """Holds the timeline of one patient and keeps it up to date; `hospitals` says what each may send ahead."""

    changed = Signal()
    counted = Signal()
    patient_known = Signal()
    searched = Signal()
    failed = Signal(str)
    fetch_ended = Signal(object)
    instance_arrived = Signal(str, object, int, int)
    details_on_record = Signal(object)

    def __init__(
        self,
        bridge: Bridge,
        lull: Lull,
        hospitals: Mapping[str, Prefetch],
        table: RegionTable,
        parent: QObject,
        departments: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(parent)
        self._bridge, self._lull = bridge, lull
        self._hospitals, self._table = tuple(hospitals), table
        self._departments = departments
        self.timeline: Timeline | None = None
        self._fetches = Fetches(bridge, self._hospitals, self)
        known = self._fetches
        self.presence, self.reports, self.fetching = known.presence, known.reports, known.fetching
        self._ahead = FetchAhead(known, hospitals)
        self._searches: set[int] = set()
        self._current_uid = ""
        self.reason = ""
        # Many events in a moment are one change: the window redraws for what they add up to.
        self._soon, self._counting = QTimer(self), QTimer(self)
        for timer, interval in ((self._soon, CHANGE_MILLISECONDS), (self._counting, COUNT_MILLISECONDS)):
            timer.setSingleShot(True)
            timer.setInterval(interval)
        self._soon.timeout.connect(self._settle)
        self._counting.timeout.connect(self._tell_counts_in_lull)
        bridge.heard.connect(self._take)
        self._fetches.changed.connect(self._count)
        self._fetches.ended.connect(self.fetch_ended)
        self._fetches.instance_arrived.connect(self.instance_arrived)
        self._decisions = Decisions(bridge, self)
        self._decisions.changed.connect(self._decided)
        self._decisions.failed.connect(self.failed)
        self._decisions.details_on_record.connect(self.details_on_record)

    @property
    def patient(self) -> Patient | None:
        """Who the window is about."""
        return self.timeline.context if self.timeline else None

    @property
    def searching(self) -> bool:
        """True until every hospital has ended."""
        return bool(self._searches)

    def ask(self, patient: Patient | None, study_uid: str = "", reason: str = "") -> None:
        """Start the question to all hospitals."""
        self._current_uid, self.reason = study_uid, reason
        self._fetches.reason = reason
        self._send_search(Search(self._bridge.next_number(), patient, study_uid, (), reason))

    def ask_folder(self, directory: str) -> None:
        """The current study is in a folder; the hospitals are asked once its patient is known."""
        self._send_search(ReadFolder(self._bridge.next_number(), directory))

    def retry(self, hospital: str) -> None:
        """Ask one hospital again."""
        if self.timeline is None:
            return
        self.timeline.report(HospitalReport(hospital, HospitalState.ASKING))
        self._send_search(Search(self._bridge.next_number(), self.timeline.context, "", (hospital,), self.reason))
        self._change()

    def study(self, study_uid: str) -> TimelineStudy | None:
        """A study on the line."""
        studies = self.timeline.studies() if self.timeline else ()
        return next((study for study in studies if study.study_uid == study_uid), None)

    def current(self) -> TimelineStudy | None:
        """The study that is being read."""
        return self.study(self._current_uid)

    @property
    def names_current(self) -> bool:
        """Whether the launch said which study is being read."""
        return bool(self._current_uid)

    def set_current(self, study_uid: str) -> None:
        """Name the study that is being read."""
        self._current_uid = study_uid
        if self.timeline is not None:
            self.timeline.set_current(study_uid)
            self._change()

    def held(self, study_uid: str) -> Held:
        """What is known of a study's images here."""
        known = self._fetches
        stores = known.presence.get(study_uid), known.fetching.get(study_uid)
        return Held(*stores, known.reports.get(study_uid), known.ahead_reports.get(study_uid))

    def is_whole(self, study: TimelineStudy) -> bool:
        """Whether all of a study is in the cache, also counted against what hospitals say now."""
        return self._fetches.is_whole(study)

    def fetch(self, study: TimelineStudy) -> None:
        """Retrieve what is missing of a study."""
        self._fetches.start(study)

    def stop_fetch(self, study_uid: str) -> None:
        """Nobody looks at this study any more; what has arrived stays."""
        self._fetches.stop(study_uid)

    def prefer(self, study_uid: str, series_uid: str, sop_uid: str) -> None:
        """Somebody looks at this image: what is around it is to come first."""
        self._fetches.prefer(study_uid, series_uid, sop_uid)

    def discard(self, study_uid: str, handle: str) -> None:
        """An object of the cache was found damaged."""
        study = self.study(study_uid)
        if study is not None:
            self._fetches.discard(study, handle)

    def look_at_person(self, study: TimelineStudy, reason: str) -> None:
        """Somebody wants to see how hospitals describe a person who is perhaps the patient."""
        if self.patient is not None:
            self._decisions.look_at_person(self.patient, study, reason)

    def confirm(self, seen: TimelineStudy, reason: str) -> None:
        """A person says that a study in question, as it was seen, is this patient's, and why."""
        if self.timeline is not None:
            self._decisions.confirm(self.timeline, seen, reason)

    def revoke(self, study_uid: str, reason: str) -> None:
        """Take that back: its pictures close at once."""
        if self.timeline is not None:
            self._decisions.revoke(self.timeline, study_uid, reason)

    def _decided(self) -> None:
        """Nothing that is in question now is fetched any further; what the cache shows of the rest is asked anew."""
        studies = self.timeline.studies() if self.timeline else ()
        for study in studies:
            if study.match.outcome is not Identity.SAME:
                self.stop_fetch(study.study_uid)
                self.presence.pop(study.study_uid, None)
        uids = tuple(study.study_uid for study in studies if study.match.outcome is Identity.SAME)
        self._fetches.ask_presence(uids)
        self.changed.emit()

    def close(self) -> None:
        """Stop everything that was asked for this patient."""
        self._bridge.heard.disconnect(self._take)
        self._decisions.close()
        self._stop_waiting()
        self._fetches.close()
        for number in self._searches:
            self._bridge.cancel(number)
        # What is on its way already is still delivered, and means nobody here.
        self._searches.clear()

    def _send_search(self, request: Request) -> None:
        self._searches.add(request.number)
        self._bridge.send(request)

    def _take(self, event: Event) -> None:
        if event.number in self._searches:
            self._take_search(event)
        elif isinstance(event, Notice):
            self.failed.emit(event.message)

    def _tell_counts_in_lull(self) -> None:
        self._lull.call(self._tell_counts)

    def _stop_waiting(self) -> None:
        self._soon.stop()
        self._counting.stop()
        self._lull.forget(self._tell_counts)

    def _settle(self) -> None:
        """What changed in a moment is known: tell of it, and fetch ahead what is due by now."""
        self._stop_waiting()
        self.changed.emit()
        self._look_ahead()

    def _tell_counts(self) -> None:
        """As `_settle`, where nothing but counts changed."""
        self.counted.emit()
        self._look_ahead()

    def _look_ahead(self) -> None:
        if self.timeline is not None and not self.searching:
            self._ahead.look(self.timeline)

    def _change(self) -> None:
        """Hospitals or people said something: images that it shuts are shut without waiting for who scrolls."""
        if not self._soon.isActive():
            self._soon.start()

    def _count(self) -> None:
        """More of a study is here, which can wait for a moment."""
        if not self._counting.isActive():
            self._counting.start()

    def _take_search(self, event: Event) -> None:
        match event:
            case PatientKnown():
                self._know(event)
            case StudiesFound() if self.timeline:
                self._add(event.answers)
            case HospitalEnded() if self.timeline:
                self.timeline.report(event.report)
                self._change()
            case SearchEnded():
                self._end_search(event.number, "The question ended without an answer.")
            case RequestFailed():
                self._end_search(event.number, event.message)
                self.failed.emit(event.message)

    def _know(self, event: PatientKnown) -> None:
        if self.timeline is None:
            known = (event.local_numbers, event.links, self._departments)
            self.timeline = Timeline(event.patient, self._hospitals, self._table, *known)
            self.patient_known.emit()
        if event.current is not None:
            self._current_uid = event.current.study_uid
            self._add((event.current,))
            if event.current.hospital not in self._hospitals:
                self.ask(event.patient, event.current.study_uid)
        self.timeline.set_current(self._current_uid)
        self._change()

    def _add(self, answers: tuple[StudyAnswer, ...]) -> None:
        if self.timeline is None:
            return
        self.timeline.add(answers)
        self._fetches.ask_presence(answer.study_uid for answer in answers)
        self._change()

    def _end_search(self, number: int, message: str) -> None:
        """Once no question is open, no hospital is left in "asking"."""
        self._searches.discard(number)
        if self.timeline is not None and not self._searches:
            for report in self.timeline.coverage().reports:
                if report.state is HospitalState.ASKING:
                    self.timeline.report(HospitalReport(report.hospital, HospitalState.FAILED, message=message))
        self.searched.emit()
        self._change()
