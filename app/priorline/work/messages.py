"""Every request and event between the window and its helpers: frozen, typed, numbered; encoded as MessagePack.

A helper may have been taken over by hostile bytes, so nothing here can carry code: no pickle, and every value is
checked against its type when it arrives. An event carries the number of the request that it answers.
"""

from collections.abc import Callable
from datetime import datetime
from typing import ClassVar, TypeVar

import msgspec

from priorline.config import Settings
from priorline.domain.links import PersonLink
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import FetchReport, HospitalReport, StudyAnswer
from priorline.imaging.instance import InstanceHeader


class Message(msgspec.Struct, frozen=True, tag=True, tag_field="kind"):
    """Base of all messages; `number` is that of the request."""

    number: int


class Request(Message, frozen=True):
    """Something asked of a helper."""


class Event(Message, frozen=True):
    """Something a helper tells; `ends` is true for the kinds after which a request is over."""

    ends: ClassVar[bool] = False


class Ticket(msgspec.Struct, frozen=True):
    """All that a decoder needs to read one cached object, and nothing more: its file, handle and own key."""

    path: str
    handle: str
    key: bytes


class CachedInstance(msgspec.Struct, frozen=True):
    """One whole instance in the cache."""

    header: InstanceHeader
    ticket: Ticket


# --- to the courier -------------------------------------------------------------------------------------------


class Configure(Request, frozen=True):
    """The first message: the settings that the window read, and the descriptor of `RightOfWay`."""

    settings: Settings
    cache_directory: str
    state_directory: str
    right_of_way: int | None = None


class Search(Request, frozen=True):
    """Ask hospitals (all, or those named) for every study of a patient; `study_uid` names a current study whose
    hospital says who the patient is, where the launch did not."""

    patient: Patient | None
    study_uid: str = ""
    hospitals: tuple[str, ...] = ()
    reason: str = ""


class ReadFolder(Request, frozen=True):
    """Take the DICOM files of a folder into the cache as the current study."""

    directory: str


class Fetch(Request, frozen=True):
    """Retrieve a study, or one series of it, from the hospital of `study` into the cache.

    With `prefetch` nobody asked for it yet: it waits behind all that somebody did, and brings no more than the
    hospital's settings allow.
    """

    study: StudyAnswer
    series_uid: str = ""
    reason: str = ""
    prefetch: bool = False


class Prefer(Request, frozen=True):
    """Somebody looks at this image of a study that is being fetched: what is around it is wanted first."""

    study_uid: str
    series_uid: str
    sop_uid: str


class OpenStudy(Request, frozen=True):
    """List what the cache holds of a study, to look at it."""

    study_uid: str
    reason: str = ""


class CloseStudy(Request, frozen=True):
    """Nobody looks at what `OpenStudy` opened any more: it may be cleaned away again."""

    study_uid: str


class AskPresence(Request, frozen=True):
    """Which of these studies are in the cache, and how much of them."""

    study_uids: tuple[str, ...]


class AskCache(Request, frozen=True):
    """How full the cache is and what would go next; with `clean`, what is over its limits goes first."""

    clean: bool = False


class Discard(Request, frozen=True):
    """A decoder found these objects of a study damaged: take them out, so that they can be fetched again."""

    study_uid: str
    handles: tuple[str, ...]


class LookAtPerson(Request, frozen=True):
    """Somebody wants to see how a hospital describes a person who is perhaps the patient."""

    patient: Identifier
    study_uid: str
    hospitals: tuple[str, ...]
    reason: str


class Confirm(Request, frozen=True):
    """A person decided that rows are of the patient: keep these links, and let the studies be shown again."""

    links: tuple[PersonLink, ...]
    study_uids: tuple[str, ...]


class Revoke(Request, frozen=True):
    """A person took these links back: forget them, and hold back what the cache has of the studies."""

    links: tuple[PersonLink, ...]
    study_uids: tuple[str, ...]
    reason: str


class Cancel(Request, frozen=True):
    """End the request with this number; what was stored stays."""


# --- from the courier -----------------------------------------------------------------------------------------


class PatientKnown(Event, frozen=True):
    """Who the current study belongs to, the numbers under which hospitals know this patient, and what persons
    confirmed about this identity before."""

    patient: Patient
    local_numbers: dict[str, Identifier]
    current: StudyAnswer | None = None
    links: tuple[PersonLink, ...] = ()


