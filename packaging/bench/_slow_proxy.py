"""A TCP proxy on loopback that hands on what it gets a fixed time later, in both directions, at any bandwidth.

Run as a program it serves one target until its standard input ends, so that it takes no time of whoever measures:
`_slow_proxy.py TARGET_PORT MILLISECONDS` prints its own port. Setting up the connection is not delayed, which favours
whoever opens many; what is sent over it is.
"""

import asyncio
import selectors
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOST = "127.0.0.1"
EACH_WAY = 10.0
# More than a line of 10 ms holds at the speed of memory; beyond this the sender has to wait for the reader.
HELD_MAX = 64 << 20


class _End(asyncio.Protocol):
    """One end of a connection; `line` has what is on its way from here to the `other` end."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.other: _End | None = None
        self.transport: asyncio.Transport | None = None
        self.line: deque[bytes] = deque()
        self.held = 0
        self.is_choked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(HELD_MAX)

    def data_received(self, data: bytes) -> None:
        self._send_off(data)
        self.held += len(data)
        self.adjust()

    def eof_received(self) -> bool:
        self._send_off(b"")
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._send_off(b"")

    def pause_writing(self) -> None:
        self.is_choked = True
        if self.other is not None:
            self.other.adjust()

    def resume_writing(self) -> None:
        self.is_choked = False
        if self.other is not None:
            self.other.adjust()

    def adjust(self) -> None:
        """Read on only where there is place for it."""
        assert self.transport is not None
        if self.transport.is_closing():
            return
        if self.held > HELD_MAX or (self.other is not None and self.other.is_choked):
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def _send_off(self, data: bytes) -> None:
        self.line.append(data)
        asyncio.get_running_loop().call_later(self.delay, self._arrive)

    def _arrive(self) -> None:
        data = self.line.popleft()
        self.held -= len(data)
        target = self.other.transport if self.other is not None else None
        if target is None or target.is_closing():
            return
        if data:
            target.write(data)
            self.adjust()
        elif self.transport is not None and self.transport.is_closing():
            target.close()
        elif target.can_write_eof():
            target.write_eof()


class _Accepted(_End):
    """The end of whoever connects here; nothing is read from it before the target is reached."""

    def __init__(self, delay: float, target: int) -> None:
        super().__init__(delay)
        self.target = target
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self.transport is not None
        self.transport.pause_reading()
        self.task = asyncio.get_running_loop().create_task(self._reach())

    async def _reach(self) -> None:
        assert self.transport is not None
        end = _End(self.delay)
        end.other = self
        try:
            await asyncio.get_running_loop().create_connection(lambda: end, HOST, self.target)
        except OSError:
            self.transport.abort()
            return
        self.other = end
        self.transport.resume_reading()


async def _serve(target: int, delay: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Accepted(delay, target), HOST, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


@contextmanager
def slow_proxy(target: int, each_way: float = EACH_WAY) -> Iterator[int]:
    """The port of a running proxy to a loopback port, `each_way` in milliseconds."""
    line = [sys.executable, str(Path(__file__).resolve()), str(target), str(each_way)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()


def main() -> None:
    """Serve until standard input ends."""
    target, each_way = int(sys.argv[1]), float(sys.argv[2])
    # epoll counts in whole milliseconds, select does not.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    try:
        loop.run_until_complete(_serve(target, each_way / 1000))
    finally:
        loop.close()


if __name__ == "__main__":
    main()
