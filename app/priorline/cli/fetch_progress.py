"""How far `priorline fetch` is: a bar on a terminal, else now and then a plain line; always on standard error."""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from priorline.cli.output import say
from priorline.work.fetch import Arrived
from priorline.work.progress import FetchProgress, Pace

LINE_SECONDS = 5.0
"""Without a terminal a line comes at most this often, and none for what is over sooner."""


class ShownProgress:
    """A context in which studies are fetched one after another; `console` is where it is shown.

    `clock` gives seconds that only grow. What comes may be told from any thread.
    """

    def __init__(self, studies: int, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._studies, self._clock = studies, clock
        self._lock = threading.Lock()
        self._name, self._at = "", FetchProgress()
        self._pace = Pace(clock)
        self._said = clock()
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), _Words(self._told))
        self._bar = Progress(*columns, console=console, transient=True) if console.is_terminal else None
        self._task = self._bar.add_task("", total=None, visible=False) if self._bar else None

    def __enter__(self) -> Self:
        self._shown: AbstractContextManager[object] = self._bar or nullcontext()
        self._shown.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shown.__exit__(kind, error, trace)

    def begin(self, number: int) -> None:
        """The study with this number, from 1, comes next."""
        with self._lock:
            self._name = f"study {number} of {self._studies}"
            self._at, self._pace, self._said = FetchProgress(), Pace(self._clock), self._clock()
            self._pace.note(0, 0)
        if self._bar is not None and self._task is not None:
            self._bar.reset(self._task, description=self._name, total=None, visible=True)

    def tell(self, arrived: Arrived) -> None:
        """An image of it is here."""
        with self._lock:
            if arrived.bytes < self._at.bytes:
                self._pace = Pace(self._clock)  # another hospital tries
            self._at = FetchProgress(arrived.received, arrived.expected, arrived.bytes)
            self._pace.note(arrived.received, arrived.bytes)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=arrived.received, total=arrived.expected or None)
        elif self._clock() - self._said >= LINE_SECONDS:
            self._said = self._clock()
            say(f"{self._name}: {self._told()}")

    def _told(self) -> str:
        with self._lock:
            at = self._at
            left = self._pace.left(at.expected - at.received)
            told = FetchProgress(at.received, at.expected, at.bytes, self._pace.rate(), left).told()
        return " · ".join(told)


class _Words(ProgressColumn):
    """What is said at the moment in which it is drawn, so that a silence is seen."""

    def __init__(self, told: Callable[[], str]) -> None:
        super().__init__()
        self._told = told

    def render(self, _task: Task) -> Text:
        return Text(self._told())
