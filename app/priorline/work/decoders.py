"""The decoders as the window sees them: ask for a frame, get an array; a newer wish replaces an older one.

Two queues: what a pane waits for, and what may be wanted next. Decoding never waits behind fetching, and a decoder
that takes too long or dies costs one frame.
"""

import math
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.shared_memory import SharedMemory

import numpy as np

from priorline.errors import CacheDamaged, CannotDecode
from priorline.imaging.frame import DecodedFrame, ValueMapping
from priorline.work.decoder_messages import (
    FrameDecoded,
    FrameRequest,
    ObjectDamaged,
    SlotTooSmall,
    decode_decoder_event,
)
from priorline.work.helper import Helper
from priorline.work.messages import Event, Ready, RequestFailed, Ticket

SECONDS_PER_FRAME = 10.0
SMALLEST_SLOT = 2 * 1024 * 1024
LARGEST_SLOT = 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Wish:
    """A frame that is wanted; `number` identifies it to whoever asked."""

    number: int
    ticket: Ticket
    frame: int


Answer = DecodedFrame | CannotDecode | CacheDamaged


class Slot:
    """One decoder with its shared memory and the wish that it works on."""

    def __init__(self, on_event: Callable[["Slot", Event], None]) -> None:
        self.wish: Wish | None = None
        self.since = math.inf
        self._grown = False
        self._memory = SharedMemory(create=True, size=SMALLEST_SLOT)
        with ExitStack() as unless_started:
            unless_started.callback(self._drop, self._memory)
            # A decoder holds nothing that would be lost, so that closing never waits for a slow picture.
            self._helper = Helper(
                "priorline.work.decoder",
                decode_decoder_event,
                lambda event: on_event(self, event),
                seconds_to_end=0.0,
            )
            unless_started.pop_all()

    @property
    def pid(self) -> int:
        """Process number of the decoder."""
        return self._helper.pid

    def start(self, wish: Wish) -> None:
        """Send the wish to the decoder."""
        self._grown = self._grown and wish is self.wish
        self.wish = wish
        self.restart_clock()
        request = FrameRequest(wish.number, wish.ticket, wish.frame, self._memory.name, self._memory.size)
        self._helper.send(request)

    def restart_clock(self) -> None:
        """The time that a frame may take begins now."""
        self.since = time.monotonic()

    def grow(self, needed: int) -> bool:
        """Replace the memory by one of `needed` bytes; false where that is more than any picture may need.

        Once for each wish: the second time a decoder does not tell the truth.
        """
        if self._grown or not self._memory.size < needed <= LARGEST_SLOT:
            return False
        try:
            memory = SharedMemory(create=True, size=needed)
        except OSError:
            return False
        self._drop(self._memory)
        self._memory, self._grown = memory, True
        return True

    def take(self, decoded: FrameDecoded) -> Answer:
        """Copy the pixels out, after checking that they are inside the slot and that the picture makes sense."""
        if not is_sensible(decoded, self._memory.size):
            return CannotDecode("The decoder gave an impossible picture.")
        item = np.dtype(np.uint8 if decoded.bits == 8 else np.uint16)
        array = np.ndarray(decoded.shape, item, buffer=self._memory.buf).copy()
        return DecodedFrame(array, decoded.mapping, decoded.header)

    def kill(self) -> None:
        """End a decoder that takes too long; it comes back and the frame is tried once more."""
        self.restart_clock()
        self._helper.kill()

    def close(self) -> None:
        """End the decoder and give the memory back."""
        self._helper.close()
        self._drop(self._memory)

    @staticmethod
    def _drop(memory: SharedMemory) -> None:
        memory.close()
        memory.unlink()


