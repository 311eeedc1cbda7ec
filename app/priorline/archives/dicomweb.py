"""The door to a DICOMweb archive: QIDO-RS and WADO-RS (PS3.18 10) behind the `Archive` protocol."""

from collections.abc import Callable, Collection

from priorline.archives import dicom_complete, dicomweb_retrieve, dicomweb_search
from priorline.archives.base import FindSummary, RetrieveSummary
from priorline.archives.dicomweb_peer import DicomWebPeer
from priorline.archives.incoming import Receiver
from priorline.domain.fetch_order import Batch
from priorline.domain.patient import Patient
from priorline.domain.study import FirstListed, StudyAnswer, StudyListing

CONNECTIONS = 4


class DicomWebArchive:
    """A DICOMweb service as an `Archive`; each request has a connection of its own, so calls may run in parallel."""

    def __init__(self, peer: DicomWebPeer) -> None:
        self.peer = peer

    @property
    def name(self) -> str:
        """The hospital as the user sees it."""
        return self.peer.name

    @property
    def by_name(self) -> "DicomWebArchive":
        """By one request for each instance: for what is missing of a series, and for what is looked at."""
        return self

    @property
    def connections(self) -> int:
        """As few as a browser opens."""
        return CONNECTIONS

    @property
    def streams_studies(self) -> bool:
        """Yes, and Orthanc takes as long for the list of the instances as for the instances."""
        return True

    def echo(self) -> float:
        """A search that finds nothing; milliseconds from connecting to the answer."""
        return dicomweb_search.echo(self.peer)

    def accepts_get(self) -> bool:
        """Always: WADO-RS answers on the connection that asks."""
        return True

    def accepts_move(self) -> bool:
        """Never: nothing is sent on connections of its own."""
        return False

    def find_studies(
        self,
        patient: Patient,
        on_rows: Callable[[list[StudyAnswer]], None],
        cancelled: Callable[[], bool],
    ) -> FindSummary:
        """QIDO-RS for exactly this patient number; raises UsageError for a pattern.

        Rows that tell too little are handed over at once, and once more with what their series tell.
        """
        return dicom_complete.find_completely(
            lambda take: dicomweb_search.find_studies(self.peer, patient, take, cancelled),
            lambda lacking: dicomweb_search.completed(self.peer, lacking, cancelled),
            on_rows,
        )

    def find_study(self, study_uid: str) -> StudyAnswer | None:
        """QIDO-RS for one study, and for its series where it tells too little."""
        answer = dicomweb_search.find_study(self.peer, study_uid)
        return answer and next(iter(dicomweb_search.completed(self.peer, [answer])), answer)

    def list_study(
        self, study_uid: str, on_first: Callable[[FirstListed], None], cancelled: Callable[[], bool]
    ) -> StudyListing:
        """QIDO-RS for the series of a study and for its instances."""
        return dicomweb_search.list_study(self.peer, study_uid, cancelled)

    def retrieve(
        self,
        study_uid: str,
        series_uid: str | None,
        sop_classes: Collection[str],
        receiver: Receiver,
        cancelled: Callable[[], bool],
    ) -> RetrieveSummary:
        """WADO-RS of a study or a series, as it is stored; `sop_classes` are not negotiated here."""
        return dicomweb_retrieve.retrieve(self.peer, study_uid, series_uid, receiver, cancelled)

    def retrieve_listed(
        self,
        study_uid: str,
        next_batch: Callable[[], Batch | None],
        sop_classes: Collection[str],
        receiver: Receiver,
        cancelled: Callable[[], bool],
    ) -> RetrieveSummary | None:
        """WADO-RS of instances one by one; None where the service does not do that."""
        return dicomweb_retrieve.retrieve_listed(self.peer, study_uid, next_batch, receiver, cancelled)
