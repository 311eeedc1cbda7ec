"""A person's decision whose study it is: confirmed once it is kept, taken back before that is kept."""

from collections.abc import Iterable
from datetime import UTC, datetime

from PySide6.QtCore import QObject, Signal

from priorline.audit.trail import user_name
from priorline.desk.bridge import Bridge
from priorline.domain.identity import Identity
from priorline.domain.links import PersonLink
from priorline.domain.patient import Patient
from priorline.domain.timeline import Timeline, TimelineStudy
from priorline.errors import UsageError
from priorline.work.messages import Confirm, Event, LookAtPerson, OnRecord, RequestFailed, Revoke

NOT_KEPT = "This could not be put on record, so it does not count: {}"
NOT_TAKEN_BACK = "Closed here, but not taken back for good, so do it again: {}"


class Decisions(QObject):
    """What the user decides about one patient; `changed` comes when the timeline reads differently."""

    changed = Signal()
    failed = Signal(str)
    details_on_record = Signal(str)

    def __init__(self, bridge: Bridge, parent: QObject) -> None:
        super().__init__(parent)
        self._bridge = bridge
        self._confirming: dict[int, tuple[Timeline, tuple[PersonLink, ...]]] = {}
        self._revoking: set[int] = set()
        self._looking: dict[int, str] = {}
        bridge.heard.connect(self._take)

    def look_at_person(self, patient: Patient, study: TimelineStudy, reason: str) -> None:
        """Ask to see how holders describe a person who is perhaps `patient`; answered once that is on record."""
        number = self._bridge.next_number()
        self._looking[number] = study.study_uid
        self._bridge.send(LookAtPerson(number, patient.identifier, study.study_uid, study.hospitals, reason))

    def confirm(self, timeline: Timeline, study_uid: str, reason: str) -> None:
        """Ask for the study to be the patient's; it counts once that is on record and on the disk."""
        try:
            links = timeline.confirmation(
                study_uid, reason=reason, user=user_name(), at=datetime.now(UTC).astimezone()
            )
        except UsageError as problem:
            self.failed.emit(str(problem))
            return
        number = self._bridge.next_number()
        self._confirming[number] = (timeline, links)
        self._bridge.send(Confirm(number, links, _uids(_covered(timeline, links))))

    def revoke(self, timeline: Timeline, study_uid: str, reason: str) -> None:
        """Take back that a study is the patient's: its pictures are closed at once, in the cache too."""
        links = timeline.links_of(study_uid)
        for link in links:
            timeline.revoke(link)
        self.changed.emit()
        shut = [one for one in _covered(timeline, links) if one.match.outcome is not Identity.SAME]
        number = self._bridge.next_number()
        self._revoking.add(number)
        self._bridge.send(Revoke(number, links, _uids(shut), reason))

    def close(self) -> None:
        """Hear nothing any more: another patient."""
        self._bridge.heard.disconnect(self._take)

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
        self._revoking.discard(number)

    def _not_kept(self, number: int, why: str) -> None:
        if self._confirming.pop(number, None) or self._looking.pop(number, None):
            self.failed.emit(NOT_KEPT.format(why))
        elif number in self._revoking:
            self._revoking.discard(number)
            self.failed.emit(NOT_TAKEN_BACK.format(why))


def _covered(timeline: Timeline, links: Iterable[PersonLink]) -> list[TimelineStudy]:
    """The studies that links speak of, whether or not they stand on them now."""
    links = tuple(links)
    return [
        study
        for study in timeline.studies()
        if any(link.covers(copy.hospital, copy.patient, study.study_uid) for copy in study.answers for link in links)
    ]


def _uids(studies: Iterable[TimelineStudy]) -> tuple[str, ...]:
    return tuple(study.study_uid for study in studies)
