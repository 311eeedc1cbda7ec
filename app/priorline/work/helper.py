"""A helper process and its two pipes, kept alive; what it was doing when it died is asked once more."""

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from priorline.errors import WorkerLost
from priorline.work.messages import Event, Ready, Request, RequestFailed, encode
from priorline.work.pipes import read_message, write_message

LOST = "A helper process ended twice while doing this. Please try again."
STOPPED = "This was stopped."
NOT_STARTING = "A helper process does not start. Please close the program and open it again."
# A helper that dies before it is ready, this often in a row, is not started again.
MOST_FAILED_STARTS = 5
SECONDS_BETWEEN_FAILED_STARTS = 0.2
MOST_DEATHS = 2
SECONDS_TO_END = 3.0


@dataclass(slots=True)
class Outstanding:
    """A request that has not been answered to the end; `deaths` counts the processes that died over it."""

    request: Request
    deaths: int = 0
    cancelled: bool = False


class Helper:
    """Runs `python -m module` and keeps it running; thread-safe.

    `on_event` is called with every event, always from the helper's own thread and never under a lock; `greeting` is
    sent first after every start, and each process inherits the descriptors `inherited`. `close` gives the process
    `seconds_to_end` to end by itself. Raises WorkerLost where the first start is not possible.
    """

    def __init__(
        self,
        module: str,
        decode: Callable[[bytes], Event],
        on_event: Callable[[Event], None],
        greeting: Request | None = None,
        seconds_to_end: float = SECONDS_TO_END,
        inherited: Sequence[int] = (),
    ) -> None:
        self._command = [sys.executable, "-P", "-m", module]
        self._inherited = inherited
        self._decode, self._on_event, self._greeting = decode, on_event, greeting
        self._seconds_to_end = seconds_to_end
        self._lock = threading.Lock()
        self._outstanding: dict[int, Outstanding] = {}
        self._closing = threading.Event()
        self._failed_starts = 0
        self._run = self._begin()
        self._outbox = self._run.outbox
        self._keeper = threading.Thread(target=self._keep, name=f"{module} keeper", daemon=True)
        self._keeper.start()

    @property
    def pid(self) -> int:
        """Process number of the helper that runs now."""
        return self._run.process.pid

    def send(self, request: Request) -> None:
        """Ask; returns at once. The answer comes through `on_event`, also where there is no helper any more."""
        with self._lock:
            self._outstanding[request.number] = Outstanding(request)
            self._outbox.put(encode(request))

    def tell(self, request: Request) -> None:
        """Pass on what has no answer, and is not asked again; a request with the same number is cancelled by it."""
        with self._lock:
            asked = self._outstanding.get(request.number)
            if asked is not None:
                asked.cancelled = True
            self._outbox.put(encode(request))

    def kill(self) -> None:
        """End the process at once; it is started again."""
        self._run.process.kill()

    def close(self) -> None:
        """End the helper and its threads, at the latest after some seconds; nothing is told afterwards."""
        with self._lock:
            self._closing.set()
            self._outstanding.clear()
            self._outbox.put(None)
        self._keeper.join(self._seconds_to_end)
        if self._keeper.is_alive():
            self.kill()
            self._keeper.join()

    def _begin(self) -> "_Run":
        return _Run(self._command, self._greeting, self._inherited)

    def _keep(self) -> None:
        self._listen(self._run)
        while self._revive():
            self._listen(self._run)
        self._refuse_until_closed()

    def _listen(self, run: "_Run") -> None:
        """Pass on events until the process is gone."""
        ready = False
        for event in run.events(self._decode):
            if isinstance(event, Ready):
                if ready:
                    break
                ready = True
            self._settle(event)
            self._on_event(event)
        if not self._closing.is_set():
            run.process.kill()
        run.end()
        self._failed_starts = 0 if ready else self._failed_starts + 1
        # One that never came as far as reading requests did not die of one.
        if ready:
            self._fail_what_it_died_of()

    def _settle(self, event: Event) -> None:
        if event.ends:
            with self._lock:
                self._outstanding.pop(event.number, None)

    def _fail_what_it_died_of(self) -> None:
        with self._lock:
            for asked in self._outstanding.values():
                asked.deaths += 1
            over = {n: one for n, one in self._outstanding.items() if one.cancelled or one.deaths >= MOST_DEATHS}
            for number in over:
                del self._outstanding[number]
        for number, asked in over.items():
            self._on_event(RequestFailed(number, STOPPED if asked.cancelled else LOST))

    def _revive(self) -> bool:
        """Start again and ask again; false where that is not wanted or does not succeed."""
        while self._failed_starts < MOST_FAILED_STARTS:
            if self._closing.wait(SECONDS_BETWEEN_FAILED_STARTS if self._failed_starts else 0):
                return False
            # Outside the lock, because `send` must not wait for a start.
            try:
                run = self._begin()
            except WorkerLost:
                self._failed_starts += 1
                continue
            if self._take_over(run):
                return True
            run.process.kill()
            run.end()
        return False

    def _take_over(self, run: "_Run") -> bool:
        with self._lock:
            if self._closing.is_set():
                return False
            self._run, self._outbox = run, run.outbox
            for asked in self._outstanding.values():
                run.outbox.put(encode(asked.request))
        return True

    def _refuse_until_closed(self) -> None:
        """Nothing runs any more: whatever is asked from now on fails with a sentence, and still from this thread."""
        with self._lock:
            if self._closing.is_set():
                return
            outbox = self._outbox = queue.SimpleQueue()
        while not self._closing.is_set():
            with self._lock:
                numbers = list(self._outstanding)
                self._outstanding.clear()
            for number in numbers:
                self._on_event(RequestFailed(number, NOT_STARTING))
            outbox.get()


class _Run:
    """One life of the process, with the thread that writes to it; raises WorkerLost where it cannot be started."""

    def __init__(self, command: list[str], greeting: Request | None, inherited: Sequence[int]) -> None:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        try:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, pass_fds=inherited
            )
        except OSError as problem:
            raise WorkerLost(f"A helper process cannot be started ({problem.strerror}).") from problem
        self.outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        if greeting is not None:
            self.outbox.put(encode(greeting))
        self._writer = threading.Thread(target=self._keep_writing, name="helper writer", daemon=True)
        self._writer.start()

    def events(self, decode: Callable[[bytes], Event]) -> Iterator[Event]:
        """Events until the pipe ends or carries something else."""
        stream = self.process.stdout
        assert stream is not None  # noqa: S101 - PIPE was asked for
        while (message := read_message(stream)) is not None:
            try:
                event = decode(message)
            except msgspec.DecodeError:
                return
            yield event

    def end(self) -> None:
        """Wait for the process to end and let go of thread and pipes."""
        self.process.wait()
        self.outbox.put(None)
        self._writer.join()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def _keep_writing(self) -> None:
        stream = self.process.stdin
        assert stream is not None  # noqa: S101 - PIPE was asked for
        # An OSError says that the process is gone; the reading side sees that too and asks again.
        with contextlib.suppress(OSError):
            while (message := self.outbox.get()) is not None:
                write_message(stream, message)
        with contextlib.suppress(OSError):
            stream.close()
