"""A person's decision that two descriptions are one patient: for exactly this pair, with its reason, reversible."""

from dataclasses import dataclass
from datetime import date, datetime

from priorline.domain.bsn import usual_form
from priorline.domain.patient import Identifier, Patient, names_agree


@dataclass(frozen=True, slots=True)
class PersonLink:
    """Who confirmed that `hospital` means the context patient, when and why.

    `other_ids`, `name`, `birth_date` and `sex` are as the hospital had them when somebody looked: with other ones the
    link does not apply any more, because a remembered decision must not be repeated for a person nobody has judged.
    `study_uid` is set where the hospital's description fits many (no number, name or birth date): the link then
    holds for this study only. `context_name` and `context_birth_date` are those of the patient it was confirmed for.
    """

    context: Identifier
    other: Identifier
    hospital: str
    name: str
    birth_date: date | None
    sex: str
    reason: str
    user: str
    at: datetime
    study_uid: str = ""
    context_name: str = ""
    context_birth_date: date | None = None
    other_ids: tuple[Identifier, ...] = ()

    @property
    def pair(self) -> tuple[object, ...]:
        """What is linked, without who confirmed it: two links of one pair are the same decision."""
        other_side = (self.hospital, self.other, self.other_ids, self.name, self.birth_date, self.sex, self.study_uid)
        return (usual_form(self.context), self.context_name, self.context_birth_date, *other_side)

    def is_of(self, context: Patient) -> bool:
        """Whether this was confirmed for the context patient: the same number and nothing that differs."""
        born, known = self.context_birth_date, context.birth_date
        return (
            usual_form(self.context) == usual_form(context.identifier)
            and names_agree(self.context_name, context.name) is not False
            and (born is None or known is None or born == known)
        )

    def covers(self, hospital: str, candidate: Patient, study_uid: str) -> bool:
        """Whether a row of this hospital is described exactly as it was when somebody confirmed it."""
        numbers = (candidate.identifier, candidate.other_ids)
        described = (candidate.name, candidate.birth_date, candidate.sex)
        return (
            self.hospital == hospital
            and self.study_uid in ("", study_uid)
            and numbers == (self.other, self.other_ids)
            and described == (self.name, self.birth_date, self.sex)
        )

    def sentence(self) -> str:
        """For the identity card: "Confirmed by a.smit on 24-11-2026 09:30, reason: seen in the letter."."""
        reason = self.reason.strip().rstrip(".")
        return f"Confirmed by {self.user} on {self.at:%d-%m-%Y %H:%M}, reason: {reason}."


def link_of(
    context: Patient, hospital: str, candidate: Patient, study_uid: str, *, reason: str, user: str, at: datetime
) -> PersonLink:
    """The link for a row, as narrow as its description is thin."""
    identified = bool(candidate.identifier.value and candidate.name.strip(" ^=") and candidate.birth_date)
    return PersonLink(
        context.identifier,
        candidate.identifier,
        hospital,
        candidate.name,
        candidate.birth_date,
        candidate.sex,
        reason.strip(),
        user,
        at,
        "" if identified else study_uid,
        context.name,
        context.birth_date,
        candidate.other_ids,
    )
