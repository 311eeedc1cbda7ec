"""One frame decoded in a process of its own, for commands: a codec that crashes costs one message."""

import os
import queue
import tempfile
from pathlib import Path

from priorline.cache.seal import seal
from priorline.imaging.frame import DecodedFrame
from priorline.work.decoders import Answer, Decoders, Wish
from priorline.work.messages import Ticket

HANDLE = bytes(16)


def decode_apart(data: bytes, frame: int) -> DecodedFrame:
    """Decode `frame` (from 0) of the DICOM object `data`; raises CannotDecode."""
    answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
    key = os.urandom(32)
    with tempfile.TemporaryDirectory(prefix="priorline-") as folder:
        path = Path(folder) / "object"
        # Sealed like in the cache: nothing of a patient lies in a temporary file in clear.
        path.write_bytes(seal(data, key, HANDLE + HANDLE))
        decoders = Decoders(1, lambda _number, answer: answers.put(answer))
        try:
            decoders.want("command", Wish(1, Ticket(str(path), HANDLE.hex(), key), frame))
            answer = answers.get()
        finally:
            decoders.close()
    if not isinstance(answer, DecodedFrame):
        raise answer
    return answer
