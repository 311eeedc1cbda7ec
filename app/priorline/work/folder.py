"""A folder of DICOM files as the current study: read like a hospital that is a folder, and fetched from it."""

from dataclasses import dataclass
from pathlib import Path

from priorline.archives.base import Timeouts
from priorline.archives.folder import Folder, FolderArchive
from priorline.audit.trail import AuditEvent, AuditTrail
from priorline.cache.store import Store
from priorline.domain.study import FetchState, StudyAnswer
from priorline.errors import EnvironmentFault, UsageError
from priorline.work.fetch import StudyFetch
from priorline.work.hospitals import start_thread

FOLDER = "Folder"
SECONDS_MAX = 600.0


@dataclass(frozen=True, slots=True)
class Imported:
    """The study of a folder, and a sentence where not all of it is in the cache."""

    study: StudyAnswer
    problem: str = ""


def read_folder(store: Store, directory: Path, trail: AuditTrail) -> Imported:
    """Import the study of `directory`.

    Raises UsageError where there is none, or where there are several studies or patients; EnvironmentFault where
    nothing of it can be read.
    """
    if not directory.is_dir():
        raise UsageError(f"{directory} is not a folder.")
    archive = FolderArchive(Folder(FOLDER, directory, timeouts=Timeouts(query=SECONDS_MAX)), start_thread)
    rows = archive.studies()
    studies = {row.study_uid for row in rows}
    if not rows:
        raise UsageError(f"{directory} has no DICOM images.")
    if len(studies) > 1:
        raise UsageError(f"{directory} has {len(studies)} studies; name a folder with one.")
    if len(rows) > 1:
        raise UsageError(f"{directory} has images of more than one patient; name a folder with one.")
    fetch = StudyFetch(archive, store, rows[0], lambda _arrived: None)
    report = fetch.run(trail, event=AuditEvent.IMPORTED)
    if report.state is FetchState.FAILED:
        raise EnvironmentFault(report.message)
    return Imported(rows[0], report.message)
