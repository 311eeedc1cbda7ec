"""The first image of a study, fetched while the hospital still lists the others."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Self

from priorline.domain.study import FirstListed


class Scout:
    """Calls `fetch` in a thread of its own with what `Archive.list_study` tells first; a `with` waits for its end.

    `wait` raises what `fetch` raised; so does the end of the `with`, where nothing else was raised in it.
    """

    def __init__(self, fetch: Callable[[FirstListed], None]) -> None:
        self._fetch = fetch
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="first")
        self._running: Future[None] | None = None
        self.sent_for: FirstListed | None = None

    def __call__(self, first: FirstListed) -> None:
        self.sent_for = first
        self._running = self._pool.submit(self._fetch, first)

    def lead(self, seconds: float) -> None:
        """Wait until it has ended, but no longer than so: who lists meanwhile would take turns with it."""
        if self._running is not None:
            wait([self._running], seconds)

    def wait(self) -> None:
        """Wait until it has ended; nothing where it never began."""
        running, self._running = self._running, None
        if running is not None:
            running.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()
        if error is None:
            self.wait()
