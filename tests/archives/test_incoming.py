"""Instances in memory, given to a receiver."""

import pytest

from priorline.archives.incoming import Announced, Received, take
from priorline.errors import CacheFull

RECEIVED = Received("1.2", "1.2.3", "1.2.840.10008.1.2.1", bytes(1000))


class Counting:
    """An `Incoming` that has room for so many bytes, and notes how it ended."""

    def __init__(self, room: int) -> None:
        self.ends: list[str] = []
        self._left = room

    def room(self, length: int) -> memoryview:
        return memoryview(bytearray(min(length, 300)))

    def filled(self, length: int) -> None:
        self._left -= length
        if self._left < 0:
            raise CacheFull("There is no room.")

    def finish(self) -> None:
        self.ends.append("finished")

    def drop(self) -> None:
        self.ends.append("dropped")


def test_a_whole_one_is_finished() -> None:
    incoming = Counting(1000)
    take(lambda _announced: incoming, RECEIVED)
    assert incoming.ends == ["finished"]


def test_one_for_which_there_is_no_room_is_dropped() -> None:
    incoming = Counting(600)

    def receiver(announced: Announced) -> Counting:
        assert announced is RECEIVED
        return incoming

    with pytest.raises(CacheFull):
        take(receiver, RECEIVED)
    assert incoming.ends == ["dropped"]
