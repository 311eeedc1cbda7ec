"""Headers of whole, deviating and damaged objects."""

import io
import random
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from priorline.domain.patient import Identifier
from priorline.errors import NotDicom
from priorline.imaging import elements, read
from priorline.imaging.elements import Head, quiet_pydicom
from priorline.imaging.instance import InstanceHeader
from priorline.imaging.outline import Outline, _Walker, outline
from priorline.imaging.read import header_of, parse, read_header

WHOLE = ["CT_small.dcm", "MR_small_RLE.dcm", "image_dfl.dcm", "MR_small_bigendian.dcm", "JPEG2000.dcm", "rtplan.dcm"]


def shipped(name: str) -> bytes:
    return Path(str(get_testdata_file(name))).read_bytes()


def written(ds: Dataset) -> bytes:
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def projection(**elements: object) -> bytes:
    ds = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    ds.Modality = "DX"
    del ds.PixelSpacing
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    return written(ds)


def test_reads_the_facts_of_a_slice() -> None:
    header = read_header(shipped("CT_small.dcm"))
    assert header.patient.identifier == Identifier("1CT1", "")
    assert header.patient.name == "CompressedSamples^CT1"
    assert (header.modality, header.rows, header.columns, header.frames) == ("CT", 128, 128, 1)
    assert header.orientation == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    assert header.position == pytest.approx((-158.135803, -179.035797, -75.699997))
    assert header.spacing == pytest.approx((0.661468, 0.661468))
    assert header.spacing_kind == "patient"
    assert header.displayable


def test_takes_bytes_streams_and_paths_alike() -> None:
    path = Path(str(get_testdata_file("CT_small.dcm")))
    assert read_header(path) == read_header(path.read_bytes()) == read_header(io.BytesIO(path.read_bytes()))


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.97])
def test_an_object_that_is_cut_off_is_not_dicom(name: str, kept: float) -> None:
    data = shipped(name)
    assert read_header(data).sop_uid
    with pytest.raises(NotDicom):
        read_header(data[: int(len(data) * kept)])


def test_encapsulated_pixels_need_their_delimiter() -> None:
    data = shipped("MR_small_RLE.dcm")
    end = data.rindex(b"\xfe\xff\xdd\xe0")
    with pytest.raises(NotDicom):
        read_header(data[:end])


