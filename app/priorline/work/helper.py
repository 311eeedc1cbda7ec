"""A helper process and its two pipes, kept alive; what it was doing when it died is asked once more."""

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

import msgspec

from priorline.work.messages import Event, Request, RequestFailed, encode
from priorline.work.pipes import read_message, write_message

LOST = "A helper process ended twice while doing this. Please try again."
# A helper that dies faster than this, this often in a row, is not started again.
MOST_STARTS_IN_A_ROW = 5
SECONDS_TO_END = 3.0


@dataclass(slots=True)
class Outstanding:
    """A request that has not been answered to the end."""

    request: Request
    tries: int = 1


class Helper:
    """Runs `python -m module` and keeps it running; thread-safe.

    `on_event` is called from the reader thread with every event; `greeting` is sent first after every start.
    """

    def __init__(
        self,
        module: str,
        decode: Callable[[bytes], Event],
        on_event: Callable[[Event], None],
        greeting: Request | None = None,
    ) -> None:
        self._command = [sys.executable, "-P", "-m", module]
        self._decode = decode
        self._on_event = on_event
        self._greeting = greeting
        self._lock = threading.Lock()
        self._outstanding: dict[int, Outstanding] = {}
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._closing = False
        self._given_up = False
        self._deaths_in_a_row = 0
        self._process = self._start()
        self._reader = threading.Thread(target=self._keep_reading, name=f"{module} reader", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process number of the helper that runs now."""
        return self._process.pid

    def send(self, request: Request) -> None:
        """Ask; returns at once. The answer comes through `on_event`."""
        with self._lock:
            if not self._given_up:
                self._outstanding[request.number] = Outstanding(request)
                self._outbox.put(encode(request))
                return
        self._on_event(RequestFailed(request.number, LOST))

    def tell(self, request: Request) -> None:
        """Ask without expecting an answer of its own (a cancellation)."""
        with self._lock:
            self._outbox.put(encode(request))

    def kill(self) -> None:
        """End the process at once; it is started again."""
        self._process.kill()

    def close(self) -> None:
        """End the helper and both threads, at the latest after some seconds."""
        with self._lock:
            self._closing = True
            self._outstanding.clear()
        self._outbox.put(None)
        try:
            self._process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment(), close_fds=True
        )
        stream = process.stdin
        assert stream is not None  # noqa: S101 - PIPE was asked for
        self._outbox = queue.SimpleQueue()
        if self._greeting is not None:
            self._outbox.put(encode(self._greeting))
        arguments = (stream, self._outbox)
        self._writer = threading.Thread(target=_keep_writing, args=arguments, name="helper writer", daemon=True)
        self._writer.start()
        return process

    def _keep_reading(self) -> None:
        while self._read_until_lost() and not self._closing:
            self._restart()
        with self._lock:
            self._given_up = True
            numbers = [] if self._closing else list(self._outstanding)
            self._outstanding.clear()
        for number in numbers:
            self._on_event(RequestFailed(number, LOST))

    def _read_until_lost(self) -> bool:
        """Pass on events until the process is gone; false when it should not come back."""
        process, stream = self._process, self._process.stdout
        assert stream is not None  # noqa: S101 - PIPE was asked for
        while (message := read_message(stream)) is not None:
            try:
                event = self._decode(message)
            except msgspec.DecodeError:
                break
            self._deaths_in_a_row = 0
            self._settle(event)
            self._on_event(event)
        self._end(process, stream)
        self._deaths_in_a_row += 1
        return self._deaths_in_a_row < MOST_STARTS_IN_A_ROW

    def _end(self, process: subprocess.Popen[bytes], stream: IO[bytes]) -> None:
        if not self._closing:
            process.kill()
        process.wait()
        self._outbox.put(None)
        self._writer.join()
        stream.close()

    def _settle(self, event: Event) -> None:
        if event.ends:
            with self._lock:
                self._outstanding.pop(event.number, None)

    def _restart(self) -> None:
        with self._lock:
            if self._closing:
                return
            self._process = self._start()
            lost = [number for number, waiting in self._outstanding.items() if waiting.tries > 1]
            given_up = [self._outstanding.pop(number) for number in lost]
            for waiting in self._outstanding.values():
                waiting.tries += 1
                self._outbox.put(encode(waiting.request))
        for waiting in given_up:
            self._on_event(RequestFailed(waiting.request.number, LOST))


def _keep_writing(stream: IO[bytes], outbox: "queue.SimpleQueue[bytes | None]") -> None:
    # An OSError says that the process is gone; the reader sees that too and asks again.
    with contextlib.suppress(OSError):
        while (message := outbox.get()) is not None:
            write_message(stream, message)
    with contextlib.suppress(OSError):
        stream.close()


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": "1"}
