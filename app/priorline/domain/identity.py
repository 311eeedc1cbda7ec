"""Is this the same person? Compares a candidate with the context patient, field by field, in words.

The rule is (identifier, issuer) and never a bare number: hospitals reuse numbers, so an equal number counts only
within one issuer or together with a second, agreeing field (name and birth date).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, StrEnum
from functools import lru_cache

from priorline.domain.bsn import is_bsn_domain, is_well_formed_bsn, usual_form
from priorline.domain.links import PersonLink
from priorline.domain.patient import Identifier, Patient, names_agree, share_given_name


class Identity(StrEnum):
    """How certainly two descriptions are one person."""

    SAME = "same"
    PROPOSED = "proposed"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Match:
    """The identity card: the outcome with the fields that agree, that conflict and that one side does not give.

    Fields are "number", "name", "birth date" and "sex", and "other number" where a further number differs.
    `number` says in words how the numbers compare, `note` why the rest of the line makes it less certain, and
    `link` is the confirmation by a person, where there is one.
    """

    outcome: Identity
    agreeing: tuple[str, ...] = ()
    conflicting: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    number: str = ""
    note: str = ""
    link: PersonLink | None = None

    @property
    def grade(self) -> str:
        """One sentence for people: how certain it is, and by whose or what word."""
        if self.link is not None:
            return self.link.sentence()
        return {
            Identity.SAME: "Certainly this patient.",
            Identity.PROPOSED: "Perhaps this patient: a person has to decide.",
            Identity.CONFLICT: "Another person.",
        }[self.outcome]

    def card(self) -> tuple[str, ...]:
        """The lines of the identity card: grade, number, what agrees, what differs, what is not known, note."""
        kinds = (("Agree", self.agreeing), ("Differ", self.conflicting), ("Not known", self.unknown))
        fields = (f"{kind}: {', '.join(names)}." for kind, names in kinds if names)
        number = f"{self.number[:1].upper()}{self.number[1:]}." if self.number else ""
        return tuple(line for line in (self.grade, number, *fields, self.note) if line)


class _Number(Enum):
    """How the numbers of two descriptions compare; the value is for people."""

    BSN = "the same BSN"
    ISSUER = "the same number of the same issuer"
    WORKSTATION = "the same number, no issuer on either side"
    WEAK = "the same number, but one side does not say its issuer"
    UNPROVEN = "the same number as BSN, but it has not the form of one"
    NONE = "one side has no number"
    ELSEWHERE = "numbers of different issuers"
    DIFFERENT = "another number"
    TWO_BSNS = "two different BSNs"

    @property
    def verdict(self) -> bool | None:
        if self is _Number.NONE:
            return None
        return self in (_Number.BSN, _Number.ISSUER, _Number.WORKSTATION) or self.weak

    @property
    def weak(self) -> bool:
        """Equal, but only name and birth date together make it certain."""
        return self in (_Number.WEAK, _Number.UNPROVEN)


def compare(context: Patient, candidate: Patient) -> Match:
    """Compare `candidate` with the patient that the view is about.

    SAME: a number and its issuer are equal and nothing conflicts; where one side does not say its issuer, or the
    number cannot be the BSN that it claims to be, birth date and a written-out name have to agree as well.
    PROPOSED: a person has to decide. CONFLICT: no number in common, two BSNs, another birth date or another sex.
    Further numbers of either side (0010,1002) count like its first one, but only with an issuer.
    """
    numbers = _compare_numbers(context.identifier, context.other_ids, candidate.identifier, candidate.other_ids)
    name = names_agree(context.name, candidate.name)
    birth_date = _compare_values(context.birth_date, candidate.birth_date)
    sex = _compare_values(known_sex(context), known_sex(candidate))
    written_out = not numbers[0].weak or share_given_name(context.name, candidate.name)
    return _judged(*numbers, name, birth_date, sex, written_out)


@lru_cache(maxsize=1024)  # There are fewer ways to compare than that, and lines are long.
def _judged(
    number: "_Number",
    other_number: bool | None,
    name: bool | None,
    birth_date: bool | None,
    sex: bool | None,
    written_out: bool,
) -> Match:
    verdicts = {
        "number": number.verdict,
        "other number": other_number,
        "name": name,
        "birth date": birth_date,
        "sex": sex,
    }
    agreeing = tuple(field for field, verdict in verdicts.items() if verdict is True)
    conflicting = tuple(field for field, verdict in verdicts.items() if verdict is False)
    unknown = tuple(field for field, verdict in verdicts.items() if verdict is None and field != "other number")
    outcome = _outcome(number, agreeing, conflicting)
    if outcome is Identity.SAME and not written_out:
        outcome = Identity.PROPOSED
    return Match(outcome, agreeing, conflicting, unknown, number.value)


def known_sex(patient: Patient) -> str:
    """ "M", "F", or nothing: "O" (other) tells no two persons apart."""
    return patient.sex if patient.sex in ("M", "F") else ""


def _outcome(number: _Number, agreeing: tuple[str, ...], conflicting: tuple[str, ...]) -> Identity:
    if any(field not in ("name", "other number") for field in conflicting):
        return Identity.CONFLICT
    if number.verdict is None:
        # One side has no number at all: what else agrees makes it a question, never an answer.
        asks = not conflicting and ("name" in agreeing or "birth date" in agreeing)
        return Identity.PROPOSED if asks else Identity.CONFLICT
    if conflicting:
        return Identity.PROPOSED
    if number.weak and not {"name", "birth date"} <= set(agreeing):
        return Identity.PROPOSED
    return Identity.SAME


@lru_cache(maxsize=4096)
def _compare_numbers(
    our_first: Identifier,
    our_others: tuple[Identifier, ...],
    their_first: Identifier,
    their_others: tuple[Identifier, ...],
) -> tuple[_Number, bool | None]:
    """How the numbers compare, and False where there is a further domain in which both have one and it differs."""
    ours, theirs = _identifiers(our_first, our_others), _identifiers(their_first, their_others)
    if not ours or not theirs:
        return _Number.NONE, None
    common = ours & theirs
    bsns = {one for one in ours | theirs if is_well_formed_bsn(one)}
    if len(bsns) > 1 and not ours.isdisjoint(bsns) and not theirs.isdisjoint(bsns):
        return _Number.TWO_BSNS, None
    if common:
        return max(map(_strength, common), key=_ORDER.index), _others(ours, theirs, common)
    issuers = ({one.issuer for one in ours}, {one.issuer for one in theirs})
    values = {one.value for one in ours} & {one.value for one in theirs}
    unsaid = {one.value for one in ours ^ theirs if not one.issuer}
    if values & unsaid:
        return _Number.WEAK, _others(ours, theirs, common)
    return _Number.ELSEWHERE if issuers[0].isdisjoint(issuers[1]) else _Number.DIFFERENT, None


_ORDER = (_Number.UNPROVEN, _Number.WORKSTATION, _Number.ISSUER, _Number.BSN)


def _strength(identifier: Identifier) -> _Number:
    if is_bsn_domain(identifier):
        return _Number.BSN if is_well_formed_bsn(identifier) else _Number.UNPROVEN
    return _Number.ISSUER if identifier.issuer else _Number.WORKSTATION


def _others(ours: frozenset[Identifier], theirs: frozenset[Identifier], common: Iterable[Identifier]) -> bool | None:
    settled = {one.issuer for one in common} | {""}
    shared = ({one.issuer for one in ours} & {one.issuer for one in theirs}) - settled
    return False if shared else None


def _identifiers(first: Identifier, others: tuple[Identifier, ...]) -> frozenset[Identifier]:
    """All usable numbers in their usual form; those beyond the first only with an issuer."""
    return _usable(first).union(*(_usable(one) for one in others if one.issuer.strip()))


def _usable(identifier: Identifier) -> frozenset[Identifier]:
    """The identifier without blanks at its ends; nothing where it is empty, all zeros or a pattern."""
    value, issuer = identifier.value.strip(), identifier.issuer.strip()
    if not value.strip("0") or any(char in value for char in "*?\\"):
        return frozenset()
    return frozenset({usual_form(Identifier(value, issuer))})


def _compare_values(ours: object, theirs: object) -> bool | None:
    if not ours or not theirs:
        return None
    return ours == theirs
