"""C-FIND rows into the domain: the only place that knows the tags of answers, and that nobody encodes them right.

Values are read from their raw bytes. The library's own conversion warns with the value in its text, and raises
where a hospital deviates; here a bad value is an absent value.
"""

import re
import struct
import unicodedata
from collections.abc import Iterator
from datetime import date, time
from io import BytesIO
from itertools import islice

from pydicom.charset import python_encoding
from pydicom.datadict import tag_for_keyword
from pydicom.uid import UID

from priorline.archives.encoded import elements, items
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import ProcedureCode, SeriesAnswer, StudyAnswer, is_uid

TEXT_MAX = 256
IDENTIFIER_LENGTH_MAX = 1 << 20
JOINERS = "\u200c\u200d"
OTHER_IDS_MAX = 16
CODES_MAX = 16
ITEM_TEXTS = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
ESCAPES = re.compile(rb"\x1b[ -/]+[0-~]")


class Row:
    """One answer with its values as clean text; `doubtful` once any of them needed a guess at its characters."""

    def __init__(self, elements: dict[int, bytes], *, implicit: bool = True, big: bool = False) -> None:
        self._elements = elements
        self._implicit, self._big = implicit, big
        self.doubtful = False
        terms = [term.strip() for term in self._raw("SpecificCharacterSet").decode("ascii", "replace").split("\\")]
        declared = bool("".join(terms))
        self._encodings = [python_encoding[term] for term in terms if term in python_encoding]
        # The default repertoire is ASCII: with it, anything else is as good as undeclared.
        self._known = declared and len(self._encodings) == len(terms) and set(self._encodings) != {"iso8859"}

    def text(self, keyword: str) -> str:
        """A value without control and direction characters, at most 256 characters."""
        return cleaned(self._decoded(self._raw(keyword)))

    def texts(self, keyword: str) -> tuple[str, ...]:
        """The values of a multi-valued element that are not empty."""
        parts = (cleaned(part) for part in self._decoded(self._raw(keyword)).split("\\"))
        return tuple(part for part in parts if part)

    def uid(self, keyword: str) -> str:
        """A valid UID, or nothing."""
        return uid_of(self._raw(keyword))

    def uids(self, keyword: str) -> tuple[str, ...]:
        """The valid UIDs of a multi-valued element."""
        values = self._raw(keyword).decode("ascii", "replace").split("\\")
        return tuple(value.strip(" \0") for value in values if is_uid(value.strip(" \0")))

    def number(self, keyword: str) -> int | None:
        """An integer string (IS) from 0 up, or None."""
        value = self._raw(keyword).decode("ascii", "replace").strip(" \0")
        return int(value) if value.isdecimal() and len(value) <= 12 else None

    def day(self, keyword: str) -> date | None:
        """A date (DA, also the old form with dots), or None."""
        digits = self._raw(keyword).decode("ascii", "replace").strip(" \0").replace(".", "")
        if len(digits) != 8 or not digits.isdecimal():
            return None
        try:
            return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
        except ValueError:
            return None

    def clock(self, keyword: str) -> time | None:
        """A time (TM, also the old form with colons), or None."""
        digits = self._raw(keyword).decode("ascii", "replace").strip(" \0").replace(":", "")
        whole = digits.split(".", 1)[0]
        if not whole.isdecimal() or len(whole) not in (2, 4, 6):
            return None
        whole = whole.ljust(6, "0")
        try:
            return time(int(whole[:2]), int(whole[2:4]), int(whole[4:]))
        except ValueError:
            return None

    def items(self, keyword: str) -> Iterator["Row"]:
        """The items of a sequence that can be read, in the character sets of the row."""
        characters = tag_for_keyword("SpecificCharacterSet") or 0
        try:
            for item in items(self._raw(keyword), implicit=self._implicit, big=self._big):
                held = {characters: self._raw("SpecificCharacterSet"), **item}
                yield Row(held, implicit=self._implicit, big=self._big)
        except struct.error:
            return

    def _raw(self, keyword: str) -> bytes:
        return self._elements.get(tag_for_keyword(keyword) or 0, b"")

    def _decoded(self, raw: bytes) -> str:
        if raw.isascii() and b"\x1b" not in raw:
            return raw.decode("ascii")
        text = _declared_text(raw, self._encodings) if self._known else None
        if text is not None:
            self.doubtful = self.doubtful or (self._single_byte() and _reads_as_utf8(raw))
            return text
        self.doubtful = True
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return raw.decode("latin-1")

    def _single_byte(self) -> bool:
        return len(self._encodings) == 1 and self._encodings[0].startswith(("latin", "iso8859", "iso_ir_1"))


