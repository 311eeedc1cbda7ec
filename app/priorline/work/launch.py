"""What a launch asks for: one parser for command line options, JSON requests and `priorline://` URLs.

The names of IHE Invoke Image Display (RAD-106) are accepted beside our own.
"""

import json
import re
from collections.abc import Iterable
from datetime import date
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
SCHEME = "priorline:"
NAMES_MAX = 100
NUMBER_LENGTH_MAX = 64
"""Of a value of type LO (PS3.5 6.2)."""


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
        return bool(self.patient_id.strip() or self.study or self.folder)

    def patient(self) -> Patient | None:
        """The patient, or None where only a study or a folder says who it is."""
        identifier = Identifier(self.patient_id.strip(), self.issuer.strip())
        if not identifier.value:
            return None
        return Patient(identifier, self.name, parse_date(self.birth_date), self.sex)

    def checked(self) -> "Launch":
        """Itself without spaces around, a CX patient number taken apart; raises UsageError with what is allowed."""
        clean = {name: value.strip() for name, value in msgspec.structs.asdict(self).items()}
        clean["patient_id"], clean["issuer"] = _split_cx(clean["patient_id"], clean["issuer"])
        clean["sex"] = clean["sex"].upper()
        launch = Launch(**clean)
        launch._check()
        return launch

    def _check(self) -> None:
        if not self.names_somebody:
            raise UsageError("No patient given: use --patient-id, --study, --folder or --request.")
        for what, text in (("patient number", self.patient_id), ("issuer", self.issuer)):
            # A wildcard or several values (PS3.4 C.2.2.2) would find other people.
            if len(text) > NUMBER_LENGTH_MAX or not text.isprintable() or set("*?\\") & set(text):
                raise UsageError(f"A {what} has at most {NUMBER_LENGTH_MAX} characters and no *, ? or \\.")
        for uid in (self.study, self.compare):
            if uid and not is_uid(uid):
                raise UsageError("A study is named by its Study Instance UID: digits and dots, at most 64.")
        if self.sex not in ("", "M", "F", "O"):
            raise UsageError("The sex is M, F or O.")
        parse_date(self.birth_date)


def parse_date(text: str) -> date | None:
    """YYYYMMDD or YYYY-MM-DD; raises UsageError."""
    if not text:
        return None
    found = re.fullmatch(r"([0-9]{4})(-?)([0-9]{2})\2([0-9]{2})", text)
    try:
        if found is not None:
            return date(int(found[1]), int(found[3]), int(found[4]))
    except ValueError:
        pass  # Like 31 February.
    raise UsageError("A date is written YYYYMMDD or YYYY-MM-DD.")


def parse_request(text: str) -> Launch:
    """A launch from JSON or from a `priorline://` URL; raises UsageError."""
    text = text.strip()
    try:
        if text[: len(SCHEME)].casefold() == SCHEME:
            return from_names(parse_qsl(urlsplit(text).query, errors="strict", max_num_fields=NAMES_MAX))
        pairs = json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as problem:
        raise UsageError("The request is neither JSON nor a priorline:// URL.") from problem
    if not isinstance(pairs, _Pairs):
        raise UsageError("The request is not a JSON object with names and values.")
    known = ((name, value) for name, value in pairs if value is not None and name.casefold() not in IGNORED)
    return from_names([(name, _text(name, value)) for name, value in known])


def from_names(named: Iterable[tuple[str, str]]) -> Launch:
    """A launch from names and values; raises UsageError.

    A CX patient number (`ID^^^ISSUER`) gives number and issuer. What is said twice has to be the same both times:
    there is no telling which of two patients is meant.
    """
    fields: dict[str, str] = {}
    for name, value in named:
        plain = name.casefold()
        if plain in IGNORED:
            continue
        if plain not in NAMES:
            allowed = ", ".join(sorted(set(NAMES)))
            raise UsageError(f'The request has the unknown name "{name}"; allowed are {allowed}.')
        field = NAMES[plain]
        if fields.setdefault(field, value) != value:
            raise UsageError(f"The request says {field} twice, and not the same.")
    return Launch(**fields).checked()


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as it stands, with names that occur twice."""


def _text(name: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UsageError(f'The value of "{name}" in the request is not a text.')
    return str(value)


def _split_cx(number: str, issuer: str) -> tuple[str, str]:
    """Number and issuer of an HL7 CX (`ID^^^NAMESPACE&OID&ISO`); the namespace is the issuer, else the OID."""
    value, *rest = (part.strip() for part in number.split("^"))
    if not rest:
        return number, issuer
    authority = rest[2] if len(rest) > 2 else ""
    named = next((part.strip() for part in authority.split("&")[:2] if part.strip()), "")
    if named and issuer and named != issuer:
        raise UsageError("The patient number names another issuer than the request does.")
    if not value:
        raise UsageError("The patient number is empty.")
    return value, issuer or named
