"""The parts of the body that studies show, and the words and codes by which hospitals name them.

The regions are the ten of the IHE MADO profile; one study may show several.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from priorline.domain.region_words import LONGEST_WORD, Misspelled, bare, likely_slip, one_slip, plain, spellings

__all__ = ["NOTHING", "Reading", "Region", "RegionTable", "Regions", "plain"]


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


Regions = tuple[Region, ...]
NOTHING: Regions = (Region.UNKNOWN,)
NO_REGION = "no region"
"""The name in a table under which words stand that only look like parts of the body."""
DOUBT = "?"
"""The mark in a table of a word that counts only where no other word of the text names a region but vessels."""
# Coding scheme designators that mean one scheme (PS3.16 table 8-1): old ones, and what systems write for RadLex.
SAME_SCHEME = {"SNOMED": "SCT", "SNOMED-CT": "SCT", "LOINC": "LN", "RPID": "RADLEX"}
SHORTEST_SLIP = 5
SHORTEST_OF_TWO = 4


class Reading(NamedTuple):
    """The regions that words name, and whether they name them beyond doubt."""

    regions: Regions
    sure: bool


NO_WORD = Reading((), True)


class RegionTable:
    """Words, phrases and codes and the regions they stand for."""

    def __init__(self, words: Mapping[str, Reading], codes: Mapping[tuple[str, str], Regions]) -> None:
        """Take readings by plain spelling, with a `*` for the rest of a word, and regions by scheme and value."""
        self._whole = {word: reading for word, reading in words.items() if "*" not in word}
        self._begins = {word[:-1]: reading for word, reading in words.items() if word.endswith("*")}
        self._ends = {word[1:]: reading for word, reading in words.items() if word.startswith("*")}
        phrases: dict[str, set[int]] = {}
        for words_in_row in (word.split() for word in self._whole if " " in word):
            phrases.setdefault(words_in_row[0], set()).add(len(words_in_row))
        self._phrases = {word: sorted(lengths, reverse=True) for word, lengths in phrases.items()}
        self._codes = codes
        known = {**self._ends, **self._begins, **self._whole}
        self._names = {word: one for word, one in known.items() if len(word) >= SHORTEST_SLIP}
        self._misspelled = Misspelled(word for word in self._names if " " not in word)
        self._of_word = lru_cache(maxsize=8192)(self._read_word)

    @classmethod
    def build(
        cls,
        words: Mapping[str, Sequence[str]],
        codes: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
    ) -> "RegionTable":
        """Make a table from `{region name: words}` and `{scheme: {region name: code values}}`.

        A word that ends in `*` matches the beginnings of words, one that begins with it their endings; words with
        spaces between them match in a row; a `?` behind them marks doubt. What stands under "no region" is passed
        over. Raises ValueError for another region, no list of words, or a `*` in a phrase.
        """
        found: dict[str, Reading] = {}
        for name, entries in words.items():
            regions: Regions = () if name == NO_REGION else (_region(name),)
            for entry in _checked(name, entries):
                for spelling in spellings(entry, keep="*"):
                    earlier = found.get(spelling, Reading((), True))
                    both = tuple(dict.fromkeys((*earlier.regions, *regions)))
                    found[spelling] = Reading(both, earlier.sure and not entry.endswith(DOUBT))
        return cls(found, _codes(codes or {}))

    def read(self, *texts: str) -> Reading:
        """What the first of `texts` that names a region beyond doubt says, else the first that names any."""
        readings = [self._of_text(text) for text in texts]
        told = [reading for reading in readings if reading.regions]
        return next((one for one in told if one.sure), told[0] if told else Reading(NOTHING, False))

    def regions(self, *texts: str) -> Regions:
        """The regions that `texts` name, in the order of their words."""
        return self.read(*texts).regions

    def of_body_parts(self, parts: Iterable[str]) -> Regions:
        """The regions of Body Part Examined (0018,0015): defined terms (PS3.16 annex L), words, or words mistyped."""
        found: dict[Region, None] = {}
        for part in parts:
            regions = self.regions(part)
            found.update(dict.fromkeys(self._of_slip(plain(part), one_slip) if regions == NOTHING else regions))
        found.pop(Region.UNKNOWN, None)
        return tuple(found) or NOTHING

    def of_codes(self, codes: Iterable[tuple[str, str]]) -> Regions:
        """The regions of (scheme, value) pairs, all together; unknown where the table has none of them."""
        keys = ((_scheme(scheme), value.strip().upper()) for scheme, value in codes)
        return tuple(dict.fromkeys(region for key in keys for region in self._codes.get(key, ()))) or NOTHING

    def _of_text(self, text: str) -> Reading:
        """All that the words say beyond doubt, else what they may say, else what a mistyped one was meant to be."""
        sure: dict[Region, None] = {}
        perhaps: dict[Region, None] = {}
        words, at = plain(text).split(), 0
        while at < len(words):
            reading, used = self._of_start(words, at)
            if reading.regions:
                (sure if reading.sure else perhaps).update(dict.fromkeys(reading.regions))
            at += used
        if not sure and not perhaps:
            for word in words:
                perhaps.update(dict.fromkeys(self._of_slip(word, likely_slip)))
        if perhaps and not sure.keys() - {Region.VESSELS}:
            return Reading(tuple({**sure, **perhaps}), bool(sure))
        return Reading(tuple(sure), bool(sure))

    def _of_start(self, words: list[str], at: int) -> tuple[Reading, int]:
        """The reading of the longest known phrase from `at` on, and of how many words it is."""
        for length in self._phrases.get(words[at], ()):
            reading = self._whole.get(" ".join(words[at : at + length]))
            if reading is not None and at + length <= len(words):
                return reading, length
        return NO_WORD if words[at].isdigit() else self._of_word(words[at][:LONGEST_WORD]), 1

    def _read_word(self, word: str) -> Reading:
        """The reading of a word as it stands, else of what is left without digits, techniques and sides."""
        for form in bare(word):
            reading = self._of_form(form)
            if reading is not None:
                return reading
        return self._of_two(word)

    def _of_two(self, word: str) -> Reading:
        """The reading of two known words written as one: "handpols"."""
        for at in range(SHORTEST_OF_TWO, len(word) - SHORTEST_OF_TWO + 1):
            pair = [self._whole.get(part, NO_WORD) for part in (word[:at], word[at:])]
            if all(reading.sure and reading.regions for reading in pair):
                return Reading(tuple(dict.fromkeys(region for one in pair for region in one.regions)), True)
        return NO_WORD

    def _of_form(self, word: str) -> Reading | None:
        """The whole word, or its beginning and its ending together: "nierarterie" names two regions."""
        whole = self._whole.get(word)
        if whole is not None:
            return whole
        start = next((word[:to] for to in range(len(word), 0, -1) if word[:to] in self._begins), "")
        end = next((word[at:] for at in range(len(start), len(word)) if word[at:] in self._ends), "")
        found = [self._begins[start]] if start else []
        if end:
            before = word.removesuffix(end)
            found += [self._whole[form] for form in {before, before.removesuffix("s")} if form in self._whole]
            found.append(self._ends[end])
        if not found or not all(reading.regions for reading in found):
            return NO_WORD if found else None
        sure = any(reading.sure for reading in found)
        told = (region for one in found if one.sure == sure for region in one.regions)
        return Reading(tuple(dict.fromkeys(told)), sure)

    def _of_slip(self, word: str, near: Callable[[str, str], bool]) -> Regions:
        """The regions of what `word` was meant to be, if one letter is wrong and there is one way to read it."""
        if len(word) < SHORTEST_SLIP or " " in word:
            return ()
        meant = {
            self._names[name].regions for name in self._misspelled.meant(word[:LONGEST_WORD]) if near(word, name)
        }
        return meant.pop() if len(meant) == 1 else ()


def _codes(codes: Mapping[str, Mapping[str, Sequence[str]]]) -> dict[tuple[str, str], Regions]:
    found: dict[tuple[str, str], dict[Region, None]] = {}
    for scheme, regions in codes.items():
        if not isinstance(regions, Mapping):
            raise ValueError(f'"{scheme}" needs regions with lists of codes')
        for name, values in regions.items():
            region = _region(name)
            for value in _checked(name, values):
                found.setdefault((_scheme(scheme), value.strip().upper()), {})[region] = None
    return {key: tuple(regions) for key, regions in found.items()}


def _scheme(name: str) -> str:
    name = name.strip().upper()
    return SAME_SCHEME.get(name, name)


def _region(name: str) -> Region:
    if name not in tuple(Region) or name == Region.UNKNOWN:
        allowed = ", ".join(region for region in Region if region is not Region.UNKNOWN)
        raise ValueError(f'"{name}" is not a region; allowed are {allowed}')
    return Region(name)


def _checked(name: str, entries: object) -> list[str]:
    words = [word for word in entries if isinstance(word, str) and plain(word)] if isinstance(entries, list) else []
    if not isinstance(entries, list) or len(words) != len(entries):
        raise ValueError(f'"{name}" needs a list of words')
    wrong = next((word for word in words if _misplaced(word.removesuffix(DOUBT))), None)
    if wrong is not None:
        raise ValueError(f'"{wrong}": a * may stand at the beginning or the end of a single word only')
    return words


def _misplaced(word: str) -> bool:
    return "*" in word[1:-1] or ("*" in word and " " in word)
