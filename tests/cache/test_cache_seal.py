import os
from pathlib import Path

import pytest

from priorline.cache.seal import SEGMENT, container_size, seal, unseal
from priorline.cache.sealed_file import read_head, read_object, read_part
from priorline.errors import CacheDamaged, CacheError

NAME = bytes(range(32))
KEY = b"k" * 32
SIZES = (0, 1, 1000, SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT + 7)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("key", [KEY, b""], ids=["encrypted", "plain"])
def test_what_is_sealed_comes_back(size: int, key: bytes) -> None:
    data = os.urandom(size)
    container = seal(data, key, NAME)
    assert unseal(container, key, NAME) == data
    assert len(container) == container_size(size, 0, encrypted=bool(key))


@pytest.mark.parametrize("key", [KEY, b""], ids=["encrypted", "plain"])
def test_every_flipped_bit_is_noticed(key: bytes) -> None:
    container = seal(b"pixels of a chest", key, NAME, b"head")
    for position in range(len(container) * 8):
        changed = bytearray(container)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises(CacheDamaged):
            unseal(changed, key, NAME)


@pytest.mark.parametrize("cut", [0, 10, 67, 68, 500, SEGMENT, SEGMENT + 200, -1])
@pytest.mark.parametrize("key", [KEY, b""], ids=["encrypted", "plain"])
def test_a_cut_container_is_noticed(cut: int, key: bytes) -> None:
    container = seal(os.urandom(SEGMENT + 900), key, NAME)
    with pytest.raises(CacheDamaged):
        unseal(container[:cut], key, NAME)


def test_swapped_segments_are_noticed() -> None:
    container = seal(os.urandom(3 * SEGMENT), KEY, NAME)
    start = len(container) - 3 * (SEGMENT + 16)
    first, second = start + SEGMENT + 16, start + 2 * (SEGMENT + 16)
    swapped = container[:start] + container[first:second] + container[start:first] + container[second:]
    with pytest.raises(CacheDamaged):
        unseal(swapped, KEY, NAME)


@pytest.mark.parametrize(
    ("key", "name"), [(b"x" * 32, NAME), (KEY, bytes(32)), (b"", NAME)], ids=["key", "name", "as not encrypted"]
)
def test_neither_key_nor_name_nor_kind_can_be_exchanged(key: bytes, name: bytes) -> None:
    with pytest.raises(CacheDamaged):
        unseal(seal(b"data", KEY, NAME), key, name)


def test_a_plain_container_does_not_pass_for_an_encrypted_one() -> None:
    with pytest.raises(CacheDamaged):
        unseal(seal(b"data", b"", NAME), KEY, NAME)


@pytest.mark.parametrize("key", [KEY, b""], ids=["encrypted", "plain"])
def test_the_head_is_read_alone_and_every_change_of_it_is_noticed(tmp_path: Path, key: bytes) -> None:
    path = tmp_path / "object"
    container = seal(os.urandom(3 * SEGMENT), key, NAME, b"what an index needs")
    path.write_bytes(container)
    assert read_head(path, key, NAME) == b"what an index needs"
    tail = 12 + len(b"what an index needs") + (16 if key else 32)
    for position in (*range(44), *range(len(container) - tail, len(container))):
        changed = bytearray(container)
        changed[position] ^= 4
        path.write_bytes(changed)
        with pytest.raises(CacheDamaged):
            read_head(path, key, NAME)


def test_a_part_is_read_without_the_rest(tmp_path: Path) -> None:
    path, data = tmp_path / "object", os.urandom(4 * SEGMENT + 100)
    container = bytearray(seal(data, KEY, NAME, b"head"))
    container[44 + 4 * (SEGMENT + 16)] ^= 1  # the last segment is damaged, and nobody asks for it
    path.write_bytes(container)
    name = NAME[16:].hex()
    for start, stop in ((0, 1), (SEGMENT - 1, SEGMENT + 1), (5, 3 * SEGMENT), (2 * SEGMENT, 3 * SEGMENT)):
        assert read_part(path, KEY, name, start, stop) == data[start:stop]
    with pytest.raises(CacheDamaged):
        read_part(path, KEY, name, 0, len(data))
    with pytest.raises(ValueError, match="not in"):
        read_part(path, KEY, name, 0, len(data) + 1)


def test_a_decoder_reads_an_object_with_its_key_alone(tmp_path: Path) -> None:
    path = tmp_path / "object"
    path.write_bytes(seal(b"data", KEY, NAME))
    assert read_object(path, KEY, NAME[16:].hex()) == b"data"
    with pytest.raises(CacheDamaged):
        read_object(path, KEY, NAME[:16].hex())


def test_a_missing_object_a_link_and_a_directory_are_typed_faults(tmp_path: Path) -> None:
    with pytest.raises(CacheDamaged):
        read_object(tmp_path / "none", KEY, NAME[16:].hex())
    with pytest.raises(CacheError):
        read_object(tmp_path, KEY, NAME[16:].hex())
    (tmp_path / "real").write_bytes(seal(b"data", KEY, NAME))
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(CacheError):
        read_object(tmp_path / "link", KEY, NAME[16:].hex())


def test_no_two_segments_share_a_key_stream() -> None:
    body = seal(bytes(2 * SEGMENT), KEY, NAME)[72:]
    assert body[:SEGMENT] != body[SEGMENT + 16 : 2 * SEGMENT + 16]
