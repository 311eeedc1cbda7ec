"""A DICOMDIR: the directory of a CD, DVD or stick (PS3.3 F, PS3.10 8), which says at once what is on it.

It may be wrong in every respect; what it says is checked where it matters, and what it leaves out is looked for.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from pydicom.datadict import tag_for_keyword

from priorline.archives.encoded import Span, item_spans, spans
from priorline.archives.folder_head import Damaged, FileHead
from priorline.archives.translate import IDENTIFIER_LENGTH_MAX, Row, patient_of, series_answer, study_answer
from priorline.domain.study import SeriesAnswer, StudyAnswer

LARGEST = 1 << 26
RECORDS_MAX = 200_000
FILE_ID_PARTS_MAX = 16


def _tag(keyword: str) -> int:
    return tag_for_keyword(keyword) or 0


FIRST_RECORD = _tag("OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity")
SEQUENCE = _tag("DirectoryRecordSequence")
NEXT = _tag("OffsetOfTheNextDirectoryRecord")
IN_USE = _tag("RecordInUseFlag")
LOWER = _tag("OffsetOfReferencedLowerLevelDirectoryEntity")
FILE_ID = _tag("ReferencedFileID")
CHARACTERS = _tag("SpecificCharacterSet")
WANTED = frozenset((NEXT, IN_USE, LOWER, FILE_ID, CHARACTERS)) | frozenset(
    _tag(keyword)
    for keyword in (
        "DirectoryRecordType ReferencedSOPClassUIDInFile ReferencedSOPInstanceUIDInFile PatientID IssuerOfPatientID "
        "PatientName PatientBirthDate PatientSex OtherPatientIDsSequence StudyInstanceUID StudyDate StudyTime "
        "StudyDescription AccessionNumber ProcedureCodeSequence SeriesInstanceUID Modality SeriesNumber "
        "SeriesDescription BodyPartExamined Laterality"
    ).split()
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One object as a DICOMDIR describes it; `file_id` is what it says of the place, which may be anything."""

    study: StudyAnswer
    series: SeriesAnswer
    sop_class: str
    sop_uid: str
    file_id: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Above:
    """The records above another one."""

    patient: Row | None = None
    study: Row | None = None
    series: Row | None = None


@dataclass(frozen=True, slots=True)
class _Record:
    """One record: what it says as a row, and the elements that are no text."""

    row: Row
    raw: dict[int, bytes]

    @property
    def kind(self) -> str:
        return self.row.text("DirectoryRecordType")

    def offset(self, tag: int) -> int:
        """Where another record begins, counted from the begin of the file; 0 for none."""
        value = self.raw.get(tag, b"")
        return int(struct.unpack("<L", value)[0]) if len(value) == 4 else 0

    @property
    def is_in_use(self) -> bool:
        return self.raw.get(IN_USE, b"\xff\xff") != b"\0\0"


@dataclass(slots=True)
class _Directory:
    """The records of a DICOMDIR by the offset at which they begin, in the order of the file."""

    content: bytes
    implicit: bool
    characters: bytes
    items: dict[int, Span] = field(default_factory=dict)
    first: int = 0

    def record(self, offset: int) -> _Record:
        """The record at an offset that is among `items`; without content where it is damaged."""
        item, found = self.items[offset], {CHARACTERS: self.characters}
        try:
            if item.end - item.begin <= IDENTIFIER_LENGTH_MAX:
                for tag, begin, end in spans(self.content, item.begin, item.end, implicit=self.implicit):
                    if tag in WANTED:
                        found[tag] = self.content[begin:end]
        except struct.error:
            found = {}
        return _Record(Row(found, implicit=self.implicit), found)


