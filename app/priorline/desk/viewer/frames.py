"""Decoded frames that are kept: the ones on the screen and those around them, within a budget of bytes."""

from collections import OrderedDict

from priorline.imaging.frame import DecodedFrame

BUDGET_BYTES = 1024**3

FrameKey = tuple[str, int]


class FrameCache:
    """Least recently used frames go first; keys are (object handle, frame)."""

    def __init__(self, budget: int = BUDGET_BYTES) -> None:
        self._budget = budget
        self._bytes = 0
        self._frames: OrderedDict[FrameKey, DecodedFrame] = OrderedDict()

    def get(self, key: FrameKey) -> DecodedFrame | None:
        """The frame, which is then the most recently used."""
        frame = self._frames.get(key)
        if frame is not None:
            self._frames.move_to_end(key)
        return frame

    def __contains__(self, key: FrameKey) -> bool:
        return key in self._frames

    def put(self, key: FrameKey, frame: DecodedFrame) -> None:
        """Keep a frame; one that is larger than the budget is kept alone."""
        if key in self._frames:
            return
        self._frames[key] = frame
        self._bytes += frame.array.nbytes
        while self._bytes > self._budget and len(self._frames) > 1:
            _, dropped = self._frames.popitem(last=False)
            self._bytes -= dropped.array.nbytes

    def clear(self) -> None:
        """Forget everything: another patient."""
        self._frames.clear()
        self._bytes = 0
