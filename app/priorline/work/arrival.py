"""What arrives is compared with what was asked for; a difference is quarantined, never painted."""

from dataclasses import replace
from functools import lru_cache

from priorline.domain.identity import Identity, Match, compare
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import StudyAnswer
from priorline.imaging.instance import InstanceHeader


def difference(study: StudyAnswer, announced_uid: str, announced_class: str, header: InstanceHeader) -> str:
    """Why the instance is not what was asked for, in words, or "" where it is."""
    if header.sop_uid != announced_uid or header.sop_class != announced_class:
        return "The object is not the one that the hospital announced."
    if header.study_uid != study.study_uid:
        return "The object belongs to another study."
    match = _compared(study.patient, header.patient)
    if match.outcome is not Identity.SAME:
        fields = ", ".join(match.conflicting) or "number"
        return f"The object names another patient than the list did ({fields})."
    return ""


def is_same_person(row: Patient, arrived: Patient) -> bool:
    """Whether an object's own patient is certainly the one that the list named, within the same archive."""
    return _compared(row, arrived).outcome is Identity.SAME


# All images of a study name their patient in the same words.
@lru_cache(maxsize=16)
def _compared(row: Patient, arrived: Patient) -> Match:
    return compare(row, _in_domain_of(row, arrived))


def _in_domain_of(row: Patient, arrived: Patient) -> Patient:
    """Row and object come from one archive: where only one of them names an issuer, it speaks for both."""
    if row.identifier.issuer and arrived.identifier.issuer:
        return arrived
    return replace(arrived, identifier=Identifier(arrived.identifier.value, row.identifier.issuer))
