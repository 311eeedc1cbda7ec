"""What the program keeps of one DICOM instance beside its pixels; no DICOM library is needed to read it."""

from dataclasses import dataclass

from priorline.domain.patient import Patient


@dataclass(frozen=True, slots=True)
class Window:
    """A linear window in output values (after the modality step): PS3.3 C.11.2.1.2; `width` >= 1 for LINEAR."""

    center: float
    width: float
    function: str = "LINEAR"
    explanation: str = ""


@dataclass(frozen=True, slots=True)
class InstanceHeader:
    """The facts of one instance that ordering, identity and the pane's strip need.

    `position` (x, y, z) and `orientation` (row then column cosines) are in millimetres and unitless in the
    patient's LPS system (PS3.3 C.7.6.2.1.1), empty where the object has none. `spacing` is (row, column) distance
    in millimetres; `spacing_kind` says where it comes from: "patient", "detector" or "" (none, use pixels).
    `patient_orientation` is (row direction, column direction) in letters (0020,0020).
    Dates and times are as in the object (DA, TM). `frames` >= 1. `displayable` is False for objects without pixels.
    `frame_positions` and `frame_orientations` hold one entry a frame where the frames have their own (PS3.3
    C.7.6.16), else they are empty; `position` and `orientation` are then those of the first frame.
    """

    sop_uid: str
    sop_class: str
    transfer_syntax: str
    study_uid: str
    series_uid: str
    patient: Patient
    modality: str = ""
    study_date: str = ""
    study_time: str = ""
    study_description: str = ""
    series_description: str = ""
    series_number: int | None = None
    instance_number: int | None = None
    accession: str = ""
    institution: str = ""
    body_part: str = ""
    rows: int = 0
    columns: int = 0
    frames: int = 1
    samples: int = 1
    position: tuple[float, ...] = ()
    orientation: tuple[float, ...] = ()
    frame_of_reference: str = ""
    spacing: tuple[float, ...] = ()
    spacing_kind: str = ""
    pixel_aspect: tuple[float, ...] = ()
    patient_orientation: tuple[str, ...] = ()
    laterality: str = ""
    view_position: str = ""
    image_type: tuple[str, ...] = ()
    burned_in: str = ""
    lossy: bool = False
    displayable: bool = True
    frame_positions: tuple[tuple[float, ...], ...] = ()
    frame_orientations: tuple[tuple[float, ...], ...] = ()
