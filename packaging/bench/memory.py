"""What receiving 2 GB costs in memory, as 4 000 slices and as four objects of 500 MB, and 5 000 associations.

Each fetch runs in a fresh process with four connections and an encrypted cache, from a hospital that streams what it
sends and never holds it whole. Of the associations each tenth meets a peer that aborts, resets, or stops in an image.
"""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
from _common import REPO, Sample, note, private_place, save, show

TESTS = REPO / "tests"
sys.path.insert(0, str(TESTS))

from image_hospital import STUDY, Connection, Hospital, Image, image  # noqa: E402 - the peer is that of the tests
from priorline.archives.dicom import DicomArchive  # noqa: E402
from priorline.archives.incoming import whole  # noqa: E402
from priorline.errors import ArchiveError  # noqa: E402

CHILD = TESTS / "work" / "receiving_child.py"
SLICES, SLICE = 4000, 512 << 10
OBJECTS, OBJECT = 4, 500 << 20
PEAK_MB, ASSOCIATIONS, FAULTY, DRIFT_MB, DRIFT = 150.0, 5000, 10, 20.0, 2
MEGABYTE = 1 << 20


def fetched(images: list[Image], place: Path) -> dict[str, float]:
    """Megabytes at the peak of a process that fetches them all."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with Hospital(images) as hospital:
        command = [sys.executable, str(CHILD), str(hospital.peer.port), str(place), "4", "0", "0"]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert told["state"] == "complete", told
    assert told["left"] == []
    return {"peak": told["peak"] / 1024, "before": told["before"] / 1024}


def soaked(count: int) -> dict[str, float]:
    """Drift of threads, descriptors and memory over so many associations, of which each tenth is bad."""
    process, number, lock = psutil.Process(), [0], threading.Lock()
    ways = (Connection.abort, Connection.reset, lambda connection: connection.store(image(2), cut=0))

    def before(connection: Connection, _image: Image) -> None:
        with lock:
            number[0] += 1
            mine = number[0]
        if mine % FAULTY == 0:
            ways[mine // FAULTY % len(ways)](connection)
            connection.reset()

    with Hospital([image(1)], before=before) as hospital:
        archive, failed = DicomArchive(hospital.peer), 0

        def ask(times: int) -> int:
            bad = 0
            for _ in range(times):
                try:
                    archive.retrieve(STUDY, None, [image(1).sop_class], whole(lambda _one: None), lambda: False)
                except ArchiveError:
                    bad += 1
            return bad

        ask(min(200, count // 10))
        start = (threading.active_count(), process.num_fds(), process.memory_info().rss)
        failed = ask(count)
        end = (threading.active_count(), process.num_fds(), process.memory_info().rss)
    assert failed == count // FAULTY, failed
    threads, descriptors, memory = (after - earlier for earlier, after in zip(start, end, strict=True))
    return {"threads": abs(threads), "descriptors": abs(descriptors), "memory": memory / MEGABYTE}


def main() -> None:
    """Measure, print, write."""
    samples = {}
    note(f"{SLICES} slices")
    with private_place() as place:
        samples["slices"] = fetched([image(number, 1 + number % 8, SLICE) for number in range(1, SLICES + 1)], place)
    note(f"{OBJECTS} large objects")
    with private_place() as place:
        samples["objects"] = fetched([image(number, number, OBJECT) for number in range(1, OBJECTS + 1)], place)
    note(f"{ASSOCIATIONS} associations")
    samples["associations"] = soaked(ASSOCIATIONS)
    bars = (
        ("slices", "peak", "2 GB as 4 000 slices: peak", PEAK_MB, "MB"),
        ("objects", "peak", "2 GB as four objects of 500 MB: peak", PEAK_MB, "MB"),
        ("associations", "memory", f"N12 {ASSOCIATIONS} associations: memory", DRIFT_MB, "MB"),
        ("associations", "threads", f"N12 {ASSOCIATIONS} associations: threads", DRIFT, ""),
        ("associations", "descriptors", f"N12 {ASSOCIATIONS} associations: descriptors", DRIFT, ""),
    )
    rows = []
    for way, figure, what, most, unit in bars:
        value = samples[way][figure]
        rows.append((what, f"{value:.1f} {unit}", f"{most:g} {unit}", value <= most))
    show("What receiving costs", ("", "measured", "bar", "held"), rows)
    save(
        "memory",
        {way: Sample({name: [value] for name, value in one.items()}) for way, one in samples.items()},
        rows=rows,
    )


if __name__ == "__main__":
    main()
