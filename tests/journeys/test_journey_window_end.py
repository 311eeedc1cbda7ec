"""The window ends when it is told to, also in the middle of a hospital that stalls, and takes its helpers with it."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from journey_tools import hospital, write_config

from priorline.archives.base import DicomPeer

SECONDS = 60.0
HALF_A_HEADER = b"\x02\x00"


class StallingHospital:
    """Takes a connection, says `first`, and then nothing more; `asked` is set once somebody came."""

    def __init__(self, first: bytes) -> None:
        self.asked = threading.Event()
        self._first = first
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> "StallingHospital":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(SECONDS)

    @property
    def peer(self) -> DicomPeer:
        return DicomPeer("Stalling", "STALLS", "127.0.0.1", self._listener.getsockname()[1], "PRIORLINE")

    def _serve(self) -> None:
        with suppress(OSError):
            connection, _ = self._listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(self._first)
                self.asked.set()
                while connection.recv(65536):
                    pass


@contextmanager
def open_window(folder: Path, peer: DicomPeer) -> Iterator[subprocess.Popen[bytes]]:
    program = write_config(folder / "priorline.toml", hospital("Stalling", peer, timeout=600))
    line = [sys.executable, "-m", "priorline", "--config", program.config, "open", "--patient-id", "12"]
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    with subprocess.Popen(line, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as window:
        try:
            yield window
        finally:
            window.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="signals as on Linux")
@pytest.mark.parametrize("first", [b"", HALF_A_HEADER])
def test_a_window_told_to_end_goes_with_its_helpers(tmp_path: Path, first: bytes) -> None:
    with StallingHospital(first) as stalling, open_window(tmp_path, stalling.peer) as window:
        assert stalling.asked.wait(SECONDS)
        helpers = psutil.Process(window.pid).children(recursive=True)
        assert helpers
        window.send_signal(signal.SIGTERM)
        assert window.wait(SECONDS) == 0
        _, alive = psutil.wait_procs(helpers, SECONDS)
        assert alive == []
