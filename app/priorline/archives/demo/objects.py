"""Datasets of the demo hospitals, built when they are asked for."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    MRImageStorage,
    UltrasoundImageStorage,
)

from priorline.archives.demo.story import HospitalStory, ImageSpec, SeriesStory, StudyStory, uid

Pixels = Callable[[ImageSpec], npt.NDArray[np.generic]]

SOP_CLASSES = {
    "CT": CTImageStorage,
    "CR": ComputedRadiographyImageStorage,
    "DX": DigitalXRayImageStorageForPresentation,
    "MR": MRImageStorage,
    "US": UltrasoundImageStorage,
}
_WINDOWS = {"trauma-ct": ([40, -550], [400, 1600]), "abdomen-ct": ([60], [400]), "head-ct": ([38], [80])}
_REGIONS = {"CHEST": ("43799004", "Thorax"), "HAND": ("85562004", "Hand"), "KNEE": ("72696002", "Knee")}


def image(
    hospital: HospitalStory, study: StudyStory, series: int, index: int, pixels: npt.NDArray[np.generic]
) -> Dataset:
    """One whole instance in Explicit VR Little Endian.

    `pixels` is int16 HU for CT, uint16 0…4095 for CR, DX and MR, uint8 for US, always (rows, columns).
    """
    story = study.series[series]
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = SOP_CLASSES[story.modality]
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(study.sop_uid(series, index))
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID = SOP_CLASSES[story.modality]
    dataset.SOPInstanceUID = study.sop_uid(series, index)
    _whose(dataset, study)
    _where(dataset, hospital, study, series)
    dataset.InstanceNumber = index + 1
    _pixels(dataset, story, pixels)
    _BUILDERS[story.modality](dataset, study, story, index)
    return dataset


def _whose(dataset: Dataset, study: StudyStory) -> None:
    person = study.person
    dataset.PatientName = person.name
    dataset.PatientID = person.number
    dataset.IssuerOfPatientID = person.issuer
    dataset.PatientBirthDate = person.birth_date
    dataset.PatientSex = person.sex


def _where(dataset: Dataset, hospital: HospitalStory, study: StudyStory, series: int) -> None:
    story = study.series[series]
    day, at = f"{study.day:%Y%m%d}", f"{study.time:%H%M%S}"
    dataset.StudyInstanceUID = study.study_uid
    dataset.SeriesInstanceUID = study.series_uid(series)
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = day
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = at
    dataset.StudyID = study.accession[-8:]
    dataset.AccessionNumber = study.accession
    dataset.ReferringPhysicianName = ""
    dataset.StudyDescription = study.description
    dataset.SeriesDescription = story.description
    dataset.SeriesNumber = series + 1
    dataset.Modality = story.modality
    dataset.BodyPartExamined = story.body_part
    dataset.InstitutionName = hospital.name
    dataset.Manufacturer = "Priorline demo"
    dataset.ManufacturerModelName = "computed phantom"
    dataset.SoftwareVersions = "1"
    dataset.DeviceSerialNumber = "0"


def _pixels(dataset: Dataset, story: SeriesStory, pixels: npt.NDArray[np.generic]) -> None:
    bits = {"CT": 16, "US": 8}.get(story.modality, 12)
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = 8 if story.modality == "US" else 16
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.PixelRepresentation = int(story.modality == "CT")
    form = "u1" if story.modality == "US" else ("<i2" if story.modality == "CT" else "<u2")
    dataset.PixelData = np.ascontiguousarray(pixels, dtype=form).tobytes()
    dataset["PixelData"].VR = "OB" if story.modality == "US" else "OW"


def _ct(dataset: Dataset, study: StudyStory, story: SeriesStory, index: int) -> None:
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    height = story.start_mm + index * story.step_mm
    corner = -(story.columns - 1) / 2 * story.pixel_mm
    _plane(dataset, study, story, (corner, corner, height), (1, 0, 0, 0, 1, 0))
    dataset.PatientPosition = "HFS"
    dataset.AcquisitionNumber = 1
    dataset.KVP = 120
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "HU"
    center, width = _WINDOWS[story.picture]
    dataset.WindowCenter, dataset.WindowWidth = center, width
    if len(center) == 2:
        dataset.WindowCenterWidthExplanation = ["SOFT TISSUE", "LUNG"]
    if "contrast" in study.description or story.picture == "trauma-ct":
        dataset.ContrastBolusAgent = "IV contrast"


def _plane(
    dataset: Dataset,
    study: StudyStory,
    story: SeriesStory,
    position: tuple[float, float, float],
    orientation: tuple[int, ...],
) -> None:
    dataset.FrameOfReferenceUID = uid(f"{study.key}/frame")
    dataset.PositionReferenceIndicator = ""
    dataset.ImagePositionPatient = [round(value, 3) for value in position]
    dataset.ImageOrientationPatient = list(orientation)
    dataset.PixelSpacing = [story.pixel_mm, story.pixel_mm]
    dataset.SliceThickness = abs(story.step_mm)


def _mr(dataset: Dataset, study: StudyStory, story: SeriesStory, index: int) -> None:
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "SE"]
    half = (story.columns - 1) / 2 * story.pixel_mm
    across = story.start_mm + index * story.step_mm
    _plane(dataset, study, story, (across, -half, half), (0, 1, 0, 0, 0, -1))
    dataset.PatientPosition = "HFS"
    dataset.ScanningSequence, dataset.SequenceVariant, dataset.ScanOptions = "SE", "SK", ""
    dataset.MRAcquisitionType, dataset.EchoTrainLength = "2D", 15
    dataset.RepetitionTime, dataset.EchoTime = 3200, 96 if story.picture == "spine-mr" else 28
    dataset.SpacingBetweenSlices = story.step_mm
    dataset.WindowCenter, dataset.WindowWidth = 1400, 2800
    if story.laterality:
        dataset.Laterality = story.laterality


def _cr(dataset: Dataset, _study: StudyStory, story: SeriesStory, _index: int) -> None:
    _film(dataset, story)
    dataset.ImagerPixelSpacing = [story.pixel_mm, story.pixel_mm]
    if story.laterality:
        dataset.Laterality = story.laterality


def _film(dataset: Dataset, story: SeriesStory) -> None:
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.ViewPosition = story.view
    dataset.PatientOrientation = ["R", "H"] if story.picture == "hand-film" else ["L", "F"]
    dataset.WindowCenter, dataset.WindowWidth = 2048, 4096


def _dx(dataset: Dataset, _study: StudyStory, story: SeriesStory, _index: int) -> None:
    _film(dataset, story)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", ""]
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.ImagerPixelSpacing = [story.pixel_mm, story.pixel_mm]
    dataset.DetectorType, dataset.DetectorID = "DIRECT", "1"
    dataset.ImageLaterality = story.laterality or "U"
    code, meaning = _REGIONS[story.body_part]
    dataset.AnatomicRegionSequence = [_code(code, "SCT", meaning)]
    view = _code("399348003", "SCT", "postero-anterior projection")
    view.ViewModifierCodeSequence = []
    dataset.ViewCodeSequence = [view]
    dataset.PatientOrientation = ["L", "F"]
    dataset.PixelIntensityRelationship, dataset.PixelIntensityRelationshipSign = "LOG", -1
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "US"
    dataset.PresentationLUTShape = "IDENTITY"
    dataset.LossyImageCompression = "00"
    dataset.BurnedInAnnotation = "NO"
    dataset.AcquisitionContextSequence = []
    dataset.PositionerType = "NONE"


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _us(dataset: Dataset, _study: StudyStory, story: SeriesStory, _index: int) -> None:
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "ABDOMINAL", "0001"]
    dataset.LossyImageCompression = "00"
    dataset.PatientOrientation = ""
    dataset.WindowCenter, dataset.WindowWidth = 128, 256
    dataset.BurnedInAnnotation = "NO"
    dataset.SequenceOfUltrasoundRegions = [_us_region(story)]


def _us_region(story: SeriesStory) -> Dataset:
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = 1, 1, 0
    region.RegionLocationMinX0 = region.RegionLocationMinY0 = 0
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = story.columns - 1, story.rows - 1
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX = region.PhysicalDeltaY = story.pixel_mm / 10
    return region


_BUILDERS = {"CT": _ct, "MR": _mr, "CR": _cr, "DX": _dx, "US": _us}
