"""The one line of all studies of a patient over all hospitals: merged, matched and ranked.

Knows no screen and does no input or output; the window and the command line both read it.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time
from functools import lru_cache, partial
from heapq import nlargest
from itertools import chain

from priorline.domain.coverage import Coverage, left_out
from priorline.domain.duplicates import ProbableCopy, Sight, by_study, probable_copies
from priorline.domain.identity import Identity, Match, compare
from priorline.domain.links import PersonLink, link_of
from priorline.domain.patient import Identifier, Patient
from priorline.domain.people import NAMES_MAX, People
from priorline.domain.ranking import Ranking, place_of
from priorline.domain.region import RegionTable
from priorline.domain.region_finding import Written, find_region
from priorline.domain.study import HospitalReport, HospitalState, StudyAnswer, in_fetch_order
from priorline.domain.timeline_study import TimelineStudy, told_by
from priorline.errors import UsageError

__all__ = ["NAMES_MAX", "Coverage", "Timeline", "TimelineStudy"]


class Timeline:
    """Collects answers about one patient; add as they come, read `studies()` at any time."""

    def __init__(
        self,
        context: Patient,
        hospitals: Sequence[str],
        table: RegionTable,
        local_numbers: Mapping[str, Identifier] | None = None,
        links: Iterable[PersonLink] = (),
        departments: Collection[str] = (),
    ) -> None:
        """`local_numbers` are the identifiers under which hospitals know the patient, by hospital.

        `departments` names those among the hospitals that are our own archives: they keep what the others sent, under
        the others' numbers.
        `links` are earlier confirmations; those of other patients are ignored.
        """
        self.context = context
        self._known_as = {
            hospital: _also_known_as(context, identifier) for hospital, identifier in (local_numbers or {}).items()
        }
        self._departments = frozenset(departments)
        self._links = {link.pair: link for link in links if link.is_of(context)}
        self._region = lru_cache(maxsize=4096)(partial(find_region, table))
        self._matches: dict[tuple[str, Patient], Match] = {}
        self._answers: dict[str, dict[str, StudyAnswer]] = {}
        self._withheld: dict[str, set[str]] = {}
        self._people = People()
        self._reports: dict[str, HospitalReport] = {}
        for name in hospitals:
            self.report(HospitalReport(name, HospitalState.ASKING))
        self._current_uid = ""
        self._merged: dict[str, TimelineStudy] = {}
        self._ranking = Ranking()
        self._studies: tuple[TimelineStudy, ...] | None = None
        self._copies: Mapping[str, tuple[str, ...]] | None = None

    def add(self, answers: Iterable[StudyAnswer]) -> None:
        """Take rows; a row of another person is counted as withheld and never becomes a study."""
        several = self._people.several
        for answer in answers:
            uid = answer.study_uid
            if self._compared(answer).outcome is Identity.CONFLICT:
                self._withheld.setdefault(answer.hospital, set()).add(uid)
                continue
            copies = self._answers.setdefault(uid, {})
            known = copies.get(answer.hospital)
            # One hospital twice: the fuller row counts, whichever came first.
            copies[answer.hospital] = answer if known is None else max(known, answer, key=_fullness)
            self._merged.pop(uid, None)
        self._changed(everything=several is not self._people.several)

    def confirmation(self, study_uid: str, *, reason: str, user: str, at: datetime) -> tuple[PersonLink, ...]:
        """The links that would make a proposed study certain, one for each copy in question; to be stored first.

        Raises UsageError where nothing is proposed or no reason is given: what conflicts cannot be confirmed.
        """
        if not reason.strip():
            raise UsageError("A confirmation needs a reason; say how you know that it is this patient.")
        copies = self._answers.get(study_uid, {}).values()
        asked = [copy for copy in copies if self._match(copy).outcome is Identity.PROPOSED]
        if not asked:
            raise UsageError("This study is not in question, so there is nothing to confirm.")
        return tuple(
            link_of(self.context, copy.hospital, copy.patient, study_uid, reason=reason, user=user, at=at)
            for copy in asked
        )

    def settled_by(self, links: Sequence[PersonLink]) -> tuple[str, ...]:
        """The studies in question that these links would make certain, with all their copies."""

        def is_covered(copy: StudyAnswer) -> bool:
            return any(link.covers(copy.hospital, copy.patient, copy.study_uid) for link in links)

        asked = {
            uid: [copy for copy in copies.values() if self._match(copy).outcome is Identity.PROPOSED]
            for uid, copies in self._answers.items()
        }
        return tuple(uid for uid, copies in asked.items() if copies and all(map(is_covered, copies)))

    def confirm(self, links: Iterable[PersonLink]) -> None:
        """Let these links apply: proposed rows that they cover become the same person."""
        self._links.update((link.pair, link) for link in links if link.is_of(self.context))
        self._changed(everything=True)

    def revoke(self, link: PersonLink) -> None:
        """Take a link back: the rows that it covered are in question again."""
        self._links.pop(link.pair, None)
        self._changed(everything=True)

    def links_of(self, study_uid: str) -> tuple[PersonLink, ...]:
        """The confirmations that a study stands on: all of them have to be revoked to shut it again."""
        copies = self._answers.get(study_uid, {}).values()
        return tuple(
            dict.fromkeys(link for copy in copies if self._match(copy).link for link in self._covering(copy))
        )

    def probable_copies(self, study_uid: str) -> tuple[str, ...]:
        """The UIDs of other studies on the line that are probably this one, copied under another UID."""
        return self.copied().get(study_uid, ())

    def copied(self) -> Mapping[str, tuple[str, ...]]:
        """`probable_copies` of every study that has any."""
        if self._copies is None:
            self._copies = by_study(self.copies())
        return self._copies

    def copies(self) -> tuple[ProbableCopy, ...]:
        """All pairs of studies on the line that are probably one, with the reasons."""
        return probable_copies(map(_sight, _of_one_day(self.studies())))

    def report(self, report: HospitalReport) -> None:
        """Take a hospital's state."""
        self._reports[report.hospital] = replace(report, department=report.hospital in self._departments)

    def set_current(self, study_uid: str) -> None:
        """Name the study that is being read; the others are ranked for it."""
        self._current_uid = study_uid
        self._changed()

    def coverage(self) -> Coverage:
        """Every hospital's state, with what was withheld from the line in words."""
        return Coverage(tuple(self._told(report) for report in self._reports.values()))

    def studies(self) -> tuple[TimelineStudy, ...]:
        """All studies, newest first; those without a date last."""
        if self._studies is None:
            for uid, copies in self._answers.items():
                if uid not in self._merged:
                    self._merged[uid] = self._merge(copies)
            line = sorted(self._merged.values(), key=place_of, reverse=True)
            current = self._current_uid
            self._studies = self._ranking.rank(
                [replace(study, current=True) if study.study_uid == current else study for study in line]
            )
        return self._studies

    def suggestion(self) -> TimelineStudy | None:
        """The prior that matters most for the current study, if there is one and it is certainly the patient's."""
        return max(self._priors(), key=_suggested, default=None)

    def priors(self, most: int) -> list[TimelineStudy]:
        """At most so many that matter for the current study and are certainly the patient's, the suggestion first."""
        return nlargest(most, self._priors(), key=_suggested)

    def _priors(self) -> Iterator[TimelineStudy]:
        studies = self.studies()
        if any(study.current and study.match.outcome is not Identity.SAME for study in studies):
            return
        for study in studies:
            relevance = study.relevance
            if relevance.score > 0 and relevance.related and study.match.outcome is Identity.SAME:
                yield study

    def _changed(self, *, everything: bool = False) -> None:
        self._studies = self._copies = None
        if everything:
            self._merged.clear()

    def _compared(self, answer: StudyAnswer) -> Match:
        """How the row compares with the context patient, whatever else is on the line or confirmed."""
        key = (answer.hospital, answer.patient)
        match = self._matches.get(key)
        if match is None:
            match = compare(self._expected_at(answer), answer.patient)
            self._matches[key] = match
            if match.outcome is Identity.SAME:
                self._people.add(answer.patient)
        return match

    def _expected_at(self, answer: StudyAnswer) -> Patient:
        """The context patient as the holder of a row knows it; an archive of copies knows it as their origin does."""
        if answer.hospital in self._departments:
            found = answer.patient.identifier
            same = [one for one in self._known_as.values() if one.identifier.value == found.value]
            if same:
                known = max(same, key=lambda one: one.identifier == found)
                # Numbers of several hospitals lie there side by side, so that a bare one is never enough.
                bare = not found.issuer and not known.identifier.issuer
                return replace(known, identifier=Identifier(found.value, answer.hospital)) if bare else known
        return self._known_as.get(answer.hospital, self.context)

    def _match(self, answer: StudyAnswer) -> Match:
        """How the row stands: compared, in doubt with all others, or confirmed by a person."""
        match = self._compared(answer)
        if match.outcome is Identity.SAME and self._people.several:
            match = replace(match, outcome=Identity.PROPOSED, note="This number seems to be used for several people.")
        if match.outcome is Identity.PROPOSED and self._links:
            link = max(self._covering(answer), key=lambda one: (one.at, one.user, one.reason), default=None)
            match = match if link is None else replace(match, outcome=Identity.SAME, link=link)
        return match

    def _covering(self, answer: StudyAnswer) -> list[PersonLink]:
        return [one for one in self._links.values() if one.covers(answer.hospital, answer.patient, answer.study_uid)]

    def _told(self, report: HospitalReport) -> HospitalReport:
        count = len(self._withheld.get(report.hospital, ()))
        if not count:
            return report
        note = left_out(count)
        shown = max(report.studies - count, 0)
        ended = report.state is HospitalState.ANSWERED and shown == 0
        state = HospitalState.NONE if ended else report.state
        return replace(report, state=state, studies=shown, withheld=count, message=f"{report.message} {note}".strip())

    def _merge(self, copies: Mapping[str, StudyAnswer]) -> TimelineStudy:
        departments = self._departments
        # Where the patient was comes before where a copy is kept.
        ordered = sorted(
            copies.values(), key=lambda copy: (copy.hospital in departments, -(copy.images or 0), copy.hospital)
        )
        matches = [self._match(copy) for copy in ordered]
        # The least certain copy speaks for the study: one in question, else one that is certain by a person's word.
        worst = min(matches, key=lambda match: (match.outcome is Identity.SAME, match.link is None))
        region = self._region(_written(ordered))
        answers = (_filled(ordered), *ordered[1:])
        return TimelineStudy(
            answers, worst, region, told_by(answers, departments), in_fetch_order(answers, departments)
        )


