"""Who a study belongs to: a number always with its issuer, and what else identifies a person."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache


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
    `sex` is "M", "F", "O" or empty.
    """

    identifier: Identifier
    name: str = ""
    birth_date: date | None = None
    sex: str = ""


NAME_PREFIXES = frozenset("van von de der den het ten ter te in op aan t s la le du di da zu zur".split())
# Letters that Unicode does not take apart into a letter and an accent.
PLAIN_LETTERS = str.maketrans(
    {"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE"}
)
GERMAN_LETTERS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "AE", "Ö": "OE", "Ü": "UE"})

WORDS = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True, slots=True)
class _Spelling:
    """A name in comparable words: `joined` is the family name with its prefixes in one word ("vandenberg")."""

    family: tuple[str, ...]
    given: tuple[str, ...]
    joined: str

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
    hyphens and titles do not count. Compared are the alphabetic representations, else another one that both have.
    """
    for our_group, their_group in zip(ours.split("="), theirs.split("="), strict=False):
        our_spellings, their_spellings = _spellings(our_group), _spellings(their_group)
        if our_spellings and their_spellings:
            return any(_agree(one, other) for one in our_spellings for other in their_spellings)
    return None


@lru_cache(maxsize=4096)
def _spellings(group: str) -> tuple[_Spelling, ...]:
    """The ways to write one representation of a name: with ü as u, and as ue."""
    group = unicodedata.normalize("NFC", group)
    texts = (group,) if group.isascii() else dict.fromkeys((group, group.translate(GERMAN_LETTERS)))
    return tuple(spelling for spelling in map(_spelling, texts) if spelling.words)


def _spelling(group: str) -> _Spelling:
    family, given, middle, prefix = ([_words(part) for part in group.split("^")] + [[]] * 4)[:4]
    lead = [word for word in prefix if word in NAME_PREFIXES]
    # A family name may be a prefix itself (Le, Van).
    own = [word for word in family if word not in NAME_PREFIXES] or family
    rest = [word for word in given + middle if word not in NAME_PREFIXES] or given
    return _Spelling(tuple(own), tuple(rest), "".join(lead + family))


def _words(text: str) -> list[str]:
    if text.isascii():
        return WORDS.findall(text.replace("O'", "O").lower())
    decomposed = unicodedata.normalize("NFKD", text.translate(PLAIN_LETTERS)).replace("O'", "O").replace("O’", "O")
    letters = (char if char.isalnum() else " " for char in decomposed if not unicodedata.combining(char))
    return "".join(letters).casefold().split()


def _agree(one: _Spelling, other: _Spelling) -> bool:
    if one.joined and one.joined == other.joined:
        return _cover(one.given, other.given)
    # A family name alone can be within a double name; names in the wrong fields agree only where all words do.
    if any(len(word) > 1 and word in other.family for word in one.family):
        return _cover(one.words, other.words)
    return sorted(one.words) == sorted(other.words) and all(len(word) > 1 for word in one.words)


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
