"""One study as it stands on the line: everyone who holds it, whose it is, what it shows and how much it matters."""

from dataclasses import dataclass, field

from priorline.domain.identity import Match
from priorline.domain.laterality import Side, side_of, side_of_tags
from priorline.domain.region import Regions, plain
from priorline.domain.region_finding import RegionFinding
from priorline.domain.relevance import DOCUMENT_MODALITIES, FILM_MODALITIES, Exam, Relevance
from priorline.domain.study import StudyAnswer

BEDSIDE_WORDS = frozenset(
    "bed bedside bedopname portable mobile mobiel liegend liegen liggend bettaufnahme bett supine ic icu".split()
)


@dataclass(frozen=True, slots=True)
class TimelineStudy:
    """One study on the line with everyone who holds it; `answers` has the best described copy first."""

    answers: tuple[StudyAnswer, ...]
    match: Match
    region_finding: RegionFinding
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
    def regions(self) -> Regions:
        """What the study shows, the main region first; where that is from is in `region_finding`."""
        return self.region_finding.regions

    @property
    def side(self) -> Side:
        """The side of the body, from Laterality where a hospital gives it, else from what the copies are called."""
        tagged = side_of_tags(answer.laterality for answer in self.answers)
        return tagged or side_of(*dict.fromkeys(answer.description for answer in self.answers))

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
        return Exam(
            self.regions, modalities, self.best.study_date, bedside, self.side, self.region_finding.confidence
        )
