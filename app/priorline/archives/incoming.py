"""Instances on their way in: announced, then put piece by piece where their receiver wants them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Announced:
    """What its sender says that an instance is, unchecked: two UIDs, and the transfer syntax of what comes."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax: str


@dataclass(frozen=True, slots=True)
class Received(Announced):
    """One whole instance: as announced, and the encoded dataset, untouched."""

    dataset: bytes


class Incoming(Protocol):
    """One instance whose dataset is coming; ends with `finish` or with `drop`, and not with both.

    Everything here may raise, which ends the retrieval and is raised from it.
    """

    def room(self, length: int) -> memoryview:
        """Where to put what comes next: at least one byte, at most `length`."""

    def filled(self, length: int) -> None:
        """So many bytes were put there."""

    def finish(self) -> None:
        """The dataset is whole; its sender is answered after this has returned."""

    def drop(self) -> None:
        """It will not become whole, nothing of it is to stay."""


Receiver = Callable[[Announced], Incoming]


def put(incoming: Incoming, piece: bytes | bytearray | memoryview) -> None:
    """Put bytes that are in memory already."""
    rest = memoryview(piece)
    while rest:
        room = incoming.room(len(rest))
        count = len(room)
        room[:] = rest[:count]
        room.release()
        incoming.filled(count)
        rest = rest[count:]


def take(receiver: Receiver, received: Received) -> None:
    """Give a receiver an instance that is in memory already; raises what it raises."""
    incoming = receiver(received)
    try:
        put(incoming, received.dataset)
    except BaseException:
        incoming.drop()
        raise
    incoming.finish()


class Growing:
    """Bytes in memory that are filled in place."""

    FIRST = 1 << 16

    def __init__(self, begun: bytes = b"", expected: int = FIRST) -> None:
        self._bytes = bytearray(max(expected, len(begun), 1))
        self._bytes[: len(begun)] = begun
        self.length = len(begun)

    def room(self, length: int) -> memoryview:
        """The next `length` bytes, to be filled."""
        if self.length + length > len(self._bytes):
            grown = bytearray(max(2 * len(self._bytes), self.length + length))
            grown[: self.length] = self.view()
            self._bytes = grown
        return memoryview(self._bytes)[self.length : self.length + length]

    def filled(self, length: int) -> None:
        """So many more are there."""
        self.length += length

    def view(self) -> memoryview:
        """What is there, without a copy; true until more comes."""
        return memoryview(self._bytes)[: self.length]


class _Whole(Growing):
    def __init__(self, announced: Announced, on_instance: Callable[[Received], None]) -> None:
        super().__init__()
        self._announced, self._on_instance = announced, on_instance

    def finish(self) -> None:
        told = self._announced
        self._on_instance(
            Received(told.sop_class_uid, told.sop_instance_uid, told.transfer_syntax, bytes(self.view()))
        )

    def drop(self) -> None:
        self.length = 0


def whole(on_instance: Callable[[Received], None]) -> Receiver:
    """A receiver for whoever wants each instance whole and in memory."""
    return lambda announced: _Whole(announced, on_instance)
