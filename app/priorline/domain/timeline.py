"""The one line of all studies of a patient over all hospitals: merged, matched and ranked.

Knows no screen and does no input or output; the window and the command line both read it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, time

from priorline.domain.identity import Identity, Match, compare
from priorline.domain.patient import Identifier, Patient
from priorline.domain.region import Region, RegionTable, plain
from priorline.domain.relevance import FILM_MODALITIES, Exam, Relevance, relevance
from priorline.domain.study import HospitalReport, HospitalState, StudyAnswer

# Film or not, taken in bed or not, main region: "oldest" and "latest" are meant within one kind.
Kind = tuple[bool, bool, Region]
BEDSIDE_WORDS = frozenset("bed bedside portable mobile mobiel liegend ic icu seh-bed".split())


@dataclass(frozen=True, slots=True)
class TimelineStudy:
    """One study on the line with everyone who holds it; `answers` has the best described copy first."""

    answers: tuple[StudyAnswer, ...]
    match: Match
    regions: tuple[Region, ...]
    relevance: Relevance = field(default=Relevance(0.0))
    current: bool = False

    @property
    def study_uid(self) -> str:
        """Study Instance UID (0020,000D)."""
        return self.answers[0].study_uid

    @property
    def best(self) -> StudyAnswer:
        """The copy with the most images: the one to fetch from."""
        return self.answers[0]

    @property
    def hospitals(self) -> tuple[str, ...]:
        """Every hospital that holds the study."""
        return tuple(answer.hospital for answer in self.answers)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modalities, those of pictures before those of documents."""
        return tuple(dict.fromkeys(modality for answer in self.answers for modality in answer.modalities))

    @property
    def images(self) -> int | None:
        """The largest number of instances that any holder gives."""
        counts = [answer.images for answer in self.answers if answer.images is not None]
        return max(counts, default=None)

    def exam(self) -> Exam:
        """What ranking looks at."""
        bedside = bool(BEDSIDE_WORDS & set(plain(self.best.description).split()))
        return Exam(self.regions, self.modalities, self.best.study_date, bedside)


@dataclass(frozen=True, slots=True)
class Coverage:
    """How far the question has been answered: every hospital with its state, in the order asked."""

    reports: tuple[HospitalReport, ...]

    @property
    def complete(self) -> bool:
        """True only when every hospital answered, with or without studies, and nothing was cut off."""
        answered = (HospitalState.ANSWERED, HospitalState.NONE)
        return bool(self.reports) and all(report.state in answered and not report.cut for report in self.reports)

    @property
    def asking(self) -> bool:
        """True while any hospital has not ended."""
        return any(report.state is HospitalState.ASKING for report in self.reports)

    def sentence(self) -> str:
        """The line above the timeline: "6 hospitals: 3 answered, 1 none, 1 still asking, 1 not reachable."."""
        words = {
            HospitalState.ANSWERED: "answered",
            HospitalState.NONE: "none",
            HospitalState.ASKING: "still asking",
            HospitalState.FAILED: "not reachable",
            HospitalState.TIMED_OUT: "timed out",
            HospitalState.REFUSED: "refused",
            HospitalState.NOT_ASKED: "not asked",
        }
        counts = {state: sum(report.state is state for report in self.reports) for state in words}
        parts = [f"{count} {words[state]}" for state, count in counts.items() if count]
        total = len(self.reports)
        noun = "hospital" if total == 1 else "hospitals"
        end = "" if self.complete else " The line below may be incomplete."
        return f"{total} {noun}: {', '.join(parts)}.{end}" if total else "No hospital is configured."


