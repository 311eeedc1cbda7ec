"""Who a study belongs to: a number always with its issuer, and what else identifies a person."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import product
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Identifier:
    """A patient number and who issued it.

    `issuer` is empty where nobody said; it then means the numbers of the workstation itself.
    Follows DICOM PS3.3 C.7.1.1: Patient ID (0010,0020) is unique only within Issuer of Patient ID (0010,0021).
    """

    value: str
    issuer: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """A person as one source describes them.

    `name` is a DICOM person name (PS3.5 6.2, value representation PN) as received;
    `sex` is "M", "F", "O" or empty. `other_ids` are further numbers of the same person (0010,1002).
    """

    identifier: Identifier
    name: str = ""
    birth_date: date | None = None
    sex: str = ""
    other_ids: tuple[Identifier, ...] = ()


NAME_PREFIXES = frozenset("van von de der den het ten ter te in op aan t s la le du di da zu zur vd v".split())
TITLES = frozenset("dr drs mr mw mevr mevrouw dhr prof ir ing".split())
# Father and son of one name differ in these only.
GENERATIONS = {"jr": 2, "junior": 2, "sr": 1, "senior": 1, "ii": 2, "iii": 3, "iv": 4}
GENERATION_WORDS = frozenset(GENERATIONS)
EXTRA_WORDS = TITLES | GENERATION_WORDS
GERMAN_LETTERS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "AE", "Ö": "OE", "Ü": "UE"})


def _without_accents(char: str) -> str:
    return "".join(part for part in unicodedata.normalize("NFKD", char) if not unicodedata.combining(part))


# European letters as plain ones; the second line has those that Unicode does not take apart.
PLAIN_LETTERS = str.maketrans(
    {char: _without_accents(char) for char in map(chr, range(0xC0, 0x180)) if _without_accents(char).isascii()}
    | {
        "ø": "o",
        "Ø": "O",
        "ł": "l",
        "Ł": "L",
        "đ": "d",
        "Đ": "D",
        "æ": "ae",
        "Æ": "AE",
        "œ": "oe",
        "Œ": "OE",
        "ß": "ss",
        "ı": "i",
    }
)
WORDS = re.compile(r"[a-z0-9]+")


class _Spelling(NamedTuple):
    """A name in comparable words: `joined` is the family name with its prefixes in one word ("vandenberg")."""

    family: tuple[str, ...]
    given: tuple[str, ...]
    joined: str
    generation: int = 0

    @property
    def words(self) -> tuple[str, ...]:
        return self.family + self.given


def display_name(name: str) -> str:
    """A person name for people: "JANSEN, Piet van der" from `JANSEN^Piet^^van der`."""
    written = next((group for group in name.split("=") if group.strip(" ^")), "")
    parts = [" ".join(part.split()) for part in written.split("^")] + [""] * 5
    family, given, middle, prefix, _suffix = parts[:5]
    rest = " ".join(part for part in (given, middle, prefix) if part)
    return ", ".join(part for part in (family, rest) if part) or "name unknown"


def names_agree(ours: str, theirs: str) -> bool | None:
    """Whether two person names can be of one person; None where they cannot be compared.

    They agree where each word of the shorter one has its own counterpart in the other, and a whole family name is
    among them. An initial is the counterpart of a name that begins with it. Prefixes ("van der"), case, accents,
    hyphens and titles do not count, and ij is y; "Jr" and "Sr" are two persons. Compared are the alphabetic
    representations, else another one that both have.
    """
    spellings = _comparable(ours, theirs)
    if spellings is None:
        return None
    return any(_agree(one, other) for one in spellings[0] for other in spellings[1])


def share_given_name(ours: str, theirs: str) -> bool:
    """Whether two person names have a given name in common that is written out: neither nothing nor initials."""
    spellings = _comparable(ours, theirs) or ((), ())
    return any(
        any(len(word) > 1 for word in set(one.given) & set(other.given))
        or _in_one_word(one.given, other.given)
        or (sorted(one.words) == sorted(other.words) and len(one.words) > 1)
        for one, other in product(*spellings)
    )


def _comparable(ours: str, theirs: str) -> tuple[tuple[_Spelling, ...], tuple[_Spelling, ...]] | None:
    """The spellings of the first representation that both have, None where they have none in common."""
    for our_group, their_group in zip(ours.split("="), theirs.split("="), strict=False):
        our_spellings = _spellings(our_group)
        their_spellings = our_spellings and _spellings(their_group)
        if their_spellings:
            return our_spellings, their_spellings
    return None


@lru_cache(maxsize=4096)
def _spellings(group: str) -> tuple[_Spelling, ...]:
    """The ways to write one representation of a name: with ü as u, and as ue."""
    if group.isascii():
        spelling = _spelling(group)
        return (spelling,) if spelling.words else ()
    group = unicodedata.normalize("NFC", group)
    texts = dict.fromkeys((group.translate(PLAIN_LETTERS), group.translate(GERMAN_LETTERS).translate(PLAIN_LETTERS)))
    return tuple(spelling for spelling in map(_spelling, texts) if spelling.words)


def _spelling(group: str) -> _Spelling:
    parts = [_words(part) if part else [] for part in group.split("^")]
    family, given, middle, prefix, suffix = (parts + [[]] * 5)[:5]
    given = given + middle
    generation = 0
    if not EXTRA_WORDS.isdisjoint(family + given + suffix):
        family, given = _without(TITLES, family), _without(TITLES, given)
        generation = next((GENERATIONS[word] for word in suffix + family + given if word in GENERATIONS), 0)
        family, given = _without(GENERATION_WORDS, family), _without(GENERATION_WORDS, given)
    # A family name may be a prefix itself (Le, Van).
    own, rest = _without(NAME_PREFIXES, family), _without(NAME_PREFIXES, given)
    lead = [word for word in prefix if word in NAME_PREFIXES]
    return _Spelling(tuple(own), tuple(rest), "".join(lead + family), generation)


def _without(words: frozenset[str], name: list[str]) -> list[str]:
    """The name without such words, unless it has no others."""
    return name if words.isdisjoint(name) else [word for word in name if word not in words] or name


def _words(text: str) -> list[str]:
    if text.isascii():
        plain = text.lower()
        if plain.isalnum():
            return [plain.replace("ij", "y")]
    else:
        kept = _without_accents(text).replace("’", "'")
        plain = "".join(char if char.isalnum() or char == "'" else " " for char in kept).casefold()
    # One letter in Dutch, which old systems write as y; and O'Neill is one word.
    plain = plain.replace("ij", "y").replace("o'", "o")
    return WORDS.findall(plain) if plain.isascii() else plain.replace("'", " ").split()


def _agree(one: _Spelling, other: _Spelling) -> bool:
    if one.generation and other.generation and one.generation != other.generation:
        return False
    if one.joined and one.joined == other.joined:
        return _cover(one.given, other.given) or _in_one_word(one.given, other.given)
    # A family name alone can be within a double name; names in the wrong fields agree only where all words do.
    if any(len(word) > 1 and word in other.family for word in one.family):
        return _cover(one.words, other.words) or (
            _in_one_word(one.given, other.given) and _cover(one.family, other.family)
        )
    return sorted(one.words) == sorted(other.words) and all(len(word) > 1 for word in one.words)


def _in_one_word(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether the words are one name, written apart or together: Jan-Willem, Janwillem."""
    return (
        min(map(len, one), default=0) > 1 and min(map(len, other), default=0) > 1 and "".join(one) == "".join(other)
    )


def _cover(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether each word of the shorter list has a counterpart of its own in the longer one."""
    shorter, longer = sorted((one, other), key=len)
    if len(set(shorter)) == len(shorter) and set(shorter) <= set(longer):
        return True
    left = list(longer)
    # Whole words first, so that an initial does not take the counterpart of a whole word.
    for word in sorted(shorter, key=len, reverse=True):
        partner = next((each for each in left if each == word), None)
        partner = partner or next((each for each in left if _is_initial(word, each)), None)
        if partner is None:
            return False
        left.remove(partner)
    return True


def _is_initial(one: str, other: str) -> bool:
    return 1 in (len(one), len(other)) and one[0] == other[0]