@pytest.mark.parametrize("data", [b"", b"DICM", bytes(4096), b"%PDF-1.7" + bytes(400), bytes(128) + b"DICM"])
def test_other_bytes_are_not_dicom(data: bytes) -> None:
    with pytest.raises(NotDicom):
        read_header(data)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_reads_without_preamble_and_meta(syntax: str) -> None:
    ds = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    bare = Dataset({element.tag: element for element in ds})
    out = io.BytesIO()
    implicit = syntax == ImplicitVRLittleEndian
    pydicom.dcmwrite(out, bare, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    header = read_header(out.getvalue())
    assert (header.sop_uid, header.transfer_syntax) == (ds.SOPInstanceUID, syntax)


def test_a_broken_field_is_empty_and_the_others_are_read() -> None:
    data = shipped("CT_small.dcm").replace(
        b"-158.135803\\-179.035797\\-75.699997", b"-158.135803\\notanumb.xy\\-75.699997"
    )
    header = read_header(data)
    assert header.position == ()
    assert header.rows == 128


def test_birth_dates_are_dates_or_nothing() -> None:
    assert read_header(projection(PatientBirthDate="19670203")).patient.birth_date == date(1967, 2, 3)
    assert read_header(projection(PatientBirthDate="")).patient.birth_date is None


@pytest.mark.parametrize(
    ("elements", "spacing", "kind"),
    [
        ({}, (), ""),
        ({"ImagerPixelSpacing": [0.2, 0.3]}, (0.2, 0.3), "detector"),
        ({"PixelSpacing": [0.2, 0.3]}, (0.2, 0.3), "detector"),
        ({"ImagerPixelSpacing": [0.2, 0.3], "PixelSpacing": [0.2, 0.3]}, (0.2, 0.3), "detector"),
        ({"ImagerPixelSpacing": [0.2, 0.3], "PixelSpacing": [0.1, 0.15]}, (0.1, 0.15), "patient"),
        ({"PixelSpacing": [0.1, 0.15], "PixelSpacingCalibrationType": "FIDUCIAL"}, (0.1, 0.15), "patient"),
    ],
)
def test_spacing_of_projections(elements: dict[str, object], spacing: tuple[float, ...], kind: str) -> None:
    header = read_header(projection(**elements))
    assert (header.spacing, header.spacing_kind) == (spacing, kind)


def enhanced() -> bytes:
    """Three frames with shared orientation and spacing and positions of their own."""
    ds = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    for keyword in (
        "PixelSpacing",
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "RescaleSlope",
        "RescaleIntercept",
    ):
        delattr(ds, keyword)
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = [0.5, 0.75]
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    ds.SharedFunctionalGroupsSequence = [shared]
    ds.PerFrameFunctionalGroupsSequence = []
    for n in range(3):
        group, place, values, window = Dataset(), Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = [0, 0, 5 * n]
        values.RescaleSlope, values.RescaleIntercept = n + 1, -n
        window.WindowCenter, window.WindowWidth = 10 * n, 100
        group.PlanePositionSequence = [place]
        group.PixelValueTransformationSequence, group.FrameVOILUTSequence = [values], [window]
        ds.PerFrameFunctionalGroupsSequence.append(group)
    ds.NumberOfFrames = 3
    one = np.zeros((3, 128, 128), dtype=np.int16) + np.arange(3, dtype=np.int16)[:, None, None]
    ds.PixelData = one.tobytes()
    return written(ds)


def test_functional_groups_of_an_enhanced_object() -> None:
    header = read_header(enhanced())
    assert header.frames == 3
    assert header.spacing == (0.5, 0.75)
    assert header.position == (0.0, 0.0, 0.0)
    assert header.frame_positions == ((0.0, 0.0, 0.0), (0.0, 0.0, 5.0), (0.0, 0.0, 10.0))
    assert header.orientation == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    assert header.frame_orientations == ()


def test_every_frame_has_its_own_values_place_and_window() -> None:
    from priorline.imaging.decode import decode_frame
    from priorline.imaging.windowing import output_values

    frame = decode_frame(enhanced(), 2)
    value = output_values(frame.mapping)[frame.array[0, 0]]
    assert value == 2 * 3 - 2
    assert frame.header.position == (0.0, 0.0, 10.0)
    assert frame.mapping.windows[0].center == 20


def test_what_is_read_element_by_element_is_what_pydicom_reads_of_the_whole() -> None:
    compared = 0
    for name in sorted(Path(str(get_testdata_file("CT_small.dcm"))).parent.glob("*.dcm")):
        data = name.read_bytes()
        try:
            whole = outline(data)
        except NotDicom:
            continue
        if whole.places is None:
            continue
        with quiet_pydicom():
            try:
                expected = header_of(whole, parse(whole))
            except NotDicom:
                continue
            assert header_of(whole, Head(whole, whole.places)) == expected, name
        compared += 1
    assert compared > 50


def test_a_fault_of_the_moment_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_values: object, **_more: object) -> None:
        raise MemoryError

    data = projection(PatientID="ONLY-HERE", PixelSpacing=[0.321, 0.321])
    with monkeypatch.context() as patched:
        patched.setattr(elements, "convert_raw_data_element", no_memory)
        assert read_header(data).patient.identifier.value == ""
    header = read_header(data)
    assert header.patient.identifier.value == "ONLY-HERE"
    assert header.spacing == (0.321, 0.321)


def slice_of_series(**elements: object) -> bytes:
    """A slice with a value in everything that a header is made of, but for sequences."""
    ds = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    full = {
        "SeriesInstanceUID": "2.25.77",
        "SOPInstanceUID": "2.25.1",
        "InstanceNumber": 1,
        "IssuerOfPatientID": "RIJN",
        "PatientBirthDate": "19500102",
        "SeriesDescription": "thorax",
        "BodyPartExamined": "CHEST",
        "PixelAspectRatio": [1, 1],
        "NominalScannedPixelSpacing": [1, 1],
        "ImagerPixelSpacing": [0.5, 0.5],
        "PixelSpacingCalibrationType": "GEOMETRY",
        "PatientOrientation": ["L", "P"],
        "ImageLaterality": "R",
        "Laterality": "R",
        "ViewPosition": "AP",
        "BurnedInAnnotation": "NO",
        "LossyImageCompression": "00",
        "NumberOfFrames": 1,
    }
    for keyword, value in (full | elements).items():
        setattr(ds, keyword, value)
    return written(ds)


OTHER_VALUES = {"CS": "ZZ", "DA": "19990909", "TM": "235959", "DS": "7", "IS": "7", "US": 7, "UI": "2.25.999"}


def header_alone(data: bytes) -> InstanceHeader:
    whole = outline(data)
    assert whole.places is not None
    with quiet_pydicom():
        return header_of(whole, Head(whole, whole.places))


