"""The decoders as the window sees them: ask for a frame, get an array; a newer wish replaces an older one.

Two queues: what a pane waits for, and what may be wanted next. Decoding never waits behind fetching, and a decoder
that takes too long or dies costs one frame.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.shared_memory import SharedMemory

import numpy as np

from priorline.errors import CannotDecode
from priorline.imaging.frame import DecodedFrame
from priorline.work.helper import Helper
from priorline.work.messages import (
    Event,
    FrameDecoded,
    FrameRequest,
    RequestFailed,
    SlotTooSmall,
    Ticket,
    decode_decoder_event,
)

SECONDS_PER_FRAME = 10.0
SMALLEST_SLOT = 2 * 1024 * 1024
LARGEST_SLOT = 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Wish:
    """A frame that is wanted; `number` identifies it to whoever asked."""

    number: int
    ticket: Ticket
    frame: int


Answer = DecodedFrame | CannotDecode


class Slot:
    """One decoder with its shared memory and the wish that it works on."""

    def __init__(self, on_event: Callable[["Slot", Event], None]) -> None:
        self.wish: Wish | None = None
        self.since = 0.0
        self._memory = SharedMemory(create=True, size=SMALLEST_SLOT)
        self._helper = Helper("priorline.work.decoder", decode_decoder_event, lambda event: on_event(self, event))

    @property
    def pid(self) -> int:
        """Process number of the decoder."""
        return self._helper.pid

    def start(self, wish: Wish) -> None:
        """Send the wish to the decoder."""
        self.wish, self.since = wish, time.monotonic()
        request = FrameRequest(wish.number, wish.ticket, wish.frame, self._memory.name, self._memory.size)
        self._helper.send(request)

    def grow(self, needed: int) -> bool:
        """Replace the memory by one of `needed` bytes; false where that is more than any picture may need."""
        if not self._memory.size < needed <= LARGEST_SLOT:
            return False
        self._drop_memory()
        self._memory = SharedMemory(create=True, size=needed)
        return True

    def take(self, decoded: FrameDecoded) -> Answer:
        """Copy the pixels out, after checking that they are inside the slot."""
        item = np.dtype(np.uint8 if decoded.bits == 8 else np.uint16)
        sensible = decoded.bits in (8, 16) and len(decoded.shape) in (2, 3) and min(decoded.shape) > 0
        if not sensible or int(np.prod(decoded.shape)) * item.itemsize > self._memory.size:
            return CannotDecode("The decoder gave an impossible picture.")
        array = np.ndarray(decoded.shape, item, buffer=self._memory.buf).copy()
        return DecodedFrame(array, decoded.mapping, decoded.header)

    def kill(self) -> None:
        """End a decoder that takes too long; it comes back and the frame is tried once more."""
        self.since = time.monotonic()
        self._helper.kill()

    def close(self) -> None:
        """End the decoder and give the memory back."""
        self._helper.close()
        self._drop_memory()

    def _drop_memory(self) -> None:
        self._memory.close()
        self._memory.unlink()


class Decoders:
    """A small pool; thread-safe. `on_answer(number, answer)` is called from reader threads."""

    def __init__(self, count: int, on_answer: Callable[[int, Answer], None]) -> None:
        self._lock = threading.RLock()
        self._on_answer = on_answer
        self._urgent: dict[str, Wish] = {}
        self._later: dict[str, Wish] = {}
        self._closing = threading.Event()
        self._slots = [Slot(self._hear) for _ in range(count)]
        self._watch = threading.Thread(target=self._keep_watch, name="decoder watch", daemon=True)
        self._watch.start()

    @property
    def pids(self) -> tuple[int, ...]:
        """Process numbers of the decoders that run now."""
        return tuple(slot.pid for slot in self._slots)

    def want(self, key: str, wish: Wish) -> None:
        """Ask for a frame that somebody looks for; replaces an unstarted wish of the same `key`."""
        with self._lock:
            self._urgent[key] = wish
            self._later.pop(key, None)
            self._hand_out()

    def want_later(self, key: str, wish: Wish) -> None:
        """Ask for a frame that may be looked for next; done only when nobody waits."""
        with self._lock:
            self._later[key] = wish
            self._hand_out()

    def forget_later(self) -> None:
        """Drop every wish that nobody waits for."""
        with self._lock:
            self._later.clear()

    def close(self) -> None:
        """End all decoders."""
        self._closing.set()
        self._watch.join()
        for slot in self._slots:
            slot.close()

    def _hand_out(self) -> None:
        for slot in self._slots:
            waiting = self._urgent or self._later
            if slot.wish is None and waiting:
                slot.start(waiting.pop(next(iter(waiting))))

    def _hear(self, slot: Slot, event: Event) -> None:
        with self._lock:
            wish = slot.wish
            if wish is None or event.number != wish.number:
                return
            if isinstance(event, SlotTooSmall) and slot.grow(event.needed):
                slot.start(wish)
                return
            answer = _answer(slot, event)
            slot.wish = None
            self._hand_out()
        self._on_answer(wish.number, answer)

    def _keep_watch(self) -> None:
        while not self._closing.wait(0.5):
            with self._lock:
                now = time.monotonic()
                slow = [one for one in self._slots if one.wish and now - one.since > SECONDS_PER_FRAME]
                for slot in slow:
                    slot.kill()


def _answer(slot: Slot, event: Event) -> Answer:
    if isinstance(event, FrameDecoded):
        return slot.take(event)
    if isinstance(event, RequestFailed):
        return CannotDecode(event.message)
    return CannotDecode("The picture is larger than this program shows.")
