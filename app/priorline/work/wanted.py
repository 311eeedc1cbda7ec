"""What is to be here when a study is fetched: by the hospital's list where it gives one, else by its count."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from priorline.domain.fetch_order import FetchOrder
from priorline.domain.study import StudyAnswer, StudyListing


@dataclass(frozen=True, slots=True)
class Part:
    """One retrieve request: a whole study (`series_uid` None) or one series."""

    series_uid: str | None


class Wanted:
    """What is to be here in the end, as the hospital lists it; `series_uid` limits it to one series."""

    def __init__(self, listing: StudyListing, study: StudyAnswer, series_uid: str) -> None:
        self.series_uid = series_uid
        self._study, self._series, self._listed = study, listing.series, listing.instances
        self.classes: Collection[str] = listing.sop_classes

    @property
    def uids(self) -> set[str] | None:
        """SOP Instance UIDs, None where the hospital gives no list."""
        return _united(self._listed, self.series_uid)

    @property
    def count(self) -> int:
        """How many instances are to come; 0 where nobody says."""
        return self._count(self.series_uid)

    @property
    def study_count(self) -> int:
        """The same for the whole study, whatever part of it is fetched."""
        return self._count("")

    def _count(self, series_uid: str) -> int:
        uids = _united(self._listed, series_uid)
        counted = sum(one.images or 0 for one in self._series if series_uid in ("", one.series_uid))
        told = counted if series_uid else (self._study.images or counted)
        # A list that is shorter than what the hospital counts says that the list has a hole.
        return told if uids is None else max(len(uids), told if self._short else 0)

    @property
    def _asked(self) -> dict[str, list[str]] | None:
        """What of the list is to be fetched."""
        if self._listed is None:
            return None
        return {uid: uids for uid, uids in self._listed.items() if self.series_uid in ("", uid)}

    @property
    def _short(self) -> set[str]:
        """The series that tell their count and list fewer: the study's own count may be old, a series' is not."""
        if self._listed is None:
            return set()
        listed = self._listed
        return {one.series_uid for one in self._series if (one.images or 0) > len(listed.get(one.series_uid, ()))}

    def is_in(self, here: set[str]) -> bool:
        """By list where the hospital gives one, else by count; never by the final status alone."""
        return _is_whole(self.uids, self.count, here)

    def is_study_in(self, here: set[str]) -> bool:
        """Whether nothing of the whole study is missing."""
        return _is_whole(_united(self._listed, ""), self.study_count, here)

    def order(self, here: set[str], connections: int, *, begun: bool = False) -> FetchOrder | None:
        """What is missing, one by one; `begun`: of those series only of which something is here and all is listed.

        None where the hospital gives no list.
        """
        listed = self._asked
        if listed is None:
            return None
        if begun:
            short = self._short
            listed = {uid: uids for uid, uids in listed.items() if not here.isdisjoint(uids) and uid not in short}
        return FetchOrder(listed, here, connections)

    def streams(self, before: set[str], here: set[str], came: set[str]) -> list[Part]:
        """As `parts`, without series of which some of what was missing `before` came by name."""
        named = {uid for uid, uids in (self._asked or {}).items() if not came.isdisjoint(set(uids) - before)}
        return self.parts(here, named)

    def parts(self, here: set[str], without: Collection[str] = ()) -> list[Part]:
        """The study in one request, or only the series of which something is missing, but those in `without`."""
        listed = self._asked
        if self._listed is None or listed is None:
            return [Part(self.series_uid or None)]
        missing = [uid for uid, uids in listed.items() if uid not in without and not here.issuperset(uids)]
        if missing and len(missing) == len(self._listed):
            return [Part(None)]
        return [Part(uid) for uid in missing]


def _is_whole(uids: set[str] | None, count: int, here: set[str]) -> bool:
    return 0 < count <= len(here) and (uids is None or uids <= here)


def _united(listed: Mapping[str, list[str]] | None, series_uid: str) -> set[str] | None:
    if listed is None:
        return None
    return {uid for series, uids in listed.items() if series_uid in ("", series) for uid in uids}
