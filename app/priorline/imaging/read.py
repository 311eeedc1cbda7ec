"""From the bytes of a DICOM object to its header; together with `decode` the only readers of tags here."""

import io
import threading
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from priorline.domain.patient import Identifier, Patient
from priorline.errors import NotDicom
from priorline.imaging.elements import (
    PYDICOM_FAULTS,
    Elements,
    Head,
    Stored,
    functional_group,
    integer,
    items,
    numbers,
    quiet_pydicom,
    tag_of,
    text,
    texts,
)
from priorline.imaging.instance import InstanceHeader
from priorline.imaging.outline import PIXEL_TAGS, Body, Outline, outline

PROJECTION = frozenset(("CR", "DX", "MG", "IO", "PX", "RF", "RG", "XA"))
_LOSSY_SYNTAXES = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 53, 55, 81))

# What tells the images of a series apart, of all that a header is made of.
_OWN = frozenset(map(tag_of, ("SOPInstanceUID", "InstanceNumber", "ImagePositionPatient")))
_SERIES = tag_of("SeriesInstanceUID")
_GROUPS = tuple(map(tag_of, ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")))
_SERIES_KEPT, _BYTES_KEPT = 32, 1 << 14
# A cine of hours; more is a mistake or an attack, and costs memory for every frame.
MOST_FRAMES = 20_000


def read_header(data: Body | BinaryIO | Path) -> InstanceHeader:
    """The facts of one DICOM object without touching its pixels.

    Follows minor deviations (no preamble, no file meta information, wrong value representations, bad numbers: the
    field is then empty). Raises NotDicom for what is not DICOM or is cut off, OSError where a path cannot be read.
    """
    whole = outline(as_bytes(data))
    if whole.places is None:
        with quiet_pydicom():
            return header_of(whole, parse(whole))
    return _header_in(whole, Head(whole, whole.places))


class _Before(NamedTuple):
    """A header, and all that was asked of its object to make it, but for `_OWN`."""

    header: InstanceHeader
    asked: list[tuple[int, Stored | None]]


# By series; looked up without the lock, as what is in it is never changed.
_before: dict[tuple[object, ...], _Before] = {}
_keeping = threading.Lock()


def _header_in(whole: Outline, head: Head) -> InstanceHeader:
    """As `header_of`; where all that was asked of an object of this series before stands here too, `_OWN` is read."""
    series = head.stored(_SERIES), whole.transfer_syntax, whole.implicit, whole.little, whole.pixels is None
    before, sop_uid = _before.get(series), text(head, "SOPInstanceUID")
    if before and sop_uid and head.holds(before.asked):
        number, position = integer(head, "InstanceNumber"), _position(head, 0)
        return replace(before.header, sop_uid=sop_uid, instance_number=number, position=position)
    with quiet_pydicom():
        header = header_of(whole, head)
    if sop_uid and _is_kept(whole, head):
        with _keeping:
            if series not in _before and len(_before) >= _SERIES_KEPT:
                _before.clear()
            _before[series] = _Before(header, [one for one in head.asked.items() if one[0] not in _OWN])
    return header


def _is_kept(whole: Outline, head: Head) -> bool:
    """Whether a header is small, and certainly made of what stood there: of groups that is not known.

    Their items are read late, a fault in them is not told, and their frames may take over what is the object's own.
    """
    size = len(whole.transfer_syntax) + sum(len(stored[1]) for stored in head.asked.values() if stored)
    return size <= _BYTES_KEPT and not head.has_fault and not any(head.asked.get(tag) for tag in _GROUPS)


def as_bytes(data: Body | BinaryIO | Path) -> Body:
    """The bytes of a file, however it is given."""
    if isinstance(data, Path):
        return data.read_bytes()
    return data.read() if isinstance(data, BinaryIO | io.IOBase) else data


def parse(whole: Outline) -> Dataset:
    """The data set up to its pixels; raises NotDicom where pydicom cannot read it."""
    try:
        return read_dataset(
            io.BytesIO(whole.head),
            whole.implicit,
            whole.little,
            stop_when=lambda tag, _vr, _length: int(tag) in PIXEL_TAGS,
        )
    except PYDICOM_FAULTS as fault:
        raise NotDicom("The file is damaged: its elements cannot be read.") from fault


def header_of(whole: Outline, ds: Elements, frame: int = 0) -> InstanceHeader:
    """The header of a parsed object; position, orientation and spacing are those of `frame`, from 0."""
    frames = max(1, integer(ds, "NumberOfFrames") or 1)
    if frames > MOST_FRAMES:
        raise NotDicom(f"It claims to have more than {MOST_FRAMES} frames; this program does not show that.")
    rows, columns = integer(ds, "Rows") or 0, integer(ds, "Columns") or 0
    sop_class = text(ds, "SOPClassUID")
    sop_uid = text(ds, "SOPInstanceUID") or whole.sop_uid
    if not sop_class and not sop_uid:
        raise NotDicom("The file has neither a SOP class nor a SOP instance UID; it cannot be told what it is.")
    modality = text(ds, "Modality")
    spacing, spacing_kind = _spacing(ds, modality, frame)
    return InstanceHeader(
        sop_uid=sop_uid,
        sop_class=sop_class,
        transfer_syntax=whole.transfer_syntax,
        study_uid=text(ds, "StudyInstanceUID"),
        series_uid=text(ds, "SeriesInstanceUID"),
        patient=_patient(ds),
        modality=modality,
        study_date=text(ds, "StudyDate"),
        study_time=text(ds, "StudyTime"),
        study_description=text(ds, "StudyDescription"),
        series_description=text(ds, "SeriesDescription"),
        series_number=integer(ds, "SeriesNumber"),
        instance_number=integer(ds, "InstanceNumber"),
        accession=text(ds, "AccessionNumber"),
        institution=text(ds, "InstitutionName"),
        body_part=text(ds, "BodyPartExamined"),
        rows=max(0, rows),
        columns=max(0, columns),
        frames=frames,
        samples=max(1, integer(ds, "SamplesPerPixel") or 1),
        position=_position(ds, frame),
        orientation=_orientation(ds, frame),
        frame_of_reference=text(ds, "FrameOfReferenceUID"),
        spacing=spacing,
        spacing_kind=spacing_kind,
        pixel_aspect=numbers(ds, "PixelAspectRatio", 2) or numbers(ds, "NominalScannedPixelSpacing", 2),
        patient_orientation=texts(ds, "PatientOrientation"),
        laterality=text(ds, "ImageLaterality") or text(ds, "Laterality"),
        view_position=text(ds, "ViewPosition"),
        image_type=texts(ds, "ImageType"),
        burned_in=text(ds, "BurnedInAnnotation"),
        lossy=text(ds, "LossyImageCompression") == "01" or whole.transfer_syntax in _LOSSY_SYNTAXES,
        displayable=whole.pixels is not None and rows > 0 and columns > 0,
        frame_positions=_each_frame(ds, frames, _position, "PlanePositionSequence"),
        frame_orientations=_each_frame(ds, frames, _orientation, "PlaneOrientationSequence"),
    )


def _patient(ds: Elements) -> Patient:
    # Of two numbers or names neither is the patient's: with all of them it is nobody who was asked for.
    number, issuer, name = ("\\".join(texts(ds, key)) for key in ("PatientID", "IssuerOfPatientID", "PatientName"))
    return Patient(Identifier(number, issuer), name, _date(text(ds, "PatientBirthDate")), text(ds, "PatientSex"))


def _date(value: str) -> date | None:
    digits = value.replace(".", "")
    if len(digits) != 8 or not digits.isdecimal():
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def _grouped(ds: Elements, macro: str, keyword: str, count: int, frame: int) -> tuple[float, ...]:
    group = functional_group(ds, macro, frame)
    own = numbers(group, keyword, count) if group is not None else ()
    return own or numbers(ds, keyword, count)


def _position(ds: Elements, frame: int) -> tuple[float, ...]:
    return _grouped(ds, "PlanePositionSequence", "ImagePositionPatient", 3, frame)


def _orientation(ds: Elements, frame: int) -> tuple[float, ...]:
    return _grouped(ds, "PlaneOrientationSequence", "ImageOrientationPatient", 6, frame)


def _each_frame(ds: Elements, frames: int, of: Any, macro: str) -> tuple[tuple[float, ...], ...]:
    """One entry a frame where the frames say so themselves."""
    per_frame = items(ds, "PerFrameFunctionalGroupsSequence")
    if frames < 2 or len(per_frame) < frames or not any(macro in group for group in per_frame):
        return ()
    return tuple(of(ds, frame) for frame in range(frames))


def _spacing(ds: Elements, modality: str, frame: int) -> tuple[tuple[float, ...], str]:
    """(row, column) distance in mm and whether it holds in the patient or at the detector (PS3.3 10.7)."""
    pixel = _grouped(ds, "PixelMeasuresSequence", "PixelSpacing", 2, frame)
    pixel = pixel if pixel and min(pixel) > 0 else ()
    imager = numbers(ds, "ImagerPixelSpacing", 2)
    imager = imager if imager and min(imager) > 0 else ()
    if modality not in PROJECTION and not imager:
        return pixel, "patient" if pixel else ""
    # Without a calibration, Pixel Spacing of a projection only repeats what the detector says (PS3.3 10.7.1.3).
    calibrated = bool(text(ds, "PixelSpacingCalibrationType")) or bool(imager and pixel and imager != pixel)
    if pixel and calibrated:
        return pixel, "patient"
    return (imager or pixel), "detector" if imager or pixel else ""
