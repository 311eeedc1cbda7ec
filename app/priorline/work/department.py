"""What was fetched elsewhere is handed on to the department's own archives, as it was received.

What is still owed to an archive stands in the cache's own sealed record of the study, so that it outlives a killed
process, is named nowhere in clear, and goes with the study. It is paid off after the fetch, and by the next start.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from priorline.archives.base import dataset_of
from priorline.archives.dicom_store import COERCED, DicomStorage, Outgoing, is_stored
from priorline.audit.trail import AuditEvent
from priorline.cache.model import StoredInstance
from priorline.domain.study import FetchReport
from priorline.errors import EnvironmentFault
from priorline.work.fetch import decode_header
from priorline.work.hospitals import Hospital
from priorline.work.session import Session

REASON = "kept for the department"


@dataclass(frozen=True, slots=True)
class Filled:
    """What one department's archive took of one study; `message` is a sentence where not all of it is there.

    `sent` counts images that it took now, `already` those that it had, `refused` those that it will not have.
    """

    study_uid: str
    department: str
    sent: int = 0
    already: int = 0
    refused: int = 0
    message: str = ""


class Turn:
    """When the next image may go, and whether to try again; this one never waits, and goes on only after progress."""

    def wait(self) -> None:
        """Hold an image back as long as others go first."""

    def pause(self) -> bool:
        """Wait before a try that follows one without progress; False gives up."""
        return False

    def is_over(self) -> bool:
        """Whether nothing more is to be sent."""
        return False


def owe(session: Session, report: FetchReport) -> tuple[str, ...]:
    """Note what a fetch brought as owed to the department's archives, but not to where it is from; their names."""
    names = tuple(one.name for one in departments_of(session) if one.name != report.hospital)
    if not report.received or not names:
        return ()
    session.store.owe(report.study_uid, names)
    return names


def departments_of(session: Session) -> tuple[Hospital, ...]:
    """The archives of our own department that can be written to."""
    return tuple(one for one in session.hospitals if one.storage is not None)


def fill(session: Session, reports: Sequence[FetchReport]) -> list[Filled]:
    """Hand on what these fetches brought and wait for it; what fails stays owed. Raises nothing of the world."""
    filled = []
    for report in reports:
        try:
            owed = owe(session, report)
        except EnvironmentFault as problem:
            filled += [Filled(report.study_uid, one.name, message=str(problem)) for one in departments_of(session)]
            continue
        filled += [pay(session, one, report.study_uid, Turn()) for one in departments_of(session) if one.name in owed]
    return filled


def pay(session: Session, department: Hospital, study_uid: str, turn: Turn) -> Filled:
    """Hand one study on to one archive until all of it is there, and note that nothing is owed any more."""
    handing_on = _HandingOn(session, department, study_uid, turn)
    while True:
        before = handing_on.answered
        try:
            handing_on.go_on()
            if not turn.is_over():
                session.store.settle(study_uid, department.name)
            return handing_on.told("")
        except EnvironmentFault as problem:
            message = str(problem)
        # One that breaks off again and again, but takes something each time, comes to its end, too.
        if turn.is_over() or (handing_on.answered == before and not turn.pause()):
            return handing_on.told(f"{department.name} was not filled with all that was fetched. {message}")


class _HandingOn:
    """One study on its way to one archive, over as many associations as it takes."""

    def __init__(self, session: Session, department: Hospital, study_uid: str, turn: Turn) -> None:
        assert department.storage is not None  # noqa: S101 - `departments_of` gives no other
        self._storage: DicomStorage = department.storage
        self._session, self._name, self._uid = session, department.name, study_uid
        self._turn = turn
        self._statuses: dict[str, int] = {}
        self._already: set[str] = set()
        self._withheld = False

    @property
    def answered(self) -> int:
        """How many images the archive has given an answer to."""
        return len(self._statuses)

    def go_on(self) -> None:
        """Send what the archive neither has nor has answered; raises EnvironmentFault where that comes to no end."""
        instances = self._here()
        if not instances:
            return
        self._already |= self._storage.held(self._uid) - self._statuses.keys()
        missing = [one for one in instances if one.sop_uid not in self._already | self._statuses.keys()]
        if not missing:
            return
        self._write_audit(missing)
        self._storage.store([self._outgoing(one) for one in missing], self._take, self._is_over)

    def told(self, message: str) -> Filled:
        """What came of it; what the archive refused or changed is said, too."""
        statuses = self._statuses.values()
        refused = [status for status in statuses if not is_stored(status)]
        notes = [message] if message else []
        if refused:
            codes = ", ".join(sorted({f"{status:04X}" for status in refused}))
            notes.append(f"{self._name} refused {_images(len(refused))} (status {codes}).")
        if changed := sum(status == COERCED for status in statuses):
            notes.append(f"{self._name} says that it changed {_images(changed)}; have its IT department stop that.")
        sent = self.answered - len(refused)
        here = {one.sop_uid for one in self._here_if_possible()}
        return Filled(self._uid, self._name, sent, len(self._already & here), len(refused), " ".join(notes))

    def _here(self) -> list[StoredInstance]:
        """What may be shown: nothing that was set apart, nothing of a study that is held back."""
        return self._session.store.instances(self._uid)

    def _here_if_possible(self) -> list[StoredInstance]:
        with suppress(EnvironmentFault):
            return self._here()
        return []

    def _outgoing(self, instance: StoredInstance) -> Outgoing:
        header = decode_header(self._session.store.header(instance))
        return Outgoing(header.sop_class, instance.sop_uid, header.transfer_syntax, partial(self._load, instance))

    def _is_over(self) -> bool:
        return self._withheld or self._turn.is_over()

    def _load(self, instance: StoredInstance) -> bytes:
        self._turn.wait()
        # Somebody may have taken back whose it is since we began.
        self._withheld = not self._session.store.presence((self._uid,))[self._uid].images
        return dataset_of(self._session.store.read(instance))

    def _take(self, one: Outgoing, status: int) -> None:
        self._statuses[one.sop_instance_uid] = status

    def _write_audit(self, missing: Sequence[StoredInstance]) -> None:
        header = decode_header(self._session.store.header(missing[0]))
        identifier = header.patient.identifier
        self._session.trail.record(
            AuditEvent.TRANSFERRED,
            reason=REASON,
            action="stored",
            hospital=self._name,
            patient_id=identifier.value,
            issuer=identifier.issuer,
            study=self._uid,
            instances=len(missing),
        )


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"
