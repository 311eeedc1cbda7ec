"""The system takes things away at any moment: killed, no room, no power. What was promised stays true.

Each single system call is tried in test_cache_every_point.

`PRIORLINE_FAULT_SCALE` times as many points are tried (1 in an ordinary run).
"""

import contextlib
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import fault_child
import power_cut
import pytest
from fault_child import KEY, STUDY, content
from fault_points import ENV

from priorline.cache.keys import load_master_key
from priorline.cache.store import Store
from priorline.cache.verify import verify

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only on Linux")

SCALE = int(os.environ.get("PRIORLINE_FAULT_SCALE", "1"))
CHILD = [sys.executable, str(Path(fault_child.__file__))]


def filled(root: Path) -> set[int]:
    """A cache with nine images, and their numbers."""
    told = subprocess.run(
        [*CHILD, str(root), "ingest", "0", "9"], capture_output=True, text=True, env=ENV, check=True
    )
    return promised(told.stdout)


def promised(output: str) -> set[int]:
    return {int(line) for line in output.splitlines() if line.isdigit()}


def assert_true(root: Path, kept: set[int], outside: Path) -> None:
    """What was promised is here, what is here is whole, and nothing half-done is left."""
    with Store.open(root, KEY) as store:
        here = {int(one.sop_uid.removeprefix("1.2.")): one for one in store.instances(STUDY.study_uid)}
        assert kept <= here.keys()
        assert all(store.read(one) == content(number) for number, one in here.items())
        assert verify(store).is_sound
        assert list(store.files.incoming.rglob("*.part")) == []
        assert [path for path in store.files.incoming.iterdir() if path != store.inventory.owner.directory] == []
    assert sorted(path.name for path in outside.iterdir()) == ["keep.txt"]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What is beside the cache and must stay as it is."""
    place = tmp_path / "outside"
    place.mkdir()
    (place / "keep.txt").write_text("mine")
    return place


def test_a_disk_that_fails_while_reading_is_told_and_takes_nothing_away(tmp_path: Path, outside: Path) -> None:
    root = tmp_path / "cache"
    kept = filled(root)
    with Store.open(root, KEY) as store:
        path = store.instances(STUDY.study_uid)[0].path
    reading = f"""
from pathlib import Path
from priorline.cache.sealed_file import read_bytes
from priorline.errors import CacheDamaged, CacheError
try:
    read_bytes(Path({path!r}))
except CacheDamaged:
    print("damaged")
except CacheError as problem:
    print(problem)
