"""Taking one instance in: is it here already, is it the same, may it be shown; then it is sealed, aside."""

from collections.abc import Callable, Iterable
from pathlib import Path

from priorline.cache.catalogue import Catalogue, Entry, OpenStudy
from priorline.cache.model import Added, AddOutcome, StoredInstance
from priorline.cache.seal import Data, container_size, segments
from priorline.cache.study_file import ObjectRecord, pack
from priorline.cache.vault import Vault
from priorline.cache.writer import CONFLICT, Writer, new_handle
from priorline.domain.study import StudyAnswer


class Intake:
    """The way of an instance up to its commit; `make_room` is called with the size of each file before it comes."""

    def __init__(
        self, catalogue: Catalogue, vault: Vault, writer: Writer, discard: Callable[[str, Iterable[str]], int]
    ) -> None:
        self._catalogue = catalogue
        self._vault = vault
        self._writer = writer
        self._discard = discard
        self.make_room: Callable[[int], None] = lambda _size: None

    def add(
        self, study: StudyAnswer, sop_uid: str, series_uid: str, header: bytes, data: Data, quarantine: str
    ) -> Added:
        """As `Store.add`."""
        record = ObjectRecord(sop_uid, series_uid, self._vault.digest(data), header, quarantine)
        pack(record)  # fails here, for this one alone, rather than in the commit of its group
        opened = self._catalogue.ensure(study)
        if quarantine:
            return self._set_apart(opened, record, data, AddOutcome.QUARANTINED)
        taken = self._writer.claim(opened.handle, sop_uid, record.digest)
        if taken is not None:
            return self._second(opened, record, data, taken, None)
        try:
            shown = self._shown(opened, sop_uid)
            if shown is None:
                entry = self._write(opened, record, data)
                instance = self._catalogue.instance(opened, entry.handle, sop_uid, series_uid, entry.size)
                return Added(AddOutcome.STORED, instance)
            digest, there = shown
        except BaseException:
            self._writer.release(opened.handle, sop_uid)
            raise
        self._writer.release(opened.handle, sop_uid)
        return self._second(opened, record, data, digest, there)

    def _shown(self, study: OpenStudy, sop_uid: str) -> tuple[bytes, StoredInstance] | None:
        """The digest and the instance that the index shows under this UID, if its file is still there."""
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
        self, study: OpenStudy, record: ObjectRecord, data: Data, digest: bytes, instance: StoredInstance | None
    ) -> Added:
        if digest == record.digest:
            return Added(AddOutcome.IDENTICAL, instance)
        apart = ObjectRecord(record.sop_uid, record.series_uid, record.digest, record.header, CONFLICT)
        return self._set_apart(study, apart, data, AddOutcome.CONFLICTING)

    def _set_apart(self, study: OpenStudy, record: ObjectRecord, data: Data, outcome: AddOutcome) -> Added:
        if not self._catalogue.digests(study, record.sop_uid).get(record.digest):
            self._write(study, record, data)
        return Added(outcome)

    def _write(self, study: OpenStudy, record: ObjectRecord, data: Data) -> Entry:
        handle, head = new_handle(), pack(record)
        size = container_size(memoryview(data).nbytes, len(head), encrypted=self._vault.encrypted)
        entry = Entry(handle, study, record, size)
        self.make_room(size)
        key = self._vault.ticket_key(study.key, study.handle, handle)
        self._writer.write(entry, segments(data, key, bytes.fromhex(study.handle + handle), head))
        return entry
