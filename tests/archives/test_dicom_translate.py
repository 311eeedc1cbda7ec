"""Rows as hospitals really send them."""

import struct
import unicodedata
from datetime import date, time
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from priorline.archives.translate import TEXT_MAX, Row, read_row, series_answer, study_answer
from priorline.domain.study import StudyAnswer

STUDY_UID = b"1.2.3.4"
CHARSETS = [b"", b"ISO_IR 192", b"\\ISO 2022 IR 87", b"\\ISO 2022 IR 58", b"GBK"]


def row(*elements: tuple[int, bytes]) -> Row:
    encoded = b"".join(struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value)) + value for tag, value in elements)
    found = read_row(BytesIO(encoded), ImplicitVRLittleEndian)
    assert found is not None
    return found


def study(*elements: tuple[int, bytes], issuer: str = "") -> StudyAnswer | None:
    return study_answer(row((0x0020000D, STUDY_UID), *elements), "North", issuer)


def test_a_full_row_becomes_a_study() -> None:
    answer = study(
        (0x00080020, b"20190131"),
        (0x00080030, b"142359.123456 "),
        (0x00080050, b"ACC1"),
        (0x00080056, b"NEARLINE"),
        (0x00080061, b"CT\\SR "),
        (0x00081030, b"Abdomen "),
        (0x00100010, b"Jansen^Piet"),
        (0x00100020, b"0042 "),
        (0x00100021, b"HOSP"),
        (0x00100030, b"19650228"),
        (0x00100040, b"M "),
        (0x00201206, b"2 "),
        (0x00201208, b"612 "),
    )
    assert answer is not None
    assert (answer.study_date, answer.study_time) == (date(2019, 1, 31), time(14, 23, 59))
    assert (answer.modalities, answer.series, answer.images) == (("CT", "SR"), 2, 612)
    assert (answer.description, answer.accession, answer.availability) == ("Abdomen", "ACC1", "NEARLINE")
    patient = answer.patient
    assert (patient.identifier.value, patient.identifier.issuer) == ("0042", "HOSP")
    assert (patient.name, patient.birth_date, patient.sex) == ("Jansen^Piet", date(1965, 2, 28), "M")
    assert not answer.doubtful_text


def test_the_issuer_of_the_peer_stands_in_for_a_missing_one() -> None:
    answer = study((0x00100020, b"42"), issuer="NORTH")
    assert answer is not None
    assert answer.patient.identifier.issuer == "NORTH"


@pytest.mark.parametrize("uid", [b"", b"1.2.x", b"../../etc/passwd", b"1" * 65, b"1.2\\3.4"])
def test_a_row_without_a_usable_uid_is_no_study(uid: bytes) -> None:
    assert study_answer(row((0x0020000D, uid)), "North", "") is None
    assert series_answer(row((0x0020000E, uid))) is None


def test_bad_values_are_absent_values() -> None:
    answer = study(
        (0x00080020, b"20191399"),
        (0x00080030, b"99"),
        (0x00100030, b"unknown"),
        (0x00100040, b"X"),
        (0x00201208, b"many"),
    )
    assert answer is not None
    assert (answer.study_date, answer.study_time, answer.images) == (None, None, None)
    assert (answer.patient.birth_date, answer.patient.sex) == (None, "")


def test_the_old_forms_of_date_and_time_are_read() -> None:
    answer = study((0x00080020, b"2019.01.31"), (0x00080030, b"14:23:59"))
    assert answer is not None
    assert (answer.study_date, answer.study_time) == (date(2019, 1, 31), time(14, 23, 59))


def test_control_and_direction_characters_are_taken_out_and_length_is_capped() -> None:
    text = "a\r\nb\x1b[31mc\u202ed\u2066e".encode()
    answer = study((0x00080005, b"ISO_IR 192"), (0x00081030, text), (0x00080050, b"9" * 5000))
    assert answer is not None
    assert answer.description == "ab[31mcde"
    assert len(answer.accession) == TEXT_MAX


@pytest.mark.parametrize(
    ("charset", "encoded", "name", "doubtful"),
    [
        (b"ISO_IR 192", "Müller".encode(), "Müller", False),
        (b"ISO_IR 100", "Müller".encode("latin-1"), "Müller", False),
        (b"ISO_IR 144", "Иванов".encode("iso8859-5"), "Иванов", False),
        (b"GB18030", "王".encode("gb18030"), "王", False),
        (b"\\ISO 2022 IR 87", "山田".encode("iso2022_jp"), "山田", False),
        (b"\\ISO 2022 IR 149", b"\x1b$)C" + "김".encode("euc_kr"), "김", False),
        (b"", "Müller".encode(), "Müller", True),
        (b"", "Müller".encode("latin-1"), "Müller", True),
        (b"NONSENSE", "Müller".encode(), "Müller", True),
        (b"ISO_IR 192", "Müller".encode("latin-1"), "Müller", True),
        (b"ISO_IR 6", "Müller".encode("latin-1"), "Müller", True),
    ],
)
def test_text_is_read_in_its_character_set_or_marked_doubtful(
    charset: bytes, encoded: bytes, name: str, doubtful: bool
) -> None:
    answer = study((0x00080005, charset), (0x00100010, encoded))
    assert answer is not None
    assert (answer.patient.name, answer.doubtful_text) == (name, doubtful)


def test_utf8_declared_as_latin1_is_doubtful() -> None:
    answer = study((0x00080005, b"ISO_IR 100"), (0x00100010, "Müller".encode()))
    assert answer is not None
    assert answer.doubtful_text


def test_sequences_are_stepped_over_and_their_content_is_not_the_study() -> None:
    inner = struct.pack("<HHL", 0x0020, 0x000D, 6) + b"9.9.9\0"
    item = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF) + inner + struct.pack("<HHL", 0xFFFE, 0xE00D, 0)
    sequence = struct.pack("<HHL", 0x0008, 0x1032, 0xFFFFFFFF) + item + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    outer = struct.pack("<HHL", 0x0020, 0x000D, 8) + b"1.2.3.4\0"
    found = read_row(BytesIO(sequence + outer), ImplicitVRLittleEndian)
    assert found is not None
    assert found.uid("StudyInstanceUID") == "1.2.3.4"


@given(st.binary(max_size=400), st.sampled_from([ImplicitVRLittleEndian, ExplicitVRLittleEndian]))
def test_no_bytes_make_it_raise(encoded: bytes, syntax: UID) -> None:
    found = read_row(BytesIO(encoded), syntax)
    if found is not None:
        study_answer(found, "North", "")
        series_answer(found)


@given(st.binary(max_size=60), st.sampled_from(CHARSETS))
def test_no_text_makes_it_raise_or_carries_control_characters(name: bytes, charset: bytes) -> None:
    answer = study((0x00080005, charset), (0x00100010, name))
    assert answer is not None
    assert not any(unicodedata.category(char) in ("Cc", "Zl", "Zp") for char in answer.patient.name)
