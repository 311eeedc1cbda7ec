"""multipart/related: parts as they come, whatever way the bytes are cut into blocks; broken ones end in one error."""

from collections.abc import Iterator
from itertools import repeat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from priorline.archives.multipart import BOUNDARY_MAX, HEADERS_MAX, Malformed, Part, ReadInto, boundary_of, parts
from web_hospital import multipart

MOST = 1 << 20


def cut(body: bytes, size: int) -> Iterator[bytes]:
    return (body[at : at + size] for at in range(0, len(body), size))


def reader(blocks: Iterator[bytes]) -> ReadInto:
    """Reads one block after another, each in as many pieces as the room for it asks for."""
    rest = b""

    def read_into(view: memoryview) -> int:
        nonlocal rest
        rest = rest or next(blocks, b"")
        count = min(len(rest), len(view))
        view[:count], rest = rest[:count], rest[count:]
        return count

    return read_into


def content(part: Part) -> bytes:
    return b"".join(map(bytes, part.pieces()))


def contents(body: bytes, boundary: str = "b", size: int = 1 << 18) -> list[bytes]:
    return [content(part) for part in parts(reader(cut(body, size)), boundary.encode(), MOST)]


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ('multipart/related; type="application/dicom"; boundary=abc', b"abc"),
        ('Multipart/Related;BOUNDARY="a b;c=d"; type=application/dicom', b"a b;c=d"),
        ('multipart/related; boundary="a\\"b"', b'a"b'),
        ('multipart/related; type="x; boundary=no"; boundary=yes', b"yes"),
    ],
)
def test_the_boundary_is_found(content_type: str, boundary: bytes) -> None:
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "application/dicom",
        "multipart/mixed; boundary=a",
        "multipart/related",
        "multipart/related; type=application/dicom",
        "multipart/related; boundary=",
        'multipart/related; boundary=""',
        'multipart/related; boundary="a',
        "multipart/related; boundary=é",
        f"multipart/related; boundary={'a' * (BOUNDARY_MAX + 1)}",
    ],
)
def test_no_usable_boundary_is_an_error(content_type: str) -> None:
    with pytest.raises(Malformed):
        boundary_of(content_type)


boundaries = st.text(alphabet="abcXYZ019'()+_,-./:=?", min_size=1, max_size=70)


@given(
    st.lists(st.binary(max_size=400), max_size=5), boundaries, st.integers(1, 64), st.sampled_from([b"", b"x\r\n-"])
)
def test_what_was_put_in_comes_out_however_it_is_cut(
    files: list[bytes], boundary: str, size: int, prologue: bytes
) -> None:
    if any(boundary.encode() in file for file in files):
        return
    assert contents(prologue + multipart(files, boundary), boundary, size) == files


def test_the_first_boundary_may_come_at_once_and_headers_may_be_missing() -> None:
    assert contents(b"--b \t\r\n\r\none\r\n--b\r\nX: 1\r\n\r\n\r\n--b--epilogue") == [b"one", b""]


def test_what_follows_the_end_is_not_read() -> None:
    def blocks() -> Iterator[bytes]:
        yield multipart([b"one"], "b")
        raise AssertionError("read on")

    assert [content(part) for part in parts(reader(blocks()), b"b", MOST)] == [b"one"]


def test_a_part_shorter_than_it_says_is_marked_and_the_rest_goes_on() -> None:
    body = b"--b\r\ncontent-length: 9\r\n\r\nshort\r\n--b\r\nContent-Length:5\r\n\r\nwhole\r\n--b--"
    found = [(content(part), part.is_cut) for part in parts(reader(cut(body, 7)), b"b", MOST)]
    assert found == [(b"short", True), (b"whole", False)]


def test_parts_come_before_what_follows_them_is_broken() -> None:
    arriving = parts(reader(cut(multipart([b"one", b"two"], "b", b""), 9)), b"b", MOST)
    assert [content(next(arriving)), content(next(arriving))] == [b"one", b"two"]
    with pytest.raises(Malformed, match="too early"):
        next(arriving)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--",
        b"--a\r\n\r\n",
        b"--b",
        b"--b\r\n",
        b"--b\r\nX: 1\r\n",
        b"--b\r\n\r\none",
        b"--b\r\n\r\none\r\n--",
        b"--bb\r\n\r\none\r\n--b--",
        b"--b\n\none\n--b--",
        b"--b\r\n" + b"X: " + bytes(HEADERS_MAX) + b"\r\n\r\none\r\n--b--",
        b"--b\r\n\r\n" + bytes(MOST + 1) + b"\r\n--b--",
    ],
)
def test_a_broken_message_is_one_error(body: bytes) -> None:
    with pytest.raises(Malformed):
        contents(body)


@pytest.mark.parametrize("start", [b"", b"--b\r\nX: ", b"--b\r\n\r\n", b"--b "])
def test_what_has_no_end_is_left_after_a_bounded_number_of_bytes(start: bytes) -> None:
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        yield start or b"x"
        for block in repeat(bytes(65536)):
            read += len(block)
            yield block

    with pytest.raises(Malformed, match="too large"):
        list(parts(reader(endless()), b"b", MOST))
    assert read <= MOST + (1 << 17)


pieces = st.sampled_from(
    [
        b"\r\n",
        b"--",
        b"b",
        b"--b",
        b"\r\n--b",
        b"--b--",
        b"\r\n\r\n",
        b"Content-Length: ",
        b"99",
        b":",
        b" ",
        b"x",
        b"\0",
    ]
)
BROKEN_BODIES = st.lists(pieces | st.binary(max_size=40), max_size=30).map(b"".join)


@settings(max_examples=1000)
@given(BROKEN_BODIES, st.integers(1, 50))
def test_any_bytes_are_parts_or_that_error(body: bytes, size: int) -> None:
    try:
        found = contents(body, size=size)
    except Malformed:
        return
    assert sum(map(len, found)) <= len(body)


@settings(max_examples=500)
@given(st.text() | st.text(alphabet='multipart/related;boundary=" \\ab').map("multipart/related;".__add__))
def test_any_content_type_has_a_boundary_or_that_error(content_type: str) -> None:
    try:
        assert 0 < len(boundary_of(content_type)) <= BOUNDARY_MAX
    except Malformed:
        return
