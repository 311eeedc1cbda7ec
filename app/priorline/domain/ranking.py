"""Every study of a line scored for the one that is being read, anew only where something about it changed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, time
from typing import NamedTuple

from priorline.domain.identity import Identity
from priorline.domain.laterality import Side
from priorline.domain.region import Region
from priorline.domain.relevance import FILM_MODALITIES, Exam, relevance
from priorline.domain.timeline_study import TimelineStudy

# Film or not, taken in bed or not, main region, side: "oldest" and "latest" are meant within one kind.
Kind = tuple[bool, bool, Region, Side]


class _Asked(NamedTuple):
    """All that a score depends on beside the study itself."""

    reading: Exam
    oldest: bool
    latest: bool


class Ranking:
    """Scores studies; what it scored before with the same things around it is given back as it was."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[TimelineStudy, _Asked, TimelineStudy]] = {}

    def rank(self, studies: Sequence[TimelineStudy]) -> tuple[TimelineStudy, ...]:
        """The studies (newest first) with their scores; without a current one among them, as they are."""
        current = next((study for study in studies if study.current), None)
        if current is None:
            return tuple(studies)
        reading = current.exam()
        exams = {study.study_uid: study.exam() for study in studies}
        oldest, latest = _ends(studies, exams, current)

        def ranked(study: TimelineStudy) -> TimelineStudy:
            uid = study.study_uid
            return self._scored(study, exams[uid], _Asked(reading, uid in oldest, uid in latest))

        return tuple(study if study.current else ranked(study) for study in studies)

    def _scored(self, study: TimelineStudy, exam: Exam, asked: _Asked) -> TimelineStudy:
        known = self._known.get(study.study_uid)
        if known is not None and known[0] is study and known[1] == asked:
            return known[2]
        score = relevance(asked.reading, exam, oldest_of_kind=asked.oldest, latest_before=asked.latest)
        scored = replace(study, relevance=score)
        self._known[study.study_uid] = (study, asked, scored)
        return scored


def place_of(study: TimelineStudy) -> tuple[date, time, str]:
    """Where a study is in time; its UID decides between those of one moment."""
    return (*_when(study), study.study_uid)


def _when(study: TimelineStudy) -> tuple[date, time]:
    best = study.answers[0]
    return best.study_date or date.min, best.study_time or time.min


def _ends(
    studies: Sequence[TimelineStudy], exams: Mapping[str, Exam], current: TimelineStudy
) -> tuple[frozenset[str], frozenset[str]]:
    """The oldest study of each kind, and the latest of each kind before the current one; only certain ones count."""
    oldest: dict[Kind, str] = {}
    latest: dict[Kind, str] = {}
    now = _when(current)
    for study in studies:
        if study.current or study.answers[0].study_date is None or study.match.outcome is not Identity.SAME:
            continue
        exam = exams[study.study_uid]
        kind = (not FILM_MODALITIES.isdisjoint(exam.modalities), exam.bedside, exam.regions[0], exam.side)
        oldest[kind] = study.study_uid
        if _when(study) < now:
            latest.setdefault(kind, study.study_uid)
    return frozenset(oldest.values()), frozenset(latest.values())
