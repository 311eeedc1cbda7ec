"""Studies as hospitals answer them, and the states a hospital can be in."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, time
from enum import StrEnum

from priorline.domain.patient import Patient

UID_LENGTH_MAX = 64
DEPARTMENT_ARCHIVE = "department archive"


def is_uid(value: str) -> bool:
    """Whether text is a usable UID: digits and dots, 1 to 64 characters (PS3.5 9.1)."""
    return 0 < len(value) <= UID_LENGTH_MAX and value.isascii() and value.replace(".", "").isdigit()


def department_words(name: str) -> str:
    """A department's own archive as the user sees it: never to be taken for a hospital where the patient was."""
    return name if DEPARTMENT_ARCHIVE in name.casefold() else f"{name} ({DEPARTMENT_ARCHIVE})"


class HospitalState(StrEnum):
    """Where one hospital's answer stands; every hospital ends in one of the last six."""

    ASKING = "asking"
    ANSWERED = "answered"
    NONE = "none"
    FAILED = "failed"
    TIMED_OUT = "timed-out"
    REFUSED = "refused"
    NOT_ASKED = "not-asked"


@dataclass(frozen=True, slots=True)
class HospitalReport:
    """How one hospital answered.

    `studies` counts rows for the line, `dropped` rows of other patients that the archive sent all the same,
    `withheld` rows under the number asked for that name another person,
    `cut` is true where the archive had more rows than are taken. `message` is a sentence for the user. `department`
    marks our own department's archive, which keeps copies and is no place where a patient was.
    """

    hospital: str
    state: HospitalState
    studies: int = 0
    dropped: int = 0
    cut: bool = False
    seconds: float = 0.0
    message: str = ""
    withheld: int = 0
    department: bool = False

    @property
    def place(self) -> str:
        """What the user sees: the hospital's name, or that it is the department's archive."""
        return department_words(self.hospital) if self.department else self.hospital


@dataclass(frozen=True, slots=True)
class ProcedureCode:
    """What was done, as a code (PS3.3 8.8): `scheme` is the Coding Scheme Designator (0008,0102)."""

    value: str
    scheme: str
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class StudyAnswer:
    """One study as one hospital describes it (a C-FIND or QIDO-RS row at study level, PS3.4 C.6.2.1).

    `series` and `images` are None where the hospital did not say. `doubtful_text` marks text that was decoded
    with a fallback character set. `laterality` is R, L or B where a hospital gives it (0020,0060).
    """

    hospital: str
    study_uid: str
    patient: Patient
    study_date: date | None = None
    study_time: time | None = None
    modalities: tuple[str, ...] = ()
    description: str = ""
    accession: str = ""
    body_part: str = ""
    series: int | None = None
    images: int | None = None
    availability: str = ""
    doubtful_text: bool = False
    procedure_codes: tuple[ProcedureCode, ...] = ()
    laterality: str = ""


@dataclass(frozen=True, slots=True)
class SeriesAnswer:
    """One series of a study as a hospital lists it."""

    series_uid: str
    modality: str = ""
    number: int | None = None
    description: str = ""
    images: int | None = None


@dataclass(frozen=True, slots=True)
class FirstListed:
    """One instance of a study that a hospital has begun to list, and the SOP classes told of by then, maybe none."""

    series_uid: str
    sop_uid: str
    sop_classes: frozenset[str]


@dataclass(frozen=True, slots=True)
class StudyListing:
    """What a study consists of, as a hospital lists it.

    `instances` has SOP Instance UIDs by Series Instance UID, each series in the order of its instance numbers as far
    as told; None where the hospital does not list them, or leaves some out. `sop_classes` decide what is negotiated
    for retrieval; there are none where it does not tell all. `is_cut`: it was cancelled, and says nothing.
    """

    series: tuple[SeriesAnswer, ...] = ()
    instances: Mapping[str, list[str]] | None = None
    sop_classes: frozenset[str] = frozenset()
    is_cut: bool = False


def in_fetch_order(answers: Iterable[StudyAnswer], departments: Collection[str]) -> tuple[StudyAnswer, ...]:
    """Whom to ask for a study, one after another: the department's archives, then who has most images."""
    return tuple(sorted(answers, key=lambda one: (one.hospital not in departments, -(one.images or 0))))


class FetchState(StrEnum):
    """How the retrieval of a study ended."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class FetchReport:
    """What a retrieval brought; `expected` is 0 where the hospital did not say how many there are."""

    study_uid: str
    hospital: str
    state: FetchState
    expected: int = 0
    received: int = 0
    already_cached: int = 0
    failed: int = 0
    quarantined: int = 0
    bytes: int = 0
    seconds: float = 0.0
    message: str = ""
    reasons: tuple[str, ...] = field(default=())


def measured_by(report: FetchReport, others: Iterable[StudyAnswer]) -> FetchReport:
    """The report, partial where one of the `others` who hold the study says that it has more images."""
    most = max((one.images or 0 for one in others), default=0)
    if report.state is not FetchState.COMPLETE or report.received >= most:
        return report
    message = f"{report.hospital} holds {report.received} of {most} images."
    return replace(report, state=FetchState.PARTIAL, expected=most, message=f"{report.message} {message}".strip())
