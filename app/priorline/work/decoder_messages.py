"""What the window asks of a decoder and what that answers; encoded like all messages."""

from typing import ClassVar

import msgspec

from priorline.imaging.frame import ValueMapping
from priorline.imaging.instance import InstanceHeader
from priorline.work.messages import Event, Ready, Request, RequestFailed, Ticket, only_decode_errors


class FrameRequest(Request, frozen=True):
    """Decode one frame (from 0) into the shared memory `slot` of `capacity` bytes."""

    ticket: Ticket
    frame: int
    slot: str
    capacity: int


class FrameDecoded(Event, frozen=True):
    """Pixels are in the slot: `shape` rows, columns (and 3), `bits` 8 or 16."""

    shape: tuple[int, ...]
    bits: int
    mapping: ValueMapping
    header: InstanceHeader
    ends: ClassVar[bool] = True


class ObjectDamaged(Event, frozen=True):
    """The cached object is not what was written; `message` is a sentence for the user."""

    message: str
    ends: ClassVar[bool] = True


class SlotTooSmall(Event, frozen=True):
    """The frame needs a slot of `needed` bytes; ask again with one."""

    needed: int
    ends: ClassVar[bool] = True


DecoderEvent = FrameDecoded | ObjectDamaged | SlotTooSmall | RequestFailed | Ready

decode_frame_request = only_decode_errors(msgspec.msgpack.Decoder(FrameRequest).decode)
decode_decoder_event = only_decode_errors(msgspec.msgpack.Decoder(DecoderEvent).decode)
