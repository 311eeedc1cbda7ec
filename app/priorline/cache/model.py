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

    `handle` (32 hexadecimal digits), `path` and `key` are what `sealed_file.read_object` needs; `key` opens this
    object only and is empty in a cache that is not encrypted. `size` is that of the file in bytes.
    """

    handle: str
    study_uid: str
    sop_uid: str
    series_uid: str
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
    """How much of a study the cache holds; `expected` is 0 where nobody said how many images there are.

    `hospital` is the one that it was fetched from last; two that differ in nothing else hold as much.
    """

    images: int = 0
    complete: bool = False
    expected: int = 0
    hospital: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Holding:
    """A study as the index tells of it without any right to read; `handle` is its random name there.

    `instances` counts those that may be shown, `quarantined` those set apart; `bytes` are those of both on the disk.
    Times are in UTC.
    """

    handle: str
    hospital: str
    instances: int
    quarantined: int
    bytes: int
    expected: int
    complete: bool
    fetched_at: datetime
    viewed_at: datetime
    pinned: bool


@dataclass(frozen=True, slots=True)
class StoredStudy:
    """A study in the cache with what its hospital says of it; `pin_reason` is empty where it is not pinned."""

    held: Holding
    answer: StudyAnswer
    pin_reason: str = ""

    @property
    def study_uid(self) -> str:
        """Study Instance UID (0020,000D)."""
        return self.answer.study_uid


@dataclass(frozen=True, slots=True)
class CacheStats:
    """The cache in numbers; `bytes` on the disk of all instances, quarantined ones included.

    `key` is where the key is kept: "keyring", "file", "session", or "" where nothing is encrypted.
    """

    directory: Path
    studies: int
    series: int
    instances: int
    bytes: int
    quarantined: int
    key: str

    @property
    def encrypted(self) -> bool:
        """Whether the objects are encrypted."""
        return bool(self.key)