def read_dicomdir(content: bytes, head: FileHead, hospital: str, issuer: str) -> list[Entry]:
    """The objects that a DICOMDIR names; raises Damaged where it is none, or cannot be read.

    `content` is the whole file. `issuer` stands in where nothing is said of who issued the patient numbers.
    """
    directory = _directory(content, head)
    described: dict[_Above, tuple[StudyAnswer, SeriesAnswer] | None] = {}
    entries = []
    for above, record in _linked(directory) or _in_order(directory):
        if above not in described:
            described[above] = _described(above, hospital, issuer)
        told, file_id = described[above], _file_id(record)
        sop_class = record.row.uid("ReferencedSOPClassUIDInFile")
        sop_uid = record.row.uid("ReferencedSOPInstanceUIDInFile")
        if told is not None and sop_class and sop_uid and file_id:
            entries.append(Entry(*told, sop_class, sop_uid, file_id))
    return entries


def _directory(content: bytes, head: FileHead) -> _Directory:
    implicit = head.transfer_syntax == "1.2.840.10008.1.2"
    if not implicit and head.transfer_syntax != "1.2.840.10008.1.2.1":
        raise Damaged
    found = _Directory(content, implicit, b"")
    try:
        for tag, begin, end in spans(content, head.start, implicit=implicit):
            if tag == CHARACTERS:
                found.characters = content[begin:end]
            elif tag == FIRST_RECORD and end - begin == 4:
                found.first = int(struct.unpack_from("<L", content, begin)[0])
            elif tag == SEQUENCE:
                _take_items(found, begin, end)
                break
    except struct.error as problem:
        raise Damaged from problem
    return found


def _take_items(directory: _Directory, begin: int, end: int) -> None:
    for item in item_spans(directory.content, begin, end, implicit=directory.implicit):
        directory.items[item.key] = item
        if len(directory.items) > RECORDS_MAX:
            raise Damaged


def _linked(directory: _Directory) -> list[tuple[_Above, _Record]]:
    """The records that lead to files, along their links (PS3.3 F.2.2); none where a link leads astray."""
    found: list[tuple[_Above, _Record]] = []
    waiting, seen = [(directory.first, _Above())], set[int]()
    while waiting:
        offset, above = waiting.pop()
        if not offset:
            continue
        if offset in seen or offset not in directory.items:
            return []
        seen.add(offset)
        record = directory.record(offset)
        waiting.append((record.offset(NEXT), above))
        if record.is_in_use:
            below = _below(above, record)
            waiting.append((record.offset(LOWER), below))
            if FILE_ID in record.raw:
                found.append((below, record))
    return found


def _in_order(directory: _Directory) -> Iterator[tuple[_Above, _Record]]:
    """The same in the order of the file, which is nearly always that of the tree."""
    above = _Above()
    for record in map(directory.record, directory.items):
        if record.is_in_use:
            above = _below(above, record)
            if FILE_ID in record.raw:
                yield above, record


def _below(above: _Above, record: _Record) -> _Above:
    if record.kind == "PATIENT":
        return _Above(record.row)
    if record.kind == "STUDY":
        return _Above(above.patient, record.row)
    return replace(above, series=record.row) if record.kind == "SERIES" else above


def _described(above: _Above, hospital: str, issuer: str) -> tuple[StudyAnswer, SeriesAnswer] | None:
    if above.patient is None or above.study is None or above.series is None:
        return None
    study = study_answer(above.study, hospital, issuer)
    series = series_answer(above.series)
    if study is None or series is None:
        return None
    patient = patient_of(above.patient, issuer)
    told = replace(
        study,
        patient=patient,
        body_part=above.series.text("BodyPartExamined"),
        laterality=above.series.text("Laterality"),
        doubtful_text=any(row.doubtful for row in (above.patient, above.study, above.series)),
    )
    return told, series


def _file_id(record: _Record) -> tuple[str, ...]:
    """Referenced File ID (0004,1500): up to 8 components by the standard, here up to 16; nothing beyond that."""
    text = record.raw.get(FILE_ID, b"")[: 1 << 12].decode("latin-1")
    parts = tuple(part.strip(" \0") for part in text.split("\\"))
    return parts if len(parts) <= FILE_ID_PARTS_MAX and all(parts) else ()
