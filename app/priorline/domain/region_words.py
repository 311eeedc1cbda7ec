"""The forms in which hospitals write one word: plain, with a technique or a side glued to it, or mistyped."""

import re
import unicodedata
from collections.abc import Iterable, Iterator

NOT_PLAIN = re.compile(r"[^a-z0-9]+")
LETTERS = re.compile(r"[a-z]+")
SPELLED_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})
# What is glued to the front of a part of the body: "CTthorax", "XKNIE", "linkerheup".
HEADS = tuple(
    "x rx xr dx ct mr mri mrt nmr cbct echo sono us roe rontgen roentgen pet nm spect "
    "rechter linker rechts links r l kinder baby sauglings saeuglings verlaufs kontroll controle ubersichts "
    "uebersichts spoed".split()
)
# What is glued to its end: "voetfoto's", "Leberpunktion", "halsregio".
TAILS = tuple(
    "foto fotos fotografie echo echos echografie scan scans opname opnames opnamen aufnahme aufnahmen sonographie "
    "sonografie sono szintigraphie szintigrafie scintigrafie scintigraphy punctie punktion biopsie biopsien biopsy "
    "drainage embolisatie ct mrt mri mr xray rontgen roentgen xr us gewricht gewrichten gelenk gelenke gelenks "
    "regio region bereich streek protocol protokoll serie reeks onderzoek untersuchung overzicht ubersicht "
    "uebersicht kontrolle controle trauma fractuur fraktur fracture tumor tumoren prothese knochen weichteile "
    "links rechts li re bdz bds beidseits ap pa lat lateral letsel letsels pijn klachten zwelling schwellung schmerz "
    "schmerzen verletzung bruch luxatie luxation hernia abces abszess cyste zyste artrose arthrose oedeem "
    "odem".split()
)
SHORTEST_PART = 3
SHORTEST_AFTER_HEAD = 4
SHORTEST_SWAP = 6
SHORTEST_LIKELY = 7
LONGEST_WORD = 64
"""Letters of a word that are looked at: a description (LO) has no more than 64."""


def plain(text: str, keep: str = "") -> str:
    """Lower case, without accents, and with spaces for everything but letters, digits and `keep`."""
    if text.isascii() and not keep:
        return NOT_PLAIN.sub(" ", text.lower()).strip()  # Fast, because whole lines of studies are read at once.
    text = unicodedata.normalize("NFKD", text)
    letters = (char if char.isalnum() or char in keep else " " for char in text if not unicodedata.combining(char))
    return " ".join("".join(letters).casefold().split())


def spellings(entry: str, keep: str = "") -> set[str]:
    """The entry without accents, and with umlauts spelled out."""
    return {plain(entry, keep), plain(unicodedata.normalize("NFC", entry).translate(SPELLED_OUT), keep)}


def bare(word: str) -> Iterator[str]:
    """What `word` may be without digits, techniques and sides at its ends, the least changed first."""
    pieces = LETTERS.findall(word) if word.isascii() else []
    for piece in (word, *pieces) if pieces != [word] else pieces:
        starts = [piece, *(piece.removeprefix(head) for head in _at_start(piece))]
        ends = [start.removesuffix(tail) for start in starts for tail in _at_end(start)]
        yield from (form for form in starts if len(form) >= SHORTEST_PART or form == word)
        yield from (form for end in ends for form in (end, end.removesuffix("s")) if len(form) >= SHORTEST_PART)


def _at_start(word: str) -> list[str]:
    if not word.startswith(HEADS):
        return []
    return [head for head in HEADS if word.startswith(head) and len(word) - len(head) >= SHORTEST_AFTER_HEAD]


def _at_end(word: str) -> list[str]:
    return [tail for tail in TAILS if word.endswith(tail)] if word.endswith(TAILS) else []


def slips(word: str) -> Iterator[str]:
    """What `word` and any word one letter from it have in common: itself, and itself without one letter."""
    yield word
    yield from (word[:at] + word[at + 1 :] for at in range(len(word)))


def one_slip(one: str, other: str) -> bool:
    """Whether one letter was left out, added or changed, or two neighbours were swapped."""
    if one == other or abs(len(one) - len(other)) > 1:
        return False
    start = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    left, right = one[start:], other[start:]
    swapped = left[1::-1] == right[:2] and left[2:] == right[2:]
    return left[1:] == right or left == right[1:] or left[1:] == right[1:] or swapped


def likely_slip(one: str, other: str) -> bool:
    """Whether long words with the same first letter are one slip apart: short ones are often other words."""
    shortest = min(len(one), len(other))
    swapped = shortest >= SHORTEST_SWAP and sorted(one) == sorted(other)
    return one[0] == other[0] and (shortest >= SHORTEST_LIKELY or swapped) and one_slip(one, other)


class Misspelled:
    """Finds the words of a list that are one letter away, without comparing with each of them."""

    def __init__(self, words: Iterable[str]) -> None:
        self._by_slip: dict[str, set[str]] = {}
        for word in words:
            for slip in slips(word):
                self._by_slip.setdefault(slip, set()).add(word)

    def meant(self, word: str) -> set[str]:
        """The words that `word` differs from by one letter; none if it is one of them."""
        near = {known for slip in slips(word) for known in self._by_slip.get(slip, ())}
        return set() if word in near else {known for known in near if one_slip(word, known)}
