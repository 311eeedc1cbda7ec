"""Is this the same person? Compares a candidate with the context patient, field by field, in words.

The rule is (identifier, issuer) and never a bare number: hospitals reuse numbers, so an equal number counts only
within one issuer or together with a second, agreeing field (name and birth date).
"""

from dataclasses import dataclass
from enum import StrEnum

from priorline.domain.patient import Patient, name_tokens


class Identity(StrEnum):
    """How certainly two descriptions are one person."""

    SAME = "same"
    PROPOSED = "proposed"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Match:
    """The outcome of a comparison, with the fields that agree and those that conflict, in words."""

    outcome: Identity
    agreeing: tuple[str, ...] = ()
    conflicting: tuple[str, ...] = ()


def compare(context: Patient, candidate: Patient) -> Match:
    """Compare `candidate` with the patient that the view is about."""
    verdicts = {
        "number": _compare_numbers(context, candidate),
        "name": _compare_names(context.name, candidate.name),
        "birth date": _compare_values(context.birth_date, candidate.birth_date),
        "sex": _compare_values(_known_sex(context.sex), _known_sex(candidate.sex)),
    }
    agreeing = tuple(field for field, verdict in verdicts.items() if verdict is True)
    conflicting = tuple(field for field, verdict in verdicts.items() if verdict is False)
    return Match(_outcome(context, candidate, agreeing, conflicting), agreeing, conflicting)


def _outcome(
    context: Patient, candidate: Patient, agreeing: tuple[str, ...], conflicting: tuple[str, ...]
) -> Identity:
    hard = {"number", "birth date", "sex"} & set(conflicting)
    if hard or "number" not in agreeing:
        return Identity.CONFLICT
    if conflicting:
        return Identity.PROPOSED
    if context.identifier.issuer == candidate.identifier.issuer:
        return Identity.SAME
    second_field = {"name", "birth date"} <= set(agreeing)
    return Identity.SAME if second_field else Identity.PROPOSED


def _compare_numbers(context: Patient, candidate: Patient) -> bool | None:
    ours, theirs = context.identifier, candidate.identifier
    if not ours.value or not theirs.value:
        return None
    if ours.issuer and theirs.issuer and ours.issuer != theirs.issuer:
        return False
    return ours.value == theirs.value


def _compare_names(ours: str, theirs: str) -> bool | None:
    """True where one name's parts all stand in the other (given names are often left out), None where unknown."""
    our_tokens, their_tokens = name_tokens(ours), name_tokens(theirs)
    if not our_tokens or not their_tokens:
        return None
    return our_tokens <= their_tokens or their_tokens <= our_tokens


def _compare_values(ours: object, theirs: object) -> bool | None:
    if not ours or not theirs:
        return None
    return ours == theirs


def _known_sex(sex: str) -> str:
    return sex if sex in ("M", "F") else ""
