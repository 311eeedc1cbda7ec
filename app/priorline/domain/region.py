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


NOT_PLAIN = re.compile(r"[^a-z0-9]+")
# Modalities that show one part of the body only; they decide where no word does.
MODALITY_REGIONS = {
    "MG": Region.BREAST,
    "IO": Region.HEAD_NECK,
    "PX": Region.HEAD_NECK,
    "OP": Region.HEAD_NECK,
    "OPT": Region.HEAD_NECK,
    "ECG": Region.HEART,
    "IVUS": Region.HEART,
}


@dataclass(frozen=True, slots=True)
class RegionTable:
    """Words and phrases and the regions they stand for; `beginnings` match the beginnings of words."""

    whole: Mapping[str, tuple[Region, ...]]
    beginnings: Mapping[str, tuple[Region, ...]]
    longest_phrase: int = 1

    @classmethod
    def build(cls, words: Mapping[str, Sequence[str]]) -> "RegionTable":
        """Make a table from `{region name: words}`; raises ValueError for another region or no list of words.

        A word that ends in `*` matches the beginnings of words; words with spaces between them match in a row.
        """
        found: dict[str, dict[Region, None]] = {}
        for name, entries in words.items():
            region = _region(name)
            for entry in _checked(name, entries):
                found.setdefault(plain(entry, keep="*"), {})[region] = None
        exact = {word: tuple(regions) for word, regions in found.items() if not word.endswith("*")}
        begins = {word[:-1]: tuple(regions) for word, regions in found.items() if word.endswith("*")}
        return cls(exact, begins, max((len(word.split()) for word in exact), default=1))

    def regions(self, *texts: str) -> tuple[Region, ...]:
        """The regions that the first of `texts` with any known word names, in the order of its words."""
        for text in texts:
            found: dict[Region, None] = {}
            words = plain(text).split()
            while words:
                regions, used = self._of_start(words)
                found.update(dict.fromkeys(regions))
                words = words[used:]
            if found:
                return tuple(found)
        return (Region.UNKNOWN,)

    def _of_start(self, words: list[str]) -> tuple[tuple[Region, ...], int]:
        """The regions of the longest known phrase at the start, and of how many words it is."""
        for length in range(min(self.longest_phrase, len(words)), 0, -1):
            regions = self.whole.get(" ".join(words[:length]))
            if regions is not None:
                return regions, length
        starts = (words[0][:length] for length in range(len(words[0]), 0, -1))
        return next((self.beginnings[start] for start in starts if start in self.beginnings), ()), 1


def plain(text: str, keep: str = "") -> str:
    """Lower case, without accents, and with spaces for everything but letters, digits and `keep`."""
    if text.isascii() and not keep:
        return NOT_PLAIN.sub(" ", text.lower()).strip()  # Fast, because whole lines of studies are read at once.
    text = unicodedata.normalize("NFKD", text)
    letters = (char if char.isalnum() or char in keep else " " for char in text if not unicodedata.combining(char))
    return " ".join("".join(letters).casefold().split())


def _region(name: str) -> Region:
    if name not in tuple(Region) or name == Region.UNKNOWN:
        allowed = ", ".join(region for region in Region if region is not Region.UNKNOWN)
        raise ValueError(f'"{name}" is not a region; allowed are {allowed}')
    return Region(name)


def _checked(name: str, entries: object) -> list[str]:
    if isinstance(entries, list | tuple):
        words = [entry for entry in entries if isinstance(entry, str) and plain(entry)]
        if len(words) == len(entries):
            return words
    raise ValueError(f'"{name}" needs a list of words')
