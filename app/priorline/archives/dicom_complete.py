"""Studies whose row tells no modalities, completed from their series.

Modalities in Study (0008,0061) is optional at STUDY level (PS3.4 C.6.2.1.2); dcmqrscp, among others, leaves it out.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date

from pynetdicom.presentation import build_context

from priorline.archives.base import DicomPeer
from priorline.archives.dicom_find import MODEL, SYNTAXES, Tally, series_of
from priorline.archives.dicom_session import Cancelled, associate
from priorline.domain.study import SeriesAnswer, StudyAnswer
from priorline.errors import ArchiveError

STUDIES_MAX = 40


def completed(
    peer: DicomPeer, answers: Sequence[StudyAnswer], cancelled: Callable[[], bool] = lambda: False
) -> list[StudyAnswer]:
    """Those of `answers` without modalities, with what their series tell; those that stay unknown are left out.

    The newest 40 at most, in one association of its own; no new study is begun after `timeouts.query` seconds.
    Raises nothing: the rows themselves were answered already.
    """
    lacking = sorted(
        (answer for answer in answers if not answer.modalities), key=lambda answer: answer.study_date or date.min
    )[-STUDIES_MAX:]
    found: list[StudyAnswer] = []
    if lacking:
        with suppress(ArchiveError, Cancelled):
            # One by one, so that what came before a failure is kept.
            for answer in _asked(peer, lacking[::-1], cancelled):
                found.append(answer)
    return found


def _asked(peer: DicomPeer, lacking: Iterable[StudyAnswer], cancelled: Callable[[], bool]) -> Iterator[StudyAnswer]:
    until = time.monotonic() + peer.timeouts.query
    with associate(peer, [build_context(MODEL, SYNTAXES)], cancelled) as session:
        for answer in lacking:
            tally = Tally()
            known = _with_series(answer, series_of(session, answer.study_uid, (), tally))
            if known.modalities:
                yield known
            if tally.cut or time.monotonic() > until:
                return


def _with_series(answer: StudyAnswer, series: Sequence[SeriesAnswer]) -> StudyAnswer:
    counts = [one.images for one in series]
    images = sum(count for count in counts if count is not None) if None not in counts else None
    return replace(
        answer,
        modalities=tuple(sorted({one.modality for one in series} - {""})),
        series=answer.series or len(series) or None,
        images=answer.images if answer.images is not None else images or None,
    )
