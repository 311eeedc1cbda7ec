"""The door to a folder: a CD, DVD, stick or directory with DICOM files, behind the `Archive` protocol."""

import time
from collections.abc import Callable, Collection, Generator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from priorline.archives.base import FindSummary, RetrieveSummary, Timeouts
from priorline.archives.dicom_find import exact_key, is_of_number, uid_key
from priorline.archives.folder_files import probe
from priorline.archives.folder_index import Index
from priorline.archives.folder_reader import FolderReader
from priorline.archives.folder_retrieve import HandOver, read_all
from priorline.archives.folder_watch import FolderWatch
from priorline.archives.incoming import Receiver
from priorline.domain.patient import Patient
from priorline.domain.study import FirstListed, StudyAnswer, StudyListing


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder as a hospital: what the user calls it, where it is, and who issued its numbers where no file says.

    A reading takes at most `timeouts.query` seconds; `rows_max` studies are taken of one search.
    """

    name: str
    directory: Path
    patient_id_issuer: str = ""
    timeouts: Timeouts = field(default=Timeouts())
    rows_max: int = 2000


class FolderArchive:
    """A folder as an `Archive`; what its files are is remembered while it lives. Calls may run in parallel.

    `start` runs something in a thread of its own: what reads is not what waits, as a drive may hang.
    """

    def __init__(self, folder: Folder, start: Callable[[Callable[[], None]], object]) -> None:
        self.folder = folder
        self._watch = FolderWatch(folder.name, start)
        # A reading looks at the clock itself; drives try for long to read what is scratched.
        self._patience = folder.timeouts.query + folder.timeouts.progress
        self._reader = FolderReader(folder.name, folder.directory, folder.patient_id_issuer, folder.timeouts.query)

    @property
    def name(self) -> str:
        """The hospital as the user sees it."""
        return self.folder.name

    @property
    def by_name(self) -> None:
        """Not done: a disc is read fastest file by file."""
        return None

    @property
    def streams_studies(self) -> bool:
        """No: what is asked for by name comes in the order in which it is wanted."""
        return False

    def echo(self) -> float:
        """Look whether the folder can be read; milliseconds that it took."""
        began = time.monotonic()
        list(self._watch.through(self._probed(), self._patience, lambda: False))
        return (time.monotonic() - began) * 1000

    def accepts_get(self) -> bool:
        """Always: its files are read."""
        return True

    def accepts_move(self) -> bool:
        """Never: a folder sends nothing."""
        return False

    def find_studies(
        self,
        patient: Patient,
        on_rows: Callable[[list[StudyAnswer]], None],
        cancelled: Callable[[], bool],
    ) -> FindSummary:
        """The studies of exactly this patient number: those that a DICOMDIR names at once, then all.

        Raises ArchiveError also after rows, where not all that is in the folder could be read.
        """
        exact_key(patient.identifier.value)
        told: dict[StudyAnswer, None] = {}
        found: list[StudyAnswer] = []
        index = Index(())
        with closing(self._indexes(cancelled)) as indexes:
            for index in indexes:
                found = [row for row in index.studies() if is_of_number(row.patient, patient.identifier)]
                new = [row for row in found[: self.folder.rows_max] if row not in told]
                if new and not cancelled():
                    told.update(dict.fromkeys(new))
                    on_rows(new)
        if cancelled():
            return FindSummary(len(told), cancelled=True)
        if index.problem:
            raise index.problem
        return FindSummary(min(len(found), self.folder.rows_max), cut=len(found) > self.folder.rows_max)

    def studies(self) -> list[StudyAnswer]:
        """All studies of all patients in the folder; raises ArchiveError where nothing in it can be read."""
        index = self._whole()
        found = index.studies()
        if index.problem and not found:
            raise index.problem
        return found

    def find_study(self, study_uid: str) -> StudyAnswer | None:
        """Look up one study; None only where all of the folder was read."""
        return next(iter(self._index_with(study_uid).rows(study_uid)), None)

    def list_study(
        self, study_uid: str, on_first: Callable[[FirstListed], None], cancelled: Callable[[], bool]
    ) -> StudyListing:
        """By DICOMDIR and files together, also those that are missing; no instances where there may be more."""
        index = self._index_with(study_uid)
        listed: dict[str, list[str]] = {}
        for one in () if index.problem else index.instances(study_uid):
            listed.setdefault(one.series.series_uid, []).append(one.sop_uid)
        classes = frozenset(one.sop_class for one in index.instances(study_uid))
        return StudyListing(tuple(index.series(study_uid)), listed or None, classes)

    def retrieve(
        self,
        study_uid: str,
        series_uid: str | None,
        sop_classes: Collection[str],
        receiver: Receiver,
        cancelled: Callable[[], bool],
    ) -> RetrieveSummary:
        """Read the files of a study or series; `sop_classes` are not negotiated here."""
        index = self._index_with(study_uid)
        wanted = [one for one in index.instances(study_uid) if series_uid in (None, one.series.series_uid)]
        pieces = read_all(self.name, self.folder.directory, wanted)
        with closing(self._watch.through(pieces, self._patience, cancelled)) as arriving:
            summary = HandOver(receiver).run(arriving, cancelled)
        told = (summary.message, str(index.problem or ""))
        return replace(summary, message=" ".join(filter(None, told)))

    def _index_with(self, study_uid: str) -> Index:
        """The whole index; raises ArchiveError where the study is not in it and there may be more."""
        uid_key(study_uid)
        index = self._whole()
        if index.problem and not index.instances(study_uid):
            raise index.problem
        return index

    def _probed(self) -> Generator[None, None, None]:
        probe(self.name, self.folder.directory)
        yield

    def _whole(self) -> Index:
        return list(self._indexes(lambda: False))[-1]

    def _indexes(self, cancelled: Callable[[], bool]) -> Generator[Index, None, None]:
        return self._watch.through(self._reader.read(cancelled), self._patience, cancelled)
