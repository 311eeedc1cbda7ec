"""An archive whose images come one at a time, when the test lets them; each image is a series of its own."""

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import date
from io import BytesIO

from pydicom import dcmread
from pydicom.data import get_testdata_file

from priorline.archives.base import ByName, FindSummary, RetrieveSummary
from priorline.archives.incoming import Received, Receiver, take
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import FirstListed, SeriesAnswer, StudyAnswer, StudyListing

JANSEN = Patient(Identifier("PL-0042"), "Jansen^Piet", date(1961, 4, 5), "M")
SUCCESS, CANCELLED = 0x0000, 0xFE00


def row(study_uid: str, hospital: str = "North", images: int = 6) -> StudyAnswer:
    return StudyAnswer(hospital, study_uid, JANSEN, images=images)


def image(study_uid: str, number: int) -> Received:
    """Image `number` of a study as an archive sends it."""
    dataset = dcmread(get_testdata_file("MR_small.dcm"))
    values = {
        "PatientID": "PL-0042",
        "PatientName": "Jansen^Piet",
        "PatientBirthDate": "19610405",
        "PatientSex": "M",
        "StudyInstanceUID": study_uid,
        "SeriesInstanceUID": f"{study_uid}.{number}",
        "SOPInstanceUID": f"{study_uid}.{number}.1",
    }
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    encoded = BytesIO()
    dataset.save_as(encoded, enforce_file_format=False)
    whole = encoded.getvalue()
    body = 132 + 12 + dataset.file_meta.FileMetaInformationGroupLength
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    return Received(str(dataset.SOPClassUID), values["SOPInstanceUID"], syntax, whole[body:])


@dataclass
class GatedArchive:
    """Holds every study with `images` images; `let` lets some more of them through, `open` all.

    `sent` are the images that went out, in order; `waiting` is set while one waits for the gate. `bugs` are studies
    at which this program makes a mistake.
    """

    name: str = "North"
    images: int = 6
    bugs: tuple[str, ...] = ()
    sent: list[str] = field(default_factory=list)
    waiting: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._gate = threading.Semaphore(0)

    def let(self, count: int) -> None:
        for _ in range(count):
            self._gate.release()

    def open(self) -> None:
        self.let(10_000)

    @property
    def streams_studies(self) -> bool:
        return False

    @property
    def by_name(self) -> ByName | None:
        return None

    def echo(self) -> float:
        return 1.0

    def accepts_get(self) -> bool:
        return True

    def accepts_move(self) -> bool:
        return False

    def find_studies(
        self, patient: Patient, on_rows: Callable[[list[StudyAnswer]], None], cancelled: Callable[[], bool]
    ) -> FindSummary:
        return FindSummary()

    def find_study(self, study_uid: str) -> StudyAnswer | None:
        return row(study_uid, self.name, self.images)

    def list_study(
        self, study_uid: str, on_first: Callable[[FirstListed], None], cancelled: Callable[[], bool]
    ) -> StudyListing:
        listed = {f"{study_uid}.{number}": [f"{study_uid}.{number}.1"] for number in range(self.images)}
        return StudyListing(tuple(SeriesAnswer(uid, "MR", images=1) for uid in listed), listed)

    def retrieve(
        self,
        study_uid: str,
        series_uid: str | None,
        sop_classes: Collection[str],
        receiver: Receiver,
        cancelled: Callable[[], bool],
    ) -> RetrieveSummary:
        if study_uid in self.bugs:
            raise KeyError("a mistake")
        done = 0
        for number in range(self.images):
            if series_uid not in (None, f"{study_uid}.{number}"):
                continue
            while not cancelled() and not self._gate.acquire(timeout=0.005):
                self.waiting.set()
            self.waiting.clear()
            if cancelled():
                return RetrieveSummary(done, 0, 0, 0, CANCELLED, done, cancelled=True)
            take(receiver, image(study_uid, number))
            self.sent.append(f"{study_uid}.{number}.1")
            done += 1
        return RetrieveSummary(done, 0, 0, 0, SUCCESS, done)