def test_what_an_object_has_otherwise_than_its_series_before_is_read() -> None:
    first = slice_of_series()
    whole = outline(first)
    assert whole.places is not None
    head = Head(whole, whole.places)
    header_of(whole, head)
    differing = 0
    for tag in head.asked:
        keyword, vr = keyword_for_tag(tag), dictionary_VR(tag)
        if vr == "SQ" or keyword == "SpecificCharacterSet":
            continue
        count = len(head.texts(tag)) or 1
        other = OTHER_VALUES.get(vr, "OTHER")
        changed = slice_of_series(**{keyword: other if count == 1 else [other] * count})
        assert read_header(first) == header_alone(first)
        assert read_header(changed) == header_alone(changed), keyword
        differing += header_alone(changed) != header_alone(first)
        gone = pydicom.dcmread(io.BytesIO(first))
        del gone[tag]
        assert read_header(written(gone)) == header_alone(written(gone)), keyword
        assert read_header(first) == header_alone(first)
    assert differing > 25


def test_each_slice_of_a_series_has_its_own_number_and_place() -> None:
    for number in range(1, 5):
        data = slice_of_series(
            SOPInstanceUID=f"2.25.{number}", InstanceNumber=number, ImagePositionPatient=[1, 2, number * 2.5]
        )
        header = read_header(data)
        assert (header.sop_uid, header.instance_number) == (f"2.25.{number}", number)
        assert header.position == (1, 2, number * 2.5)
        assert header == header_alone(data)


def test_what_a_series_repeats_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = slice_of_series(), slice_of_series(SOPInstanceUID="2.25.2", InstanceNumber=2)
    expected = header_alone(second)
    read_header(first)
    with monkeypatch.context() as patched:
        patched.setattr(read, "header_of", None)
        assert read_header(second) == expected


def test_the_same_bytes_in_other_characters_are_another_name() -> None:
    first = slice_of_series(SpecificCharacterSet="ISO_IR 192", PatientName="Jos\u00e9")
    second = first.replace(b"ISO_IR 192", b"ISO_IR 100")
    assert read_header(first).patient.name == "Jos\u00e9"
    assert read_header(second).patient.name == "Jos\u00c3\u00a9"


def test_a_header_is_taken_over_within_one_kind_of_object_only() -> None:
    seen = slice_of_series()
    lossy = seen.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.4.")
    unseen = pydicom.dcmread(io.BytesIO(seen))
    del unseen.PixelData
    for data in (lossy, written(unseen)):
        assert read_header(seen) == header_alone(seen)
        assert read_header(data) == header_alone(data) != header_alone(seen)


def test_a_header_is_not_taken_over_where_the_same_bytes_mean_another_value() -> None:
    seen = slice_of_series(SeriesInstanceUID="2.25.79", Rows=0xFFFE)
    rows = b"\x28\x00\x10\x00"
    signed = seen.replace(rows + b"US", rows + b"SS")
    for data in (seen, signed):
        assert read_header(data) == header_alone(data)
    assert (read_header(seen).rows, read_header(signed).rows) == (0xFFFE, 0)


def test_frames_that_take_over_the_place_of_their_object_take_its_own() -> None:
    def of_two_frames(z: float) -> bytes:
        plane, frame = Dataset(), Dataset()
        plane.ImagePositionPatient = [0, 0, 500]
        frame.PlanePositionSequence = [plane]
        return slice_of_series(
            NumberOfFrames=2,
            ImagePositionPatient=[0, 0, z],
            PerFrameFunctionalGroupsSequence=[frame, Dataset()],
        )

    for z in (1, 2):
        assert read_header(of_two_frames(z)).frame_positions == ((0, 0, 500), (0, 0, z))


CODING: elements.Coding = False, True, ("iso8859",)
plain_texts = st.text("0123456789.+-eE \\\0", max_size=24).map(str.encode)
numerals = st.from_regex(r"[+-]?[0-9]{1,9}(\.[0-9]{1,9})?", fullmatch=True)


@given(plain_texts | numerals.map(str.encode) | st.lists(numerals, max_size=4).map("\\".join).map(str.encode))
@example(b"1.2.840\0")
@example(b"-0")
@example(b"+5 ")
@example(b"1\\2\\3 ")
def test_plain_values_are_what_pydicom_makes_of_them(value: bytes) -> None:
    def without_pydicom(read: Any, *others: Any) -> Any:
        try:
            return read.__wrapped__(*others)
        except elements.PYDICOM_FAULTS as fault:
            return type(fault)

    def with_pydicom(shape: Any, tag: int, vr: bytes, *others: Any) -> Any:
        try:
            return shape(elements._converted(tag, vr, value, CODING), *others)
        except elements.PYDICOM_FAULTS as fault:
            return type(fault)

    uid, number, position = map(elements.tag_of, ("SOPInstanceUID", "InstanceNumber", "ImagePositionPatient"))
    found = without_pydicom(elements._texts, uid, b"UI", value, CODING)
    assert found == with_pydicom(elements._as_texts, uid, b"UI")
    for tag, vr, count in ((number, b"IS", 1), (position, b"DS", 1), (position, b"DS", 3)):
        found = without_pydicom(elements._numbers, tag, vr, value, CODING, count)
        assert found == with_pydicom(elements._as_numbers, tag, vr, count)


