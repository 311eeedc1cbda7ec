"""Messages over a pipe: whole or not at all, and nobody's print between them."""

import io
import struct
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priorline.work.pipes import LARGEST_MESSAGE, read_message, write_message


@given(st.lists(st.binary(max_size=300)))
def test_what_is_written_is_read(messages: list[bytes]) -> None:
    stream = io.BytesIO()
    for message in messages:
        write_message(stream, message)
    stream.seek(0)
    assert [read_message(stream) for _ in messages] == messages
    assert read_message(stream) is None


@pytest.mark.parametrize(
    "data",
    [b"", b"\1\0\0", struct.pack("<I", 3) + b"ab", struct.pack("<I", LARGEST_MESSAGE + 1) + b"x" * 10],
)
def test_a_pipe_that_ends_or_lies_gives_nothing(data: bytes) -> None:
    assert read_message(io.BytesIO(data)) is None


NOISE = """
import os, subprocess, sys
from priorline.work.pipes import read_message, take_over_standard_streams, write_message
requests, events = take_over_standard_streams()
print("a library says something", flush=True)
os.write(1, b"and so does its C part\\n")
subprocess.run([sys.executable, "-c", "print('and a child of it')"])
assert sys.stdin.read() == ""
message = read_message(requests)
write_message(events, message + b"!")
"""


def test_prints_of_libraries_go_to_standard_error() -> None:
    done = subprocess.run([sys.executable, "-c", NOISE], input=b"\5\0\0\0hello", capture_output=True, check=True)
    assert done.stdout == b"\6\0\0\0hello!"
    assert [line.split()[0] for line in done.stderr.splitlines()] == [b"a", b"and", b"and"]


def test_a_process_without_standard_error_works_too() -> None:
    shell = 'exec "$0" -c "$1" 2>&-'
    done = subprocess.run(
        ["/bin/sh", "-c", shell, sys.executable, NOISE], input=b"\5\0\0\0hello", capture_output=True, check=True
    )
    assert done.stdout == b"\6\0\0\0hello!"
