"""A writing process that is killed at any moment leaves whole instances or nothing."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from priorline.cache import disk, owners
from priorline.cache.keys import MasterKey
from priorline.cache.store import Store
from priorline.cache.verify import verify
from priorline.errors import CacheError

KEY = MasterKey(b"k" * 32, "file")
STUDY = "1.2.840.99.1"

CHILD = """
import sys
from pathlib import Path
from priorline.cache.keys import MasterKey
from priorline.cache.store import Store
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import StudyAnswer

root, start = Path(sys.argv[1]), int(sys.argv[2])
study = StudyAnswer("A", "1.2.840.99.1", Patient(Identifier("1")))
with Store.open(root, MasterKey(b"k" * 32, "file")) as store:
    store.begin_fetch(study, 0)
    store.take_lease("1.2.840.99.1")
    sys.stdout.write("ready\\n")
    for number in range(start, start + 100_000):
        store.add(study, f"1.2.{number}", "1.2", b"%d" % number, b"%d" % number * 3000)
        if number % 5 == 4:
            store.commit()
            # All that is told from here on must outlive the process.
            sys.stdout.write(f"{number}\\n")
            sys.stdout.flush()
"""


def killed_writer(root: Path, start: int, lines: int, extra: int) -> int:
    """The last number that a writer acknowledged before it was killed, a little after it had told `lines` lines."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(root), str(start)], stdout=subprocess.PIPE, text=True, env=environment
    ) as child:
        assert child.stdout is not None
        told = [child.stdout.readline() for _ in range(lines + 1)]
        sum(range(extra))  # spins for a moment that differs from round to round
        os.kill(child.pid, signal.SIGKILL)
        told += child.stdout.readlines()
        return max((int(line) for line in told if line.endswith("\n") and line.strip().isdigit()), default=start - 1)


@pytest.mark.skipif(sys.platform == "win32", reason="only on Linux")
def test_kill_leaves_whole_instances_and_all_that_was_acknowledged(tmp_path: Path) -> None:
    root, chance = tmp_path / "cache", random.Random(7)
    acknowledged: set[str] = set()
    for turn in range(6):
        start = turn * 100_000
        last = killed_writer(root, start, chance.randrange(4), chance.randrange(200_000))
        acknowledged |= {f"1.2.{number}" for number in range(start, last + 1)}
        with sqlite3.connect(root / "index.sqlite") as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        db.close()
        with Store.open(root, KEY) as store:
            assert acknowledged <= store.sop_uids(STUDY)
            for instance in store.instances(STUDY):
                assert store.read(instance) == store.header(instance) * 3000
            assert verify(store).is_sound
            assert list(store.files.incoming.rglob("*.part")) == []
            assert not store.presence([STUDY])[STUDY].complete
            assert store.inventory.leases.open_studies() == set()
    assert acknowledged


def test_leftovers_of_a_dead_owner_are_swept_and_those_of_a_living_one_stay(tmp_path: Path) -> None:
    root = tmp_path / "cache"
    with Store.open(root, KEY) as living:
        dead = living.files.incoming / ("0" * 32)
        dead.mkdir()
        (dead / "owner.lock").touch()
        (dead / ("1" * 32 + ".part")).write_bytes(b"half")
        half = living.files.objects / ("2" * 32)
        half.mkdir()
        (half / ("3" * 32 + ".obj")).write_bytes(b"its study lost its key")
        (dead / f"{half.name}.touched").touch()
        mine = next(path for path in living.files.incoming.iterdir() if path != dead)
        with Store.open(root, KEY):
            assert not dead.exists()
            assert not half.exists()
            assert (mine / "owner.lock").exists()
        assert [path.name for path in living.files.incoming.iterdir()] == [mine.name]


@pytest.mark.skipif(sys.platform == "win32", reason="only on Linux")
def test_who_looks_whether_an_owner_lives_takes_no_lock_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking: list[int] = []
    take = owners._try_lock

    def look_first(handle: int) -> bool:
        if not looking:
            (path,) = tmp_path.glob("*/owner.lock")
            looking.append(os.open(path, os.O_RDWR))
            assert take(looking[0])
        return take(handle)

    with monkeypatch.context() as patch:
        patch.setattr(owners, "_try_lock", look_first)
        patch.setattr(time, "sleep", lambda _seconds: os.close(looking[0]))
        owner = owners.Owner(tmp_path)
    assert owners.live_owners(tmp_path) == {owner.name}
    owner.close()


@pytest.mark.skipif(sys.platform == "win32", reason="only on Linux")
def test_a_disk_that_cannot_lock_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_handle: int, _how: int) -> None:
        raise OSError(95, "Operation not supported")

    import fcntl

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(owners, "PATIENCE", 0.0)
    with pytest.raises(CacheError, match="cannot lock files"):
        Store.open(tmp_path / "cache", KEY)
    assert list((tmp_path / "cache" / "incoming").iterdir()) == []


def test_a_commit_that_fails_on_the_way_leaves_no_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from priorline.domain.patient import Identifier, Patient
    from priorline.domain.study import StudyAnswer

    study = StudyAnswer("A", STUDY, Patient(Identifier("1")))
    with Store.open(tmp_path / "cache", KEY) as store:
        store.begin_fetch(study, 0)
        for number in range(4):
            store.add(study, f"1.2.{number}", "1.2", b"", b"data")
        real, seen = disk._rename, [0]

        def rename(source: Path, target: Path | str) -> None:
            seen[0] += 1
            if seen[0] == 3:
                raise OSError(5, "Input/output error")
            real(source, target)

        monkeypatch.setattr(disk, "_rename", rename)
        with pytest.raises(CacheError):
            store.commit()
        monkeypatch.undo()
        assert store.instances(STUDY) == []
        assert verify(store).is_sound
        assert list(store.files.incoming.rglob("*.part")) == []
