"""Whole messages over a byte pipe: four bytes of length, then the message."""

import os
import struct
import sys
from typing import IO, BinaryIO

# The largest message is the contents of a study with some ten thousand instances.
LARGEST_MESSAGE = 64 * 1024 * 1024
_LENGTH = struct.Struct("<I")


def write_message(stream: IO[bytes], message: bytes) -> None:
    """Write one message and flush; raises OSError where the other side is gone."""
    stream.write(_LENGTH.pack(len(message)) + message)
    stream.flush()


def read_message(stream: IO[bytes]) -> bytes | None:
    """The next message, or None where the pipe ended or the other side does not keep to the format."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > LARGEST_MESSAGE:
        return None
    body = stream.read(length)
    return body if len(body) == length else None


def take_over_standard_streams() -> tuple[BinaryIO, BinaryIO]:
    """The helper's pipes, moved away from descriptors 0 and 1 so that no library's print can garble a message."""
    # First, so that it takes the place of a standard error that a window without a console does not have.
    nowhere = os.open(os.devnull, os.O_RDWR)
    requests = os.fdopen(os.dup(0), "rb")
    events = os.fdopen(os.dup(1), "wb")
    os.dup2(nowhere, 0)
    os.dup2(2 if sys.stderr is not None else nowhere, 1)
    if nowhere > 2:
        os.close(nowhere)
    sys.stdout = sys.stderr
    return requests, events
