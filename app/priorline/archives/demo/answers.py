"""What a demo hospital answers to a query at study, series and image level (PS3.4 C.6.2.1), without a network."""

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset

from priorline.archives.demo.objects import SOP_CLASSES
from priorline.archives.demo.story import HospitalStory, StudyStory

_ALWAYS = {
    "STUDY": ("StudyInstanceUID",),
    "SERIES": ("StudyInstanceUID", "SeriesInstanceUID"),
    "IMAGE": ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"),
}
# What is counted or tells where, and so is never matched.
_RETURN_ONLY = frozenset(
    "SpecificCharacterSet QueryRetrieveLevel RetrieveAETitle InstanceAvailability NumberOfStudyRelatedSeries "
    "NumberOfStudyRelatedInstances NumberOfSeriesRelatedInstances TimezoneOffsetFromUTC".split()
)


@dataclass(frozen=True, slots=True)
class Match:
    """One instance that a retrieve asks for; `series` and `index` count from 0."""

    study: StudyStory
    series: int
    index: int


def find(hospital: HospitalStory, query: Dataset) -> Iterator[Dataset]:
    """The rows that match, each with what was asked for and this hospital can say.

    Raises ValueError for a level that Study Root does not have.
    """
    level = query.get("QueryRetrieveLevel", "")
    if level not in _ALWAYS:
        raise ValueError("no such level in Study Root")
    for known in _rows(hospital, level):
        if all(_matches(hospital, known, element.keyword, _values(query, element.keyword)) for element in query):
            yield _answer(known, query, level)


def wanted(hospital: HospitalStory, query: Dataset) -> list[Match]:
    """The instances that a retrieve at study, series or image level names, in order."""
    keys = {
        keyword: _values(query, keyword) for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    }
    if not keys["StudyInstanceUID"]:
        return []

    def named(keyword: str, value: str) -> bool:
        return not keys[keyword] or value in keys[keyword]

    return [
        Match(study, number, index)
        for study in hospital.studies
        if named("StudyInstanceUID", study.study_uid)
        for number, series in enumerate(study.series)
        if named("SeriesInstanceUID", study.series_uid(number))
        for index in range(series.images)
        if named("SOPInstanceUID", study.sop_uid(number, index))
    ]


def _rows(hospital: HospitalStory, level: str) -> Iterator[Dataset]:
    for study in hospital.studies:
        row = _study_row(hospital, study)
        if level == "STUDY":
            yield row
            continue
        for number in range(len(study.series)):
            yield from _series_rows(row, study, number, level)


def _study_row(hospital: HospitalStory, study: StudyStory) -> Dataset:
    row, person = Dataset(), study.person
    row.SpecificCharacterSet = "ISO_IR 100"
    row.RetrieveAETitle = hospital.ae_title
    row.InstanceAvailability = "ONLINE"
    row.PatientName, row.PatientID, row.IssuerOfPatientID = person.name, person.number, person.issuer
    row.PatientBirthDate, row.PatientSex = person.birth_date, person.sex
    row.StudyInstanceUID, row.StudyID = study.study_uid, study.accession[-8:]
    row.StudyDate, row.StudyTime = f"{study.day:%Y%m%d}", f"{study.time:%H%M%S}"
    row.StudyDescription, row.AccessionNumber = study.description, study.accession
    row.ReferringPhysicianName, row.InstitutionName = "", hospital.name
    row.ModalitiesInStudy = sorted({series.modality for series in study.series})
    row.SOPClassesInStudy = sorted({SOP_CLASSES[series.modality] for series in study.series})
    row.NumberOfStudyRelatedSeries = len(study.series)
    row.NumberOfStudyRelatedInstances = study.images
    return row


def _series_rows(study_row: Dataset, study: StudyStory, number: int, level: str) -> Iterator[Dataset]:
    series = study.series[number]
    row = Dataset()
    row.update(study_row)
    row.SeriesInstanceUID, row.SeriesNumber = study.series_uid(number), number + 1
    row.Modality, row.SeriesDescription = series.modality, series.description
    row.BodyPartExamined, row.Laterality = series.body_part, series.laterality
    row.SeriesDate, row.SeriesTime = study_row.StudyDate, study_row.StudyTime
    row.NumberOfSeriesRelatedInstances = series.images
    if level == "SERIES":
        yield row
        return
    for index in range(series.images):
        image = Dataset()
        image.update(row)
        image.SOPInstanceUID, image.SOPClassUID = study.sop_uid(number, index), SOP_CLASSES[series.modality]
        image.InstanceNumber, image.NumberOfFrames = index + 1, 1
        image.Rows, image.Columns = series.rows, series.columns
        yield image


def _values(dataset: Dataset, keyword: str) -> list[str]:
    value = dataset.get(keyword)
    several = value if isinstance(value, (list, tuple)) or type(value).__name__ == "MultiValue" else [value]
    return [str(one) for one in several if one not in (None, "")]


def _matches(hospital: HospitalStory, known: Dataset, keyword: str, asked: list[str]) -> bool:
    ignored = keyword in _RETURN_ONLY or (keyword == "IssuerOfPatientID" and not hospital.matches_issuer)
    if not asked or ignored or keyword not in known:
        return True
    return any(_same(keyword, have, want) for have in _values(known, keyword) for want in asked)


def _same(keyword: str, have: str, want: str) -> bool:
    if keyword.endswith(("Date", "Time")) and "-" in want:
        first, last = want.split("-", 1)
        # A bound may be shorter than the value; "1200" includes 12:00:59.
        return (not first or have[: len(first)] >= first) and (not last or have[: len(last)] <= last)
    if keyword == "PatientName":
        have, want = have.casefold(), want.casefold()
    if "*" in want or "?" in want:
        return fnmatch.fnmatchcase(have, want.replace("[", "[[]"))
    return have == want


def _answer(known: Dataset, query: Dataset, level: str) -> Dataset:
    row = Dataset()
    row.SpecificCharacterSet = known.SpecificCharacterSet
    row.QueryRetrieveLevel = level
    row.RetrieveAETitle, row.InstanceAvailability = known.RetrieveAETitle, known.InstanceAvailability
    for element in query:
        if element.keyword in known:
            row[element.tag] = known[element.tag]
        elif element.keyword != "QueryRetrieveLevel":
            row.add_new(element.tag, element.VR, [] if element.VR == "SQ" else None)
    for keyword in _ALWAYS[level]:
        row[keyword] = known[keyword]
    return row
