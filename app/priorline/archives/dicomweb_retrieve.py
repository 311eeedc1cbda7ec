"""WADO-RS at a peer (PS3.18 10.4): a study or series as one stream of instances, each as it is stored there."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydicom.uid import DeflatedExplicitVRLittleEndian

from priorline.archives.base import RetrieveSummary
from priorline.archives.dicom_find import uid_key
from priorline.archives.dicomweb_connection import Cancelled
from priorline.archives.dicomweb_http import ask
from priorline.archives.dicomweb_peer import DicomWebPeer
from priorline.archives.encoded import elements
from priorline.archives.incoming import Received, Receiver, take
from priorline.archives.multipart import Malformed, Part, boundary_of, parts
from priorline.archives.translate import Row
from priorline.archives.watch import Watch
from priorline.errors import ArchiveBroken

# As stored: no transcoding there, no loss on the way (PS3.18 8.7.3.5.2).
ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'
INSTANCE_MAX = 1 << 31
STUDY_MAX = 1 << 38
# What is not DICOM costs its sender nothing and must not come without end.
FAILED_MAX = 1000
PREAMBLE = 128
META = slice(PREAMBLE + 4, PREAMBLE + 16)
GROUP_LENGTH = struct.Struct("<HH2sHL")
META_KEYS = ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID")


@dataclass
class _Counts:
    received: int = 0
    failed: int = 0
    is_partial: bool = False

    def summary(self, *, cancelled: bool = False) -> RetrieveSummary:
        # The words of PS3.4 C.4.3.1.4 for the same ends.
        status = 0xFE00 if cancelled else 0xB000 if self.failed or self.is_partial else 0
        return RetrieveSummary(self.received, self.failed, 0, 0, status, self.received, cancelled)


def retrieve(
    peer: DicomWebPeer,
    study_uid: str,
    series_uid: str | None,
    receiver: Receiver,
    cancelled: Callable[[], bool],
) -> RetrieveSummary:
    """Fetch a study or a series; what the receiver raises closes the connection and is raised here."""
    path = f"/studies/{uid_key(study_uid)}"
    if series_uid is not None:
        path += f"/series/{uid_key(series_uid)}"
    counts, watch = _Counts(), Watch(cancelled)
    try:
        with ask(peer, watch, path, ACCEPT, STUDY_MAX) as answer:
            counts.is_partial = answer.status != 200
            boundary = boundary_of(answer.headers.get("content-type", ""))
            _take_all(watch, parts(answer.blocks, boundary, INSTANCE_MAX), counts, receiver)
    except Malformed as problem:
        raise ArchiveBroken(f"{peer.name} sent {problem}; try again, then ask its IT department.") from problem
    except Cancelled:
        return counts.summary(cancelled=True)
    return counts.summary()


def _take_all(watch: Watch, arriving: Iterator[Part], counts: _Counts, receiver: Receiver) -> None:
    for part in arriving:
        received = None if part.is_cut else received_from(part.content)
        if received is None:
            counts.failed += 1
            if counts.failed > FAILED_MAX:
                raise Malformed("one thing after another that is no image")
            continue
        watch.progress()
        with watch.held():
            take(receiver, received)
        counts.received += 1


def received_from(file: bytes) -> Received | None:
    """The instance in a DICOM file (PS3.10 7.1) without preamble and file meta; None where these do not hold."""
    if file[PREAMBLE : PREAMBLE + 4] != b"DICM" or len(file) < META.stop:
        return None
    *head, length = GROUP_LENGTH.unpack(file[META])
    start = META.stop + length
    if head != [2, 0, b"UL", 4] or start >= len(file):
        return None
    try:
        meta = elements(file[META.stop : start], implicit=False)
    except struct.error:
        return None
    sop_class, sop_instance, syntax = map(Row(meta, implicit=False).uid, META_KEYS)
    if any(tag >> 16 != 2 for tag in meta) or not (sop_class and sop_instance and syntax):
        return None
    # File meta beyond its own length.
    if syntax != DeflatedExplicitVRLittleEndian and file.startswith(b"\x02\x00", start):
        return None
    return Received(sop_class, sop_instance, syntax, file[start:])
