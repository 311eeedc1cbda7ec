"""The images around the one that is shown, decoded before anybody looks for them."""

from collections.abc import Mapping
from itertools import pairwise

from priorline.desk.bridge import Bridge
from priorline.desk.viewer.frames import FrameCache, FrameKey
from priorline.imaging.order import SeriesStack
from priorline.work.messages import CachedInstance

NEAR = 5
"""So many images to each side are looked at next."""
AHEAD = (1, -1, 2, -2, 3, 4)


class LookAhead:
    """What one pane has asked for ahead."""

    def __init__(self, bridge: Bridge, frames: FrameCache, key: str) -> None:
        self._bridge, self._frames, self._key = bridge, frames, key
        self._asked: dict[int, FrameKey] = {}

    def ask(self, stack: SeriesStack, index: int, instances: Mapping[str, CachedInstance]) -> None:
        """Ask for the images around `index`, the nearest first; what was asked for before is forgotten."""
        self._asked.clear()
        for offset in AHEAD:
            place = index + offset
            if 0 <= place < len(stack.items):
                uid, frame = stack.items[place]
                ticket = instances[uid].ticket
                key = (ticket.handle, frame)
                if key not in self._frames:
                    self._asked[self._bridge.want_frame_later(f"{self._key} {offset}", ticket, frame)] = key

    def answered(self, number: int) -> FrameKey | None:
        """What the request with this number was for, once; None where it is not one of these."""
        return self._asked.pop(number, None)

    def forget(self) -> None:
        """Nothing of it is wanted any more."""
        self._asked.clear()


def lacking_near(stack: SeriesStack, index: int, instances: Mapping[str, CachedInstance]) -> tuple[str, str] | None:
    """Series and image at `index`, where images around it may be missing: beyond an end, or where numbers leap."""
    around = range(index - NEAR, index + NEAR + 1)
    inside = around[0] >= 0 and around[-1] < len(stack.items)
    uids = dict.fromkeys(stack.items[place][0] for place in around) if inside else {}
    numbers = [instances[uid].header.instance_number for uid in uids]
    leaps = (one is None or two is None or abs(two - one) > 1 for one, two in pairwise(numbers))
    return None if inside and not any(leaps) else (stack.series_uid, stack.items[index][0])
