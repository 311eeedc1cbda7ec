"""What a pane says about its image: who, when, where from, how much of it, and what state it is in."""

from dataclasses import dataclass
from enum import Enum
from typing import Literal

Role = Literal["CURRENT", "PRIOR", "LATER", ""]
Item = tuple[str, int]
"""SOP Instance UID and number of the frame, from 0."""


class PaneState(Enum):
    """What a pane has to show; only `IMAGE` paints pixels."""

    EMPTY = "empty"
    WAITING = "waiting"
    IMAGE = "image"
    CANNOT_SHOW = "cannot show"
    QUARANTINED = "quarantined"
    OTHER_PATIENT = "other patient"


WITHHELD = frozenset({PaneState.QUARANTINED, PaneState.OTHER_PATIENT})
"""States in which neither pixels nor anything about the person is shown."""


@dataclass(frozen=True, slots=True)
class PaneContent:
    """All words of one pane.

    `series_uid` is Series Instance UID (0020,000E): pixels of any other series are refused, so that nothing is
    shown under a wrong name. `title` and `message` replace the state's own words. `expected` is None while the
    hospital has not said how many images there are; `whole` says whether all are here where that is known better
    than by counting (None: by counting). `image_number` counts from 1 to `image_count`, 0 where there is none.
    `progress` has the words about a retrieval that is open, the most needed first.
    """

    state: PaneState = PaneState.EMPTY
    series_uid: str = ""
    role: Role = ""
    patient: str = ""
    date: str = ""
    hospital: str = ""
    description: str = ""
    series: str = ""
    image_number: int = 0
    image_count: int = 0
    received: int = 0
    expected: int | None = None
    whole: bool | None = None
    derived: bool = False
    lossy: bool = False
    progress: tuple[str, ...] = ()
    title: str = ""
    message: str = ""

    @property
    def withheld(self) -> bool:
        """Whether nothing of the person may be shown."""
        return self.state in WITHHELD

    @property
    def complete(self) -> bool:
        """Whether all images are here, as far as the hospital has said how many there are."""
        if self.whole is not None:
            return self.whole
        return self.expected is not None and self.received >= self.expected

    @property
    def partial(self) -> bool:
        """Whether some images are here and nothing more is coming by itself."""
        return bool(self.received) and not self.complete and not self.progress and not self.withheld

    @property
    def completeness(self) -> str:
        """How much of the study is here, in words."""
        if self.complete:
            return "complete"
        if self.expected is None:
            return f"{self.received} {_images(self.received)} so far, total not known"
        if self.received >= self.expected:
            return f"{self.received} {_images(self.received)}, not all"
        return f"{self.received} of {self.expected} {_images(self.expected)}"

    @property
    def place(self) -> str:
        """Where the images come from and what they are."""
        return " · ".join(part for part in (self.hospital, self.description) if part)

    @property
    def position(self) -> str:
        """Which series and image is shown, such as "series 3 · image 12/133"."""
        image = f"image {self.image_number}/{self.image_count}" if self.image_number else ""
        return " · ".join(part for part in (self.series, image) if part)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an item is not shown; it stays until another item is looked at."""

    item: Item
    state: PaneState
    message: str = ""


def series_words(number: int, count: int, description: str) -> str:
    """Which series of a study: "series 2/5 · CT thorax 3.0"; `number` counts from 0."""
    place = f"series {number + 1}/{count}" if count > 1 else ""
    return " · ".join(part for part in (place, description) if part)


def _images(count: int) -> str:
    return "image" if count == 1 else "images"
