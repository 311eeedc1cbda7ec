"""C-MOVE at a peer (PS3.4 C.4.2): it sends the instances to our storage SCP, on associations of its own."""

import time
from collections.abc import Callable
from contextlib import suppress

from pydicom.dataset import Dataset
from pynetdicom.dimse_primitives import C_MOVE
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove  # type: ignore[attr-defined]

from priorline.archives.base import DicomPeer, RetrieveSummary
from priorline.archives.dicom_find import SYNTAXES
from priorline.archives.dicom_get import Suboperations, retrieve_identifier, suboperations
from priorline.archives.dicom_messages import encoded, request
from priorline.archives.dicom_session import (
    CANCELLED,
    PENDING,
    Cancelled,
    NotOffered,
    Session,
    associate,
    refused_status,
)
from priorline.archives.incoming import Incoming, Receiver
from priorline.archives.sockets import POLL
from priorline.archives.storage_expected import Expected
from priorline.archives.storage_scp import StorageScp
from priorline.archives.tls import ServerContext, server_context
from priorline.archives.upper_layer import Proposal
from priorline.archives.watch import Fault
from priorline.errors import ArchiveBroken, ArchiveError, ArchiveRefused, ConfigError

MODEL = str(StudyRootQueryRetrieveInformationModelMove)
PROPOSAL = Proposal([build_context(MODEL, SYNTAXES)])
UNKNOWN_DESTINATION, NOT_SENT = 0xA801, 0xA702
# How long the answer to a C-CANCEL is waited for.
CANCEL_SECONDS = 0.5


def retrieve(
    peer: DicomPeer,
    scp: StorageScp | None,
    study_uid: str,
    series_uid: str | None,
    receiver: Receiver,
    cancelled: Callable[[], bool],
) -> RetrieveSummary:
    """Have a study or a series sent to us; what the receiver raises ends it at once and is raised here.

    Datasets are received in threads of the storage SCP, and finished in the calling one. Raises ArchiveRefused where
    we do not listen, or could not do so by TLS to a hospital that is spoken to by TLS.
    """
    identifier = retrieve_identifier(study_uid, series_uid)
    if scp is None or not scp.port:
        raise ArchiveRefused(
            f"{peer.name} sends only on connections of its own (C-MOVE), and this workstation does not listen; "
            "set workstation.port, and have the hospital's IT department add our AE title with it."
        )
    context = _context(peer)
    move = _Move(scp)
    try:
        with (
            associate(peer, PROPOSAL, cancelled) as session,
            scp.expect(peer, study_uid, session.ends(), receiver, context) as expected,
        ):
            return move.run(session, expected, identifier)
    except Cancelled:
        return move.summary(CANCELLED, cancelled=True)


def _context(peer: DicomPeer) -> ServerContext | None:
    """How it sends to us: never in clear what is asked for encrypted."""
    try:
        return None if peer.tls is None else server_context(peer.tls.settings)
    except ConfigError as problem:
        raise ArchiveRefused(f"{peer.name} sends only on connections of its own (C-MOVE): {problem}") from problem


def accepts_move(peer: DicomPeer) -> bool:
    """Whether the peer agrees to C-MOVE (study root) at all."""
    try:
        with associate(peer, PROPOSAL) as session:
            session.context(MODEL)
    except NotOffered:
        return False
    return True


