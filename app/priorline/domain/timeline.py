"""The one line of all studies of a patient over all hospitals: merged, matched and ranked.

Knows no screen and does no input or output; the window and the command line both read it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, time
from functools import lru_cache

from priorline.domain.identity import Identity, Match, compare, known_sex
from priorline.domain.patient import Identifier, Patient, names_agree
from priorline.domain.region import MODALITY_REGIONS, Region, RegionTable, plain
from priorline.domain.relevance import DOCUMENT_MODALITIES, FILM_MODALITIES, Exam, Relevance, relevance
from priorline.domain.study import HospitalReport, HospitalState, StudyAnswer

# Film or not, taken in bed or not, main region: "oldest" and "latest" are meant within one kind.
Kind = tuple[bool, bool, Region]
BEDSIDE_WORDS = frozenset(
    "bed bedside bedopname portable mobile mobiel liegend liegen liggend bettaufnahme bett supine ic icu".split()
)
NAMES_MAX = 16
"""More names than this under one number are several people, whoever they are."""


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
        found = dict.fromkeys(modality for answer in self.answers for modality in answer.modalities)
        return tuple(sorted(found, key=DOCUMENT_MODALITIES.__contains__))

    @property
    def images(self) -> int | None:
        """The largest number of instances that any holder gives."""
        counts = [answer.images for answer in self.answers if answer.images is not None]
        return max(counts, default=None)

    def exam(self) -> Exam:
        """What ranking looks at."""
        modalities = self.modalities
        bedside = not FILM_MODALITIES.isdisjoint(modalities) and any(
            not BEDSIDE_WORDS.isdisjoint(plain(answer.description).split()) for answer in self.answers
        )
        return Exam(self.regions, modalities, self.best.study_date, bedside)


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
        self._known_as = {
            hospital: replace(context, identifier=identifier)
            for hospital, identifier in (local_numbers or {}).items()
        }
        self._regions = lru_cache(maxsize=4096)(table.regions)
        self._matches: dict[tuple[str, Patient], Match] = {}
        self._answers: dict[str, dict[str, StudyAnswer]] = {}
        self._withheld: dict[str, set[str]] = {}
        self._people = _People()
        self._reports = {name: HospitalReport(name, HospitalState.ASKING) for name in hospitals}
        self._current_uid = ""
        self._merged: dict[str, TimelineStudy] = {}
        self._studies: tuple[TimelineStudy, ...] | None = None

    def add(self, answers: Iterable[StudyAnswer]) -> None:
        """Take rows; a row of another person is counted as withheld and never becomes a study."""
        for answer in answers:
            uid = answer.study_uid
            if self._match(answer).outcome is Identity.CONFLICT:
                self._withheld.setdefault(answer.hospital, set()).add(uid)
                continue
            copies = self._answers.setdefault(uid, {})
            known = copies.get(answer.hospital)
            # One hospital twice: the fuller row counts, whichever came first.
            copies[answer.hospital] = answer if known is None else max(known, answer, key=_fullness)
            self._merged.pop(uid, None)
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
            for uid, copies in self._answers.items():
                if uid not in self._merged:
                    self._merged[uid] = self._merge(copies)
            line = sorted(self._merged.values(), key=_place, reverse=True)
            self._studies = _ranked([self._as_it_stands(study) for study in line])
        return self._studies

    def suggestion(self) -> TimelineStudy | None:
        """The prior that matters most for the current study, if there is one."""
        priors = [
            study
            for study in self.studies()
            if study.relevance.score > 0 and study.relevance.related and study.match.outcome is Identity.SAME
        ]
        return max(priors, key=lambda study: (study.relevance.score, _place(study)), default=None)

    def _match(self, answer: StudyAnswer) -> Match:
        key = (answer.hospital, answer.patient)
        match = self._matches.get(key)
        if match is None:
            match = compare(self._known_as.get(answer.hospital, self.context), answer.patient)
            self._matches[key] = match
            if match.outcome is Identity.SAME:
                self._people.add(answer.patient)
        return match

    def _told(self, report: HospitalReport) -> HospitalReport:
        count = len(self._withheld.get(report.hospital, ()))
        if not count:
            return report
        note = f"{count} {'study' if count == 1 else 'studies'} of another person left out."
        shown = max(report.studies - count, 0)
        ended = report.state is HospitalState.ANSWERED and shown == 0
        state = HospitalState.NONE if ended else report.state
        return replace(report, state=state, studies=shown, message=f"{report.message} {note}".strip())

    def _merge(self, copies: Mapping[str, StudyAnswer]) -> TimelineStudy:
        ordered = sorted(copies.values(), key=lambda copy: (-(copy.images or 0), copy.hospital))
        matches = [self._match(copy) for copy in ordered]
        worst = next((match for match in matches if match.outcome is not Identity.SAME), matches[0])
        regions = self._regions(*(text for copy in ordered for text in (copy.description, copy.body_part)))
        if regions == (Region.UNKNOWN,):
            regions = _regions_of_modalities(ordered) or regions
        return TimelineStudy((_filled(ordered), *ordered[1:]), worst, regions)

    def _as_it_stands(self, study: TimelineStudy) -> TimelineStudy:
        """The study with what depends on the rest of the line."""
        match = study.match
        if match.outcome is Identity.SAME and self._people.several:
            match = replace(match, outcome=Identity.PROPOSED)
        current = study.study_uid == self._current_uid
        return replace(study, match=match, current=current) if current or match is not study.match else study


class _People:
    """What the rows that match say about the person: more than one answer means more than one person.

    A context that is a bare number matches everybody who has it; the rows themselves then tell people apart.
    """

    def __init__(self) -> None:
        self.several = False
        self._birth_dates: set[date] = set()
        self._sexes: set[str] = set()
        self._names: set[str] = set()

    def add(self, patient: Patient) -> None:
        """Take one more description."""
        if patient.birth_date is not None:
            self._birth_dates.add(patient.birth_date)
        self._sexes.update(known_sex(patient))
        if not self.several and patient.name not in self._names:
            self.several = any(names_agree(patient.name, name) is False for name in self._names)
            self._names.add(patient.name)
        crowded = len(self._names) > NAMES_MAX
        self.several = self.several or crowded or len(self._birth_dates) > 1 or len(self._sexes) > 1


def _filled(copies: Sequence[StudyAnswer]) -> StudyAnswer:
    """The first copy, with date and description from the others where it has none."""
    best = copies[0]
    if best.study_date is None:
        dated = next((copy for copy in copies if copy.study_date is not None), best)
        best = replace(best, study_date=dated.study_date, study_time=dated.study_time)
    if not best.description:
        best = replace(best, description=next((copy.description for copy in copies if copy.description), ""))
    return best


def _fullness(answer: StudyAnswer) -> tuple[int, int, str]:
    """Orders the rows of one hospital for one study; the text decides between equals, always in the same way."""
    return answer.images or 0, answer.series or 0, repr(answer)


def _regions_of_modalities(copies: Iterable[StudyAnswer]) -> tuple[Region, ...]:
    modalities = (modality for copy in copies for modality in copy.modalities)
    return tuple(dict.fromkeys(MODALITY_REGIONS[name] for name in modalities if name in MODALITY_REGIONS))


def _when(study: TimelineStudy) -> tuple[date, time]:
    return (study.best.study_date or date.min, study.best.study_time or time.min)


def _place(study: TimelineStudy) -> tuple[date, time, str]:
    return (*_when(study), study.study_uid)


def _ranked(studies: Sequence[TimelineStudy]) -> tuple[TimelineStudy, ...]:
    current = next((study for study in studies if study.current), None)
    if current is None:
        return tuple(studies)
    reading = current.exam()
    exams = {study.study_uid: study.exam() for study in studies}
    oldest, latest = _ends(studies, exams, current)

    def rank(study: TimelineStudy) -> TimelineStudy:
        uid = study.study_uid
        score = relevance(reading, exams[uid], oldest_of_kind=uid in oldest, latest_before=uid in latest)
        return replace(study, relevance=score)

    return tuple(study if study.current else rank(study) for study in studies)


def _ends(
    studies: Sequence[TimelineStudy], exams: Mapping[str, Exam], current: TimelineStudy
) -> tuple[frozenset[str], frozenset[str]]:
    """The oldest study of each kind, and the latest of each kind before the current one; only certain ones count."""
    oldest: dict[Kind, str] = {}
    latest: dict[Kind, str] = {}
    for study in studies:
        if study.current or study.best.study_date is None or study.match.outcome is not Identity.SAME:
            continue
        exam = exams[study.study_uid]
        kind = (not FILM_MODALITIES.isdisjoint(exam.modalities), exam.bedside, exam.regions[0])
        oldest[kind] = study.study_uid
        if _when(study) < _when(current):
            latest.setdefault(kind, study.study_uid)
    return frozenset(oldest.values()), frozenset(latest.values())
