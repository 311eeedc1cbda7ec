"""What the tests of the cache share: a key, a clock that a test sets, studies of an age, and damage."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from priorline.cache.clock import Moment
from priorline.cache.keys import MasterKey
from priorline.cache.model import AddOutcome, Holding
from priorline.cache.store import Store
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import StudyAnswer

KEY = MasterKey(b"k" * 32, "file")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Clock:
    """The computer's clock, which a test sets; `boot` and `since_boot` are what the system tells of its start-up."""

    def __init__(self, now: datetime = NOW, boot: str = "", since_boot: float = 0.0) -> None:
        self.now, self.boot, self.since_boot = now, boot, since_boot

    def __call__(self) -> Moment:
        return Moment(self.now.timestamp(), self.boot, self.since_boot)

    def run(self, time: timedelta) -> None:
        """Time really passes."""
        self.now += time
        self.since_boot += time.total_seconds()


def fill(store: Store, uid: str, age: timedelta = timedelta(), images: int = 2) -> None:
    """A complete study that was fetched and viewed that long ago."""
    study = StudyAnswer("A", uid, Patient(Identifier("1")))
    store.begin_fetch(study, images)
    for number in range(images):
        assert store.add(study, f"{uid}.{number}", uid, b"%d" % number, bytes(1000)).outcome is AddOutcome.STORED
    assert store.finish_fetch(uid, complete=True)
    values = (age.total_seconds(), age.total_seconds(), store.catalogue.code("study", uid))
    with store.index.transaction() as db:
        db.execute("UPDATE study SET fetched_at = fetched_at - ?, viewed_at = viewed_at - ? WHERE code = ?", values)


def uids(store: Store, pairs: tuple[tuple[Holding, str], ...], names: dict[str, str] | None = None) -> dict[str, str]:
    """Reasons by Study Instance UID; `names` (see `handles`) where the studies are gone by now."""
    known = names or handles(store)
    return {known[study.handle]: reason for study, reason in pairs}


def handles(store: Store) -> dict[str, str]:
    """Study Instance UIDs by handle."""
    return {study.held.handle: study.study_uid for study in store.studies()}


def flip(path: Path, position: int = -1, bit: int = 1) -> None:
    """Change bits of one byte of a file."""
    content = bytearray(path.read_bytes())
    content[position] ^= bit
    path.write_bytes(content)


def share(source: str, target: str) -> None:
    """A file for the copy of a cache: all but the index are replaced and removed, never changed."""
    (shutil.copyfile if "index.sqlite" in source else os.link)(source, target)


@contextmanager
def quick_folder() -> Iterator[Path]:
    """A folder in memory where the system has one: for many rounds, in which the order counts and not the medium."""
    memory = Path("/dev/shm")  # noqa: S108 - only the place, the folder in it has a name of its own
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Path(name)