def _suggested(study: TimelineStudy) -> tuple[float, tuple[date, time, str]]:
    return study.relevance.score, place_of(study)


def _also_known_as(context: Patient, local: Identifier) -> Patient:
    """The context patient under a hospital's own number; the number of the launch still counts there."""
    return replace(context, identifier=local, other_ids=(context.identifier, *context.other_ids))


def _of_one_day(studies: Iterable[TimelineStudy]) -> Iterator[TimelineStudy]:
    """Studies that are not the only one of their day: no others can be copies, and lines are long."""
    days: dict[date, list[TimelineStudy]] = {}
    for study in studies:
        day = study.answers[0].study_date
        if day is not None:
            days.setdefault(day, []).append(study)
    return chain.from_iterable(several for several in days.values() if len(several) > 1)


def _sight(study: TimelineStudy) -> Sight:
    best = study.best
    return Sight(
        study.study_uid, best.study_date, best.study_time, study.modalities, study.regions, best.series, study.images
    )


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


def _written(copies: Sequence[StudyAnswer]) -> Written:
    """What all holders write about the study, the fullest copy first; each thing once."""
    codes = tuple(code for copy in copies for code in copy.procedure_codes)
    descriptions = (*(copy.description for copy in copies), *(code.meaning for code in codes))
    return Written(
        tuple(dict.fromkeys((code.scheme, code.value) for code in codes)),
        tuple(dict.fromkeys(copy.body_part for copy in copies if copy.body_part)),
        tuple(dict.fromkeys(filter(None, descriptions))),
        tuple(dict.fromkeys(name for copy in copies for name in copy.modalities)),
    )
