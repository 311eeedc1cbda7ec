"""What a study consists of, by C-FIND at SERIES and IMAGE level (PS3.4 C.6.2.1) on one association."""

from collections.abc import Callable, Iterable

from priorline.archives.base import DicomPeer
from priorline.archives.dicom_find import PROPOSAL, Tally, rows_of, uid_key
from priorline.archives.dicom_session import Cancelled, Session, associate
from priorline.archives.translate import Row, series_answer
from priorline.domain.study import FirstListed, SeriesAnswer, StudyListing
from priorline.errors import ArchiveRefused

SERIES_KEYS = tuple(
    "SeriesInstanceUID Modality SeriesNumber SeriesDescription NumberOfSeriesRelatedInstances".split()
)
IMAGE_KEYS = ("SOPInstanceUID", "InstanceNumber")


def list_study(
    peer: DicomPeer,
    study_uid: str,
    on_first: Callable[[FirstListed], None] = lambda _first: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> StudyListing:
    """The series and instances of a study, empty where it is cancelled; `on_first` as of `Archive.list_study`."""
    uid_key(study_uid)
    try:
        with associate(peer, PROPOSAL, cancelled) as session:
            return _Listing(session, study_uid, on_first).run()
    except Cancelled:
        return StudyListing()


def in_order(told: Iterable[tuple[int | None, str]]) -> list[str]:
    """SOP Instance UIDs by instance number, each once; those without a number, as told, at the end."""
    numbers = {uid: number for number, uid in told if uid}
    return sorted(numbers, key=lambda uid: (numbers[uid] is None, numbers[uid] or 0))


class _Listing:
    def __init__(self, session: Session, study_uid: str, on_first: Callable[[FirstListed], None]) -> None:
        self._session, self._study_uid, self._on_first = session, study_uid, on_first
        self._classes = self._classes_in_study()
        # Orthanc opens every file for the class of an image, but knows those of a study.
        self._image_keys = IMAGE_KEYS if self._classes else (*IMAGE_KEYS, "SOPClassUID")
        self._has_first = False

    def run(self) -> StudyListing:
        series = self._series()
        return StudyListing(series, self._all_instances(series), frozenset(self._classes))

    def _series(self) -> tuple[SeriesAnswer, ...]:
        found: dict[str, SeriesAnswer] = {}
        for row in rows_of(self._session, Tally(), "SERIES", SERIES_KEYS, StudyInstanceUID=self._study_uid):
            answer = series_answer(row)
            if answer and row.uid("StudyInstanceUID") in ("", self._study_uid):
                found.setdefault(answer.series_uid, answer)
        return tuple(found.values())

    def _all_instances(self, series: Iterable[SeriesAnswer]) -> dict[str, list[str]] | None:
        found: dict[str, list[str]] = {}
        for one in series:
            uids = self._instances(one.series_uid)
            if not uids:
                return None
            found[one.series_uid] = uids
        return found

    def _instances(self, series_uid: str) -> list[str]:
        """The SOP Instance UIDs of a series in their order; nothing where IMAGE level is refused."""
        told: list[tuple[int | None, str]] = []
        asked = {"StudyInstanceUID": self._study_uid, "SeriesInstanceUID": series_uid}
        try:
            for row in rows_of(self._session, Tally(), "IMAGE", self._image_keys, bounded=False, **asked):
                if row.uid("SeriesInstanceUID") in ("", series_uid):
                    told.append((row.number("InstanceNumber"), self._noted(series_uid, row)))
        except ArchiveRefused:
            return []
        return in_order(told)

    def _noted(self, series_uid: str, row: Row) -> str:
        uid, sop_class = row.uid("SOPInstanceUID"), row.uid("SOPClassUID")
        if sop_class:
            self._classes.add(sop_class)
        if uid and not self._has_first:
            self._has_first = True
            self._on_first(FirstListed(series_uid, uid, frozenset(self._classes)))
        return uid

    def _classes_in_study(self) -> set[str]:
        found = rows_of(self._session, Tally(), "STUDY", ("SOPClassesInStudy",), StudyInstanceUID=self._study_uid)
        rows = [row for row in found if row.uid("StudyInstanceUID") == self._study_uid]
        return {uid for row in rows for uid in row.uids("SOPClassesInStudy")} - {""}
