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
    """The series and instances of a study, cut where it is cancelled; `on_first` as of `Archive.list_study`.

    A list with a hole in it is none: who fetches by it would take a part for the whole.
    """
    uid_key(study_uid)
    try:
        with associate(peer, PROPOSAL, cancelled) as session:
            return _Listing(session, study_uid, on_first).run()
    except Cancelled:
        return StudyListing(is_cut=True)


def in_order(told: Iterable[tuple[int | None, str]]) -> list[str]:
    """SOP Instance UIDs by instance number, each once; those without a number, as told, at the end."""
    numbers = {uid: number for number, uid in told if uid}
    return sorted(numbers, key=lambda uid: (numbers[uid] is None, numbers[uid] or 0))


class _Listing:
    def __init__(self, session: Session, study_uid: str, on_first: Callable[[FirstListed], None]) -> None:
        self._session, self._study_uid, self._on_first = session, study_uid, on_first
        self._classes = self._classes_in_study()
        # Orthanc opens every file for the class of an image, but knows those of a study.
        self._asks_classes = not self._classes
        self._image_keys = (*IMAGE_KEYS, "SOPClassUID") if self._asks_classes else IMAGE_KEYS
        self._has_first = self._lacks_class = False

    def run(self) -> StudyListing:
        series, has_hole = self._series()
        instances = None if has_hole else self._all_instances(series)
        # Some of the classes would keep those of the others from being sent at all.
        knows_all = not self._asks_classes or (instances is not None and not self._lacks_class)
        return StudyListing(series, instances, frozenset(self._classes if knows_all else ()))

    def _series(self) -> tuple[tuple[SeriesAnswer, ...], bool]:
        """The series, and whether there may be others."""
        found: dict[str, SeriesAnswer] = {}
        tally = Tally()
        for row in rows_of(self._session, tally, "SERIES", SERIES_KEYS, StudyInstanceUID=self._study_uid):
            if row.uid("StudyInstanceUID") not in ("", self._study_uid):
                continue
            answer = series_answer(row)
            if answer is None:
                tally.dropped += 1
            else:
                found.setdefault(answer.series_uid, answer)
        return tuple(found.values()), tally.has_hole

    def _all_instances(self, series: Iterable[SeriesAnswer]) -> dict[str, list[str]] | None:
        found: dict[str, list[str]] = {}
        for one in series:
            uids = self._instances(one.series_uid)
            if not uids:
                return None
            found[one.series_uid] = uids
        return found or None

    def _instances(self, series_uid: str) -> list[str]:
        """The SOP Instance UIDs of a series in their order; nothing where they are not all told."""
        told: list[tuple[int | None, str]] = []
        tally = Tally()
        asked = {"StudyInstanceUID": self._study_uid, "SeriesInstanceUID": series_uid}
        try:
            for row in rows_of(self._session, tally, "IMAGE", self._image_keys, bounded=False, **asked):
                if row.uid("SeriesInstanceUID") in ("", series_uid):
                    told.append((row.number("InstanceNumber"), self._noted(series_uid, row)))
        except ArchiveRefused:
            return []
        has_hole = tally.has_hole or any(not uid for _number, uid in told)
        return [] if has_hole else in_order(told)

    def _noted(self, series_uid: str, row: Row) -> str:
        uid, sop_class = row.uid("SOPInstanceUID"), row.uid("SOPClassUID")
        if sop_class:
            self._classes.add(sop_class)
        elif self._asks_classes:
            self._lacks_class = True
        if uid and not self._has_first:
            self._has_first = True
            self._on_first(FirstListed(series_uid, uid, frozenset(self._classes)))
        return uid

    def _classes_in_study(self) -> set[str]:
        found = rows_of(self._session, Tally(), "STUDY", ("SOPClassesInStudy",), StudyInstanceUID=self._study_uid)
        rows = [row for row in found if row.uid("StudyInstanceUID") == self._study_uid]
        return {uid for row in rows for uid in row.uids("SOPClassesInStudy")} - {""}
