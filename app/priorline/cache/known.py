"""What the index says of the studies that are being written, remembered as long as nobody else changes it."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from priorline.cache.catalogue import Catalogue, OpenStudy
from priorline.domain.study import StudyAnswer

STUDIES_MAX = 16


@dataclass(frozen=True, slots=True)
class _Study:
    opened: OpenStudy
    codes: set[bytes]


class Known:
    """The study rows and instances that a fetch would otherwise ask the index for with every image.

    `claimed` tells the SOP Instance UIDs that are on their way into a study, by its handle.

    What it does not know of others' doing meanwhile is judged once more when the group is entered.
    """

    def __init__(self, catalogue: Catalogue, claimed: Callable[[str], set[str]]) -> None:
        self._catalogue, self._claimed = catalogue, claimed
        self._lock = threading.Lock()
        self._studies: dict[str, _Study] = {}

    def forget(self) -> None:
        """Ask anew."""
        with self._lock:
            self._studies.clear()

    def study(self, answer: StudyAnswer) -> OpenStudy:
        """The row of a study, made where there is none."""
        with self._lock:
            known = self._studies.get(answer.study_uid)
            if known is None:
                opened = self._catalogue.ensure(answer)
                while len(self._studies) >= STUDIES_MAX:
                    del self._studies[next(iter(self._studies))]
                # In this order: what is entered between the two is in the index by then.
                coming = {self._catalogue.code("instance", uid) for uid in self._claimed(opened.handle)}
                known = _Study(opened, coming | self._catalogue.codes(opened))
                self._studies[answer.study_uid] = known
            return known.opened

    def has(self, study: OpenStudy, sop_uid: str) -> bool:
        """Whether the index may have an instance under this UID; no is certain as far as this process did it."""
        with self._lock:
            known = self._studies.get(study.uid)
        return known is None or self._catalogue.code("instance", sop_uid) in known.codes

    def add(self, study: OpenStudy, sop_uid: str) -> None:
        """An instance comes with the next commit."""
        with self._lock:
            known = self._studies.get(study.uid)
            if known is not None:
                known.codes.add(self._catalogue.code("instance", sop_uid))
