"""Is this the same person? Compares a candidate with the context patient, field by field, in words.

The rule is (identifier, issuer) and never a bare number: hospitals reuse numbers, so an equal number counts only
within one issuer or together with a second, agreeing field (name and birth date).
"""

from dataclasses import dataclass
from enum import StrEnum

from priorline.domain.patient import Patient, names_agree


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
    """Compare `candidate` with the patient that the view is about.

    SAME: number and issuer are equal and nothing conflicts; where one side does not say its issuer, name and birth
    date have to agree as well. PROPOSED: a person has to decide. CONFLICT: another number, another issuer, another
    birth date or another sex.
    """
    verdicts = {
        "number": _compare_numbers(context, candidate),
        "name": names_agree(context.name, candidate.name),
        "birth date": _compare_values(context.birth_date, candidate.birth_date),
        "sex": _compare_values(known_sex(context), known_sex(candidate)),
    }
    agreeing = tuple(field for field, verdict in verdicts.items() if verdict is True)
    conflicting = tuple(field for field, verdict in verdicts.items() if verdict is False)
    return Match(_outcome(context, candidate, agreeing, conflicting), agreeing, conflicting)


def known_sex(patient: Patient) -> str:
    """ "M", "F", or nothing: "O" (other) tells no two persons apart."""
    return patient.sex if patient.sex in ("M", "F") else ""


def _outcome(
    context: Patient, candidate: Patient, agreeing: tuple[str, ...], conflicting: tuple[str, ...]
) -> Identity:
    if any(field != "name" for field in conflicting):
        return Identity.CONFLICT
    if "number" not in agreeing:
        # One side has no number at all: what else agrees makes it a question, never an answer.
        asks = not conflicting and ("name" in agreeing or "birth date" in agreeing)
        return Identity.PROPOSED if asks else Identity.CONFLICT
    if conflicting:
        return Identity.PROPOSED
    if context.identifier.issuer == candidate.identifier.issuer:
        return Identity.SAME
    second_field = "name" in agreeing and "birth date" in agreeing
    return Identity.SAME if second_field else Identity.PROPOSED


def _compare_numbers(context: Patient, candidate: Patient) -> bool | None:
    ours, theirs = context.identifier, candidate.identifier
    if not ours.value or not theirs.value:
        return None
    if ours.issuer and theirs.issuer and ours.issuer != theirs.issuer:
        return False
    return ours.value == theirs.value


def _compare_values(ours: object, theirs: object) -> bool | None:
    if not ours or not theirs:
        return None
    return ours == theirs
