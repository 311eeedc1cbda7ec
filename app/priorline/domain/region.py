"""The parts of the body that studies show, and the words and codes by which hospitals name them.

The regions are the ten of the IHE MADO profile; one study may show several.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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


Regions = tuple[Region, ...]
NOTHING: Regions = (Region.UNKNOWN,)
NO_REGION = "no region"
"""The name in a table under which words stand that only look like parts of the body."""
NOT_PLAIN = re.compile(r"[^a-z0-9]+")
SPELLED_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})
# Coding scheme designators that mean one scheme (PS3.16 table 8-1): old ones, and what systems write for RadLex.
SAME_SCHEME = {"SNOMED": "SCT", "SNOMED-CT": "SCT", "LOINC": "LN", "RPID": "RADLEX"}
SLIP_LETTERS = 5
# What Dutch and German glue to the end of a part of the body: "voetfoto's", "Leberpunktion".
TAILS = tuple(
    "foto fotos echo scan opname opnames opnamen aufnahme aufnahmen sonographie sonografie szintigraphie "
    "szintigrafie scintigrafie punctie punktion biopsie biopsien drainage embolisatie ct mrt mri".split()
)


@dataclass(frozen=True, slots=True)
class RegionTable:
    """Words, phrases and codes and the regions they stand for.

    `beginnings` and `endings` match the beginnings and endings of words; `codes` are by scheme and value.
    """

    whole: Mapping[str, Regions]
    beginnings: Mapping[str, Regions]
    endings: Mapping[str, Regions] = field(default_factory=dict)
    longest_phrase: int = 1
    codes: Mapping[tuple[str, str], Regions] = field(default_factory=dict)

    @classmethod
    def build(
        cls,
        words: Mapping[str, Sequence[str]],
        codes: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
    ) -> "RegionTable":
        """Make a table from `{region name: words}` and `{scheme: {region name: code values}}`.

        A word that ends in `*` matches the beginnings of words, one that begins with it their endings; words with
        spaces between them match in a row. What stands under "no region" is passed over. Raises ValueError for
        another region, no list of words, or a `*` in a phrase.
        """
        found: dict[str, dict[Region, None]] = {}
        for name, entries in words.items():
            regions: Regions = () if name == NO_REGION else (_region(name),)
            for entry in _checked(name, entries):
                for spelling in _spellings(entry):
                    found.setdefault(spelling, {}).update(dict.fromkeys(regions))
        exact = {word: tuple(regions) for word, regions in found.items() if "*" not in word}
        begins = {word[:-1]: tuple(regions) for word, regions in found.items() if word.endswith("*")}
        ends = {word[1:]: tuple(regions) for word, regions in found.items() if word.startswith("*")}
        longest = max((len(word.split()) for word in exact), default=1)
        return cls(exact, begins, ends, longest, _codes(codes or {}))

    def regions(self, *texts: str) -> Regions:
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
        return NOTHING

    def of_body_parts(self, parts: Iterable[str]) -> Regions:
        """The regions of Body Part Examined (0018,0015): defined terms (PS3.16 annex L), words, or words mistyped."""
        found: dict[Region, None] = {}
        for part in parts:
            regions = self.regions(part)
            found.update(dict.fromkeys(self._of_slip(plain(part)) if regions == NOTHING else regions))
        return tuple(found) or NOTHING

    def of_codes(self, codes: Iterable[tuple[str, str]]) -> Regions:
        """The regions of (scheme, value) pairs, all together; unknown where the table has none of them."""
        keys = ((_scheme(scheme), value.strip().upper()) for scheme, value in codes)
        return tuple(dict.fromkeys(region for key in keys for region in self.codes.get(key, ()))) or NOTHING

    def _of_start(self, words: list[str]) -> tuple[Regions, int]:
        """The regions of the longest known phrase at the start, and of how many words it is."""
        for length in range(min(self.longest_phrase, len(words)), 0, -1):
            regions = self.whole.get(" ".join(words[:length]))
            if regions is not None:
                return regions, length
        word = words[0]
        for length in range(len(word), 0, -1):
            if word[:length] in self.beginnings:
                return self.beginnings[word[:length]], 1
        ends = (word[at:] for at in range(len(word)))
        found = next((self.endings[end] for end in ends if end in self.endings), None)
        return self._of_compound(word) if found is None else found, 1

    def _of_compound(self, word: str) -> Regions:
        """The regions of a part of the body with the name of a technique glued to it."""
        heads = (word.removesuffix(tail) for tail in TAILS if word.endswith(tail))
        spellings = (form for head in heads for form in (head, head.removesuffix("s")))
        return next((self.whole[form] for form in spellings if form in self.whole), ())

    def _of_slip(self, word: str) -> Regions:
        """The regions of what `word` was meant to be, if one letter is wrong and there is one way to read it."""
        if len(word) < SLIP_LETTERS or " " in word:
            return ()
        known = (*self.whole.items(), *self.beginnings.items())
        meant = {regions for entry, regions in known if len(entry) >= SLIP_LETTERS and one_slip(word, entry)}
        return meant.pop() if len(meant) == 1 else ()


def plain(text: str, keep: str = "") -> str:
    """Lower case, without accents, and with spaces for everything but letters, digits and `keep`."""
    if text.isascii() and not keep:
        return NOT_PLAIN.sub(" ", text.lower()).strip()  # Fast, because whole lines of studies are read at once.
    text = unicodedata.normalize("NFKD", text)
    letters = (char if char.isalnum() or char in keep else " " for char in text if not unicodedata.combining(char))
    return " ".join("".join(letters).casefold().split())


def one_slip(one: str, other: str) -> bool:
    """Whether one letter was left out, added or changed, or two neighbours were swapped."""
    if one == other or abs(len(one) - len(other)) > 1:
        return False
    start = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    left, right = one[start:], other[start:]
    swapped = left[1::-1] == right[:2] and left[2:] == right[2:]
    return left[1:] == right or left == right[1:] or left[1:] == right[1:] or swapped


def _spellings(entry: str) -> set[str]:
    """The entry without accents, and with umlauts spelled out."""
    return {plain(entry, keep="*"), plain(unicodedata.normalize("NFC", entry).translate(SPELLED_OUT), keep="*")}


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
    wrong = next((word for word in words if "*" in word[1:-1] or ("*" in word and " " in word)), None)
    if wrong is not None:
        raise ValueError(f'"{wrong}": a * may stand at the beginning or the end of a single word only')
    return words
