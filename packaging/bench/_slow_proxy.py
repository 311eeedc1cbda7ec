"""A TCP proxy on loopback that hands on what it gets a fixed time later, in both directions, at any bandwidth.

Run as a program it serves one target until its standard input ends, so that it takes no time of whoever measures:
`_slow_proxy.py TARGET_PORT MILLISECONDS` prints its own port. Setting up the connection is not delayed, which favours
whoever opens many; what is sent over it is.

A line takes no processor time, and this is measured on two cores: each direction reads into buffers that are used
again, and hands them on as they are. Nor does a line hold back acknowledgements for 40 ms, as the end of a connection
does: they are sent at once, for whoever is measured.
"""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue

HOST = "127.0.0.1"
EACH_WAY = 10.0
# More than a line of 10 ms holds at the speed of memory; beyond this the sender has to wait for the reader.
BLOCK, BLOCKS_MOST = 1 << 18, 256


class _Direction:
    """What goes from one socket to another, `delay` seconds later: one thread takes it in, one hands it on."""

    def __init__(self, source: socket.socket, target: socket.socket, delay: float) -> None:
        self._source, self._target, self._delay = source, target, delay
        self._line: SimpleQueue[tuple[float, memoryview, int]] = SimpleQueue()
        self._free: SimpleQueue[memoryview] = SimpleQueue()
        self._made = 0

    def start(self) -> None:
        """Begin; ends when either side does."""
        for act in (self._take_in, self._hand_on):
            threading.Thread(target=act, daemon=True).start()

    def _take_in(self) -> None:
        count = 1
        while count:
            block = self._block()
            try:
                count = self._source.recv_into(block)
                # Linux forgets it after use.
                self._source.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            except OSError:
                count = 0
            self._line.put((time.monotonic() + self._delay, block, count))

    def _block(self) -> memoryview:
        if self._free.empty() and self._made < BLOCKS_MOST:
            self._made += 1
            return memoryview(bytearray(BLOCK))
        return self._free.get()

    def _hand_on(self) -> None:
        while True:
            due, block, count = self._line.get()
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                if count:
                    self._target.sendall(block[:count])
                else:
                    self._target.shutdown(socket.SHUT_WR)
                    return
            except OSError:
                # Whoever took it is gone: so is the other end, and what still comes from there is read by nobody.
                with suppress(OSError):
                    self._source.shutdown(socket.SHUT_RDWR)
                return
            self._free.put(block)


def _serve(target: int, delay: float) -> None:
    with socket.create_server((HOST, 0), backlog=64) as server:
        print(server.getsockname()[1], flush=True)
        threading.Thread(target=_accept, args=(server, target, delay), daemon=True).start()
        sys.stdin.read()


def _accept(server: socket.socket, target: int, delay: float) -> None:
    while True:
        near, _ = server.accept()
        try:
            far = socket.create_connection((HOST, target))
        except OSError:
            near.close()
            continue
        for one in (near, far):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _Direction(near, far, delay).start()
        _Direction(far, near, delay).start()


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


if __name__ == "__main__":
    _serve(int(sys.argv[1]), float(sys.argv[2]) / 1000)
