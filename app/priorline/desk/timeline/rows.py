"""What one study looks like on the line and in the list: the words and marks both of them show."""

import time
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from itertools import islice
from typing import NamedTuple

from PySide6.QtCore import QObject, QTimer, Signal

from priorline.desk import wording
from priorline.desk.case import Case
from priorline.desk.held import Held, Presence
from priorline.domain.identity import Identity
from priorline.domain.region import Region, plain
from priorline.domain.region_finding import RegionSource
from priorline.domain.relevance import DOCUMENT_MODALITIES
from priorline.domain.timeline import Timeline, TimelineStudy

MARKS = frozenset(("PR", "KO", "SEG"))
"""Documents that only point at pictures; they do not name a block."""
LONGEST_TEXT = 240
SLICE_SECONDS, ROWS_BETWEEN_LOOKS = 0.008, 16


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """One study, ready to be drawn; `hospitals`, `regions` and `modalities` have the main one first.

    `counts` has the number of images that each hospital gives, None where it said nothing; `score` is from 0 to 1.
    `twins` are the places of studies that are probably this one, copied under another UID. `lacking` says that a
    retrieval did not bring all of it, `why_lacking` why; `share` is how much of it has come (0 to 1, None where it
    is not being fetched), `ahead` that nobody asked for it. `in_clear` are those of `hospitals` whose images cross a
    network unencrypted.
    """

    study_uid: str
    when: date | None
    regions: tuple[str, ...]
    modalities: tuple[str, ...]
    hospitals: tuple[str, ...]
    counts: tuple[int | None, ...]
    modality: str
    title: str
    written_date: str
    distance: str
    copies: int
    presence: Presence
    status: str
    shut: bool
    report_only: bool
    current: bool
    suggested: bool
    identity: str
    region_why: str
    twins: tuple[str, ...]
    score: float
    reasons: tuple[str, ...]
    reason: str
    search_text: str
    lacking: bool = False
    why_lacking: str = ""
    share: float | None = None
    ahead: bool = False
    in_clear: frozenset[str] = frozenset()

    @property
    def place(self) -> str:
        """Who holds it: "UMC West, OLV Clinic"."""
        return ", ".join(self.hospitals)

    @property
    def region(self) -> str:
        """The parts of the body it shows, in words."""
        return ", ".join(self.regions) if self.regions[0] != Region.UNKNOWN else "region not known"

    def is_drawn_like(self, other: "TimelineRow") -> bool:
        """Whether both make the same block: they differ in nothing but the words about what has come."""
        return self == replace(
            other,
            status=self.status,
            lacking=self.lacking,
            why_lacking=self.why_lacking,
            share=self.share,
            ahead=self.ahead,
        )

    def spoken(self) -> str:
        """The whole row in words, for those who do not see it."""
        mark = "current" if self.current else self.distance
        shape = "report only" if self.report_only else self.modality
        copies = f"{self.copies} copies" if self.copies > 1 else ""
        lit = f"suggested: {self.reason}" if self.suggested else ""
        twins = f"probably a copy of: {'; '.join(self.twins)}" if self.twins else ""
        parts = (
            *(self.written_date, shape, self.title, self.region, self.place, copies, twins, self.status),
            self.why_lacking,
        )
        return ", ".join(part for part in (*parts, self.presence.value, mark, self.identity, lit) if part)


class _Facts(NamedTuple):
    """All that a row depends on: as long as these are equal, so is the row; a tuple, because these are many."""

    study: TimelineStudy
    current_date: date | None
    suggested: bool
    held: Held
    twins: tuple[str, ...]


class RowBuilder(QObject):
    """Makes the rows of one patient, only those anew of which something changed, and no longer than a moment at once.

    `in_clear` names the hospitals whose images cross a network unencrypted.
    `built` has all rows, the newest study first, those without a date last: at once where that takes no longer than
    `SLICE_SECONDS`, else when the event loop has come round often enough.
    """

    built = Signal(tuple)

    def __init__(self, parent: QObject | None = None, in_clear: frozenset[str] = frozenset()) -> None:
        super().__init__(parent)
        self._in_clear = in_clear
        self._known: dict[str, tuple[_Facts, TimelineRow]] = {}
        self._left: Iterator[TimelineRow] = iter(())
        self._made: list[TimelineRow] = []
        self._finished = True
        self._next = QTimer(self)
        self._next.setInterval(0)
        self._next.timeout.connect(self._go_on)

    def build(self, case: Case) -> None:
        """Make the rows of a case as it is now; what was being made is left, and its rows are used again."""
        self._left, self._made = self._rows(case), []
        self._finished = self._make_some()
        if self._finished:
            self._end()
        else:
            self._next.start()

    def forget(self) -> None:
        """The next rows are of another patient: nothing of this one is told any more."""
        self._next.stop()
        self._known, self._left, self._made, self._finished = {}, iter(()), [], True

    def _go_on(self) -> None:
        # Telling has a turn of its own, because those who listen have work to do, too.
        if self._finished:
            self._end()
        else:
            self._finished = self._make_some()

    def _end(self) -> None:
        self._next.stop()
        made, self._made, self._left = tuple(self._made), [], iter(())
        self.built.emit(made)

    def _make_some(self) -> bool:
        """Make rows as long as a slice lasts; true where none is left."""
        until = time.perf_counter() + SLICE_SECONDS
        while some := list(islice(self._left, ROWS_BETWEEN_LOOKS)):
            self._made += some
            if time.perf_counter() >= until:
                return False
        return True

    def _rows(self, case: Case) -> Iterator[TimelineRow]:
        timeline = case.timeline
        if timeline is None:
            return
        current = case.current()
        suggestion = timeline.suggestion() if current else None
        suggested_uid = suggestion.study_uid if suggestion else ""
        current_date = current.best.study_date if current else None
        twins = _twins(timeline)
        for study in timeline.studies():
            uid = study.answers[0].study_uid
            lit = uid == suggested_uid
            yield self._row(uid, _Facts(study, current_date, lit, case.held(uid), twins.get(uid, ())))

    def _row(self, uid: str, facts: _Facts) -> TimelineRow:
        known = self._known.get(uid)
        if known is not None and known[0] == facts:
            return known[1]
        row = _make(facts, self._in_clear)
        self._known[uid] = (facts, row)
        return row


