"""What a launch asks for: one parser for command line options, JSON requests and `priorline://` URLs.

The names of IHE Invoke Image Display (RAD-106) are accepted beside our own.
"""

from datetime import date, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import is_uid
from priorline.errors import UsageError

# IHE names and those of the command line, to the fields below.
NAMES = {
    "patientid": "patient_id",
    "patient_id": "patient_id",
    "patient-id": "patient_id",
    "issuer": "issuer",
    "name": "name",
    "patientname": "name",
    "birthdate": "birth_date",
    "birth_date": "birth_date",
    "birth-date": "birth_date",
    "patientbirthdate": "birth_date",
    "sex": "sex",
    "study": "study",
    "studyuid": "study",
    "folder": "folder",
    "compare": "compare",
    "reason": "reason",
}
# Accepted so that launches made for other viewers work; they change nothing here.
IGNORED = frozenset(
    "requesttype accessionnumber mostrecentresults modalitiesinstudy lowerdatetime upperdatetime viewertype "
    "diagnosticquality keyimagesonly".split()
)


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """Who and what the window or a command is about."""

    patient_id: str = ""
    issuer: str = ""
    name: str = ""
    birth_date: str = ""
    sex: str = ""
    study: str = ""
    folder: str = ""
    compare: str = ""
    reason: str = ""

    @property
    def names_somebody(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self.patient_id or self.study or self.folder)

    def patient(self) -> Patient | None:
        """The patient, or None where only a study or a folder says who it is."""
        if not self.patient_id:
            return None
        identifier = Identifier(self.patient_id.strip(), self.issuer.strip())
        return Patient(identifier, self.name, parse_date(self.birth_date), self.sex)

    def checked(self) -> "Launch":
        """Itself, after checking; raises UsageError with what is allowed."""
        if not self.names_somebody:
            raise UsageError("No patient given: use --patient-id, --study, --folder or --request.")
        if any(char in self.patient_id for char in "*?\\"):
            raise UsageError("A patient number must not contain *, ? or \\.")
        for uid in (self.study, self.compare):
            if uid and not is_uid(uid):
                raise UsageError("A study is named by its Study Instance UID: digits and dots, at most 64.")
        if self.sex not in ("", "M", "F", "O"):
            raise UsageError("--sex is M, F or O.")
        parse_date(self.birth_date)
        return self


def parse_date(text: str) -> date | None:
    """YYYYMMDD or YYYY-MM-DD; raises UsageError."""
    if not text:
        return None
    for pattern in ("%Y%m%d", "%Y-%m-%d"):
        try:
            return datetime.strptime(text, pattern).date()  # noqa: DTZ007 - a birth date has no zone
        except ValueError:
            continue
    raise UsageError("A birth date is written YYYYMMDD or YYYY-MM-DD.")


def parse_request(text: str) -> Launch:
    """A launch from JSON or from a `priorline://` URL; raises UsageError."""
    text = text.strip()
    if text.startswith("priorline:"):
        return from_names(dict(parse_qsl(urlsplit(text).query)))
    try:
        named = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as problem:
        raise UsageError(f"The request is not JSON and not a priorline:// URL: {problem}.") from problem
    return from_names({key: str(value) for key, value in named.items() if value is not None})


def from_names(named: dict[str, str]) -> Launch:
    """A launch from names and values; a CX patient number (`ID^^^ISSUER`) gives number and issuer."""
    fields: dict[str, str] = {}
    for name, value in named.items():
        plain = name.casefold()
        if plain in NAMES:
            fields[NAMES[plain]] = value
        elif plain not in IGNORED:
            raise UsageError(
                f'The request has the unknown name "{name}"; allowed are {", ".join(sorted(set(NAMES)))}.'
            )
    number, *rest = fields.get("patient_id", "").split("^")
    if rest:
        authority = rest[2].split("&")[0] if len(rest) > 2 else ""
        fields = {**fields, "patient_id": number, "issuer": fields.get("issuer") or authority}
    return Launch(**fields).checked()
