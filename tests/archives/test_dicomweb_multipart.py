"""multipart/related: parts as they come, whatever way the bytes are cut into blocks; broken ones end in one error."""

from collections.abc import Iterator
from itertools import repeat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from priorline.archives.incoming import Growing
from priorline.archives.multipart import (
    BEGINNING,
    BOUNDARY_MAX,
    HEADERS_MAX,
    WINDOW,
    Malformed,
    Part,
    ReadInto,
    boundary_of,
    parts,
)
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


class Place(Growing):
    """Where a part is put, as far as it was not read in pieces before."""

    def finish(self) -> None:
        raise AssertionError("a part does not know whether it was an image")

    drop = finish


def content(part: Part, pieces: int = 1 << 20) -> bytes:
    """What is in a part, of which so many pieces are read one by one, and the rest is put into its place."""
    begun = b"".join(bytes(piece) for _, piece in zip(range(pieces), part.pieces(), strict=False))
    place = Place()
    part.put_into(place)
    return begun + bytes(place.view())


def contents(body: bytes, boundary: str = "b", size: int = 1 << 18, pieces: int = 1 << 20) -> list[bytes]:
    return [content(part, pieces) for part in parts(reader(cut(body, size)), boundary.encode(), MOST)]


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
    st.lists(st.binary(max_size=400), max_size=5),
    boundaries,
    st.integers(1, 64),
    st.sampled_from([b"", b"x\r\n-"]),
    st.integers(0, 3),
)
def test_what_was_put_in_comes_out_however_it_is_cut(
    files: list[bytes], boundary: str, size: int, prologue: bytes, pieces: int
) -> None:
    if any(boundary.encode() in file for file in files):
        return
    assert contents(prologue + multipart(files, boundary), boundary, size, pieces) == files


@pytest.mark.parametrize("size", [1000, 1 << 16, 1 << 20])
@pytest.mark.parametrize("pieces", [0, 1, 1000])
def test_long_parts_come_out_as_they_are(size: int, pieces: int) -> None:
    files = [bytes((number,)) * length for number, length in enumerate((WINDOW + 1, 5000, WINDOW * 3, 1, BEGINNING))]
    assert contents(multipart(files, "b"), "b", size, pieces) == files


def test_a_part_whose_length_is_believed_is_read_into_its_place() -> None:
    files, asked = [bytes(WINDOW // 2), bytes(WINDOW * 3), bytes(WINDOW * 3)], list[int]()
    block = reader(iter([multipart(files, "b")]))

    def read_into(view: memoryview) -> int:
        asked.append(len(view))
        return block(view)

    assert [content(part, 1) for part in parts(read_into, b"b", MOST)] == files
    # The first is searched; of the others no more than their beginning is read to where it has to be copied from.
    searched, *believed = asked
    assert searched <= WINDOW
    assert [length if length <= BEGINNING else length > WINDOW * 2 for length in believed] == [True, BEGINNING] * 2


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


def told(length: int, data: bytes) -> bytes:
    return b"\r\n--b\r\nContent-Length: %d\r\n\r\n" % length + data


@pytest.mark.parametrize("pieces", [0, 1000])
@pytest.mark.parametrize("size", [1, 7, 1 << 16])
def test_a_length_that_turns_out_wrong_costs_what_it_hides_and_no_more(size: int, pieces: int) -> None:
    def found(*wrong: bytes) -> list[tuple[bytes, bool]]:
        body = told(3, b"one") + b"".join(wrong) + told(4, b"four") + told(4, b"five") + b"\r\n--b--"
        arriving = parts(reader(cut(body, size)), b"b", MOST)
        return [(content(part, pieces), part.is_cut) for part in arriving]

    whole = [(b"one", False), (b"four", False), (b"five", False)]
    # Longer than it says: what was read of it is not an image.
    assert found(told(2, b"two")) == [whole[0], (b"tw", True), *whole[1:]]
    # Shorter than it says: it takes the beginning of the next one with it.
    *first, cut_one, last = found(told(30, b"two"))
    assert [*first, last] == [whole[0], whole[2]]
    assert cut_one[1]
    assert cut_one[0].startswith(b"two\r\n--b\r\n")


def test_who_was_wrong_once_is_searched_to_the_end() -> None:
    wrong = [told(2, b"two"), told(2, b"two"), told(2, b"two")]
    body = told(3, b"one") + b"".join(wrong) + told(4, b"four") + told(2, b"last") + b"\r\n--b--"
    found = [(content(part), part.is_cut) for part in parts(reader(cut(body, 9)), b"b", MOST)]
    # As before anything was believed: what is longer than it says is whole.
    assert found == [(b"one", False), (b"tw", True), *[(b"two", False)] * 2, (b"four", False), (b"last", False)]


def test_an_empty_part_without_a_length_proves_nothing() -> None:
    body = b"--b\r\n\r\n" + told(2, b"two") + b"\r\n--b--"
    assert contents(body) == [b"", b"two"]


@pytest.mark.parametrize("size", [100, 1 << 16])
def test_a_wrong_length_lets_no_part_be_longer_than_it_may_be(size: int) -> None:
    body = told(3, b"one") + told(MOST - 10, bytes(MOST + 1)) + b"\r\n--b--"
    with pytest.raises(Malformed, match="too large"):
        contents(body, size=size, pieces=0)


def test_a_part_that_is_believed_and_does_not_come_to_its_end_is_an_error() -> None:
    for last in (told(9, b"two"), told(9, b"two") + b"\r\n--b--"):
        with pytest.raises(Malformed, match="too early"):
            contents(told(3, b"one") + last, pieces=0)


def test_what_is_as_long_as_it_says_is_not_searched() -> None:
    inside = b"a\r\n--b\r\n\r\nz"
    body = told(3, b"one") + told(len(inside), inside) + b"\r\n--b--"
    assert contents(body, size=5) == contents(body, size=5, pieces=0) == [b"one", inside]


def test_a_length_of_more_than_may_be_is_not_believed() -> None:
    body = told(3, b"one") + told(MOST + 1, b"two") + b"\r\n--b--"
    assert [(content(part), part.is_cut) for part in parts(reader(cut(body, 9)), b"b", MOST)] == [
        (b"one", False),
        (b"two", True),
    ]


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
        b"\r\n--b\r\nContent-Length: 9\r\n\r\n",
        b"99",
        b":",
        b" ",
        b"x",
        b"\0",
    ]
)
BROKEN_BODIES = st.lists(pieces | st.binary(max_size=40), max_size=30).map(b"".join)


@settings(max_examples=1000)
@given(st.sampled_from([b"", told(3, b"one")]), BROKEN_BODIES, st.integers(1, 50), st.integers(0, 3))
def test_any_bytes_are_parts_or_that_error(begun: bytes, body: bytes, size: int, pieces: int) -> None:
    body = begun + body
    try:
        found = contents(body, size=size, pieces=pieces)
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
