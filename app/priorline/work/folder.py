"""A folder of DICOM files as the current study: taken into the cache like anything that arrives."""

from datetime import datetime
from pathlib import Path

from priorline.audit.trail import AuditEvent, AuditTrail
from priorline.cache.store import Store
from priorline.domain.study import StudyAnswer
from priorline.errors import ImageError, UsageError
from priorline.imaging.instance import InstanceHeader
from priorline.imaging.read import read_header
from priorline.work.arrival import difference
from priorline.work.fetch import encode_header

FOLDER = "Folder"
LARGEST_FILE = 2 * 1024**3


def read_folder(store: Store, directory: Path, trail: AuditTrail) -> StudyAnswer:
    """Import the study of `directory`.

    Raises UsageError where there is none, where there are several studies or several patients, or where a file
    cannot be read.
    """
    files = _dicom_files(directory)
    studies = {header.study_uid for _, header in files}
    if not files:
        raise UsageError(f"{directory} has no DICOM images.")
    if len(studies) > 1:
        raise UsageError(f"{directory} has {len(studies)} studies; name a folder with one.")
    study = _study(files[0][1], len({header.sop_uid for _, header in files}))
    if any(difference(study, header.sop_uid, header.sop_class, header) for _, header in files):
        raise UsageError(f"{directory} has images of more than one patient; name a folder with one.")
    _record(trail, study)
    _take(store, study, files)
    return study


def _record(trail: AuditTrail, study: StudyAnswer) -> None:
    identifier = study.patient.identifier
    trail.record(
        AuditEvent.IMPORTED,
        hospital=FOLDER,
        patient_id=identifier.value,
        issuer=identifier.issuer,
        study=study.study_uid,
    )


def _take(store: Store, study: StudyAnswer, files: list[tuple[Path, InstanceHeader]]) -> None:
    store.begin_fetch(study, study.images or 0)
    for path, header in files:
        try:
            data = path.read_bytes()
        except OSError as problem:
            raise UsageError(f"{path} cannot be read: {problem.strerror}.") from problem
        store.add(study, header.sop_uid, header.series_uid, encode_header(header), data)
    store.finish_fetch(study.study_uid, complete=True)


def _dicom_files(directory: Path) -> list[tuple[Path, InstanceHeader]]:
    if not directory.is_dir():
        raise UsageError(f"{directory} is not a folder.")
    found = []
    for path in sorted(directory.rglob("*")):
        if path.is_symlink() or not path.is_file() or path.stat().st_size > LARGEST_FILE:
            continue
        try:
            found.append((path, read_header(path)))
        except ImageError:
            continue  # Folders of images also hold other files.
        except OSError as problem:
            raise UsageError(f"{path} cannot be read: {problem.strerror}.") from problem
    return found


def _study(header: InstanceHeader, images: int) -> StudyAnswer:
    when = _parsed(header.study_date, "%Y%m%d")
    clock = _parsed(header.study_time[:6], "%H%M%S")
    return StudyAnswer(
        hospital=FOLDER,
        study_uid=header.study_uid,
        patient=header.patient,
        study_date=when.date() if when else None,
        study_time=clock.time() if clock else None,
        modalities=(header.modality,) if header.modality else (),
        description=header.study_description,
        accession=header.accession,
        body_part=header.body_part,
        images=images,
    )


def _parsed(text: str, pattern: str) -> datetime | None:
    try:
        return datetime.strptime(text, pattern)  # noqa: DTZ007 - DICOM dates carry no zone
    except ValueError:
        return None
