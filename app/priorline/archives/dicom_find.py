"""C-FIND at a peer (PS3.4 C.4.1): exact keys out, only matching rows back."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.dimse_primitives import C_FIND
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind  # type: ignore[attr-defined]

from priorline.archives.base import DicomPeer, FindSummary
from priorline.archives.dicom_messages import encoded, request
from priorline.archives.dicom_session import (
    CANCELLED,
    PENDING,
    Cancelled,
    Session,
    associate,
    refused_status,
)
from priorline.archives.translate import Row, read_row, study_answer
from priorline.archives.upper_layer import Proposal
from priorline.archives.watch import Fault
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import StudyAnswer, is_uid
from priorline.errors import ArchiveBroken, UsageError

MODEL = str(StudyRootQueryRetrieveInformationModelFind)
SYNTAXES = ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"]
PROPOSAL = Proposal([build_context(MODEL, SYNTAXES)])
BATCH = 20
STUDY_KEYS = tuple(
    "PatientID IssuerOfPatientID PatientName PatientBirthDate PatientSex StudyInstanceUID StudyDate StudyTime "
    "ModalitiesInStudy StudyDescription AccessionNumber NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances "
    "InstanceAvailability OtherPatientIDsSequence ProcedureCodeSequence".split()
)
ITEM_KEYS = {
    "OtherPatientIDsSequence": ("PatientID", "IssuerOfPatientID"),
    "ProcedureCodeSequence": ("CodeValue", "CodingSchemeDesignator", "CodeMeaning"),
}


@dataclass
class Tally:
    """What one query brought: rows taken, rows that could not be read or were foreign, and whether it was cut off.

    `warned`: it ended with another status than success, so that there may be more.
    """

    rows: int = 0
    dropped: int = 0
    cut: bool = False
    warned: bool = False

    @property
    def has_hole(self) -> bool:
        """Whether not all that there is has been told and read."""
        return self.dropped > 0 or self.cut or self.warned


def find_studies(
    peer: DicomPeer,
    patient: Patient,
    on_rows: Callable[[list[StudyAnswer]], None],
    cancelled: Callable[[], bool],
) -> FindSummary:
    """Studies of exactly this patient number; foreign and unusable rows are dropped and counted."""
    asked = exact_key(patient.identifier.value)
    tally, batch = Tally(), list[StudyAnswer]()
    try:
        with associate(peer, PROPOSAL, cancelled) as session:
            for row in rows_of(session, tally, "STUDY", STUDY_KEYS, PatientID=asked):
                answer = study_answer(row, peer.name, peer.patient_id_issuer)
                if answer is None or not is_of_number(answer.patient, patient.identifier):
                    tally.dropped += 1
                else:
                    batch.append(answer)
                if batch and (not tally.rows or len(batch) >= BATCH or not session.waiting()):
                    _hand_over(session, batch, tally, on_rows)
            if batch:
                _hand_over(session, batch, tally, on_rows)
    except Cancelled:
        return FindSummary(tally.rows, tally.dropped, tally.cut, cancelled=True)
    return FindSummary(tally.rows, tally.dropped, tally.cut)


def is_of_number(found: Patient, asked: Identifier) -> bool:
    """Whether the row is of the number that was asked for, as its first one or, with the issuer, as a further one."""
    value = asked.value.strip()
    further = asked.issuer and Identifier(value, asked.issuer) in found.other_ids
    return found.identifier.value == value or bool(further)


def _hand_over(
    session: Session,
    batch: list[StudyAnswer],
    tally: Tally,
    on_rows: Callable[[list[StudyAnswer]], None],
) -> None:
    tally.rows += len(batch)
    with session.watch.held():
        on_rows(batch.copy())
    batch.clear()


def find_study(peer: DicomPeer, study_uid: str) -> StudyAnswer | None:
    """One study by its UID, None where the archive does not have it."""
    asked = uid_key(study_uid)
    with associate(peer, PROPOSAL) as session:
        rows = rows_of(session, Tally(), "STUDY", STUDY_KEYS, StudyInstanceUID=asked)
        answers = [study_answer(row, peer.name, peer.patient_id_issuer) for row in rows]
    return next((answer for answer in answers if answer and answer.study_uid == study_uid), None)


def rows_of(
    session: Session, tally: Tally, level: str, returned: tuple[str, ...], *, bounded: bool = True, **keys: str
) -> Iterator[Row]:
    """Pending answers to a query, as of `identifier_of`; `tally` counts what cannot be read or was cut."""
    limits = session.peer.timeouts
    session.watch.phase(Fault.STALLED, limits.progress, limits.query)
    context = session.context(MODEL)
    syntax = context.transfer_syntax[0]
    session.ask(request(C_FIND, MODEL), context, _encoded_identifier(syntax, level, returned, **keys))
    count = 0
    while True:
        _, answer = session.receive()
        if not isinstance(answer, C_FIND):
            raise ArchiveBroken(f"{session.peer.name} answered a search with something else.")
        if answer.Status not in PENDING:
            break
        session.watch.progress()
        if bounded and count == session.peer.rows_max:
            tally.cut = True
            session.abandon()
            return
        count += 1
        row = read_row(answer.Identifier, syntax)
        if row is None:
            tally.dropped += 1
        else:
            yield row
    # A warning (Bxxx) ends a search that was otherwise answered.
    status = answer.Status or 0
    tally.warned = status != 0
    if status not in (0, CANCELLED) and status >> 12 != 0xB:
        raise refused_status(session.peer, status, "the search")


# All hospitals are asked the same at the same moment.
@lru_cache(maxsize=8)
def _encoded_identifier(syntax: UID, level: str, returned: tuple[str, ...], **keys: str) -> bytes:
    return encoded(identifier_of(level, returned, **keys), syntax)


def identifier_of(level: str, returned: Iterable[str], **keys: str) -> Dataset:
    """The identifier of a query: matching `keys` with values, `returned` without."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword in returned:
        setattr(identifier, keyword, [_item_keys(ITEM_KEYS[keyword])] if keyword in ITEM_KEYS else None)
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    if not "".join(keys.values()).isascii():
        identifier.SpecificCharacterSet = "ISO_IR 192"
    return identifier


def _item_keys(keywords: Iterable[str]) -> Dataset:
    """An item with empty keys matches everything, also where there are no items (PS3.4 C.2.2.2.6)."""
    item = Dataset()
    for keyword in keywords:
        setattr(item, keyword, None)
    return item


def exact_key(value: str) -> str:
    """A patient number as a matching key; raises UsageError where it would be a pattern or none at all."""
    if not value.strip() or len(value) > 64 or any(char in "*?\\" or not char.isprintable() for char in value):
        raise UsageError(
            "This patient number cannot be searched for: it is empty, too long, or has one of * ? \\ in it."
        )
    return value.strip()


def uid_key(value: str) -> str:
    """A UID as a matching key; raises UsageError for anything that is not one."""
    if not is_uid(value):
        raise UsageError("This is not a UID: it may have digits and dots only, at most 64 of them.")
    return value
