"""One question to all hospitals at once, each in a lane of its own, and every one ends in a named state."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from priorline.archives.base import Archive, FindSummary
from priorline.audit.trail import AuditEvent, AuditTrail
from priorline.domain.identity import Identity, compare
from priorline.domain.patient import Patient
from priorline.domain.study import HospitalReport, HospitalState, StudyAnswer, in_fetch_order
from priorline.errors import (
    ArchiveError,
    ArchiveRefused,
    ArchiveTimedOut,
    AuditError,
    EnvironmentFault,
    UsageError,
)
from priorline.work.hospitals import Hospital

# How long a hospital that has the current study may be contradicted by others before it is believed.
SECOND_OPINION_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Listener:
    """Who hears of a search; both are called from the hospitals' lanes."""

    on_studies: Callable[[tuple[StudyAnswer, ...]], None]
    on_report: Callable[[HospitalReport], None]


def search(
    hospitals: Sequence[Hospital],
    patient: Patient,
    listener: Listener,
    trail: AuditTrail,
    cancelled: Callable[[], bool] = lambda: False,
    reason: str = "",
) -> None:
    """Ask all of `hospitals` for the studies of `patient`; returns when every one has ended."""
    unwritten = _write_queries(hospitals, patient, trail, reason)
    lanes = [
        threading.Thread(
            target=_ask,
            args=(hospital, patient, listener, cancelled, unwritten),
            name=f"ask {index}",
            daemon=True,
        )
        for index, hospital in enumerate(hospitals)
    ]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()


def find_current(hospitals: Sequence[Hospital], study_uid: str, trail: AuditTrail) -> StudyAnswer | None:
    """The study with this UID, from the first hospital in the configuration that has it; all are asked at once.

    It decides whose studies are looked for, so those that answer soon after the first are heard too; raises
    EnvironmentFault where they name different people.
    """
    found: dict[str, StudyAnswer] = {}
    somebody = threading.Event()
    if _write_lookups(hospitals, study_uid, trail):
        raise EnvironmentFault("Nobody was asked about this study, because the audit trail cannot be written.")

    def look(hospital: Hospital) -> None:
        try:
            answer = _look_up(hospital, study_uid)
        except EnvironmentFault:
            return  # The search that follows gives this hospital its state.
        if answer is not None:
            found[hospital.name] = answer
            somebody.set()

    lanes = [threading.Thread(target=look, args=(hospital,), daemon=True) for hospital in hospitals]
    for lane in lanes:
        lane.start()
    while not somebody.wait(0.02) and any(lane.is_alive() for lane in lanes):
        pass
    until = time.monotonic() + SECOND_OPINION_SECONDS
    for lane in lanes:
        lane.join(max(0.0, until - time.monotonic()))
    # A copy in the department's archive has the number of some hospital, so it decides only where none of them does.
    ordered = sorted(hospitals, key=lambda hospital: hospital.is_department)
    answers = [found[hospital.name] for hospital in ordered if hospital.name in found]
    if any(_contradicts(answers[0].patient, other.patient) for other in answers[1:]):
        raise EnvironmentFault("Hospitals disagree about whose study this is; give the patient's number instead.")
    return answers[0] if answers else None


def _contradicts(one: Patient, other: Patient) -> bool:
    """Whether two descriptions cannot be one person, whatever numbers their hospitals gave."""
    return compare(replace(one, identifier=other.identifier), other).outcome is Identity.CONFLICT


@dataclass(frozen=True, slots=True)
class Holders:
    """Who holds a study, in the order to fetch from, and why others could not say."""

    found: tuple[tuple[Hospital, StudyAnswer], ...]
    problems: tuple[str, ...]


def find_holders(hospitals: Sequence[Hospital], study_uid: str, trail: AuditTrail) -> Holders:
    """Ask all of `hospitals` at once for one study; returns when every one has ended."""
    found: list[tuple[Hospital, StudyAnswer]] = []
    problems: list[str] = []
    unwritten = _write_lookups(hospitals, study_uid, trail)
    if unwritten:
        return Holders((), (unwritten,))

    def look(hospital: Hospital) -> None:
        try:
            answer = _look_up(hospital, study_uid)
        except EnvironmentFault as problem:
            problems.append(str(problem))
            return
        if answer is not None:
            found.append((hospital, answer))

    lanes = [threading.Thread(target=look, args=(hospital,), daemon=True) for hospital in hospitals]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    by_name = {hospital.name: hospital for hospital in hospitals}
    rows = {hospital.name: answer for hospital, answer in found}
    departments = [hospital.name for hospital in hospitals if hospital.is_department]
    # Those with equally many images stay in the order of the configuration.
    ordered = in_fetch_order((rows[name] for name in by_name if name in rows), departments)
    return Holders(tuple((by_name[row.hospital], row) for row in ordered), tuple(sorted(problems)))


