"""Taking one instance in: is it here already, is it the same, may it be shown; then it is sealed, aside."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from priorline.cache.catalogue import Catalogue, Entry, OpenStudy
from priorline.cache.known import Known
from priorline.cache.model import Added, AddOutcome, StoredInstance
from priorline.cache.seal import Data, container_size, segments
from priorline.cache.spool import Spool
from priorline.cache.study_file import ObjectRecord, pack
from priorline.cache.vault import Vault
from priorline.cache.writer import CONFLICT, Writer, new_handle
from priorline.domain.study import StudyAnswer


class Content(Protocol):
    """The bytes of an instance on their way in."""

    digest: bytes

    def write(self, study: OpenStudy, record: ObjectRecord, head: bytes) -> Entry:
        """Seal them and `head`, which is the record's, into a file aside, which the next commit enters."""


class Intake:
    """The way of an instance up to its commit; `make_room` is called with the size of each file before it comes."""

    def __init__(
        self, catalogue: Catalogue, vault: Vault, writer: Writer, discard: Callable[[str, Iterable[str]], int]
    ) -> None:
        self._catalogue = catalogue
        self._vault = vault
        self._writer = writer
        self._discard = discard
        self._known = Known(catalogue, writer.claimed)
        writer.on_failure = self._known.forget
        self.make_room: Callable[[int], None] = lambda _size: None

    def forget(self) -> None:
        """Look at the index anew before the next instance."""
        self._known.forget()

    def spool(self, study: StudyAnswer) -> Spool:
        """A file for an instance that is too large to wait in memory until it is whole."""
        opened = self._known.study(study)
        handle = new_handle()
        key = self._vault.ticket_key(opened.key, opened.handle, handle)
        return Spool(self._vault, opened, handle, key, self._writer.aside(handle), self.make_room)

    def add(
        self, study: StudyAnswer, sop_uid: str, series_uid: str, header: bytes, data: Data | Spool, quarantine: str
    ) -> Added:
        """As `Store.add`."""
        content = _Spooled(data, self._writer) if isinstance(data, Spool) else _InMemory(data, self)
        try:
            record = ObjectRecord(sop_uid, series_uid, content.digest, header, quarantine)
            head = pack(record)
            # A spool was begun for one row, and stays with it when the study goes and comes anew meanwhile.
            opened = data.study if isinstance(data, Spool) else self._known.study(study)
            return self._add(opened, record, head, content)
        finally:
            if isinstance(data, Spool):
                data.drop()

    def _add(self, opened: OpenStudy, record: ObjectRecord, head: bytes, content: Content) -> Added:
        if record.reason:
            return self._set_apart(opened, record, content, AddOutcome.QUARANTINED)
        taken = self._writer.claim(opened.handle, record.sop_uid, record.digest)
        if taken is not None:
            return self._second(opened, record, content, taken, None)
        try:
            shown = self._shown(opened, record.sop_uid)
            if shown is None:
                # First, as the commit that enters it may come from another thread, and ends the claim.
                self._known.add(opened, record.sop_uid)
                entry = content.write(opened, record, head)
                instance = self._catalogue.instance(
                    opened, entry.handle, record.sop_uid, record.series_uid, entry.size
                )
                return Added(AddOutcome.STORED, instance)
            digest, there = shown
        except BaseException:
            self._writer.release(opened.handle, record.sop_uid)
            raise
        self._writer.release(opened.handle, record.sop_uid)
        return self._second(opened, record, content, digest, there)

    def _shown(self, study: OpenStudy, sop_uid: str) -> tuple[bytes, StoredInstance] | None:
        """The digest and the instance that the index shows under this UID, if its file is still there."""
        if not self._known.has(study, sop_uid):
            return None
        digests = self._catalogue.digests(study, sop_uid)
        digest = next((one for one, is_apart in digests.items() if not is_apart), None)
        if digest is None:
            return None
        for instance in self._catalogue.instances(study, sop_uid):
            if self._is_whole(instance):
                return digest, instance
            self._discard(study.uid, [instance.handle])
        return None

    @staticmethod
    def _is_whole(instance: StoredInstance) -> bool:
        try:
            return Path(instance.path).lstat().st_size == instance.size
        except OSError:
            return False

    def _second(
        self, study: OpenStudy, record: ObjectRecord, content: Content, digest: bytes, instance: StoredInstance | None
    ) -> Added:
        if digest == record.digest:
            return Added(AddOutcome.IDENTICAL, instance)
        apart = ObjectRecord(record.sop_uid, record.series_uid, record.digest, record.header, CONFLICT)
        return self._set_apart(study, apart, content, AddOutcome.CONFLICTING)

    def _set_apart(self, study: OpenStudy, record: ObjectRecord, content: Content, outcome: AddOutcome) -> Added:
        if not self._catalogue.digests(study, record.sop_uid).get(record.digest):
            self._known.add(study, record.sop_uid)
            content.write(study, record, pack(record))
        return Added(outcome)

    def seal(self, data: Data, study: OpenStudy, record: ObjectRecord, head: bytes) -> Entry:
        """Seal what is in memory into a file aside."""
        handle = new_handle()
        size = container_size(memoryview(data).nbytes, len(head), encrypted=self._vault.encrypted)
        entry = Entry(handle, study, record, size)
        self.make_room(size)
        key = self._vault.ticket_key(study.key, study.handle, handle)
        self._writer.write(entry, segments(data, key, bytes.fromhex(study.handle + handle), head))
        return entry

    def digest(self, data: Data) -> bytes:
        """The digest of what is in memory."""
        return self._vault.digest(data)


class _InMemory:
    def __init__(self, data: Data, intake: Intake) -> None:
        self._data, self._intake = data, intake
        self.digest = intake.digest(data)

    def write(self, study: OpenStudy, record: ObjectRecord, head: bytes) -> Entry:
        return self._intake.seal(self._data, study, record, head)


class _Spooled:
    def __init__(self, spool: Spool, writer: Writer) -> None:
        self._spool, self._writer = spool, writer
        self.digest = spool.digest()

    def write(self, study: OpenStudy, record: ObjectRecord, head: bytes) -> Entry:
        size = self._spool.end(head)
        entry = Entry(self._spool.handle, self._spool.study, record, size)
        self._writer.take(entry, self._spool.give())
        return entry
