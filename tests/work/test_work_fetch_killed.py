"""Killed at any moment of a fetch on four connections, with large objects: the next start shows what is true.

`PRIORLINE_FAULT_SCALE` times as many rounds are played (1 in an ordinary run).
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import receiving_child

from cache_tools import quick_folder
from image_hospital import STUDY, Connection, Hospital, Image, image, row
from priorline.archives.dicom import DicomArchive
from priorline.audit.trail import AuditTrail
from priorline.cache.store import Store
from priorline.cache.verify import verify
from priorline.domain.study import FetchState
from priorline.work.fetch import StudyFetch

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="only on Linux")

ROUNDS = 20 * int(os.environ.get("PRIORLINE_FAULT_SCALE", "1"))
PATIENCE = 60.0
LARGE = 9 << 20
IMAGES = [image(number, 1 + number % 4, LARGE if number % 16 == 7 else 32 << 10) for number in range(1, 49)]


def test_killed_at_any_moment_what_is_shown_is_whole_and_the_rest_is_fetched(mother: "subprocess.Popen[str]") -> None:
    dice, seen = random.Random(20), set[int]()
    for _ in range(ROUNDS):
        with quick_folder() as place:
            pieces = sum(1 for one in IMAGES for _ in one.pieces())
            told = killed_after(mother, dice.randint(1, pieces), place)
            with Store.open(place / "cache", receiving_child.KEY) as store:
                seen.add(len(assert_true(store, told)))
                assert_resumed(store, place)
    assert len(seen) > 3, "the moments are all the same"


@pytest.fixture
def mother() -> Iterator["subprocess.Popen[str]"]:
    """Starts processes that fetch, without loading the program for each."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, receiving_child.__file__]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.communicate("")


def killed_after(mother: "subprocess.Popen[str]", pieces: int, place: Path) -> set[str]:
    """What a fetching process had told as arrived when it was killed after so many pieces were sent to it."""
    lock, left, over = threading.Lock(), [pieces], threading.Event()

    def store(connection: Connection, one: Image) -> None:
        with lock:
            left[0] -= sum(1 for _ in one.pieces())
            is_last = left[0] <= 0
        if is_last:
            # In the middle of this one.
            connection.store(one, cut=dice.randint(0, 2))
            over.set()
        else:
            connection.store(one)

    dice = random.Random(pieces)
    with Hospital(IMAGES, store=store) as hospital:
        print(json.dumps([hospital.peer.port, str(place), 4, 0, 0]), file=mother.stdin, flush=True)
        pid = said(mother)["pid"]
        assert over.wait(PATIENCE)
        os.kill(pid, signal.SIGKILL)
        lines = list(iter(lambda: said(mother), {"ended": True}))
    assert not any("state" in line for line in lines)
    return {line["arrived"] for line in lines if "arrived" in line}


def said(mother: "subprocess.Popen[str]") -> dict[str, Any]:
    """The next line of a process that fetches, or of the one that started it."""
    assert mother.stdout is not None
    return json.loads(mother.stdout.readline())  # type: ignore[no-any-return]


def assert_true(store: Store, told: set[str]) -> set[str]:
    """What is there is whole, what was told is there, and nothing else lies about."""
    held = store.sop_uids(STUDY)
    assert told <= held
    presence = store.presence([STUDY])[STUDY]
    assert presence.images == len(held)
    assert not presence.complete
    originals = {one.sop_uid: one for one in IMAGES}
    for stored in store.instances(STUDY):
        assert store.read(stored).endswith(b"".join(originals[stored.sop_uid].pieces()))
    assert verify(store).is_sound
    assert not list(store.files.root.rglob("*.part"))
    return held


def assert_resumed(store: Store, place: Path) -> None:
    """Only what is missing is fetched, and then all is here."""
    before = store.sop_uids(STUDY)
    with Hospital(IMAGES) as hospital:
        fetch = StudyFetch(DicomArchive(hospital.peer), store, row(), lambda _arrived: None)
        report = fetch.run(AuditTrail(place / "audit.jsonl"))
    assert (report.state, report.received, report.already_cached) == (FetchState.COMPLETE, len(IMAGES), len(before))
    assert sorted(hospital.sent) == sorted({one.sop_uid for one in IMAGES} - before)
