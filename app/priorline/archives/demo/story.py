"""Who is in the demo hospitals: people, studies and hospitals as frozen data. Nobody of them exists."""

import uuid
from dataclasses import dataclass
from datetime import date, time
from enum import StrEnum

_NAMESPACE = uuid.UUID("6f0d3b52-6c1f-4d0e-9f27-1d2f0c9d7a11")


class Picture(StrEnum):
    """What a series shows; whoever computes the pixels knows these."""

    TRAUMA_CT = "trauma-ct"
    ABDOMEN_CT = "abdomen-ct"
    HEAD_CT = "head-ct"
    SPINE_MR = "spine-mr"
    KNEE_MR = "knee-mr"
    KNEE_FILM = "knee-film"
    HAND_FILM = "hand-film"
    ABDOMEN_US = "abdomen-us"
    CHEST_NORMAL = "chest-normal"
    CHEST_HERNIA = "chest-hernia"
    CHEST_BED = "chest-bed"
    CHEST_NAMESAKE = "chest-namesake"


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """One image to compute.

    `height_mm` is where the slice lies: z for axial, x for sagittal planes, 0 for films; `pixel_mm` is one pixel.
    """

    picture: Picture
    number: int
    rows: int
    columns: int
    pixel_mm: float
    height_mm: float = 0.0


@dataclass(frozen=True, slots=True)
class Person:
    """A patient as a hospital knows him; `birth_date` is in DICOM form."""

    name: str
    number: str
    issuer: str
    birth_date: str
    sex: str


@dataclass(frozen=True, slots=True)
class SeriesStory:
    """One series: `images` pictures, `step_mm` apart from `start_mm` on."""

    picture: Picture
    modality: str
    description: str
    body_part: str
    rows: int
    columns: int
    pixel_mm: float
    images: int = 1
    start_mm: float = 0.0
    step_mm: float = 0.0
    laterality: str = ""
    view: str = ""

    def spec(self, index: int) -> ImageSpec:
        """The image with this index from 0."""
        height = self.start_mm + index * self.step_mm
        return ImageSpec(self.picture, index + 1, self.rows, self.columns, self.pixel_mm, height)


@dataclass(frozen=True, slots=True)
class StudyStory:
    """One study; `key` makes its UIDs, so the same key in two hospitals is the same study."""

    key: str
    day: date
    time: time
    description: str
    accession: str
    person: Person
    series: tuple[SeriesStory, ...]

    @property
    def study_uid(self) -> str:
        """Study Instance UID."""
        return uid(self.key)

    def series_uid(self, index: int) -> str:
        """Series Instance UID of the series with this index from 0."""
        return uid(f"{self.key}/{index}")

    def sop_uid(self, series: int, image: int) -> str:
        """SOP Instance UID of an image, both counted from 0."""
        return uid(f"{self.key}/{series}/{image}")

    @property
    def images(self) -> int:
        """How many images it has in all."""
        return sum(series.images for series in self.series)


@dataclass(frozen=True, slots=True)
class HospitalStory:
    """One hospital: what it holds and how it behaves.

    `find_delay` in seconds comes before its answers to a query; `listens` is False for one that is down;
    `matches_issuer` is False for one that, like many, looks at the bare number only.
    """

    name: str
    ae_title: str
    studies: tuple[StudyStory, ...] = ()
    issuer: str = ""
    find_delay: float = 0.0
    listens: bool = True
    matches_issuer: bool = True


