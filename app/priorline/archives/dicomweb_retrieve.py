"""WADO-RS at a peer (PS3.18 10.4): a study, a series or single instances, each instance as it is stored there."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from pydicom.uid import DeflatedExplicitVRLittleEndian

from priorline.archives.base import RetrieveSummary
from priorline.archives.dicom_find import uid_key
from priorline.archives.dicomweb_connection import Cancelled
from priorline.archives.dicomweb_http import NotThere, ask
from priorline.archives.dicomweb_peer import DicomWebPeer
from priorline.archives.encoded import elements
from priorline.archives.incoming import Announced, Receiver, put
from priorline.archives.multipart import PARTS_MAX, Malformed, Part, boundary_of, parts
from priorline.archives.translate import uid_of
from priorline.archives.watch import Watch
from priorline.domain.fetch_order import Batch
from priorline.errors import ArchiveBroken, ArchiveRefused

# As stored: no transcoding there, no loss on the way (PS3.18 8.7.3.5.2).
ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'
INSTANCE_MAX = 1 << 31
STUDY_MAX = 1 << 38
# What is not DICOM costs its sender nothing and must not come without end.
FAILED_MAX = 1000
PREAMBLE = 128
META = slice(PREAMBLE + 4, PREAMBLE + 16)
META_MAX = 1 << 20
# So much of the dataset is looked at too.
BEYOND = 2
GROUP_LENGTH = struct.Struct("<HH2sHL")
# Media Storage SOP Class UID, Media Storage SOP Instance UID, Transfer Syntax UID (PS3.10 7.1).
META_TAGS = (0x00020002, 0x00020003, 0x00020010)


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
        _take_answer(peer, watch, path, counts, receiver)
    except Cancelled:
        return counts.summary(cancelled=True)
    return counts.summary()


def retrieve_listed(
    peer: DicomWebPeer,
    study_uid: str,
    next_batch: Callable[[], Batch | None],
    receiver: Receiver,
    cancelled: Callable[[], bool],
) -> RetrieveSummary | None:
    """Fetch instances by their UIDs (PS3.18 10.4.1.1.3), one request each, batch after batch.

    One that the peer does not have leaves a warning. None where it refuses the first that it is asked for; what the
    receiver raises is raised here.
    """
    counts, watch = _Counts(), Watch(cancelled)
    try:
        while (batch := next_batch()) is not None:
            series = f"/studies/{uid_key(study_uid)}/series/{uid_key(batch.series_uid)}"
            for uid in batch.sop_uids:
                _take_named(peer, watch, f"{series}/instances/{uid_key(uid)}", counts, receiver)
    except Cancelled:
        return counts.summary(cancelled=True)
    except ArchiveRefused:
        if counts.received:
            raise
        return None
    return counts.summary()


def _take_named(peer: DicomWebPeer, watch: Watch, path: str, counts: _Counts, receiver: Receiver) -> None:
    try:
        _take_answer(peer, watch, path, counts, receiver, most=1)
    except NotThere:
        # Not counted: it may be asked for once more, and the list tells what is missing.
        counts.is_partial = True


def _take_answer(
    peer: DicomWebPeer, watch: Watch, path: str, counts: _Counts, receiver: Receiver, most: int = PARTS_MAX
) -> None:
    """The instances that the peer sends for one path; more than `most` parts mean that it does not go by the path."""
    try:
        with ask(peer, watch, path, ACCEPT, STUDY_MAX) as answer:
            counts.is_partial = counts.is_partial or answer.status != 200
            boundary = boundary_of(answer.headers.get("content-type", ""))
            arriving = parts(answer.body.read_into, boundary, INSTANCE_MAX)
            _take_all(watch, islice(arriving, most), counts, receiver)
            if next(arriving, None) is not None:
                raise Malformed("more than the one image that was asked for")
    except Malformed as problem:
        raise ArchiveBroken(f"{peer.name} sent {problem}; try again, then ask its IT department.") from problem


def _take_all(watch: Watch, arriving: Iterator[Part], counts: _Counts, receiver: Receiver) -> None:
    for part in arriving:
        if _is_taken(watch, part, receiver):
            counts.received += 1
            continue
        counts.failed += 1
        if counts.failed > FAILED_MAX:
            raise Malformed("one thing after another that is no image")


def _is_taken(watch: Watch, part: Part, receiver: Receiver) -> bool:
    """Whether a part was an instance, which the receiver then has."""
    head, rest = _begun(part)
    announced = announced_in(head)
    if announced is None:
        return False
    watch.progress()
    with watch.held():
        incoming = receiver(announced)
    is_whole = False
    try:
        put(incoming, head[_needed(head) - BEYOND :])
        put(incoming, rest)
        part.put_into(incoming)
        is_whole = not part.is_cut
    finally:
        if not is_whole:
            incoming.drop()
    if is_whole:
        with watch.held():
            incoming.finish()
    return is_whole


def _begun(part: Part) -> tuple[bytes, memoryview]:
    """What `announced_in` needs of a part, and what else has come with it."""
    head, rest = bytearray(), memoryview(b"")
    for piece in part.pieces():
        rest = piece
        while rest and (lacking := _needed(head) - len(head)) > 0:
            head += rest[:lacking]
            rest = rest[lacking:]
        if len(head) >= _needed(head):
            break
    return bytes(head), rest


def _needed(head: bytes | bytearray) -> int:
    """How much of a DICOM file is to be seen before it is begun, as far as `head` tells; 0 where it is none."""
    if len(head) < META.stop:
        return META.stop
    *told, length = GROUP_LENGTH.unpack(head[META])
    is_file = head[PREAMBLE : PREAMBLE + 4] == b"DICM" and told == [2, 0, b"UL", 4] and length <= META_MAX
    return META.stop + length + BEYOND if is_file else 0


def announced_in(head: bytes) -> Announced | None:
    """What a DICOM file (PS3.10 7.1), or enough of its beginning, says of itself; None where that does not hold."""
    start = _needed(head) - BEYOND
    if not META.stop <= start < len(head):
        return None
    try:
        meta = elements(head[META.stop : start], implicit=False)
    except struct.error:
        return None
    sop_class, sop_instance, syntax = (uid_of(meta.get(tag, b"")) for tag in META_TAGS)
    if any(tag >> 16 != 2 for tag in meta) or not (sop_class and sop_instance and syntax):
        return None
    # File meta beyond its own length.
    if syntax != DeflatedExplicitVRLittleEndian and head.startswith(b"\x02\x00", start):
        return None
    return Announced(sop_class, sop_instance, syntax)
