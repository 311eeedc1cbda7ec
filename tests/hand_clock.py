"""Seconds that only a test moves."""


class Clock:
    """Stands where `time.monotonic` is."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