def uid_of(raw: bytes) -> str:
    """The valid UID that an encoded value is, or nothing."""
    value = raw.decode("ascii", "replace").strip(" \0")
    return value if is_uid(value) else ""


def _declared_text(raw: bytes, encodings: list[str]) -> str | None:
    # The Japanese codecs of the ISO 2022 family read escapes themselves; the others know only what they switch to.
    for encoding in reversed(encodings) if b"\x1b" in raw else encodings[:1]:
        try:
            return (raw if encoding.startswith("iso2022") else ESCAPES.sub(b"", raw)).decode(encoding)
        except UnicodeDecodeError:
            continue
    return None


def _reads_as_utf8(raw: bytes) -> bool:
    # Text in a one-byte character set is almost never valid UTF-8 by chance: the declaration is then wrong.
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return not raw.isascii()


def cleaned(text: str) -> str:
    """Text without control, direction, private and line characters, stripped, at most 256 characters."""
    if text.isascii() and text.isprintable():
        return text.strip()[:TEXT_MAX]
    kept = (
        char
        for char in text
        if char in JOINERS or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    )
    return "".join(kept).strip()[:TEXT_MAX]


def read_row(identifier: BytesIO | None, transfer_syntax: UID) -> Row | None:
    """The dataset of one answer, None where it is missing, too large or not readable."""
    encoded = b"" if identifier is None else identifier.getvalue()
    if not encoded or len(encoded) > IDENTIFIER_LENGTH_MAX:
        return None
    try:
        implicit = transfer_syntax.is_implicit_VR
        return Row(elements(encoded, implicit=implicit), implicit=implicit)
    except struct.error:
        return None


def study_answer(row: Row, hospital: str, issuer: str) -> StudyAnswer | None:
    """A study from a row at STUDY level (PS3.4 C.6.2.1), None without a usable Study Instance UID.

    `issuer` stands in where the row does not say who issued the patient number.
    """
    uid = row.uid("StudyInstanceUID")
    if not uid:
        return None
    patient = patient_of(row, issuer)
    codes = _procedure_codes(row)
    values = {
        "modalities": row.texts("ModalitiesInStudy"),
        "description": row.text("StudyDescription"),
        "accession": row.text("AccessionNumber"),
        "availability": row.text("InstanceAvailability"),
    }
    return StudyAnswer(
        hospital=hospital,
        study_uid=uid,
        patient=patient,
        study_date=row.day("StudyDate"),
        study_time=row.clock("StudyTime"),
        series=row.number("NumberOfStudyRelatedSeries"),
        images=row.number("NumberOfStudyRelatedInstances"),
        procedure_codes=codes,
        doubtful_text=row.doubtful,
        **values,  # type: ignore[arg-type]
    )


def patient_of(row: Row, issuer: str) -> Patient:
    """Who a row is about; `issuer` stands in where it does not say who issued the number."""
    sex = row.text("PatientSex").upper()
    return Patient(
        Identifier(row.text("PatientID"), row.text("IssuerOfPatientID") or issuer),
        name=row.text("PatientName"),
        birth_date=row.day("PatientBirthDate"),
        sex=sex if sex in ("M", "F", "O") else "",
        other_ids=_other_ids(row),
    )


def _other_ids(row: Row) -> tuple[Identifier, ...]:
    """Further numbers of the patient; one without an issuer of its own could be anybody's and is left out."""
    items = islice(row.items("OtherPatientIDsSequence"), OTHER_IDS_MAX)
    found = (Identifier(item.text("PatientID"), item.text("IssuerOfPatientID")) for item in items)
    return tuple(dict.fromkeys(one for one in found if one.value and one.issuer))


def _procedure_codes(row: Row) -> tuple[ProcedureCode, ...]:
    """Procedure Code Sequence (0008,1032); an item without value or scheme says nothing."""
    items = islice(row.items("ProcedureCodeSequence"), CODES_MAX)
    found = (ProcedureCode(*map(item.text, ITEM_TEXTS)) for item in items)
    return tuple(dict.fromkeys(one for one in found if one.value and one.scheme))


def series_answer(row: Row) -> SeriesAnswer | None:
    """A series from a row at SERIES level (PS3.4 C.6.2.1), None without a usable Series Instance UID."""
    uid = row.uid("SeriesInstanceUID")
    if not uid:
        return None
    return SeriesAnswer(
        series_uid=uid,
        modality=row.text("Modality"),
        number=row.number("SeriesNumber"),
        description=row.text("SeriesDescription"),
        images=row.number("NumberOfSeriesRelatedInstances"),
    )
