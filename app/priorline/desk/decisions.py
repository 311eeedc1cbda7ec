"""A person's decision whose study it is: confirmed once it is kept, taken back before that is kept."""

from datetime import UTC, datetime

from PySide6.QtCore import QObject, QTimer, Signal

from priorline.audit.trail import user_name
from priorline.desk.bridge import Bridge
from priorline.domain.identity import Identity
from priorline.domain.links import PersonLink
from priorline.domain.patient import Patient
from priorline.domain.timeline import Timeline, TimelineStudy
from priorline.errors import UsageError
from priorline.work.messages import Confirm, Event, LookAtPerson, OnRecord, RequestFailed, Revoke

NOT_KEPT = "This could not be put on record, so it does not count: {}"
NOT_TAKEN_BACK = "Closed here, but not taken back for good; it is tried again: {}"
CHANGED = "What hospitals say about this person has changed meanwhile; look again before you confirm."
AGAIN_MILLISECONDS = 2000


class Decisions(QObject):
    """What the user decides about one patient; `changed` comes when the timeline reads differently.

    `details_on_record` carries the study as it was when its details were asked for.
    """

    changed = Signal()
    failed = Signal(str)
    details_on_record = Signal(object)

    def __init__(self, bridge: Bridge, parent: QObject) -> None:
        super().__init__(parent)
        self._bridge = bridge
        self._confirming: dict[int, tuple[Timeline, tuple[PersonLink, ...]]] = {}
        self._revoking: dict[int, Revoke] = {}
        self._unkept: list[Revoke] = []
        self._looking: dict[int, TimelineStudy] = {}
        self._again = QTimer(self)
        self._again.setSingleShot(True)
        self._again.setInterval(AGAIN_MILLISECONDS)
        self._again.timeout.connect(self._revoke_again)
        bridge.heard.connect(self._take)

    def look_at_person(self, patient: Patient, study: TimelineStudy, reason: str) -> None:
        """Ask to see how holders describe a person who is perhaps `patient`; answered once that is on record."""
        number = self._bridge.next_number()
        self._looking[number] = study
        self._bridge.send(LookAtPerson(number, patient.identifier, study.study_uid, study.hospitals, reason))

    def confirm(self, timeline: Timeline, seen: TimelineStudy, reason: str) -> None:
        """Ask for a study, as somebody has seen it, to be the patient's; it counts once that is kept."""
        uid = seen.study_uid
        now = next((study for study in timeline.studies() if study.study_uid == uid), None)
        if now is None or (now.answers, now.match) != (seen.answers, seen.match):
            self.failed.emit(CHANGED)
            return
        at = datetime.now(UTC).astimezone()
        try:
            links = timeline.confirmation(uid, reason=reason, user=user_name(), at=at)
        except UsageError as problem:
            self.failed.emit(str(problem))
            return
        if not _pairs(links) & {pair for _, asked in self._confirming.values() for pair in _pairs(asked)}:
            number = self._bridge.next_number()
            self._confirming[number] = (timeline, links)
            self._bridge.send(Confirm(number, links, timeline.settled_by(links)))

    def revoke(self, timeline: Timeline, study_uid: str, reason: str) -> None:
        """Take back that a study is the patient's: its pictures are closed at once, in the cache too."""
        links = timeline.links_of(study_uid)
        if not links:
            return
        certain = {study.study_uid for study in timeline.studies() if study.match.outcome is Identity.SAME}
        for link in links:
            timeline.revoke(link)
        late = [number for number, (_, asked) in self._confirming.items() if _pairs(asked) & _pairs(links)]
        for number in late:
            del self._confirming[number]
        self.changed.emit()
        shut = [one.study_uid for one in timeline.studies() if one.match.outcome is not Identity.SAME]
        self._send_revoke(Revoke(self._bridge.next_number(), links, tuple(certain.intersection(shut)), reason))

    def close(self) -> None:
        """Another patient: what could not be taken back is tried once more, and nothing is heard any more."""
        self._bridge.heard.disconnect(self._take)
        self._revoke_again()
        # What is on its way already is still delivered, and means nobody here.
        for waiting in (self._confirming, self._looking, self._revoking):
            waiting.clear()
        self._again.stop()

    def _send_revoke(self, request: Revoke) -> None:
        self._revoking[request.number] = request
        self._bridge.send(request)

    def _revoke_again(self) -> None:
        unkept, self._unkept = self._unkept, []
        for old in unkept:
            self._send_revoke(Revoke(self._bridge.next_number(), old.links, old.study_uids, old.reason))

    def _take(self, event: Event) -> None:
        if isinstance(event, OnRecord):
            self._kept(event.number)
        elif isinstance(event, RequestFailed):
            self._not_kept(event.number, event.message)

    def _kept(self, number: int) -> None:
        if number in self._confirming:
            timeline, links = self._confirming.pop(number)
            timeline.confirm(links)
            self.changed.emit()
        elif number in self._looking:
            self.details_on_record.emit(self._looking.pop(number))
        self._revoking.pop(number, None)

    def _not_kept(self, number: int, why: str) -> None:
        if self._confirming.pop(number, None) or self._looking.pop(number, None):
            self.failed.emit(NOT_KEPT.format(why))
        elif number in self._revoking:
            self._unkept.append(self._revoking.pop(number))
            self._again.start()
            self.failed.emit(NOT_TAKEN_BACK.format(why))


def _pairs(links: tuple[PersonLink, ...]) -> set[tuple[object, ...]]:
    return {link.pair for link in links}
