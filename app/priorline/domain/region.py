"""Which part of the body a study shows, worked out from what hospitals write about it.

The regions are the ten of the IHE MADO profile; one study may show several.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Region(StrEnum):
    """The anatomic regions of IHE RAD MADO, and UNKNOWN, which never counts as irrelevant."""

    HEAD_NECK = "head and neck"
    CHEST = "chest"
    ABDOMEN = "abdomen"
    UPPER_LIMB = "upper limb"
    LOWER_LIMB = "lower limb"
    WHOLE_BODY = "whole body"
    VESSELS = "vessels"
    HEART = "heart"
    BREAST = "breast"
    SPINE = "spine"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class RegionTable:
    """Words and the regions they stand for; a word ending in `*` matches the beginnings of words."""

    whole: Mapping[str, tuple[Region, ...]]
    beginnings: tuple[tuple[str, tuple[Region, ...]], ...]

    @classmethod
    def build(cls, words: Mapping[str, Sequence[str]]) -> "RegionTable":
        """Make a table from `{region name: words}`; raises ValueError for a region that does not exist."""
        found: dict[str, list[Region]] = {}
        for region, entries in words.items():
            for entry in entries:
                found.setdefault(plain(entry, keep="*"), []).append(Region(region))
        exact = {word: tuple(regions) for word, regions in found.items() if not word.endswith("*")}
        begins = [(word[:-1], tuple(regions)) for word, regions in found.items() if word.endswith("*")]
        return cls(exact, tuple(sorted(begins, key=lambda pair: -len(pair[0]))))

    def regions(self, *texts: str) -> tuple[Region, ...]:
        """The regions that the first of `texts` with any known word names, in the order of its words."""
        for text in texts:
            found: dict[Region, None] = {}
            for word in plain(text).split():
                found.update(dict.fromkeys(self._of_word(word)))
            if found:
                return tuple(found)
        return (Region.UNKNOWN,)

    def _of_word(self, word: str) -> tuple[Region, ...]:
        if word in self.whole:
            return self.whole[word]
        return next((regions for begin, regions in self.beginnings if word.startswith(begin)), ())


def plain(text: str, keep: str = "") -> str:
    """Lower case, without accents, and with spaces for everything but letters, digits and `keep`."""
    folded = unicodedata.normalize("NFKD", text).casefold()
    letters = (char if char.isalnum() or char in keep else " " for char in folded if not unicodedata.combining(char))
    return re.sub(r"\s+", " ", "".join(letters)).strip()
