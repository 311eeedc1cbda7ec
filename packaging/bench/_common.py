"""What every measurement needs: a private place, paired runs, medians, a table on paper and numbers in a file."""

import json
import os
import platform
import statistics
import struct
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

if sys.platform == "linux":
    import fcntl

REPO = Path(__file__).resolve().parents[2]
RESULTS = REPO / "bench-results"
Way = Callable[[], dict[str, float]]
# FS_IOC_GETFLAGS, FS_IOC_SETFLAGS and FS_TOPDIR_FL of linux/fs.h
FLAGS, GET_FLAGS, SET_FLAGS, TOP_OF_HIERARCHY = struct.Struct("l"), 0x80086601, 0x40086602, 0x20000


@dataclass(frozen=True, slots=True)
class Sample:
    """One way to do a thing, measured in several rounds: figures by name, one value a round."""

    figures: dict[str, list[float]]

    def median(self, figure: str = "seconds") -> float:
        """The middle value over the rounds."""
        return statistics.median(self.figures[figure])


def take_turns(ways: Mapping[str, Way], rounds: int) -> dict[str, Sample]:
    """Measure each way once a round, in turning order, so that what else the machine does meets all of them.

    A way returns its figures by name; "seconds" is added where it does not say.
    """
    samples: dict[str, Sample] = {name: Sample({}) for name in ways}
    names = list(ways)
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            note(f"round {number + 1} of {rounds}: {name}")
            began = time.perf_counter()
            figures = ways[name]()
            figures.setdefault("seconds", time.perf_counter() - began)
            for figure, value in figures.items():
                samples[name].figures.setdefault(figure, []).append(value)
    return samples


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios of each round, which a slow round of the machine does not move."""
    return statistics.median(our / their for our, their in zip(ours, theirs, strict=True))


@contextmanager
def private_place() -> Iterator[Path]:
    """An empty folder that is also where the program keeps its state, so that nothing of the user is touched."""
    with TemporaryDirectory(prefix="priorline-bench-") as folder:
        _spread(Path(folder))
        # By its name ext4 chooses where it puts it, so that is another one each time.
        place = Path(mkdtemp(dir=folder))
        for variable, name in (("XDG_DATA_HOME", "data"), ("XDG_CONFIG_HOME", "config"), ("XDG_CACHE_HOME", "cache")):
            os.environ[variable] = str(place / name)
        yield place


def _spread(folder: Path) -> None:
    """Have ext4 put what is made in a folder somewhere else than it is, where it can; Linux only.

    Without a journal it does not use the number of a file again for minutes after that was deleted, and looks at each
    of them to make another: where thousands were deleted a file costs twenty times as much.
    """
    if sys.platform != "linux":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            (flags,) = FLAGS.unpack(fcntl.ioctl(handle, GET_FLAGS, bytes(FLAGS.size)))
            fcntl.ioctl(handle, SET_FLAGS, FLAGS.pack(flags | TOP_OF_HIERARCHY))
    finally:
        os.close(handle)


def note(text: str) -> None:
    """One line about what happens now."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on standard output."""
    lines = [[str(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    print(f"\n{title}")
    for line in lines:
        first, *rest = (
            cell.ljust(width) if not index else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        print("  ".join((first, *rest)))


def save(name: str, samples: Mapping[str, Sample], **facts: Any) -> None:
    """Write every single value, and what machine it was, to `bench-results/NAME.json`."""
    RESULTS.mkdir(exist_ok=True)
    document = {
        "measurement": name,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        **facts,
        "samples": {way: sample.figures for way, sample in samples.items()},
    }
    file = RESULTS / f"{name}.json"
    file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    note(f"written: {file.relative_to(REPO)}")


def milliseconds(seconds: float) -> str:
    """A duration for a table."""
    return f"{seconds * 1000:.0f} ms"
