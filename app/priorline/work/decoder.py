"""A decoder: the process that parses and decodes cached files into shared memory; no network, killed when slow.

Started as `python -m priorline.work.decoder`.
"""

from collections.abc import Callable
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import msgspec
import numpy as np

from priorline.cache.sealed_file import read_object
from priorline.errors import CacheDamaged, PriorlineError
from priorline.imaging.decode import decode_frame
from priorline.work.decoder_messages import (
    DecoderEvent,
    FrameDecoded,
    FrameRequest,
    ObjectDamaged,
    SlotTooSmall,
    decode_frame_request,
)
from priorline.work.messages import Ready, RequestFailed, encode
from priorline.work.own_process import end_at, settle_in
from priorline.work.pipes import read_message, take_over_standard_streams, write_message

# Longer than the window waits before it kills; so this only ends a decoder whose window has died.
SECONDS_ALONE = 60.0


def decode_into_slot(request: FrameRequest) -> DecoderEvent:
    """Read, check and decode one frame; whatever is wrong with it becomes a sentence."""
    try:
        data = read_object(Path(request.ticket.path), request.ticket.key, request.ticket.handle)
        frame = decode_frame(data, request.frame)
    except CacheDamaged as problem:
        return ObjectDamaged(request.number, str(problem))
    except PriorlineError as problem:
        return RequestFailed(request.number, str(problem))
    if frame.array.nbytes > request.capacity:
        return SlotTooSmall(request.number, frame.array.nbytes)
    slot = SharedMemory(request.slot)
    try:
        _copy(frame.array, slot)
    finally:
        slot.close()
    bits = frame.array.dtype.itemsize * 8
    return FrameDecoded(request.number, frame.array.shape, bits, frame.mapping, frame.header)


def _copy(array: "np.ndarray[tuple[int, ...], np.dtype[np.uint8 | np.uint16]]", slot: SharedMemory) -> None:
    # In a function of its own, because the view must be gone before the slot can be closed.
    target = np.ndarray(array.shape, array.dtype, buffer=slot.buf)
    target[...] = array


def main() -> None:
    """Serve until the window closes the pipe."""
    settle_in()
    # The window owns the slots; without this the end of a decoder would take them away (Python before 3.13).
    not_ours: Callable[[str, str], None] = lambda _name, _kind: None  # noqa: E731
    resource_tracker.register = not_ours  # type: ignore[assignment]
    requests, events = take_over_standard_streams()
    write_message(events, encode(Ready(0)))
    while (message := read_message(requests)) is not None:
        try:
            request = decode_frame_request(message)
        except msgspec.DecodeError:
            return
        end_at(SECONDS_ALONE)
        answer = decode_into_slot(request)
        end_at(0)
        write_message(events, encode(answer))


if __name__ == "__main__":
    main()
