"""The hospitals of the story with tiny pictures, in a process of their own, with a gate in the middle of the CT.

In a process of their own, because what their side does when a courier is killed is not what is tested.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from priorline.archives.demo import story
from priorline.archives.demo.hospitals import DemoHospitals
from priorline.config import CacheSettings, HospitalSettings, Settings

TODAY = date(2026, 11, 24)
CURRENT = story.current_study(TODAY)


class SmallHospitals:
    """A context: inside it they listen. Images of the current study above `gate_at` wait until `open_gate`."""

    def __init__(self, folder: Path, gate_at: int | None = None) -> None:
        self._gate = folder / "gate"
        self._command = [sys.executable, __file__, str(self._gate), str(gate_at or 10**6)]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self._process.stdout is not None
        self._told = json.loads(self._process.stdout.readline())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def open_gate(self) -> None:
        """Let all images through."""
        self._gate.touch()

    def settings(self, cache: Path) -> Settings:
        """A configuration with these hospitals."""
        peers = tuple(HospitalSettings(**one) for one in self._told)
        return Settings(cache=CacheSettings(directory=str(cache), key="file"), hospital=peers)


def serve(gate: Path, gate_at: int) -> None:
    """Run them until standard input is closed or the process is killed."""

    def pixels(spec: story.ImageSpec) -> np.ndarray:
        """Every pixel of an image is its number, so that each can be told from every other one."""
        while spec.picture is story.Picture.TRAUMA_CT and spec.number > gate_at and not gate.exists():
            time.sleep(0.01)
        signed = spec.picture.value.endswith("ct")
        kind = np.uint8 if spec.picture is story.Picture.ABDOMEN_US else np.int16 if signed else np.uint16
        return np.full((16, 16), spec.number, kind)

    at_once: Sequence[story.HospitalStory] = [replace(one, find_delay=0.0) for one in story.hospitals(TODAY)]
    with DemoHospitals(pixels, at_once) as demo:
        told = [
            {"name": one.name, "ae_title": one.ae_title, "host": one.host, "port": one.port} for one in demo.running
        ]
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