class _Move:
    """One C-MOVE in the thread that asked for it, which also takes what comes meanwhile."""

    _session: Session
    _expected: Expected

    def __init__(self, scp: StorageScp) -> None:
        self._scp = scp
        self._received = self._done = 0
        self._numbers: Suboperations | None = None
        self._seen = 0.0

    def run(self, session: Session, expected: Expected, identifier: Dataset) -> RetrieveSummary:
        """Ask, take what comes, and wait a little for what comes late."""
        self._session, self._expected = session, expected
        context = session.context(MODEL)
        session.watch.phase(Fault.STALLED, session.peer.timeouts.progress)
        command = request(C_MOVE, MODEL, self._scp.ae_title)
        session.ask(command, context, encoded(identifier, context.transfer_syntax[0]))
        expected.progress()
        try:
            status = self._await_end()
            self._check(status)
            self._take_late()
        except Cancelled:
            self._stop(context)
            raise
        return self.summary(status)

    def summary(self, status: int, *, cancelled: bool = False) -> RetrieveSummary:
        """How it ended."""
        return RetrieveSummary(*(self._numbers or (0, 0, 0, 0)), status, self._received, cancelled)

    def _await_end(self) -> int:
        """Take messages and instances until the archive calls it done; its final status."""
        while True:
            told = self._session.waiting() or self._session.is_readable()
            status = self._read() if told else None
            if status is not None:
                return status
            self._take(0 if told else POLL)
            silence = time.monotonic() - self._expected.progressed
            if silence > self._session.peer.timeouts.progress:
                self._session.watch.fail(Fault.STALLED)
            self._check_watch()

    def _read(self) -> int | None:
        """One answer of the archive; its status where it is the last one."""
        _, message = self._session.receive()
        if not isinstance(message, C_MOVE):
            raise ArchiveBroken(f"{self._session.peer.name} answered a retrieval with something else.")
        self._numbers = suboperations(message) or self._numbers
        done = sum((self._numbers or (0,))[:3])
        # Only what was done counts: an archive may say "pending" without end.
        if done > self._done:
            self._done = done
            self._expected.progress()
        return None if message.Status in PENDING else message.Status or 0

    def _take(self, seconds: float) -> None:
        self._expected.take(self._hand_on, seconds)
        self._scp.deliver_alerts()

    def _hand_on(self, incoming: Incoming) -> None:
        with self._session.watch.held():
            incoming.finish()
        self._received += 1

    def _check_watch(self) -> None:
        watch = self._session.watch
        if self._expected.progressed > self._seen:
            self._seen = self._expected.progressed
            watch.progress()
        if not watch.check():
            raise self._session.failure()

    def _check(self, status: int) -> None:
        """Raise ArchiveRefused for a final status that is a failure, or where the archive could send us nothing."""
        peer, ours = self._session.peer, f"our AE title {self._scp.ae_title}"
        if status == UNKNOWN_DESTINATION:
            raise ArchiveRefused(
                f"{peer.name} does not know where to send to: have its IT department add {ours} with this computer's "
                f"address and port {self._scp.port}."
            )
        failed = (self._numbers or (0, 0))[1]
        # "Unable to process" is all that some archives say of a destination that they do not know or cannot reach.
        unable = status == NOT_SENT or status >> 12 == 0xC or (status >> 12 == 0xB and failed)
        if unable and not self._received:
            raise ArchiveRefused(
                f"{peer.name} could not send to us (status {status:04X}): check with its IT department that it knows "
                f"{ours} with this computer's address and port {self._scp.port}, {self._by_tls()}and that no "
                "firewall is between; what we refused is in the audit trail."
            )
        if status not in (0, CANCELLED) and status >> 12 != 0xB:
            raise refused_status(peer, status, "the retrieval")

    def _by_tls(self) -> str:
        return "sends there by TLS, " if self._session.peer.tls else ""

    def _take_late(self) -> None:
        """Wait for what the archive says that it has sent, but not long; it is not taken afterwards."""
        promised = 1 if self._numbers is None else self._numbers[0] + self._numbers[2]
        self._session.watch.phase(Fault.STALLED, float("inf"))
        self._expected.progress()
        late = self._session.peer.timeouts.late
        while self._received < promised and time.monotonic() - self._expected.progressed < late:
            self._take(POLL)
            self._check_watch()

    def _stop(self, context: PresentationContext) -> None:
        """Ask the archive to stop, wait a moment for its answer, and let nothing more in."""
        watch = self._session.watch
        self._expected.close()
        watch.resume(Fault.CANCELLED, CANCEL_SECONDS)
        with suppress(ArchiveError, Cancelled):
            self._session.cancel(context)
            while self._read() is None:
                pass
