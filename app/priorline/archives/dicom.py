"""The door to a DICOM archive: C-ECHO, C-FIND, C-GET and C-MOVE behind the `Archive` protocol."""

from collections.abc import Callable, Collection

from priorline.archives import dicom_complete, dicom_find, dicom_get, dicom_list, dicom_move, dicom_session
from priorline.archives.base import DicomPeer, FindSummary, RetrieveSummary
from priorline.archives.dicom_session import NotOffered
from priorline.archives.incoming import Receiver
from priorline.archives.storage_scp import StorageScp
from priorline.domain.fetch_order import Batch
from priorline.domain.patient import Patient
from priorline.domain.study import FirstListed, StudyAnswer, StudyListing


class DicomArchive:
    """A DICOM node as an `Archive`; each call is one association, so calls may run in parallel threads.

    `scp` is where it can send to by C-MOVE; without one it cannot.
    """

    def __init__(self, peer: DicomPeer, scp: StorageScp | None = None) -> None:
        self.peer = peer
        self._scp = scp
        self._by_move = peer.retrieve == "c-move"
        self._by_name = True

    @property
    def name(self) -> str:
        """The hospital as the user sees it."""
        return self.peer.name

    @property
    def by_name(self) -> "DicomArchive | None":
        """Itself, until it turns out that the hospital sends by C-MOVE only, or not by name."""
        return self if self._by_name and not self._by_move else None

    @property
    def connections(self) -> int:
        """As many as are configured."""
        return self.peer.associations

    @property
    def streams_studies(self) -> bool:
        """No: what is asked for by name comes in the order in which it is wanted."""
        return False

    def echo(self) -> float:
        """C-ECHO; milliseconds from connecting to the answer."""
        return dicom_session.echo(self.peer)

    def accepts_get(self) -> bool:
        """Whether C-GET is offered."""
        return dicom_get.accepts_get(self.peer)

    def accepts_move(self) -> bool:
        """Whether C-MOVE is offered."""
        return dicom_move.accepts_move(self.peer)

    def find_studies(
        self,
        patient: Patient,
        on_rows: Callable[[list[StudyAnswer]], None],
        cancelled: Callable[[], bool],
    ) -> FindSummary:
        """C-FIND at STUDY level for exactly this patient number; raises UsageError for a pattern.

        Rows that tell too little are handed over at once, and once more with what their series tell.
        """
        return dicom_complete.find_completely(
            lambda take: dicom_find.find_studies(self.peer, patient, take, cancelled),
            lambda lacking: dicom_complete.completed(self.peer, lacking, cancelled),
            on_rows,
        )

    def find_study(self, study_uid: str) -> StudyAnswer | None:
        """C-FIND of one study, and of its series where it tells too little."""
        answer = dicom_find.find_study(self.peer, study_uid)
        return answer and next(iter(dicom_complete.completed(self.peer, [answer])), answer)

    def list_study(
        self, study_uid: str, on_first: Callable[[FirstListed], None], cancelled: Callable[[], bool]
    ) -> StudyListing:
        """C-FIND at SERIES level, and at IMAGE level series by series."""
        return dicom_list.list_study(self.peer, study_uid, on_first, cancelled)

    def retrieve(
        self,
        study_uid: str,
        series_uid: str | None,
        sop_classes: Collection[str],
        receiver: Receiver,
        cancelled: Callable[[], bool],
    ) -> RetrieveSummary:
        """C-GET of a study or a series, or C-MOVE where that is configured, or C-GET is not offered.

        What the hospital does not offer is not asked again. Raises ArchiveRefused where we would have to listen and
        do not.
        """
        if not self._by_move:
            try:
                return dicom_get.retrieve(self.peer, study_uid, series_uid, sop_classes, receiver, cancelled)
            except NotOffered:
                if self.peer.retrieve != "auto":
                    raise
        summary = dicom_move.retrieve(self.peer, self._scp, study_uid, series_uid, receiver, cancelled)
        self._by_move = True
        return summary

    def retrieve_listed(
        self,
        study_uid: str,
        next_batch: Callable[[], Batch | None],
        sop_classes: Collection[str],
        receiver: Receiver,
        cancelled: Callable[[], bool],
    ) -> RetrieveSummary | None:
        """C-GETs of instances on one association; None where the hospital does not go by names."""
        summary = dicom_get.retrieve_listed(self.peer, study_uid, next_batch, sop_classes, receiver, cancelled)
        if summary is None:
            self._by_name = False
        return summary
