"""What every kind of archive offers, and the values that pass through the door."""

import struct
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from priorline.archives.incoming import Announced, Receiver
from priorline.archives.tls import ClientContext
from priorline.domain.fetch_order import Batch
from priorline.domain.patient import Patient
from priorline.domain.study import FirstListed, StudyAnswer, StudyListing
from priorline.errors import NotDicom

# A UUID-derived root (PS3.5 B.2) needs no registration.
IMPLEMENTATION_CLASS_UID = "2.25.239437281450872391860371926459123847651"
IMPLEMENTATION_VERSION_NAME = "PRIORLINE_0"
# File meta information is explicit VR little endian, after preamble and "DICM" (PS3.10 7.1).
META_AT, META_GROUP, META_VALUE = 132, b"\x02\x00", struct.Struct("<2sH")
LONG_VALUES = (b"OB", b"OW", b"UN", b"SQ", b"UT")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits in seconds for one association.

    `connect` is for TCP, `acse` for agreeing on encryption and the answer to the association request together.
    `progress` is the longest time in which nothing useful may come; a trickle of bytes is nothing. `query` bounds one
    whole query. `late` is how long instances may come after the archive called its C-MOVE done.
    """

    connect: float = 5.0
    acse: float = 10.0
    progress: float = 15.0
    query: float = 30.0
    late: float = 5.0


@dataclass(frozen=True, slots=True)
class DicomPeer:
    """A DICOM node of a hospital: whom to call, how many associations it stands at once and how long to wait.

    `name` is the hospital as the user sees it; `patient_id_issuer` issues the numbers that come without an issuer;
    `rows_max` answers are taken of one search; `retrieve` is "auto", "c-get" or "c-move", as configured. With `tls`
    nothing is sent to it in clear. By C-MOVE it may send under the AE titles `sends_as`, if any, instead of
    `ae_title`, and from the hosts `sends_from` besides.
    """

    name: str
    ae_title: str
    host: str
    port: int
    calling_ae_title: str
    associations: int = 4
    timeouts: Timeouts = field(default=Timeouts())
    patient_id_issuer: str = ""
    rows_max: int = 2000
    retrieve: str = "auto"
    tls: ClientContext | None = None
    sends_as: tuple[str, ...] = ()
    sends_from: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FindSummary:
    """How a search ended: `rows` taken, `dropped` rows (foreign or unusable), `cut` when the archive had too many."""

    rows: int = 0
    dropped: int = 0
    cut: bool = False
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class SecurityAlert:
    """Something that our storage SCP refused: what was wrong, and who it was as far as that was told.

    `hospital` is one whose retrieval was open; `study_uid` is of an instance that was refused. `times` counts what
    happened more often than is told one by one.
    """

    problem: str
    address: str
    hospital: str = ""
    calling: str = ""
    called: str = ""
    study_uid: str = ""
    times: int = 1


@dataclass(frozen=True, slots=True)
class RetrieveSummary:
    """How a retrieval ended, in the archive's own counts (PS3.4 C.4.3.1) beside what was `received` here.

    Never proof of completeness: that is decided by comparing instances. `status` is the final status; `message` is
    for the user, where something did not come.
    """

    completed: int
    failed: int
    warned: int
    remaining: int
    status: int
    received: int = 0
    cancelled: bool = False
    message: str = ""


class Archive(Protocol):
    """A source of studies; every method blocks, and raises ArchiveError when the archive cannot or will not."""

    @property
    def name(self) -> str:
        """The hospital as the user sees it."""

    @property
    def by_name(self) -> "ByName | None":
        """How it is asked for instances by their names; None where it hands over whole studies or series only."""

    @property
    def streams_studies(self) -> bool:
        """Whether a study comes as one stream, so that nothing is gained by listing it first."""

    def echo(self) -> float:
        """Ask whether the archive is there; milliseconds from connecting to the answer."""

    def accepts_get(self) -> bool:
        """Whether the archive hands over studies on the connection that asks for them."""

    def accepts_move(self) -> bool:
        """Whether the archive sends studies to us on connections of its own."""

    def find_studies(
        self,
        patient: Patient,
        on_rows: Callable[[list[StudyAnswer]], None],
        cancelled: Callable[[], bool],
    ) -> FindSummary:
        """Search the studies of one patient number; rows are handed over in small batches as they come.

        A study may come a second time, better described; the later row counts.
        Raises UsageError when the number cannot be asked for exactly.
        """

    def find_study(self, study_uid: str) -> StudyAnswer | None:
        """Look up one study, None where the archive does not have it."""

    def list_study(
        self, study_uid: str, on_first: Callable[[FirstListed], None], cancelled: Callable[[], bool]
    ) -> StudyListing:
        """List what a study consists of; where it is cancelled, an empty listing that says so.

        Where instances can be asked for by name, `on_first` is called with one of them, once, as soon as it is known.
        """

    def retrieve(
        self,
        study_uid: str,
        series_uid: str | None,
        sop_classes: Collection[str],
        receiver: Receiver,
        cancelled: Callable[[], bool],
    ) -> RetrieveSummary:
        """Fetch a study or one of its series, handing over each instance as it comes.

        What the receiver raises ends the retrieval at once and is raised here. An empty `sop_classes` means unknown.
        """


class ByName(Protocol):
    """An archive that hands over instances by their names, a few at a time."""

    @property
    def connections(self) -> int:
        """How many retrievals may run at once."""

    def retrieve_listed(
        self,
        study_uid: str,
        next_batch: Callable[[], Batch | None],
        sop_classes: Collection[str],
        receiver: Receiver,
        cancelled: Callable[[], bool],
    ) -> RetrieveSummary | None:
        """Fetch instances by name on one connection, batch after batch, until there is none.

        May run several times at once, in several threads. None where the archive turns out not to go by names.
        Raises as `Archive.retrieve`.
        """


def part10_head(announced: Announced, ae_title: str) -> bytes:
    """What a DICOM file has before its dataset (PS3.10 7.1).

    The preamble is zero, so no other file format can hide in it. `ae_title` names the sender.
    """
    before, after = _around_instance(announced.sop_class_uid, announced.transfer_syntax, ae_title)
    instance = _element(0x0003, b"UI", _uid(announced.sop_instance_uid))
    length = _element(0x0000, b"UL", struct.pack("<L", len(before) + len(instance) + len(after)))
    return b"".join((bytes(128), b"DICM", length, before, instance, after))


@lru_cache(maxsize=64)
def _around_instance(sop_class_uid: str, transfer_syntax: str, ae_title: str) -> tuple[bytes, bytes]:
    """The file meta information before and behind the SOP Instance UID: the same in hundreds of files."""
    before = (
        _element(0x0001, b"OB", b"\x00\x01"),
        _element(0x0002, b"UI", _uid(sop_class_uid)),
    )
    after = (
        _element(0x0010, b"UI", _uid(transfer_syntax)),
        _element(0x0012, b"UI", _uid(IMPLEMENTATION_CLASS_UID)),
        _element(0x0013, b"SH", _padded(IMPLEMENTATION_VERSION_NAME, b" ")),
        _element(0x0016, b"AE", _padded(ae_title, b" ")),
    )
    return b"".join(before), b"".join(after)


def dataset_of(file: bytes) -> bytes:
    """The encoded dataset in a DICOM file, of others too, as it stands there: without what `part10_head` makes.

    Raises NotDicom where the file meta information (PS3.10 7.1) is torn.
    """
    at = META_AT
    try:
        while file[at : at + 2] == META_GROUP:
            kind, short = META_VALUE.unpack_from(file, at + 4)
            is_long = kind in LONG_VALUES
            at += 12 + struct.unpack_from("<L", file, at + 8)[0] if is_long else 8 + short
    except struct.error:
        at = len(file) + 1
    if not META_AT < at <= len(file):
        raise NotDicom("The file ends before its dataset begins; fetch the study again.")
    return file[at:]


def _element(number: int, vr: bytes, value: bytes) -> bytes:
    if vr == b"OB":
        return struct.pack("<HH2sHL", 2, number, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", 2, number, vr, len(value)) + value


def _uid(value: str) -> bytes:
    return _padded(value, b"\0")


def _padded(value: str, padding: bytes) -> bytes:
    encoded = value.encode("ascii", "replace")
    return encoded + padding * (len(encoded) % 2)
