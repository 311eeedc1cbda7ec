"""An instance that somebody stores with us: looked at until it is known who waits for it, and only then received."""

from collections.abc import Callable

from pydicom.uid import UID

from priorline.archives.dataset_head import read_head
from priorline.archives.incoming import Announced, Growing, Incoming, put
from priorline.archives.inflow import Unwanted
from priorline.archives.storage_expected import Expected
from priorline.archives.translate import Row
from priorline.errors import PriorlineError

# So much of an instance is taken before it is looked at whether it is wanted.
UNJUDGED_MAX = 1 << 20


class Judged:
    """An `Incoming` that goes to the retrieval that asked for its study, as soon as `judge` names that."""

    def __init__(self, announced: Announced, judge: Callable[[str], Expected | None]) -> None:
        self.announced = announced
        self.head = Row({})
        self.expected: Expected | None = None
        self.incoming: Incoming | None = None
        self._begun = Growing()
        self._judge = judge

    def room(self, length: int) -> memoryview:
        """As `Incoming.room`."""
        if self.incoming is None:
            return self._begun.room(min(length, UNJUDGED_MAX - self._begun.length))
        # Where that fails, `incoming` is by then what takes the rest to nowhere.
        return self._guarded(self.incoming.room, length) or self.incoming.room(length)

    def filled(self, length: int) -> None:
        """As `Incoming.filled`; raises Unwanted where enough has come to see that nobody waits for it."""
        if self.incoming is not None:
            self._guarded(self.incoming.filled, length)
            return
        self._begun.filled(length)
        if self._begun.length >= UNJUDGED_MAX and self.settle() is None:
            raise Unwanted("an instance that nobody asked for")

    def finish(self) -> None:
        """Not here: the retrieval that waits for it finishes `incoming`."""

    def drop(self) -> None:
        """As `Incoming.drop`."""
        if self.incoming is not None:
            self.incoming.drop()

    def settle(self) -> Expected | None:
        """Find out who waits for it, and hand over what has come; None where nobody does."""
        if self.incoming is None:
            begun = self._begun.view()
            syntax = UID(self.announced.transfer_syntax)
            self.head = read_head(bytes(begun), syntax, "StudyInstanceUID") or Row({})
            self.expected = self._judge(self.head.uid("StudyInstanceUID"))
            if self.expected is not None:
                self._hand_over(self.expected, begun)
        return self.expected

    def _hand_over(self, expected: Expected, begun: memoryview) -> None:
        try:
            self.incoming = expected.receiver(self.announced)
            put(self.incoming, begun)
        except PriorlineError as problem:
            self._fail(problem)

    def _guarded(self, act: Callable[[int], memoryview | None], length: int) -> memoryview | None:
        # What goes wrong here belongs to the retrieval and its thread, which meets it when it finishes.
        try:
            return act(length)
        except PriorlineError as problem:
            self._fail(problem)
            return None

    def _fail(self, problem: PriorlineError) -> None:
        if self.incoming is not None:
            self.incoming.drop()
        self.incoming = _Failed(problem)


class _Failed:
    """What is left of an instance that could not be taken."""

    def __init__(self, problem: PriorlineError) -> None:
        self._problem = problem

    def room(self, length: int) -> memoryview:
        return memoryview(bytearray(min(length, UNJUDGED_MAX)))

    def filled(self, length: int) -> None:
        """It goes nowhere."""

    def finish(self) -> None:
        raise self._problem

    def drop(self) -> None:
        """There is nothing left."""
