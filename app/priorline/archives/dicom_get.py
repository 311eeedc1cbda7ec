"""C-GET at a peer (PS3.4 C.4.3): instances come back in the same association, bytes untouched."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.dimse_primitives import C_GET, C_MOVE
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet  # type: ignore[attr-defined]

from priorline.archives.base import DicomPeer, RetrieveSummary
from priorline.archives.dicom_find import SYNTAXES, uid_key
from priorline.archives.dicom_messages import encoded, request
from priorline.archives.dicom_session import (
    CANCELLED,
    PENDING,
    Cancelled,
    NotOffered,
    Session,
    associate,
    refused_status,
)
from priorline.archives.incoming import Announced, Incoming, Receiver
from priorline.archives.inflow import StoreRequest
from priorline.archives.upper_layer import Proposal
from priorline.archives.watch import Fault
from priorline.domain.fetch_order import Batch
from priorline.domain.study import is_uid
from priorline.errors import ArchiveBroken, ArchiveRefused

MODEL = str(StudyRootQueryRetrieveInformationModelGet)
# 128 is the protocol's limit (PS3.8 9.3.2.2); one is the C-GET itself.
STORAGE_CONTEXTS_MAX = 126
# An archive may say "pending" while it loads from tape, but not without end.
IDLE_PENDING_MAX = 10_000

UNCOMPRESSED = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
COMPRESSED = (
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 lossless
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.4.80",  # JPEG-LS lossless
    "1.2.840.10008.1.2.4.81",  # JPEG-LS near-lossless
    "1.2.840.10008.1.2.4.70",  # JPEG lossless, first-order prediction
    "1.2.840.10008.1.2.4.57",  # JPEG lossless
    "1.2.840.10008.1.2.4.50",  # JPEG baseline
    "1.2.840.10008.1.2.4.51",  # JPEG extended
    "1.2.840.10008.1.2.5",  # RLE
    "1.2.840.10008.1.2.1.99",  # deflated
)
_STORAGE = "1.2.840.10008.5.1.4.1.1."
# What studies commonly hold, for hospitals that do not tell; the most frequent first.
COMMON_SOP_CLASSES = tuple(
    _STORAGE + suffix
    for suffix in (
        "2 4 1.1 1 7 6.1 3.1 12.1 12.2 1.2 1.1.1 1.2.1 1.3 1.3.1 20 128 130 2.1 2.2 4.1 4.2 4.3 4.4 "
        "13.1.1 13.1.2 13.1.3 13.1.4 13.1.5 12.1.1 12.2.1 6.2 7.1 7.2 7.3 7.4 88.11 88.22 88.33 88.34 88.35 "
        "88.40 88.50 88.59 88.67 11.1 11.2 11.3 11.4 11.5 11.6 66 66.1 66.3 66.4 67 104.1 104.2 104.3 "
        "77.1.1 77.1.4 77.1.5.1 77.1.5.4 9.1.1 9.1.2 9.1.3 481.1 481.2 481.3 481.5"
    ).split()
)[: STORAGE_CONTEXTS_MAX // 2]


Suboperations = tuple[int, int, int, int]
NOTHING_TOLD: Suboperations = (0, 0, 0, 0)


@dataclass
class _Counts:
    received: int = 0
    idle: int = 0
    last: Suboperations = NOTHING_TOLD

    def add(self, other: "_Counts") -> None:
        self.received += other.received
        completed, failed, warned, remaining = (a + b for a, b in zip(self.last, other.last, strict=True))
        self.last = completed, failed, warned, remaining


def retrieve(
    peer: DicomPeer,
    study_uid: str,
    series_uid: str | None,
    sop_classes: Collection[str],
    receiver: Receiver,
    cancelled: Callable[[], bool],
) -> RetrieveSummary:
    """Fetch a study or a series; what the receiver raises aborts the association and is raised here."""
    identifier = retrieve_identifier(study_uid, series_uid)
    counts = _Counts()
    try:
        with associate(peer, _proposal(_classes(sop_classes)), cancelled) as session:
            status = _Exchange(session, counts, receiver).run(identifier)
            if status not in (0, CANCELLED) and status >> 12 != 0xB:
                raise refused_status(peer, status, "the retrieval")
            return _summary(counts, status)
    except Cancelled:
        return _summary(counts, CANCELLED, cancelled=True)


def retrieve_listed(
    peer: DicomPeer,
    study_uid: str,
    next_batch: Callable[[], Batch | None],
    sop_classes: Collection[str],
    receiver: Receiver,
    cancelled: Callable[[], bool],
) -> RetrieveSummary | None:
    """Fetch instances by their UIDs (PS3.4 C.4.3.1.3.1, IMAGE level), batch after batch on one association.

    A batch that the peer refuses ends in its status, as others may not be. None where it offers no C-GET.
    """
    total, status = _Counts(), 0
    try:
        with associate(peer, _proposal(_classes(sop_classes)), cancelled) as session:
            session.context(MODEL)
            while (batch := next_batch()) is not None:
                counts = _Counts()
                identifier = retrieve_identifier(study_uid, batch.series_uid, batch.sop_uids)
                status = _Exchange(session, counts, receiver).run(identifier) or status
                total.add(counts)
    except NotOffered:
        return None
    except Cancelled:
        return _summary(total, CANCELLED, cancelled=True)
    return _summary(total, status)


def retrieve_identifier(study_uid: str, series_uid: str | None, sop_uids: Collection[str] = ()) -> Dataset:
    """What names a study, a series or instances of one to retrieve (PS3.4 C.4.2.1.4).

    Raises UsageError for what is no UID.
    """
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY" if series_uid is None else "IMAGE" if sop_uids else "SERIES"
    identifier.StudyInstanceUID = uid_key(study_uid)
    if series_uid is not None:
        identifier.SeriesInstanceUID = uid_key(series_uid)
    if sop_uids:
        identifier.SOPInstanceUID = [uid_key(uid) for uid in sop_uids]
    return identifier


def accepts_get(peer: DicomPeer) -> bool:
    """Whether the peer agrees to C-GET (study root) at all."""
    try:
        with associate(peer, Proposal([build_context(MODEL)])) as session:
            session.context(MODEL)
    except ArchiveRefused:
        return False
    return True


class _Exchange:
    """One C-GET on an association that may carry several, one after another."""

    def __init__(self, session: Session, counts: _Counts, receiver: Receiver) -> None:
        self._session, self._counts, self._receiver = session, counts, receiver

    def run(self, identifier: Dataset) -> int:
        """Ask, and take what comes; the final status."""
        session = self._session
        session.receive_into(self._begin)
        session.watch.phase(Fault.STALLED, session.peer.timeouts.progress)
        context = session.context(MODEL)
        session.ask(request(C_GET, MODEL), context, encoded(identifier, context.transfer_syntax[0]))
        while True:
            context_id, message = session.receive()
            if isinstance(message, StoreRequest):
                self._take(context_id, message)
            elif not isinstance(message, C_GET):
                raise ArchiveBroken(f"{session.peer.name} answered a retrieval with something else.")
            elif message.Status in PENDING:
                self._note_pending(message)
            else:
                self._counts.last = suboperations(message) or NOTHING_TOLD
                return message.Status or 0

    def _begin(self, context_id: int, asked: StoreRequest) -> Incoming:
        context = self._session.storage_context(context_id)
        if context is None:
            raise ArchiveBroken(f"{self._session.peer.name} sent an instance that was not agreed on.")
        syntax = str(context.transfer_syntax[0])
        return self._receiver(Announced(asked.sop_class_uid, asked.sop_instance_uid, syntax))

    def _take(self, context_id: int, asked: StoreRequest) -> None:
        session = self._session
        session.watch.progress()
        if asked.incoming is not None:
            with session.watch.held():
                asked.incoming.finish()
        self._counts.received += 1
        session.accept(context_id, asked)

    def _note_pending(self, message: C_GET) -> None:
        counts, now = self._counts, suboperations(message) or NOTHING_TOLD
        if now != counts.last:
            counts.last, counts.idle = now, 0
            self._session.watch.progress()
            return
        counts.idle += 1
        if counts.idle > IDLE_PENDING_MAX:
            raise ArchiveBroken(f"{self._session.peer.name} promises instances without end and sends none.")


def suboperations(message: C_GET | C_MOVE) -> Suboperations | None:
    """What the archive says that it has completed, failed at, warns of and has left; None where it says nothing."""
    told = (
        message.NumberOfCompletedSuboperations,
        message.NumberOfFailedSuboperations,
        message.NumberOfWarningSuboperations,
        message.NumberOfRemainingSuboperations,
    )
    completed, failed, warned, remaining = (number or 0 for number in told)
    return None if told == (None,) * 4 else (completed, failed, warned, remaining)


def _summary(counts: _Counts, status: int, *, cancelled: bool = False) -> RetrieveSummary:
    completed, failed, warned, remaining = counts.last
    return RetrieveSummary(completed, failed, warned, remaining, status, counts.received, cancelled)


def _classes(sop_classes: Collection[str]) -> tuple[str, ...]:
    known = sorted(uid for uid in set(sop_classes) if is_uid(uid))
    return tuple(known or COMMON_SOP_CLASSES)[:STORAGE_CONTEXTS_MAX]


# All connections of a retrieval propose the same, and to compose that takes longer than to agree on it.
@lru_cache(maxsize=16)
def _proposal(classes: tuple[str, ...]) -> Proposal:
    return Proposal(_contexts(classes), storage=classes)


def _contexts(classes: Sequence[str]) -> list[PresentationContext]:
    """The C-GET and storage contexts, as many per SOP class as fit.

    One context for each compressed transfer syntax lets the archive send each instance as it is stored; with fewer
    contexts it has to choose one syntax for a whole SOP class.
    """
    room = STORAGE_CONTEXTS_MAX // len(classes)
    if room > len(COMPRESSED):
        groups = [list(UNCOMPRESSED), *([syntax] for syntax in COMPRESSED)]
    elif room > 1:
        groups = [list(UNCOMPRESSED), list(COMPRESSED)]
    else:
        groups = [[*UNCOMPRESSED, *COMPRESSED]]
    storage = [build_context(UID(uid), list(group)) for uid in classes for group in groups]
    return [build_context(MODEL, SYNTAXES), *storage]
