"""The heads of files that were damaged on purpose: understood, left out or found damaged, and nothing else."""

import random
import struct
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from folders import CHEST, image, save
from priorline.archives.folder_head import Damaged, FileHead, file_head

MUTATIONS = 3000


def head(content: bytes) -> FileHead | None:
    """What is read of a file, None also where it is found damaged."""
    try:
        return file_head(BytesIO(content))
    except Damaged:
        return None


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    return save(tmp_path, [image(CHEST, 0)])[0].read_bytes()


def test_damage_anywhere_in_the_head_breaks_nothing(content: bytes) -> None:
    chance, understood = random.Random(3), 0
    for _ in range(MUTATIONS):
        changed = bytearray(content[:4000])
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(128, 2000)
            changed[at : at + chance.randrange(5)] = chance.randbytes(chance.randrange(5))
        understood += head(bytes(changed)) is not None
    assert MUTATIONS / 10 < understood < MUTATIONS


@given(st.binary(max_size=400), st.sampled_from([b"", bytes(128) + b"DICM", b"\x08\x00", b"\x02\x00\x10\x00UI"]))
def test_any_bytes_are_answered(content: bytes, before: bytes) -> None:
    found = head(before + content)
    assert found is None or found.start <= len(before + content)


@pytest.mark.parametrize("size", range(0, 1000, 7))
def test_a_head_that_is_cut_is_no_head(content: bytes, size: int) -> None:
    found = head(content[:size])
    # A cut between two elements leaves nothing that is wrong in itself; but no object ends there.
    assert found is None or found.is_all


def deflated(dataset: bytes) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    syntax = b"1.2.840.10008.1.2.1.99"
    meta = b"\x02\x00\x10\x00UI" + struct.pack("<H", len(syntax)) + syntax
    return bytes(128) + b"DICM" + meta + compressor.compress(dataset) + compressor.flush()


def test_a_deflated_bomb_is_opened_no_further_than_a_mebibyte() -> None:
    bomb = deflated(b"\x09\x00\x01\x10OB\0\0" + struct.pack("<L", 1 << 28) + bytes(1 << 28))
    with pytest.raises(Damaged):
        file_head(BytesIO(bomb))


def test_a_long_private_element_before_what_tells_is_stepped_over(tmp_path: Path) -> None:
    dataset = image(CHEST, 0)
    dataset.private_block(0x0009, "PRIORLINE", create=True).add_new(1, "OB", bytes(500_000))
    content = save(tmp_path, [dataset])[0].read_bytes()
    found = head(content)
    assert found is not None
    assert found.row.uid("SeriesInstanceUID") == f"{CHEST}.1"
