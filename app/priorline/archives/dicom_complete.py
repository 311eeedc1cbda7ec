"""Studies whose row does not tell what they are of, completed from their series.

Modalities in Study (0008,0061) is optional at STUDY level (PS3.4 C.6.2.1.2): dcmqrscp, among others, leaves it out.
Body Part Examined (0018,0015) and Laterality (0020,0060) are of the series; the body part is all there is to go by
where a study has no description.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date

from priorline.archives.base import DicomPeer, FindSummary
from priorline.archives.dicom_find import PROPOSAL, Tally, rows_of
from priorline.archives.dicom_session import Cancelled, associate
from priorline.archives.translate import Row
from priorline.domain.study import StudyAnswer
from priorline.errors import ArchiveError

STUDIES_MAX = 40
KEYS = ("SeriesInstanceUID", "Modality", "BodyPartExamined", "Laterality", "NumberOfSeriesRelatedInstances")


def is_told(answer: StudyAnswer) -> bool:
    """Whether a row says with what a study was made, and of what."""
    return bool(answer.modalities and (answer.description or answer.body_part))


def find_completely(
    find: Callable[[Callable[[list[StudyAnswer]], None]], FindSummary],
    complete: Callable[[list[StudyAnswer]], list[StudyAnswer]],
    on_rows: Callable[[list[StudyAnswer]], None],
) -> FindSummary:
    """Search by `find`; rows are handed over at once, and those that tell too little once more by `complete`."""
    lacking: list[StudyAnswer] = []

    def take(rows: list[StudyAnswer]) -> None:
        on_rows(rows)
        lacking.extend(row for row in rows if not is_told(row))

    summary = find(take)
    # Where the list was cut off, the archive is not one to be asked for more.
    known = [] if summary.cancelled or summary.cut else complete(lacking)
    if known:
        on_rows(known)
    return summary


def completed(
    peer: DicomPeer, answers: Sequence[StudyAnswer], cancelled: Callable[[], bool] = lambda: False
) -> list[StudyAnswer]:
    """Those of `answers` that tell too little, with what their series tell; those that gain nothing are left out.

    The newest 40 at most, in one association of its own; no new study is begun after `timeouts.query` seconds.
    Raises nothing: the rows themselves were answered already.
    """
    lacking = newest_lacking(answers)
    found: list[StudyAnswer] = []
    if lacking:
        with suppress(ArchiveError, Cancelled):
            # One by one, so that what came before a failure is kept.
            for answer in _asked(peer, lacking, cancelled):
                found.append(answer)
    return found


def newest_lacking(answers: Iterable[StudyAnswer]) -> list[StudyAnswer]:
    """Those that tell too little, the newest first, 40 at most."""
    lacking = (answer for answer in answers if not is_told(answer))
    return sorted(lacking, key=lambda answer: answer.study_date or date.min)[: -STUDIES_MAX - 1 : -1]


def _asked(peer: DicomPeer, lacking: Iterable[StudyAnswer], cancelled: Callable[[], bool]) -> Iterator[StudyAnswer]:
    until = time.monotonic() + peer.timeouts.query
    with associate(peer, PROPOSAL, cancelled) as session:
        for answer in lacking:
            tally = Tally()
            found = rows_of(session, tally, "SERIES", KEYS, StudyInstanceUID=answer.study_uid)
            rows = [row for row in found if is_series_of(row, answer)]
            known = with_series(answer, rows)
            if known != answer:
                yield known
            if tally.cut or time.monotonic() > until:
                return


def is_series_of(row: Row, answer: StudyAnswer) -> bool:
    """Whether a row at SERIES level is of this study."""
    return bool(row.uid("SeriesInstanceUID")) and row.uid("StudyInstanceUID") in ("", answer.study_uid)


def with_series(answer: StudyAnswer, rows: Sequence[Row]) -> StudyAnswer:
    """The answer with what the rows of its series tell; what it told itself stays."""
    counts = [count for row in rows if (count := row.number("NumberOfSeriesRelatedInstances")) is not None]
    images = sum(counts) if rows and len(counts) == len(rows) else None
    parts = (row.text("BodyPartExamined") for row in rows)
    return replace(
        answer,
        modalities=answer.modalities or tuple(sorted({row.text("Modality") for row in rows} - {""})),
        laterality=answer.laterality or side_of(row.text("Laterality") for row in rows),
        body_part=answer.body_part or next(filter(None, parts), ""),
        series=answer.series or len(rows) or None,
        images=answer.images if answer.images is not None else images,
    )


def side_of(told: Iterable[str]) -> str:
    """The side of a study from those of its series: "B" where they are of both."""
    sides = {side for side in told if side in ("L", "R", "B")}
    return next(iter(sides), "") if len(sides) < 2 else "B"
