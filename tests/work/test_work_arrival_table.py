"""Objects as hospitals really write them against the row that announced them: nobody else is ever taken for them.

The table is tests/data/identity.csv, each row of it as an encoded object, in every character set that can write it.
"""

from collections.abc import Iterator

from pydicom.dataset import Dataset
from pynetdicom.dsutils import encode

from identity_table import ROWS, Row
from image_hospital import CT_IMAGE, EXPLICIT, STUDY
from priorline.archives.base import part10_head
from priorline.archives.incoming import Announced
from priorline.domain.patient import Patient
from priorline.domain.study import StudyAnswer
from priorline.imaging.read import read_header
from priorline.work.arrival import difference

UID = f"{STUDY}.1.1"
CHARACTER_SETS = {
    "ISO_IR 192": "utf-8",
    "ISO_IR 100": "iso8859-1",
    "ISO_IR 101": "iso8859-2",
    "ISO_IR 148": "iso8859-9",
}
FALSE_BLOCKS = 0.02


def can_write(patient: Patient, encoding: str) -> bool:
    try:
        f"{patient.name}{patient.identifier.value}{patient.identifier.issuer}".encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def cases() -> Iterator[tuple[Row, str]]:
    """Rows and character sets.

    Without those that only further numbers decide, which an object has none of; and without those in which the object
    leaves the issuer out, which the row has: both come from one archive, whose issuer is meant.
    """
    for one in ROWS:
        if one.candidate.other_ids or (one.context.identifier.issuer and not one.candidate.identifier.issuer):
            continue
        for name, encoding in CHARACTER_SETS.items():
            if can_write(one.candidate, encoding):
                yield one, name


def verdict(row: Patient, written: Patient, character_set: str) -> str:
    """What is said of an object that tells of `written`, where the hospital's row told of `row`."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = character_set
    dataset.SOPClassUID, dataset.SOPInstanceUID = CT_IMAGE, UID
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY, f"{STUDY}.1"
    dataset.PatientID, dataset.IssuerOfPatientID = written.identifier.value, written.identifier.issuer
    dataset.PatientName, dataset.PatientSex = written.name, written.sex
    dataset.PatientBirthDate = written.birth_date.strftime("%Y%m%d") if written.birth_date else ""
    announced = Announced(CT_IMAGE, UID, EXPLICIT)
    whole = part10_head(announced, "PRIORLINE") + (encode(dataset, False, True) or b"")
    return difference(StudyAnswer("North", STUDY, row), UID, CT_IMAGE, read_header(whole))


def test_nobody_else_is_accepted_and_few_of_the_same_are_set_apart() -> None:
    verdicts = [(one, verdict(one.context, one.candidate, name)) for one, name in cases()]
    accepted = [one.what for one, said in verdicts if one.truth == "other" and not said]
    apart = [one.what for one, said in verdicts if one.truth == "same" and said]
    same = sum(one.truth == "same" for one, _ in verdicts)
    assert same >= 400
    assert len(verdicts) - same >= 200
    assert accepted == []
    assert len(apart) <= FALSE_BLOCKS * same, apart
