"""What a file begins with: where its dataset starts, how that is encoded, and what it is; however it was written.

With or without preamble and file meta information (PS3.10 7.1), and with file meta that is wrong: what the first
element shows goes before what is declared.
"""

import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
)
from pydicom.valuerep import VR

from priorline.archives.dataset_head import HEAD_MAX, inflated
from priorline.archives.encoded import LONG_VRS, spans
from priorline.archives.translate import Row

PREAMBLE = 128
FIRST_READ = 1 << 16
VRS = LONG_VRS | {vr.value.encode() for vr in VR}
BEGINNINGS = (b"\x02\x00", b"\x08\x00", b"\x00\x08")
UNCOMPRESSED = ("", ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
# Laterality, the last element that says what an object is.
LAST = 0x00200060
# File-set ID: before the records of a DICOMDIR, of which there may be many MiB.
LAST_OF_DICOMDIR = 0x00041130


class Damaged(ValueError):
    """A DICOM file of which not even the beginning can be read."""


@dataclass(frozen=True, slots=True)
class FileHead:
    """Where the dataset of a file begins, its transfer syntax in truth, and what file meta and dataset say.

    `is_all` where nothing follows: an object goes on after what says whose it is, unless it was cut.
    """

    start: int
    transfer_syntax: str
    meta: Row
    row: Row
    is_all: bool


def file_head(stream: BinaryIO) -> FileHead | None:
    """The head of a file, read from its begin; None where it is not DICOM.

    At most a little more than 1 MiB is read. Raises OSError, and Damaged where it is DICOM but breaks off.
    """
    content = stream.read(FIRST_READ)
    start = PREAMBLE + 4 if content[PREAMBLE : PREAMBLE + 4] == b"DICM" else 0
    if not start and content[:2] not in BEGINNINGS:
        return None
    found = _head(content, start)
    if found is None and len(content) == FIRST_READ:
        found = _head(content + stream.read(HEAD_MAX), start)
    if start:
        if found is None:
            raise Damaged
        return found
    # Other files begin with such bytes too, but do not go on like that.
    return None if found is None or found.is_all else found


def _head(content: bytes, at: int) -> FileHead | None:
    """The head of a file of which `content` is the beginning; None where it does not reach far enough."""
    meta, start = _file_meta(content, at)
    declared = meta.uid("TransferSyntaxUID")
    dataset = content[start:]
    if declared == DeflatedExplicitVRLittleEndian:
        try:
            dataset = inflated(dataset)
        except zlib.error:
            return None
    implicit, big = _coding(dataset)
    is_directory = meta.uid("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage
    found, end = dict[int, bytes](), 0
    try:
        last = LAST_OF_DICOMDIR if is_directory else LAST
        for tag, begin, end in spans(dataset, implicit=implicit, big=big, last=last):
            found.setdefault(tag, dataset[begin:end])
    except struct.error:
        return None
    if not found:
        return None
    row = Row(found, implicit=implicit, big=big)
    return FileHead(start, _syntax(declared, implicit, big), meta, row, end >= len(dataset))


def _file_meta(content: bytes, at: int) -> tuple[Row, int]:
    """The file meta information, always explicit little endian, and where it ends; its own length may be wrong."""
    found: dict[int, bytes] = {}
    while content[at : at + 2] == b"\x02\x00":
        element = content[at : at + 12]
        long = element[4:6] in LONG_VRS
        length = int.from_bytes(element[8:12] if long else element[6:8], "little")
        begin = at + (12 if long else 8)
        found[0x20000 | int.from_bytes(element[2:4], "little")] = content[begin : begin + length]
        at = begin + length
    return Row(found, implicit=False), at


def _coding(dataset: bytes) -> tuple[bool, bool]:
    """Whether the dataset has implicit value representations, and whether its numbers begin with the high byte."""
    known = dataset[4:6] in VRS
    return not known, known and dataset[:1] == b"\0" and dataset[1:2] != b"\0"


def _syntax(declared: str, implicit: bool, big: bool) -> str:
    if declared not in UNCOMPRESSED:
        return declared
    return str(ImplicitVRLittleEndian if implicit else ExplicitVRBigEndian if big else ExplicitVRLittleEndian)
