"""One study as it stands on the line: everyone who holds it, whose it is, what it shows and how much it matters."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from priorline.domain.identity import Match
from priorline.domain.laterality import Side, side_of, side_of_tags
from priorline.domain.region import Regions, plain
from priorline.domain.region_finding import RegionFinding
from priorline.domain.relevance import DOCUMENT_MODALITIES, FILM_MODALITIES, Exam, Relevance
from priorline.domain.study import StudyAnswer, department_words

BEDSIDE_WORDS = frozenset(
    "bed bedside bedopname portable mobile mobiel liegend liegen liggend bettaufnahme bett supine ic icu".split()
)


@dataclass(frozen=True, slots=True)
class Told:
    """What all copies of a study say together: worked out once, as ranking and drawing ask for it again and again.

    `hospitals` are the holders as configured, `places` the same as the user sees them. `modalities` has those of
    pictures before those of documents; `images` is the largest number of instances that any holder gives.
    """

    hospitals: tuple[str, ...]
    places: tuple[str, ...]
    modalities: tuple[str, ...]
    images: int | None
    side: Side
    bedside: bool


def told_by(answers: Sequence[StudyAnswer], departments: Collection[str] = ()) -> Told:
    """What `answers`, the copies of one study, say together; `departments` are our own archives among the holders."""
    names = tuple(answer.hospital for answer in answers)
    found = dict.fromkeys(modality for answer in answers for modality in answer.modalities)
    counts = [answer.images for answer in answers if answer.images is not None]
    tagged = side_of_tags(answer.laterality for answer in answers)
    bedside = not FILM_MODALITIES.isdisjoint(found) and any(
        not BEDSIDE_WORDS.isdisjoint(plain(answer.description).split()) for answer in answers
    )
    return Told(
        names,
        tuple(department_words(name) if name in departments else name for name in names),
        tuple(sorted(found, key=DOCUMENT_MODALITIES.__contains__)),
        max(counts, default=None),
        tagged or side_of(*dict.fromkeys(answer.description for answer in answers)),
        bedside,
    )


@dataclass(frozen=True, slots=True)
class TimelineStudy:
    """One study on the line with everyone who holds it.

    `answers` has the hospital's copy with the most images first and the department's archives last, `holders` the
    same in the order in which they are asked for it.
    """

    answers: tuple[StudyAnswer, ...]
    match: Match
    region_finding: RegionFinding
    told: Told
    holders: tuple[StudyAnswer, ...] = ()
    relevance: Relevance = field(default=Relevance(0.0))
    current: bool = False

    @property
    def study_uid(self) -> str:
        """Study Instance UID (0020,000D)."""
        return self.answers[0].study_uid

    @property
    def best(self) -> StudyAnswer:
        """The copy that describes the study: of the hospital with the most images."""
        return self.answers[0]

    @property
    def regions(self) -> Regions:
        """What the study shows, the main region first; where that is from is in `region_finding`."""
        return self.region_finding.regions

    @property
    def side(self) -> Side:
        """The side of the body, from Laterality where a hospital gives it, else from what the copies are called."""
        return self.told.side

    @property
    def hospitals(self) -> tuple[str, ...]:
        """Every hospital that holds the study, the department's archives last, as configured."""
        return self.told.hospitals

    @property
    def places(self) -> tuple[str, ...]:
        """The same as the user sees them."""
        return self.told.places

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modalities, those of pictures before those of documents."""
        return self.told.modalities

    @property
    def images(self) -> int | None:
        """The largest number of instances that any holder gives."""
        return self.told.images

    def exam(self) -> Exam:
        """What ranking looks at."""
        told, finding = self.told, self.region_finding
        date = self.answers[0].study_date
        return Exam(finding.regions, told.modalities, date, told.bedside, told.side, finding.confidence)