def _look_up(hospital: Hospital, study_uid: str) -> StudyAnswer | None:
    return None if hospital.archive is None else hospital.archive.find_study(study_uid)


def _write_lookups(hospitals: Sequence[Hospital], study_uid: str, trail: AuditTrail) -> str:
    """Put the questions for one study on record before the first goes out; why that failed, or ""."""
    acts = [{"hospital": hospital.name, "study": study_uid} for hospital in hospitals if hospital.archive is not None]
    return _written(trail, acts, "")


def _ask(
    hospital: Hospital,
    patient: Patient,
    listener: Listener,
    cancelled: Callable[[], bool],
    unwritten: str,
) -> None:
    started = time.monotonic()
    studies: set[str] = set()

    def take(rows: list[StudyAnswer]) -> None:
        studies.update(row.study_uid for row in rows)
        listener.on_studies(tuple(rows))

    # Also where this program fails: no hospital is left without a state.
    report = HospitalReport(hospital.name, HospitalState.FAILED, message="The search ended in a fault of Priorline.")
    try:
        report = _report(hospital, patient, take, cancelled, unwritten)
    finally:
        count, seconds = len(studies), round(time.monotonic() - started, 3)
        state = HospitalState.NONE if report.state is HospitalState.ANSWERED and not count else report.state
        listener.on_report(replace(report, state=state, studies=count, seconds=seconds))


def _report(
    hospital: Hospital,
    patient: Patient,
    take: Callable[[list[StudyAnswer]], None],
    cancelled: Callable[[], bool],
    unwritten: str,
) -> HospitalReport:
    """Ask one hospital; whatever goes wrong becomes its state and a sentence."""
    name = hospital.name
    asked = hospital.asked_under(patient)
    if hospital.archive is None:
        return HospitalReport(name, HospitalState.NOT_ASKED, message=hospital.why_not)
    if not asked:
        message = "This hospital uses other patient numbers, and none is known for this patient."
        return HospitalReport(name, HospitalState.NOT_ASKED, message=message)
    if unwritten:
        return HospitalReport(name, HospitalState.NOT_ASKED, message=unwritten)
    try:
        return _answered(name, _found(hospital.archive, asked, take, cancelled))
    except UsageError as problem:
        return HospitalReport(name, HospitalState.NOT_ASKED, message=str(problem))
    except ArchiveError as problem:
        return HospitalReport(name, _state(problem), message=str(problem))


def _found(
    archive: Archive,
    asked: Sequence[Patient],
    take: Callable[[list[StudyAnswer]], None],
    cancelled: Callable[[], bool],
) -> FindSummary:
    """Ask for one number after another; what all the answers together were."""
    told = [archive.find_studies(one, take, cancelled) for one in asked]
    return FindSummary(
        sum(one.rows for one in told),
        sum(one.dropped for one in told),
        any(one.cut for one in told),
        any(one.cancelled for one in told),
    )


def _write_queries(hospitals: Sequence[Hospital], patient: Patient, trail: AuditTrail, reason: str) -> str:
    """Put all questions on record, before the first goes out and with one wait for the disk; why not, or ""."""
    acts = [
        {"hospital": hospital.name, "patient_id": who.identifier.value, "issuer": who.identifier.issuer}
        for hospital in hospitals
        if hospital.archive is not None
        for who in hospital.asked_under(patient)
    ]
    return _written(trail, acts, reason)


def _written(trail: AuditTrail, acts: Sequence[Mapping[str, str]], reason: str) -> str:
    try:
        trail.record_all(AuditEvent.QUERY, acts, reason=reason)
    except AuditError as problem:
        return str(problem)
    return ""


def _answered(name: str, summary: FindSummary) -> HospitalReport:
    notes = []
    if summary.cancelled:
        return HospitalReport(name, HospitalState.NOT_ASKED, message="Stopped before it answered.")
    if summary.cut:
        notes.append(f"The list is cut after {summary.rows} studies.")
    if summary.dropped:
        notes.append(f"{summary.dropped} rows of other patients were left out: it does not search exactly.")
    return HospitalReport(
        name, HospitalState.ANSWERED, dropped=summary.dropped, cut=summary.cut, message=" ".join(notes)
    )


def _state(problem: ArchiveError) -> HospitalState:
    if isinstance(problem, ArchiveTimedOut):
        return HospitalState.TIMED_OUT
    return HospitalState.REFUSED if isinstance(problem, ArchiveRefused) else HospitalState.FAILED