"""
    command = ["strace", "-f", "-qq", "-o", os.devnull, "-P", path, "-e", "inject=read:error=EIO"]
    done = subprocess.run(
        [*command, sys.executable, "-c", reading], capture_output=True, text=True, env=ENV, check=True
    )
    assert "look at the disk" in done.stdout
    assert_true(root, kept, outside)


def test_a_full_disk_is_said_viewing_goes_on_and_cleaning_makes_room(tmp_path: Path) -> None:
    """On a file system of 16 MB that only the child sees."""
    root = tmp_path / "disk"
    root.mkdir()
    own = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    script = f'mount -t tmpfs -o size=16m,mode=700 tmpfs "{root}" && exec "$@"'
    done = subprocess.run(
        [*own, "sh", "-c", script, "sh", *CHILD, str(root / "cache"), "fill"],
        capture_output=True,
        text=True,
        env=ENV,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-1000:]
    told = dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)
    assert "no room" in told["full"]
    assert int(told["readable"]) == int(told["committed"]) > 50
    assert told["aside"] == "0"
    assert told["after cleaning"] == "0 studies, 1 stored"


def writers(root: Path, turn: int) -> list[subprocess.Popen[str]]:
    """One who writes into a study that stays, and one who writes a study and removes it, again and again."""
    starts = [("ingest", str(turn * 100_000), "90000"), ("churn", str(turn))]
    return [
        subprocess.Popen([*CHILD, str(root), *arguments], stdout=subprocess.PIPE, text=True, env=ENV)
        for arguments in starts
    ]


def test_killed_at_random_while_two_processes_write_and_remove(tmp_path: Path, outside: Path) -> None:
    root, chance, kept = tmp_path / "cache", random.Random(11), set[int]()
    for turn in range(5 * SCALE):
        told = ["", ""]
        children = writers(root, turn)
        for place, child in enumerate(children):
            assert child.stdout is not None
            told[place] = "".join(child.stdout.readline() for _ in range(chance.randrange(2, 9)))
        sum(range(chance.randrange(200_000)))
        for place, child in enumerate(children):
            child.kill()
            told[place] += "".join(line for line in child.stdout or () if line.endswith("\n"))
            child.wait()
            if child.stdout is not None:
                child.stdout.close()
        kept |= promised(told[0])
        with contextlib.closing(sqlite3.connect(root / "index.sqlite")) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert_true(root, kept, outside)
        with Store.open(root, KEY) as store:
            assert len(store.studies()) == len(store.files.studies()) <= turn + 2
    assert len(kept) > 3


def test_another_user_reads_nothing() -> None:
    """In a place that everybody may enter; the other user is tried where the tests run as root."""
    place = Path(tempfile.mkdtemp())
    try:
        place.chmod(0o755)
        key = load_master_key("file", place / "state" / "cache.key")
        with Store.open(place / "cache", key) as store:
            store.add(STUDY, "1.2.3", "1.2", b"", b"data")
            store.commit()
            paths = [place / "state", place / "cache", *place.rglob("*")]
            assert len(paths) > 9
            assert [path for path in paths if path.stat().st_mode & 0o077] == []
            if os.geteuid() == 0:
                looking = "import os, sys; print([p for p in sys.argv[1:] if os.access(p, os.R_OK)])"
                seen = subprocess.run(
                    ["/usr/bin/env", "python3", "-c", looking, *map(str, paths)],
                    user=65534,
                    group=65534,
                    extra_groups=[],
                    cwd="/",
                    capture_output=True,
                    text=True,
                    check=False,
                )
                assert seen.stdout.strip() == "[]", seen.stderr
    finally:
        shutil.rmtree(place)


@pytest.mark.parametrize("lucky", [0.0, 0.5], ids=["only what was synced", "and by chance some of the rest"])
def test_a_power_cut_costs_nothing_that_was_promised(tmp_path: Path, lucky: float) -> None:
    root, log = tmp_path / "cache", tmp_path / "log"
    command = ["strace", "-f", "-qq", "-y", "-xx", "-s", "9999999", "-o", str(log), "-e", f"trace={power_cut.TRACED}"]
    subprocess.run([*command, *CHILD, str(root), "ingest", "0", "12"], check=True, capture_output=True, env=ENV)
    told = list(power_cut.steps(log))
    ours = [number for number, step in enumerate(told) if step.paths and step.paths[0].startswith(str(root))]
    dice = random.Random(5)
    checked = 0
    for turn in range(40 * SCALE):
        cut = dice.randrange(ours[0], ours[-1] + 2)
        disk, output = power_cut.Disk(str(root)), ""
        for step in told[:cut]:
            disk.apply(step)
            if step.name == "write" and "pipe:" in step.paths[0]:
                output += step.data.decode()
        place = tmp_path / f"after{turn}"
        disk.write(place, dice, lucky)
        if not (place / ".priorline-cache").exists():
            # The cut came before the cache was made; what is left of that names nobody and was promised nothing.
            assert promised(output) == set()
            continue
        checked += assert_kept(place, promised(output))
        shutil.rmtree(place)
    assert checked > 0


def assert_kept(place: Path, kept: set[int]) -> int:
    """How many were promised, all of which are here and whole."""
    with Store.open(place, KEY) as store:
        here = {int(one.sop_uid.removeprefix("1.2.")): one for one in store.instances(STUDY.study_uid)}
        assert kept <= here.keys()
        assert all(store.read(one) == content(number) for number, one in here.items())
        report = verify(store)
        assert (report.damaged, report.missing) == ((), ())
    return len(kept)
