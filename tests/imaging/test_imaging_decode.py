"""Pixels and their meaning, against numpy and against DCMTK."""

import io
import shutil
import subprocess
from pathlib import Path

import msgspec
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from priorline.errors import CannotDecode, NotDicom
from priorline.imaging.codecs import codestream_size
from priorline.imaging.decode import decode_frame
from priorline.imaging.frame import ValueMapping
from priorline.imaging.render import rendered
from priorline.imaging.windowing import full_window, output_values


def shipped(name: str) -> bytes:
    return Path(str(get_testdata_file(name))).read_bytes()


def made(array: np.ndarray, **elements: object) -> bytes:
    """A grey object with these stored values; 16 bits unless said otherwise."""
    ds = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    for keyword in ("RescaleSlope", "RescaleIntercept", "PixelPaddingValue"):
        if keyword in ds:
            delattr(ds, keyword)
    ds.Rows, ds.Columns = array.shape
    bits = 8 * array.dtype.itemsize
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = bits, bits, bits - 1
    ds.PixelRepresentation = int(array.dtype.kind == "i")
    ds.add_new("PixelData", "OW", array.tobytes())
    for keyword, value in elements.items():
        if keyword == "PixelPaddingValue":
            ds.add_new(keyword, "SS", value)
        else:
            setattr(ds, keyword, value)
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def dcmtk(data: bytes, folder: Path, *options: str) -> np.ndarray:
    """What dcm2pnm of DCMTK draws, overlays left out."""
    program = shutil.which("dcm2pnm")
    assert program, "dcm2pnm of DCMTK is needed for these tests"
    (folder / "in.dcm").write_bytes(data)
    subprocess.run([program, "-O", *options, str(folder / "in.dcm"), str(folder / "out.pnm")], check=True)
    return np.asarray(Image.open(folder / "out.pnm")).astype(int)


def output(data: bytes) -> np.ndarray:
    frame = decode_frame(data)
    return output_values(frame.mapping)[frame.array]


@pytest.mark.parametrize("stored", [8, 9, 12, 16])
def test_signed_values_come_back_whole_with_garbage_in_unused_bits(stored: int) -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(-(1 << (stored - 1)), 1 << (stored - 1), (16, 16))
    garbage = rng.integers(0, 1 << (16 - stored), (16, 16)) << stored
    bits = (values & ((1 << stored) - 1) | garbage).astype(np.uint16).view(np.int16)
    data = made(bits, BitsStored=stored, HighBit=stored - 1)
    assert np.array_equal(output(data), values)


def test_high_bit_above_the_stored_bits_is_followed() -> None:
    values = np.arange(256, dtype=np.uint16).reshape(16, 16)
    assert np.array_equal(output(made(values << 4, BitsStored=12, HighBit=15)), values)


def test_rescale_is_applied_once_and_says_hounsfield() -> None:
    values = np.arange(256, dtype=np.uint16).reshape(16, 16)
    data = made(values, RescaleSlope=2, RescaleIntercept=-1024)
    assert np.array_equal(output(data), values * 2.0 - 1024)
    assert decode_frame(data).mapping.unit == "HU"


def test_padding_is_outside_the_range() -> None:
    values = np.full((16, 16), -2000, dtype=np.int16)
    values[4:8] = np.arange(16)
    frame = decode_frame(made(values, PixelPaddingValue=-2000))
    assert full_window(frame.mapping) == full_window(decode_frame(made(values[4:8])).mapping)
    assert rendered(frame, invert=True)[0, 0] == 0


@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"])
def test_lossless_syntaxes_equal_the_uncompressed_object(name: str) -> None:
    plain, packed = decode_frame(shipped("MR_small.dcm")), decode_frame(shipped(name))
    assert np.array_equal(plain.array, packed.array)
    assert plain.mapping == packed.mapping


@pytest.mark.parametrize("name", ["MR_small_bigendian.dcm", "MR_small_implicit.dcm", "MR_small_expb.dcm"])
def test_byte_order_and_value_representation_do_not_matter(name: str) -> None:
    assert np.array_equal(decode_frame(shipped(name)).array, decode_frame(shipped("MR_small.dcm")).array)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("shape", ["", "IDENTITY", "INVERSE"])