class StudiesFound(Event, frozen=True):
    """Some rows of one hospital."""

    answers: tuple[StudyAnswer, ...]


class HospitalEnded(Event, frozen=True):
    """One hospital's final state."""

    report: HospitalReport


class SearchEnded(Event, frozen=True):
    """Every hospital has ended."""

    ends: ClassVar[bool] = True


class FetchPlace(Event, frozen=True):
    """Where a retrieval stands: `ahead` others of its hospital go before it, 0 where it is being fetched."""

    ahead: int


class InstanceArrived(Event, frozen=True):
    """An instance of a study is whole and checked in the cache; progress counts come with it.

    `received` of `expected` images are here (0: not known how many), `bytes` came for this request so far.
    """

    study_uid: str
    instance: CachedInstance
    received: int
    expected: int
    bytes: int


class FetchEnded(Event, frozen=True):
    """How a retrieval ended."""

    report: FetchReport
    ends: ClassVar[bool] = True


class StudyContents(Event, frozen=True):
    """What the cache holds of a study."""

    study_uid: str
    instances: tuple[CachedInstance, ...]
    expected: int
    complete: bool
    ends: ClassVar[bool] = True


class PresenceItem(msgspec.Struct, frozen=True):
    """How much of one study is in the cache, and which hospital it was fetched from last."""

    images: int
    complete: bool
    hospital: str = ""


class PresenceKnown(Event, frozen=True):
    """Answer to `AskPresence` and `Discard`: every study that was asked for."""

    studies: dict[str, PresenceItem]
    ends: ClassVar[bool] = True


class HospitalShare(msgspec.Struct, frozen=True):
    """What one hospital's studies take in the cache."""

    hospital: str
    studies: int
    bytes: int


class Leaving(msgspec.Struct, frozen=True):
    """A study that goes sooner or later, without its name; `why` is empty for one that is not due yet."""

    hospital: str
    images: int
    bytes: int
    viewed_at: datetime
    why: str = ""


class CacheTold(Event, frozen=True):
    """Answer to `AskCache`: bytes taken, allowed (0: no limit) and free on the disk, by hospital, and what goes next.

    `key` says where the key is kept ("" where nothing is encrypted); `removed` and `freed` what a cleaning did.
    """

    ends: ClassVar[bool] = True
    studies: int
    bytes: int
    limit: int
    free: int
    key: str
    hospitals: tuple[HospitalShare, ...]
    leaving: tuple[Leaving, ...]
    removed: int = 0
    freed: int = 0


class OnRecord(Event, frozen=True):
    """Answer to `LookAtPerson`, `Confirm` and `Revoke`: it is in the audit trail and on the disk."""

    ends: ClassVar[bool] = True


class Notice(Event, frozen=True):
    """Something to be told that answers no request (number 0); `message` is a sentence for the user."""

    message: str


class RequestFailed(Event, frozen=True):
    """A request could not be done; `message` is a sentence for the user."""

    message: str
    ends: ClassVar[bool] = True


# --- from every helper ---------------------------------------------------------------------------------------


class Ready(Event, frozen=True):
    """The helper has started (number 0, first after every start); a death before this is a failed start."""


CourierRequest = (
    Configure
    | Search
    | ReadFolder
    | Fetch
    | Prefer
    | OpenStudy
    | CloseStudy
    | AskPresence
    | AskCache
    | Discard
    | LookAtPerson
    | Confirm
    | Revoke
    | Cancel
)
CourierEvent = (
    PatientKnown
    | StudiesFound
    | HospitalEnded
    | SearchEnded
    | FetchPlace
    | InstanceArrived
    | FetchEnded
    | StudyContents
    | PresenceKnown
    | CacheTold
    | OnRecord
    | Notice
    | RequestFailed
    | Ready
)

Kind = TypeVar("Kind")


def only_decode_errors(decode: Callable[[bytes], Kind]) -> Callable[[bytes], Kind]:
    """Text that is not UTF-8 and nesting without end raise the same error as all the rest that is wrong."""

    def decode_message(data: bytes) -> Kind:
        try:
            return decode(data)
        except (UnicodeDecodeError, RecursionError) as problem:
            raise msgspec.DecodeError("the message is not well-formed") from problem

    return decode_message


encode = msgspec.msgpack.Encoder().encode
decode_courier_request = only_decode_errors(msgspec.msgpack.Decoder(CourierRequest).decode)
decode_courier_event = only_decode_errors(msgspec.msgpack.Decoder(CourierEvent).decode)