def test_the_usual_values_need_no_pydicom(monkeypatch: pytest.MonkeyPatch) -> None:
    data = [slice_of_series(SOPInstanceUID=f"2.25.{n}", ImagePositionPatient=[0.5, -1, n]) for n in (1, 2)]
    assert read_header(data[0]) == header_alone(data[0])
    expected = header_alone(data[1])
    elements._texts.cache_clear()
    elements._numbers.cache_clear()
    monkeypatch.setattr(elements, "convert_raw_data_element", lambda *_, **__: pytest.fail("asked pydicom"))
    assert read_header(data[1]) == expected


def test_little_is_kept_of_what_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(100):
        read_header(slice_of_series(SeriesInstanceUID=f"2.25.{number}"))
    assert 0 < len(read._before) <= 32
    read._before.clear()
    read_header(slice_of_series(StudyDescription="x"))
    (before,) = read._before.values()
    size = sum(len(stored[1]) for _, stored in before.asked if stored)
    monkeypatch.setattr(read, "_BYTES_KEPT", size + 100)
    texts = {"StudyDescription": "x" * 64, "BodyPartExamined": "X" * 16, "InstitutionName": "x" * 64}
    read_header(slice_of_series(SeriesInstanceUID="2.25.1000", **texts))
    assert list(read._before.values()) == [before]
    read_header(slice_of_series(SeriesInstanceUID="2.25.1001", StudyDescription="x"))
    assert len(read._before) == 2


def test_characters_that_nobody_can_tell_are_said_in_a_clear_word() -> None:
    data = slice_of_series(SpecificCharacterSet="ISO_IR 100")
    with pytest.raises(NotDicom, match="in which characters"):
        read_header(data.replace(b"ISO_IR 100", b"a\0b\0\0\0\0\0\0\0"))
    # One that nobody has heard of costs no image.
    assert read_header(data.replace(b"ISO_IR 100", b"ISO 2022 I")).sop_uid == "2.25.1"


def test_a_fault_of_the_moment_inside_an_item_is_not_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    plane, shared = Dataset(), Dataset()
    plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PlaneOrientationSequence = [plane]
    data = slice_of_series(SharedFunctionalGroupsSequence=[shared], SeriesInstanceUID="2.25.78")
    ds = pydicom.dcmread(io.BytesIO(data))
    del ds.ImageOrientationPatient
    data, wanted = written(ds), pydicom.tag.Tag("PlaneOrientationSequence")
    item = Dataset.__getitem__

    def no_memory(self: Dataset, key: Any) -> Any:
        if key == wanted:
            raise MemoryError
        return item(self, key)

    with monkeypatch.context() as patched:
        patched.setattr(Dataset, "__getitem__", no_memory)
        assert read_header(data).orientation == ()
    assert read_header(data).orientation == (1, 0, 0, 0, 1, 0)


def test_the_plain_beginning_is_walked_as_all_else(monkeypatch: pytest.MonkeyPatch) -> None:
    chance, compared = random.Random(5), 0

    def seen(data: bytes) -> Outline | str:
        try:
            return outline(data)
        except NotDicom as problem:
            return str(problem)

    for name in WHOLE:
        whole = shipped(name)
        for _ in range(200):
            data = bytearray(whole)
            for _ in range(chance.randrange(3)):
                data[chance.randrange(128, min(len(data), 3000))] = chance.choice((0, 1, 2, 255, 0x4F, 0x42, 0xFE))
            found = seen(bytes(data))
            with monkeypatch.context() as patched:
                patched.setattr(_Walker, "begin", lambda _walker, at, _groups: at)
                assert found == seen(bytes(data)), name
            compared += isinstance(found, Outline)
    assert compared > 300
    # Wherever the piece ends that is looked at, and where a delimiter has a length that reads as a representation.
    plain = shipped("CT_small.dcm")
    end = min(value + length for _, value, length in (outline(plain).places or {}).values())
    odd = plain[:end] + b"\xfe\xff\x00\xe0UI\x02\0ab" + plain[end:]
    for data in (plain, odd):
        with monkeypatch.context() as patched:
            patched.setattr(_Walker, "begin", lambda _walker, at, _groups: at)
            expected = seen(data)
        for piece in range(0, 2600, 7):
            monkeypatch.setattr("priorline.imaging.outline._BEGINNING", piece)
            assert seen(data) == expected, piece