def uid(key: str) -> str:
    """The UID that belongs to a key, always the same (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, key).int}"


PATIENT = Person("JANSEN^Piet^^van der", "999990007", "NLMINBIZA", "19700314", "M")
NAMESAKE = Person("JANSEN^Piet^^van der", "999990007", "RIVIERLAND", "19431102", "M")

_CT = SeriesStory(Picture.TRAUMA_CT, "CT", "Thorax/abdomen 2.5 mm", "CHEST", 512, 512, 0.7, 120, 147.5, -2.5)
_ABDOMEN_CT = SeriesStory(Picture.ABDOMEN_CT, "CT", "Abdomen portaal 5 mm", "ABDOMEN", 512, 512, 0.7, 24, -50, -5)
_HEAD_CT = SeriesStory(Picture.HEAD_CT, "CT", "Hersenen 5 mm", "HEAD", 512, 512, 0.46, 28, -60, 5)
_SPINE_MR = SeriesStory(Picture.SPINE_MR, "MR", "T2 TSE sag", "LSPINE", 384, 384, 0.78, 13, -24, 4)
_KNEE_MR = SeriesStory(Picture.KNEE_MR, "MR", "PD TSE sag", "KNEE", 320, 320, 0.5, 18, -34, 4, "L")
_KNEE = SeriesStory(Picture.KNEE_FILM, "CR", "Knie AP", "KNEE", 1024, 800, 0.2, laterality="L", view="AP")
_HAND = SeriesStory(Picture.HAND_FILM, "CR", "Hand PA", "HAND", 1024, 800, 0.2, laterality="R", view="PA")
_US = SeriesStory(Picture.ABDOMEN_US, "US", "Bovenbuik", "ABDOMEN", 480, 640, 0.35, 6, 0, 1)


def _chest(picture: Picture, modality: str, description: str = "Thorax PA", view: str = "PA") -> SeriesStory:
    return SeriesStory(picture, modality, description, "CHEST", 1400, 1200, 0.3, view=view)


def _study(
    key: str, day: str, at: str, description: str, accession: str, *series: SeriesStory, person: Person = PATIENT
) -> StudyStory:
    return StudyStory(key, date.fromisoformat(day), time.fromisoformat(at), description, accession, person, series)


CHEST_2010 = _study("chest-2010", "2010-03-09", "09:05", "X-thorax preoperatief", "OLV10-0417",
                    _chest(Picture.CHEST_NORMAL, "CR"))  # fmt: skip
KNEE_2011 = _study("knee-2011", "2011-09-05", "15:40", "X-knie links", "ZZ-110905-31", _KNEE)
KNEE_2012 = _study("knee-2012", "2012-05-14", "11:12", "MRI knie links", "ZZ-120514-07", _KNEE_MR)
US_2013 = _study("us-2013", "2013-05-21", "10:20", "Echo bovenbuik", "OLV13-2290", _US)
HEAD_2014 = _study("head-2014", "2014-02-11", "22:48", "CT hersenen", "SE140211004", _HEAD_CT)
SPINE_2015 = _study("spine-2015", "2015-11-03", "13:30", "MRI lumbar spine", "UW5510034", _SPINE_MR)
CHEST_2016 = _study("chest-2016", "2016-04-11", "08:55", "X-thorax", "UW6120411", _chest(Picture.CHEST_NORMAL, "CR"))
ABDOMEN_2018 = _study("abdomen-2018", "2018-01-09", "19:22", "CT abdomen with contrast", "UW8010912", _ABDOMEN_CT)
CHEST_2019 = _study("chest-2019", "2019-03-02", "10:21", "X-thorax PA", "OLV19-1182",
                    _chest(Picture.CHEST_HERNIA, "DX"))  # fmt: skip
HAND_2021 = _study("hand-2021", "2021-06-01", "17:03", "X-hand rechts", "OLV21-3306", _HAND)
CHEST_2022 = _study("chest-2022", "2022-10-18", "06:44", "X-thorax bed", "UW2210186",
                    _chest(Picture.CHEST_BED, "CR", "Thorax AP bed", "AP"))  # fmt: skip
SPINE_2023 = _study("spine-2023", "2023-12-05", "14:15", "MRI LWK", "SE231205011", _SPINE_MR)
HEAD_2024 = _study("head-2024", "2024-05-27", "03:18", "CT head without contrast", "SE240527002", _HEAD_CT)
NAMESAKE_CHEST = _study("namesake-2017", "2017-08-22", "11:30", "X-thorax PA", "RV17-0822",
                        _chest(Picture.CHEST_NAMESAKE, "CR"), person=NAMESAKE)  # fmt: skip


def current_study(today: date) -> StudyStory:
    """The trauma CT of today; its UIDs carry the day, because its contents do."""
    key = f"trauma-{today:%Y%m%d}"
    return StudyStory(key, today, time(7, 31), "CT thorax/abdomen trauma", f"SE{today:%y%m%d}001", PATIENT, (_CT,))


def hospitals(today: date) -> tuple[HospitalStory, ...]:
    """The six hospitals, first the one where the workstation stands."""
    ours = "NLMINBIZA"
    return (
        HospitalStory("St. Elisabeth", "ELISABETH", (current_study(today), HEAD_2024, SPINE_2023, HEAD_2014), ours),
        HospitalStory("OLV Clinic", "OLVCLINIC", (CHEST_2019, CHEST_2010, CHEST_2016, US_2013, HAND_2021), ours),
        HospitalStory("UMC West", "UMCWEST", (CHEST_2022, ABDOMEN_2018, CHEST_2016, SPINE_2015), ours),
        HospitalStory("Rivierland", "RIVIERLAND", (NAMESAKE_CHEST,), "RIVIERLAND", matches_issuer=False),
        HospitalStory("Zuiderzee", "ZUIDERZEE", (KNEE_2012, KNEE_2011), ours, find_delay=4.0),
        HospitalStory("De Heuvel", "DEHEUVEL", (), ours, listens=False),
    )