def test_polarity_as_dcmtk_draws_it(photometric: str, shape: str, tmp_path: Path) -> None:
    values = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    elements = {"PhotometricInterpretation": photometric, "WindowCenter": 1000, "WindowWidth": 1500}
    data = made(values, **elements, **({"PresentationLUTShape": shape} if shape else {}))
    assert np.abs(rendered(decode_frame(data)).astype(int) - dcmtk(data, tmp_path, "+Wi", "1")).max() <= 1


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("CT_small.dcm", ("+Wm",)),
        ("MR_small.dcm", ("+Wi", "1")),
        ("MR_small_expb.dcm", ("+Wi", "1")),
        ("liver_1frame.dcm", ("+Wm",)),
        ("examples_rgb_color.dcm", ()),
        ("examples_palette.dcm", ()),
        ("SC_rgb_small_odd.dcm", ()),
        ("SC_ybr_full_422_uncompressed.dcm", ()),
    ],
)
def test_pictures_equal_those_of_dcmtk(name: str, options: tuple[str, ...], tmp_path: Path) -> None:
    frame = decode_frame(shipped(name))
    window = full_window(frame.mapping) if "+Wm" in options else None
    ours = rendered(frame, window=window).astype(int)
    theirs = dcmtk(shipped(name), tmp_path, *options)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= (1 if frame.mapping.photometric == "grey" else 2)


def test_voi_and_modality_tables_as_dcmtk_draws_them(tmp_path: Path) -> None:
    modality, voi = Dataset(), Dataset()
    modality.add_new("LUTDescriptor", "US", [256, 0, 16])
    modality.ModalityLUTType = "US"
    modality.add_new("LUTData", "US", [n * n // 64 for n in range(256)])
    voi.add_new("LUTDescriptor", "US", [1024, 0, 12])
    voi.add_new("LUTData", "US", [4095 - 4 * n for n in range(1024)])
    values = np.arange(256, dtype=np.uint16).reshape(16, 16)
    data = made(values, ModalityLUTSequence=[modality], VOILUTSequence=[voi])
    frame = decode_frame(data)
    assert np.array_equal(output_values(frame.mapping)[:256], [n * n // 64 for n in range(256)])
    assert np.abs(rendered(frame).astype(int) - dcmtk(data, tmp_path, "+Wl", "1")).max() <= 1


def test_wide_numbers_are_spread_over_sixteen_bits() -> None:
    values = np.array([[0, 1_000_000], [2_000_000, 4_000_000]], dtype=np.uint32)
    assert output(made(values)) == pytest.approx(values, abs=4_000_000 / 65535)
    near = np.array([[3_000_000, 3_000_007], [3_000_100, 3_065_535]], dtype=np.uint32)
    assert np.array_equal(output(made(near)), near)


def test_only_frames_that_are_there_and_each_its_own() -> None:
    data = shipped("SC_rgb_rle_2frame.dcm")
    first, second = decode_frame(data, 0), decode_frame(data, 1)
    assert np.array_equal(first.array, 255 - second.array)
    for missing in (2, -1):
        with pytest.raises(CannotDecode):
            decode_frame(data, missing)


def test_too_large_and_too_short_pictures_are_refused() -> None:
    values = np.zeros((16, 16), dtype=np.uint16)
    with pytest.raises(CannotDecode, match="more than 255 samples"):
        decode_frame(made(values), largest=255)
    with pytest.raises(CannotDecode):
        decode_frame(made(values, Rows=60000, Columns=3000))
    with pytest.raises(CannotDecode):
        decode_frame(made(values, Rows=17))


def test_a_stream_of_another_size_is_refused_before_the_codec() -> None:
    data = bytearray(shipped("MR_small_jp2klossless.dcm"))
    at = data.index(b"\xff\x4f\xff\x51")
    assert codestream_size(bytes(data[at:])) == (64, 64)
    data[at + 8 : at + 12] = (60000).to_bytes(4, "big")
    with pytest.raises(CannotDecode, match="another size"):
        decode_frame(bytes(data))


def test_objects_without_a_picture_or_codec_are_named_so() -> None:
    with pytest.raises(CannotDecode, match="no picture"):
        decode_frame(shipped("rtplan.dcm"))
    with pytest.raises(CannotDecode, match="transfer syntax"):
        decode_frame(shipped("MR_small_RLE.dcm").replace(RLELossless.encode(), b"1.2.840.10008.1.2.9"))


def test_flipped_bytes_never_raise_anything_untyped() -> None:
    rng = np.random.default_rng(7)
    for name in ("CT_small.dcm", "MR_small_RLE.dcm", "examples_palette.dcm"):
        whole = shipped(name)
        for _ in range(60):
            data = bytearray(whole)
            for at in rng.integers(132, min(len(data), 6000), 12):
                data[at] = rng.integers(256)
            try:
                decode_frame(bytes(data))
            except (NotDicom, CannotDecode):
                continue


def test_a_mapping_travels_as_a_message() -> None:
    mapping = decode_frame(shipped("MR_small.dcm")).mapping
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(mapping), type=ValueMapping) == mapping
