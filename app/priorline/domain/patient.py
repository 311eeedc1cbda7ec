"""Who a study belongs to: a number always with its issuer, and what else identifies a person."""

import unicodedata
from dataclasses import dataclass
from datetime import date


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


NAME_PREFIXES = frozenset("van von de der den het ten ter te in op aan 't la le du di da zu zur".split())


def display_name(name: str) -> str:
    """A person name for people: "JANSEN, Piet van der" from `JANSEN^Piet^^van der`."""
    alphabetic = name.split("=", 1)[0]
    parts = [" ".join(part.split()) for part in alphabetic.split("^")] + [""] * 5
    family, given, middle, prefix, _suffix = parts[:5]
    rest = " ".join(part for part in (given, middle, prefix) if part)
    return ", ".join(part for part in (family, rest) if part) or "name unknown"


def name_tokens(name: str) -> frozenset[str]:
    """The parts of a name that compare: lower case, without accents, punctuation and Dutch or German prefixes."""
    alphabetic = unicodedata.normalize("NFKD", name.split("=", 1)[0])
    letters = "".join(char if char.isalnum() else " " for char in alphabetic if not unicodedata.combining(char))
    words = letters.casefold().split()
    return frozenset(word for word in words if word not in NAME_PREFIXES)
