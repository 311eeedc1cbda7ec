"""Killed or refused at every system call with which an act changes or reads a cache: what was promised stays true.

With `PRIORLINE_FAULT_SCALE` above 1 also at those that change nothing.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("only on Linux", allow_module_level=True)

import fault_child
import fault_points
from fault_child import KEY, STUDY, content

from cache_tools import fill, quick_folder, share
from priorline.cache.store import Store
from priorline.cache.verify import verify

CHANGING = "openat,write,pwrite64,rename,unlink,unlinkat,rmdir,mkdir,ftruncate,flock"
KILLED_AT = CHANGING if int(os.environ.get("PRIORLINE_FAULT_SCALE", "1")) == 1 else "all"
IMAGES = set(range(9))
OLD, PINNED, YOUNG = ("1.3.1", "1.3.2"), "1.3.3", "1.3.4"
ACTS = {
    "ingest": ("ingest", "9", "6"),
    "remove": ("remove", STUDY.study_uid),
    "clean": ("clean",),
    "look": ("look",),
    "open": ("open",),
}


@dataclass(frozen=True)
class Place:
    """A cache that every point gets a copy of."""

    template: Path
    bench: fault_points.Bench
    root: Path

    def fresh(self, template: Path | None = None) -> str:
        """The copy, as it was before any act."""
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(template or self.template, self.root, copy_function=share)
        return str(self.root)

    def crashed(self, act: str, call: str, turn: int) -> Path:
        """What is left when an act is killed at its system call of this name number `turn`, from 0."""
        points = self.bench.points(Path(self.fresh()), *ACTS[act], calls=call)
        number = points[turn][1]
        ended = self.bench.run(self.fresh(), *ACTS[act], rule=f"inject={call}:signal=KILL:when={number}")
        assert ended.code == -9
        left = self.root.with_name(f"{act} crashed")
        shutil.rmtree(left, ignore_errors=True)
        return self.root.rename(left)


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """A study with nine images, two that are too old, one that is pinned and one that is young."""
    with quick_folder() as folder:
        with Store.open(folder / "template", KEY) as store:
            fault_child.ingest(store, 0, len(IMAGES))
            for uid in (*OLD, PINNED):
                fill(store, uid, timedelta(days=40))
            fill(store, YOUNG)
            store.pin(PINNED, "teaching")
        with fault_points.Bench(folder) as bench:
            yield Place(folder / "template", bench, folder / "cache")


def said(ended: fault_points.Ended) -> list[str]:
    """What was told, but for a last line that was cut off."""
    return [line for line in ended.said.split("\n")[:-1] if line]


def assert_true(place: Place, act: str, told: list[str]) -> None:
    """What was promised is here, what is here is whole, what was said to be gone is gone, nothing is half-done."""
    with Store.open(place.root, KEY) as store:
        assert verify(store).is_sound
        here = {int(one.sop_uid.removeprefix("1.2.")): one for one in store.instances(STUDY.study_uid)}
        assert all(store.read(one) == content(number) for number, one in here.items())
        counts = {uid: store.presence([uid])[uid].images for uid in (*OLD, PINNED, YOUNG)}
        left = {path.name for path in store.files.objects.iterdir()}
        assert left == {study.held.handle for study in store.studies()}
        assert [path.name for path in store.files.incoming.iterdir()] == [store.inventory.owner.name]
    if act == "remove":
        assert here.keys() in (set(), IMAGES)
        assert not here or "removed" not in told
    else:
        assert here.keys() >= IMAGES | {int(line) for line in told if line.isdigit() and act == "ingest"}
    spared = {PINNED, YOUNG} if act == "clean" else counts.keys()
    assert all(counts[uid] == 2 for uid in spared)
    assert set(counts.values()) <= {0, 2}
    assert left.isdisjoint(told)


@pytest.mark.parametrize("act", ["ingest", "remove", "clean"])
def test_killed_at_every_step(place: Place, act: str) -> None:
    points = place.bench.points(Path(place.fresh()), *ACTS[act], calls=KILLED_AT)
    killed = 0
    for name, number in points:
        ended = place.bench.run(place.fresh(), *ACTS[act], rule=f"inject={name}:signal=KILL:when={number}")
        assert ended.code in {0, -9}, (name, number, ended.said)
        killed += ended.code == -9
        assert_true(place, act, said(ended))
    # Names are dice, and so are the places in the index that they take: the last calls are not made every time.
    assert killed > 0.95 * len(points) > 50


@pytest.mark.parametrize(
    ("act", "call", "turn"),
    [("ingest", "rename", 3), ("remove", "fsync", 0)],
    ids=["images without rows", "a row without its key"],
)
def test_killed_at_every_step_of_settling_what_a_crash_left(place: Place, act: str, call: str, turn: int) -> None:
    left = place.crashed(act, call, turn)
    points = place.bench.points(Path(place.fresh(left)), *ACTS["open"], calls=KILLED_AT)
    killed = 0
    for name, number in points:
        ended = place.bench.run(place.fresh(left), *ACTS["open"], rule=f"inject={name}:signal=KILL:when={number}")
        assert ended.code in {0, -9}, (name, number, ended.said)
        killed += ended.code == -9
        assert_true(place, act, [])
    assert killed > 0.95 * len(points) > 20


@pytest.mark.parametrize(
    ("act", "calls", "error"),
    [
        ("ingest", "fsync,fdatasync", "EIO"),
        ("remove", "fsync,fdatasync", "EIO"),
        ("clean", "fsync,fdatasync", "EIO"),
        ("look", "read,pread64", "EIO"),
        ("ingest", "read,pread64", "EIO"),
        ("clean", "read,pread64", "EIO"),
        ("ingest", "write,pwrite64", "ENOSPC"),
        ("ingest", "write", "EDQUOT"),
    ],
)
def test_refused_at_every_step(place: Place, act: str, calls: str, error: str) -> None:
    points = place.bench.points(Path(place.fresh()), *ACTS[act], calls=calls)
    refused = 0
    for name, number in points:
        ended = place.bench.run(place.fresh(), *ACTS[act], rule=f"inject={name}:error={error}:when={number}")
        # All went well all the same, or the disk is said to be the reason.
        assert ended.code in {0, 3}, (name, number, ended.said)
        refused += ended.code == 3
        assert_true(place, act, said(ended))
    assert refused > 0
