"""What a dataset begins with is read in every encoding, within bounds, and a damaged one is not guessed at."""

import zlib

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import encode

from priorline.archives.dataset_head import HEAD_MAX, read_head

STUDY = "1.2.826.0.1.3680043.8.498.1"


def encoded(syntax: UID, private: int = 8) -> bytes:
    item = Dataset()
    item.StudyInstanceUID = "1.2.3"
    dataset = Dataset()
    dataset.ReferencedStudySequence = [item]
    dataset.add_new(0x00091010, "OB", bytes(private))
    dataset.StudyInstanceUID = STUDY
    dataset.add_new(0x7FE00010, "OW", bytes(100))
    whole = encode(dataset, syntax.is_implicit_VR, True)
    assert whole
    if not syntax.is_deflated:
        return whole
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(whole) + packer.flush()


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_the_study_is_read_at_the_top_level_only(syntax: UID) -> None:
    head = read_head(encoded(syntax), syntax, "StudyInstanceUID")
    assert head is not None
    assert head.uid("StudyInstanceUID") == STUDY
    assert head.text("PixelData") == ""


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_what_lies_beyond_the_first_mebibyte_is_not_looked_for(syntax: UID) -> None:
    assert read_head(encoded(syntax, HEAD_MAX), syntax, "StudyInstanceUID") is None


@pytest.mark.parametrize("damaged", [b"\x08\x00\x05", b"\x08\x00\x10\x11SQ\0\0\xff\xff\xff\xff", bytes(7)])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_a_damaged_dataset_is_of_no_study(damaged: bytes, syntax: UID) -> None:
    head = read_head(damaged, syntax, "StudyInstanceUID")
    assert head is None or head.uid("StudyInstanceUID") == ""