class Decoders:
    """A small pool; thread-safe. `on_answer(number, answer)` is called from the helpers' threads, without a lock.

    A decoder that works longer than `seconds_per_frame` is killed, twice for one frame at the most.
    """

    def __init__(
        self, count: int, on_answer: Callable[[int, Answer], None], seconds_per_frame: float = SECONDS_PER_FRAME
    ) -> None:
        self._lock = threading.Lock()
        self._on_answer, self._seconds = on_answer, seconds_per_frame
        self._urgent: dict[str, Wish] = {}
        self._later: dict[str, Wish] = {}
        self._closing = threading.Event()
        self._slots: list[Slot] = []
        with ExitStack() as unless_started:
            unless_started.callback(self._close_slots)
            for _ in range(count):
                self._slots.append(Slot(self._hear))
            unless_started.pop_all()
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
        """End all decoders; nothing is answered afterwards."""
        self._closing.set()
        self._watch.join()
        self._close_slots()

    def _close_slots(self) -> None:
        slots, self._slots = self._slots, []
        for slot in slots:
            slot.close()

    def _hand_out(self) -> None:
        if self._closing.is_set():
            return
        for slot in self._slots:
            waiting = self._urgent or self._later
            if slot.wish is None and waiting:
                slot.start(waiting.pop(next(iter(waiting))))

    def _hear(self, slot: Slot, event: Event) -> None:
        with self._lock:
            wish = slot.wish
            if isinstance(event, Ready) and wish is not None:
                # Starting a process is not the picture's fault.
                slot.restart_clock()
            if wish is None or not event.ends or event.number != wish.number:
                return
            if isinstance(event, SlotTooSmall) and slot.grow(event.needed):
                slot.start(wish)
                return
            slot.since = math.inf
        # Without the lock, since `want` must not wait for a large copy; the slot stays taken until it is done.
        answer = _answer(slot, event)
        with self._lock:
            slot.wish = None
            self._hand_out()
        self._on_answer(wish.number, answer)

    def _keep_watch(self) -> None:
        while not self._closing.wait(min(0.5, self._seconds / 4)):
            with self._lock:
                now = time.monotonic()
                for slot in self._slots:
                    if slot.wish is not None and now - slot.since > self._seconds:
                        slot.kill()


def _answer(slot: Slot, event: Event) -> Answer:
    if isinstance(event, FrameDecoded):
        return slot.take(event)
    if isinstance(event, ObjectDamaged):
        return CacheDamaged(event.message)
    if isinstance(event, RequestFailed):
        return CannotDecode(event.message)
    return CannotDecode("The picture is larger than this program shows.")


def is_sensible(decoded: FrameDecoded, room: int) -> bool:
    """Whether pixels of this shape fit into `room` bytes, and no number in the mapping would upset who paints them.

    A decoder reads foreign files and may have been taken over by one.
    """
    shape, mapping = decoded.shape, decoded.mapping
    colour = mapping.photometric == "rgb"
    dimensions = (3, 3) if colour else (2, shape[-1] if shape else 0)
    fits = min(shape, default=0) > 0 and math.prod(shape) * (decoded.bits // 8) <= room
    return (
        (len(shape), shape[-1] if shape else 0) == dimensions
        and fits
        and decoded.bits in ((8,) if colour else (8, 16))
        and mapping.bits == decoded.bits
        and _is_sensible_mapping(mapping)
    )


def _is_sensible_mapping(mapping: ValueMapping) -> bool:
    highest = 2**mapping.bits - 1
    tables = [table for table in (mapping.modality_lut, *mapping.voi_luts) if table is not None]
    numbers = [mapping.slope, mapping.intercept, *(table.first for table in tables)]
    numbers += [number for window in mapping.windows for number in (window.center, window.width)]
    levels = [mapping.minimum, mapping.maximum, *(mapping.padding or ())]
    return (
        mapping.photometric in ("grey", "rgb")
        and all(math.isfinite(number) for number in numbers)
        and all(0 <= level <= highest for level in levels)
        and all(window.width > 0 for window in mapping.windows)
        and all(table.entries and len(table.entries) % 2 == 0 and 0 < table.bits <= 16 for table in tables)
    )