def _make(facts: _Facts, in_clear: frozenset[str]) -> TimelineRow:
    study, current_date = facts.study, facts.current_date
    best, modalities = study.best, study.modalities
    shut = study.match.outcome is not Identity.SAME
    title = "Not certainly this patient" if shut else shown_text(wording.study_title(best))
    hospitals = tuple(shown_text(name) for name in study.places)
    distance = "" if study.current else wording.distance(best.study_date, current_date)
    modality = next((name for name in modalities if name not in MARKS), "")
    words = (title, *hospitals, wording.written_date(best.study_date), *study.regions, *modalities)
    because = (best_title(study), distance, *study.relevance.reasons)
    return TimelineRow(
        study_uid=study.study_uid,
        when=best.study_date,
        regions=tuple(region.value for region in study.regions),
        modalities=modalities,
        hospitals=hospitals,
        counts=tuple(answer.images for answer in study.answers),
        modality=shown_text(modality)[:4] or "?",
        title=title,
        written_date=wording.written_date(best.study_date),
        distance=distance,
        copies=len(study.answers),
        presence=facts.held.presence,
        status=facts.held.status(study.images),
        shut=shut,
        report_only=bool(modalities) and DOCUMENT_MODALITIES.issuperset(modalities),
        current=study.current,
        suggested=facts.suggested,
        identity=_identity(study) if shut else "",
        region_why=_region_why(study),
        twins=facts.twins,
        score=study.relevance.score,
        reasons=study.relevance.reasons,
        reason=" · ".join(part for part in because if part),
        search_text=f" {plain(' '.join(words))}",
        lacking=facts.held.is_lacking,
        why_lacking=shown_text(facts.held.why_lacking),
        share=facts.held.share,
        ahead=facts.held.fetching is not None and facts.held.fetching.prefetch,
        in_clear=frozenset(shown_text(name) for name in in_clear.intersection(study.hospitals)),
    )


def _twins(timeline: Timeline) -> dict[str, tuple[str, ...]]:
    """The places of probable copies, by the study that they are probably copies of."""
    copied = timeline.copied()
    if not copied:
        return {}
    places = {one.study_uid: ", ".join(map(shown_text, one.places)) for one in timeline.studies()}
    return {uid: tuple(places[other] for other in others) for uid, others in copied.items()}


def _region_why(study: TimelineStudy) -> str:
    """Where the region is from: "from the description", "from the body part, not certain"."""
    finding = study.region_finding
    if finding.source is RegionSource.NOTHING:
        return ""
    return f"from the {finding.source.value}{'' if finding.certain else ', not certain'}"


def best_title(study: TimelineStudy) -> str:
    """A short name of the study for the suggestion: "chest film", "head CT"."""
    region = study.regions[0].value
    modality = next(iter(study.modalities), "")
    return f"{region} {'film' if modality in ('CR', 'DX') else modality}".strip()


def shown_text(text: str) -> str:
    """Foreign text in one line, without characters that steer (line ends, text direction) and not endless."""
    if text.isprintable() and len(text) <= LONGEST_TEXT:
        return text
    cut = text[: LONGEST_TEXT + 1]
    seen = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in cut)
    return " ".join(seen.split())[:LONGEST_TEXT] + "…" * (len(text) > LONGEST_TEXT)


def matches(row: TimelineRow, typed: str) -> bool:
    """Whether every typed word begins a word of the row: "chest ct 2019"."""
    return all(f" {part}" in row.search_text for part in plain(typed).split())


def _identity(study: TimelineStudy) -> str:
    match = study.match
    sides = (("agrees", match.agreeing), ("differs", match.conflicting))
    said = [f"{word}: {', '.join(fields)}" for word, fields in sides if fields]
    return "; ".join(("not certainly this patient", *said))
