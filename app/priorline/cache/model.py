"""What the cache tells about itself: plain, frozen values."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from priorline.domain.study import StudyAnswer


class AddOutcome(StrEnum):
    """What became of an instance that was given to the cache."""

    STORED = "stored"
    IDENTICAL = "identical"
    CONFLICTING = "conflicting"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """One instance in the cache.

    `handle` (32 hexadecimal digits), `path` and `key` are what `seal.read_object` needs; `key` opens this object
    only and is empty in a cache that is not encrypted. `header` is what was given with it. `size` is in bytes.
    """

    handle: str
    study_uid: str
    sop_uid: str
    series_uid: str
    header: bytes = field(repr=False)
    path: str
    key: bytes = field(repr=False)
    size: int


@dataclass(frozen=True, slots=True)
class Added:
    """The outcome of one addition; `instance` is the object that is shown for it, None where none is."""

    outcome: AddOutcome
    instance: StoredInstance | None = None


@dataclass(frozen=True, slots=True)
class Presence:
    """How much of a study the cache holds; `expected` is 0 where nobody said how many images there are."""

    images: int = 0
    complete: bool = False
    expected: int = 0


@dataclass(frozen=True, slots=True)
class StoredStudy:
    """A study in the cache; `handle` is its random name there.

    `instances` counts those that may be shown, `quarantined` those set apart, `bytes` both.
    Times are in UTC. `pin_reason` is empty where the study is not pinned.
    """

    handle: str
    answer: StudyAnswer
    instances: int
    quarantined: int
    bytes: int
    expected: int
    complete: bool
    fetched_at: datetime
    viewed_at: datetime
    pinned: bool = False
    pin_reason: str = ""

    @property
    def study_uid(self) -> str:
        """Study Instance UID (0020,000D)."""
        return self.answer.study_uid


@dataclass(frozen=True, slots=True)
class CacheStats:
    """The cache in numbers; `bytes` of all instances, quarantined ones included."""

    directory: Path
    studies: int
    series: int
    instances: int
    bytes: int
    encrypted: bool
    quarantined: int