class Timeline:
    """Collects answers about one patient; add as they come, read `studies()` at any time."""

    def __init__(
        self,
        context: Patient,
        hospitals: Sequence[str],
        table: RegionTable,
        local_numbers: Mapping[str, Identifier] | None = None,
    ) -> None:
        """`local_numbers` are the identifiers under which hospitals know the patient, by hospital."""
        self.context = context
        self._local_numbers = dict(local_numbers or {})
        self._table = table
        self._answers: dict[str, dict[str, StudyAnswer]] = {}
        self._withheld: dict[str, set[str]] = {}
        self._reports = {name: HospitalReport(name, HospitalState.ASKING) for name in hospitals}
        self._current_uid = ""
        self._studies: tuple[TimelineStudy, ...] | None = None

    def add(self, answers: Iterable[StudyAnswer]) -> None:
        """Take rows; a row of another person is counted as withheld and never becomes a study."""
        for answer in answers:
            if self._match(answer).outcome is Identity.CONFLICT:
                self._withheld.setdefault(answer.hospital, set()).add(answer.study_uid)
            else:
                self._answers.setdefault(answer.study_uid, {})[answer.hospital] = answer
        self._studies = None

    def report(self, report: HospitalReport) -> None:
        """Take a hospital's state."""
        self._reports[report.hospital] = report

    def set_current(self, study_uid: str) -> None:
        """Name the study that is being read; the others are ranked for it."""
        self._current_uid = study_uid
        self._studies = None

    def coverage(self) -> Coverage:
        """Every hospital's state, with what was withheld from the line in words."""
        return Coverage(tuple(self._told(report) for report in self._reports.values()))

    def studies(self) -> tuple[TimelineStudy, ...]:
        """All studies, newest first; those without a date last."""
        if self._studies is None:
            self._studies = self._ranked(self._merged())
        return self._studies

    def suggestion(self) -> TimelineStudy | None:
        """The prior that matters most for the current study, if there is one."""
        priors = [
            study
            for study in self.studies()
            if not study.current and study.match.outcome is Identity.SAME and study.relevance.score > 0
        ]
        return max(priors, key=lambda study: (study.relevance.score, _when(study)), default=None)

    def _match(self, answer: StudyAnswer) -> Match:
        known_as = self._local_numbers.get(answer.hospital, self.context.identifier)
        return compare(replace(self.context, identifier=known_as), answer.patient)

    def _told(self, report: HospitalReport) -> HospitalReport:
        count = len(self._withheld.get(report.hospital, ()))
        if not count:
            return report
        noun = "study" if count == 1 else "studies"
        note = f"{count} {noun} of another person with this number left out."
        shown = max(report.studies - count, 0)
        ended = report.state is HospitalState.ANSWERED and shown == 0
        state = HospitalState.NONE if ended else report.state
        return replace(report, state=state, studies=shown, message=f"{report.message} {note}".strip())

    def _merged(self) -> list[TimelineStudy]:
        doubt = self._several_persons()
        merged = []
        for copies in self._answers.values():
            ordered = tuple(sorted(copies.values(), key=lambda copy: (-(copy.images or 0), copy.hospital)))
            matches = [self._match(copy) for copy in ordered]
            worst = next((match for match in matches if match.outcome is not Identity.SAME), matches[0])
            if doubt:
                worst = replace(worst, outcome=Identity.PROPOSED)
            texts = [text for copy in ordered for text in (copy.description, copy.body_part)]
            current = ordered[0].study_uid == self._current_uid
            merged.append(TimelineStudy(ordered, worst, self._table.regions(*texts), current=current))
        return sorted(merged, key=_when, reverse=True)

    def _several_persons(self) -> bool:
        """True where the rows themselves are of different people and the context cannot tell which is meant."""
        people = {answer.patient for copies in self._answers.values() for answer in copies.values()}
        first = next(iter(people), None)
        return first is not None and any(compare(first, other).outcome is Identity.CONFLICT for other in people)

    def _ranked(self, studies: list[TimelineStudy]) -> tuple[TimelineStudy, ...]:
        current = next((study for study in studies if study.current), None)
        if current is None:
            return tuple(studies)
        oldest, latest = _ends(studies, current)
        ranked = []
        for study in studies:
            if not study.current:
                kind = _kind(study)
                score = relevance(
                    current.exam(),
                    study.exam(),
                    oldest_of_kind=oldest.get(kind) == study.study_uid,
                    latest_before=latest.get(kind) == study.study_uid,
                )
                study = replace(study, relevance=score)  # noqa: PLW2901 - the ranked twin takes its place
            ranked.append(study)
        return tuple(ranked)


def _when(study: TimelineStudy) -> tuple[date, time]:
    return (study.best.study_date or date.min, study.best.study_time or time.min)


def _kind(study: TimelineStudy) -> Kind:
    exam = study.exam()
    return (bool(set(exam.modalities) & FILM_MODALITIES), exam.bedside, exam.regions[0])


def _ends(studies: Sequence[TimelineStudy], current: TimelineStudy) -> tuple[dict[Kind, str], dict[Kind, str]]:
    """The oldest study of each kind, and the latest of each kind before the current one."""
    oldest: dict[Kind, str] = {}
    latest: dict[Kind, str] = {}
    for study in studies:
        if study.current or study.best.study_date is None:
            continue
        kind = _kind(study)
        oldest[kind] = study.study_uid
        if _when(study) < _when(current):
            latest.setdefault(kind, study.study_uid)
    return oldest, latest
