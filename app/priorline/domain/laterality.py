"""Which side of the body a study shows, from tags and from words in Dutch, English and German."""

import re
from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache

from priorline.domain.region import plain


class Side(StrEnum):
    """Left, right, both, or not said."""

    LEFT = "left"
    RIGHT = "right"
    BOTH = "both"
    UNKNOWN = ""


TAGS = {"L": Side.LEFT, "R": Side.RIGHT, "B": Side.BOTH}
WORDS = {
    Side.LEFT: "left lt lft links linker linkerzijde linkse li linke linken linkes linkszijdig linksseitig "
    "linksseitige linkszijdige sinister sinistra",
    Side.RIGHT: "right rt rechts rechter rechterzijde rechtse re rechte rechten rechtes rechtszijdig rechtsseitig "
    "rechtsseitige rechtszijdige dexter dextra",
    Side.BOTH: "both bilat bilateral bilaterale bilateraal bilaterally beide beiden beider beiderzijds beidseits "
    "beids beidseitig beidseitige bdz bds bdzs",
}
SIDES = {word: side for side, words in WORDS.items() for word in words.split()}
BEGINNINGS = {"linker": Side.LEFT, "rechter": Side.RIGHT}
LETTERS = {"l": Side.LEFT, "r": Side.RIGHT}
# What makes "re" a beginning ("re-scan") and "RT" radiotherapy, and below "left" a position or a chamber.
NO_SIDE_BEFORE = {
    "re": frozenset("do eval evaluatie check take scan scanning staging operatie exam ct mri op".split()),
    "rt": frozenset("plan planning planungs planung simulatie simulation dose dosis".split()),
}
# A number of views: "knee R 3V".
VIEWS = re.compile(r"\d+[a-z]+")
POSITIONS = frozenset("lateral decubitus ligging anterior posterior ventricle ventricular atrium ventrikel".split())


def side_of(*texts: str) -> Side:
    """The side that the first of `texts` with any names; both where it names left and right."""
    return next((side for text in texts if (side := _side_of(text))), Side.UNKNOWN)


@lru_cache(maxsize=8192)  # Whole lines are ranked again with every batch of answers.
def _side_of(text: str) -> Side:
    words = plain(text).split()
    found = {side for at in range(len(words)) if (side := _side(words, at))}
    return Side.BOTH if len(found) > 1 else next(iter(found), Side.UNKNOWN)


def side_of_tags(values: Iterable[str]) -> Side:
    """The side of values of Laterality (0020,0060): R, L, or B; nothing for U (unpaired) and all else."""
    found = {TAGS[value] for text in values if (value := text.strip().upper()) in TAGS}
    return Side.BOTH if len(found) > 1 else next(iter(found), Side.UNKNOWN)


def _side(words: list[str], at: int) -> Side:
    word, following = words[at], words[at + 1] if at + 1 < len(words) else ""
    if word in SIDES:
        position = word in ("left", "right", "linker", "rechter") and following in POSITIONS
        return Side.UNKNOWN if position or following in NO_SIDE_BEFORE.get(word, ()) else SIDES[word]
    if word in LETTERS:
        # A letter is a side at the end ("foot 2v R"), before the views, or beside the other one ("L/R"); "L spine"
        # and "R/O" are not.
        if {word, following} == set(LETTERS):
            return Side.BOTH
        return LETTERS[word] if at and (not following or VIEWS.fullmatch(following)) else Side.UNKNOWN
    return next((side for start, side in BEGINNINGS.items() if word.startswith(start)), Side.UNKNOWN)
