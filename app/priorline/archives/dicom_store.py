"""C-STORE at a peer (PS3.7 9.1.1, PS3.4 annex B): what was received is handed on as it came, nothing is recoded."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from pydicom.uid import UID
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import build_context

from priorline.archives import dicom_list
from priorline.archives.base import DicomPeer
from priorline.archives.dicom_get import COMMON_SOP_CLASSES, UNCOMPRESSED
from priorline.archives.dicom_messages import store_request
from priorline.archives.dicom_session import Cancelled, NotOffered, Session, associate, refused_status
from priorline.archives.upper_layer import Proposal
from priorline.archives.watch import Fault
from priorline.errors import ArchiveBroken

# As many as one association can agree on (PS3.8 9.3.2.2).
CONTEXTS_MAX = 128
# A line of 1 Mbit/s carries that within the time in which an archive has to answer.
UNSENT_MAX = 1 << 19
SUCCESS, COERCED, NOT_AUTHORISED, NOT_SUPPORTED = 0x0000, 0xB000, 0x0124, 0x0122
OUT_OF_RESOURCES = 0xA7


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One instance to be stored: what it is, and `load`, which reads its encoded dataset when its turn comes."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax: str
    load: Callable[[], bytes]


def is_stored(status: int) -> bool:
    """Whether the peer keeps the instance: success or a warning (PS3.4 B.2.3)."""
    return status == SUCCESS or status >> 12 == 0xB


class DicomStorage:
    """A DICOM node that may be written to: made for our department's own archive, never for a hospital's."""

    def __init__(self, peer: DicomPeer) -> None:
        self.peer = peer

    def accepts_storage(self) -> bool:
        """Whether the node agrees to be sent any common kind of image; sends none. Raises ArchiveError."""
        contexts = [build_context(UID(uid), list(UNCOMPRESSED)) for uid in COMMON_SOP_CLASSES]
        try:
            with associate(self.peer, Proposal(contexts)) as session:
                return any(session.agreed(uid, syntax) for uid in COMMON_SOP_CLASSES for syntax in UNCOMPRESSED)
        except NotOffered:
            return False

    def held(self, study_uid: str) -> set[str]:
        """SOP Instance UIDs of what is there of a study, none where the node cannot be asked. Raises ArchiveError."""
        try:
            listed = dicom_list.list_study(self.peer, study_uid).instances
        except NotOffered:
            return set()
        return set().union(*(listed or {}).values())

    def store(
        self,
        instances: Sequence[Outgoing],
        on_answer: Callable[[Outgoing, int], None],
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        """Send instances one by one; `on_answer` is called in this thread with each and the status it was given.

        Status 0122 is also for one on whose SOP class and transfer syntax no agreement was found. Raises ArchiveError
        where the association fails or the node takes no more (A7xx, 0124): what was answered before stays stored.
        Returns early where it is cancelled. What `load` or `on_answer` raises ends it and is raised here.
        """
        with suppress(Cancelled):
            for part in _associations(instances):
                self._send(part, on_answer, cancelled)

    def _send(
        self, part: list[Outgoing], on_answer: Callable[[Outgoing, int], None], cancelled: Callable[[], bool]
    ) -> None:
        contexts = [build_context(UID(sop_class), [UID(syntax)]) for sop_class, syntax in _kinds(part)]
        try:
            with associate(self.peer, Proposal(contexts), cancelled) as session:
                session.limit_unsent(UNSENT_MAX)
                for number, one in enumerate(part, 1):
                    on_answer(one, _stored(session, one, number & 0xFFFF))
        except NotOffered:
            for one in part:
                on_answer(one, NOT_SUPPORTED)


def _kinds(instances: Sequence[Outgoing]) -> list[tuple[str, str]]:
    """SOP class and transfer syntax, each pair once: exactly one context for each, so that nothing is transcoded."""
    return list(dict.fromkeys((one.sop_class_uid, one.transfer_syntax) for one in instances))


def _associations(instances: Sequence[Outgoing]) -> Iterator[list[Outgoing]]:
    """The instances in groups of at most 128 kinds."""
    kinds = _kinds(instances)
    for at in range(0, len(kinds), CONTEXTS_MAX):
        chosen = set(kinds[at : at + CONTEXTS_MAX])
        yield [one for one in instances if (one.sop_class_uid, one.transfer_syntax) in chosen]


def _stored(session: Session, one: Outgoing, number: int) -> int:
    """Send one instance as message `number`; the status that it was given."""
    context = session.agreed(one.sop_class_uid, one.transfer_syntax)
    if context is None:
        return NOT_SUPPORTED
    with session.watch.held():
        dataset = one.load()
    session.watch.phase(Fault.STALLED, session.peer.timeouts.progress)
    session.send_object(store_request(one.sop_class_uid, one.sop_instance_uid, number), context, dataset)
    answer = session.receive()[1]
    if not isinstance(answer, C_STORE) or answer.Status is None or answer.MessageIDBeingRespondedTo != number:
        raise ArchiveBroken(f"{session.peer.name} answered the storage of an image with something else.")
    if answer.Status >> 8 == OUT_OF_RESOURCES or answer.Status == NOT_AUTHORISED:
        raise refused_status(session.peer, answer.Status, "the storage of images")
    return int(answer.Status)
