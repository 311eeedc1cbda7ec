"""What one study looks like on the line and in the list: the words and marks both of them show."""

from dataclasses import dataclass
from datetime import date
from enum import Enum

from priorline.desk import wording
from priorline.desk.case import Case
from priorline.domain.identity import Identity
from priorline.domain.region import plain
from priorline.domain.study import FetchState
from priorline.domain.timeline import TimelineStudy


class Presence(Enum):
    """How much of a study is in the cache; drawn as outline, half filled, filled."""

    REMOTE = "still at the hospital"
    PARTIAL = "partly here"
    HERE = "here"


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """One study, ready to be drawn; `role` is "CURRENT", "PRIOR" (beside the current one) or ""."""

    study_uid: str
    when: date | None
    lane: str
    modality: str
    title: str
    written_date: str
    distance: str
    place: str
    copies: int
    presence: Presence
    status: str
    shut: bool
    current: bool
    suggested: bool
    reason: str
    search_text: str


def build_rows(case: Case) -> tuple[TimelineRow, ...]:
    """All rows of a case, newest first."""
    timeline = case.timeline
    if timeline is None:
        return ()
    studies = timeline.studies()
    suggestion = timeline.suggestion() if case.current() else None
    current = case.current()
    current_date = current.best.study_date if current else None
    suggested_uid = suggestion.study_uid if suggestion else ""
    return tuple(_row(case, study, current_date, study.study_uid == suggested_uid) for study in studies)


def _row(case: Case, study: TimelineStudy, current_date: date | None, suggested: bool) -> TimelineRow:
    best = study.best
    shut = study.match.outcome is not Identity.SAME
    title = "Not certainly this patient" if shut else wording.study_title(best)
    place = wording.copies(study)
    modality = next((name for name in study.modalities if name not in ("SR", "PR", "KO", "SEG")), "")
    words = (title, place, modality, wording.written_date(best.study_date), *study.regions, *study.modalities)
    distance = "" if study.current else wording.distance(best.study_date, current_date)
    reasons = [best_title(study), distance, *study.relevance.reasons]
    return TimelineRow(
        study_uid=study.study_uid,
        when=best.study_date,
        lane=study.regions[0],
        modality=modality or "?",
        title=title,
        written_date=wording.written_date(best.study_date),
        distance=distance,
        place=place,
        copies=len(study.answers),
        presence=_presence(case, study),
        status=_status(case, study),
        shut=shut,
        current=study.current,
        suggested=suggested,
        reason=" · ".join(part for part in reasons if part),
        search_text=plain(" ".join(words)),
    )


def best_title(study: TimelineStudy) -> str:
    """A short name of the study for the suggestion: "chest film", "head CT"."""
    region = study.regions[0].value
    modality = next(iter(study.modalities), "")
    return f"{region} {'film' if modality in ('CR', 'DX') else modality}".strip()


def _presence(case: Case, study: TimelineStudy) -> Presence:
    here = case.presence.get(study.study_uid)
    if here is None or not here.images:
        return Presence.REMOTE
    return Presence.HERE if here.complete else Presence.PARTIAL


def _status(case: Case, study: TimelineStudy) -> str:
    """The count of images, or how far fetching is, or that it is not all here."""
    uid = study.study_uid
    if uid in case.fetching:
        received, expected = case.fetching[uid]
        return f"fetching {received} of {expected}" if expected else "fetching"
    report = case.reports.get(uid)
    if report is not None and report.state is FetchState.FAILED:
        return "not fetched"
    here = case.presence.get(uid)
    if here is not None and here.images and not here.complete:
        total = study.images or (report.expected if report else 0)
        return f"{here.images} of {total}" if total else f"{here.images} so far"
    return wording.images(study.images)


def matches(row: TimelineRow, typed: str) -> bool:
    """Whether every typed word begins a word of the row: "chest ct 2019"."""
    words = row.search_text.split()
    return all(any(word.startswith(part) for word in words) for part in plain(typed).split())
