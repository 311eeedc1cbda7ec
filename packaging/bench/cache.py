"""What sealing costs beside plain files, and what a cache of 50 000 studies and 1 000 000 images costs to look after.

Writing: 200 objects of 512 KiB through `Store.add` and `commit` (digest, AES-GCM, fsync, rename, index), beside the
same bytes as plain files made just as durable: written aside, fsynced in the same groups, renamed, directory fsynced,
one row of an index each. Both wait for the disk in a thread while the next group is written, as a fetch does.
Reading: the same objects through `Store.read_each`, beside `Path.read_bytes`, from the disk and from the page cache.
The large cache has rows as the program makes them; files only for the studies that are listed.
"""

import os
import secrets
import shutil
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path

from _common import (
    Sample,
    Way,
    milliseconds,
    note,
    paired_ratio,
    private_place,
    save,
    show,
    take_turns,
)

from priorline.cache import cleanup
from priorline.cache.catalogue import Entry, OpenStudy
from priorline.cache.files import drop_index
from priorline.cache.inventory import Inventory
from priorline.cache.keys import MasterKey
from priorline.cache.store import Store
from priorline.cache.study_file import ObjectRecord, StudyKey, StudyRecord, write_study
from priorline.domain.patient import Identifier, Patient
from priorline.domain.retention import Limits
from priorline.domain.study import StudyAnswer

OBJECTS, SIZE, GROUP, ROUNDS = 200, 512 << 10, 16, 7
STUDIES, INSTANCES, LISTED, MINUTES_APART = 50_000, 20, 100, 10
DUE = (0, 500, 5_000)
REBUILT = 10_000
KEY = MasterKey(bytes(32), "file")
STUDY = StudyAnswer("A", "1.2.840.99.1", Patient(Identifier("1")))
ACTS = {"write": "1.3", "read": "1.5", "read from memory": "none"}


# --- sealing


def contents() -> list[bytes]:
    """Objects that differ, made outside of what is measured."""
    return [os.urandom(SIZE) for _ in range(OBJECTS)]


def write_sealed(place: Path, objects: list[bytes]) -> dict[str, float]:
    """Through the store, into a new cache."""
    shutil.rmtree(place, ignore_errors=True)
    with Store.open(place, KEY) as store:
        began = time.perf_counter()
        store.begin_fetch(STUDY, len(objects))
        with Settling() as settling:
            for number, data in enumerate(objects):
                store.add(STUDY, f"1.2.840.99.1.{number}", "1.2.840.99.1.0", b"h" * 900, data)
                if number % GROUP == GROUP - 1:
                    settling.begin(store.commit)
        store.finish_fetch(STUDY.study_uid, complete=True)
        return {"seconds": time.perf_counter() - began}


class Settling:
    """Waits for the disk in a thread of its own while the next group is written, one group at a time."""

    def __enter__(self) -> "Settling":
        self._thread = ThreadPoolExecutor(1)
        self._last: Future[object] | None = None
        return self

    def __exit__(self, *_: object) -> None:
        self._wait()
        self._thread.shutdown()

    def begin(self, settle: Callable[[], object]) -> None:
        """Wait for the group before, and settle this one."""
        self._wait()
        self._last = self._thread.submit(settle)

    def _wait(self) -> None:
        if self._last is not None:
            self._last.result()


def write_plain(place: Path, objects: list[bytes]) -> dict[str, float]:
    """The same bytes as plain files, as durable."""
    shutil.rmtree(place, ignore_errors=True)
    (place / "aside").mkdir(parents=True)
    (place / "objects").mkdir()
    db = sqlite3.connect(place / "index.sqlite", isolation_level=None, check_same_thread=False)
    for setting in ("journal_mode = TRUNCATE", "synchronous = FULL"):
        db.execute(f"PRAGMA {setting}").fetchall()
    db.execute("CREATE TABLE instance (name TEXT PRIMARY KEY, size INTEGER)")
    began = time.perf_counter()
    with Settling() as settling:
        for start in range(0, len(objects), GROUP):
            group = objects[start : start + GROUP]
            settling.begin(partial(_settle_group, place, db, start, group, _write_group(place, start, group)))
    seconds = time.perf_counter() - began
    db.close()
    return {"seconds": seconds}


def _write_group(place: Path, start: int, group: list[bytes]) -> list[int]:
    handles = []
    for number, data in enumerate(group, start):
        handle = os.open(place / "aside" / str(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(handle, data)
        handles.append(handle)
    return handles


def _settle_group(place: Path, db: sqlite3.Connection, start: int, group: list[bytes], handles: list[int]) -> None:
    for handle in handles:
        os.fsync(handle)
        os.close(handle)
    db.execute("BEGIN IMMEDIATE")
    for number, data in enumerate(group, start):
        (place / "aside" / str(number)).rename(place / "objects" / str(number))
        db.execute("INSERT INTO instance VALUES (?, ?)", (str(number), len(data)))
    directory = os.open(place / "objects", os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)
    db.execute("COMMIT")


def read_sealed(place: Path, *, cold: bool) -> dict[str, float]:
    """Every object through the store."""
    with Store.open(place, KEY) as store:
        instances = store.instances(STUDY.study_uid)
        if cold:
            drop_pages([Path(instance.path) for instance in instances])
        began = time.perf_counter()
        total = sum(len(content or b"") for _, content in store.read_each(instances))
        seconds = time.perf_counter() - began
    assert total == OBJECTS * SIZE
    return {"seconds": seconds}


def read_plain(place: Path, *, cold: bool) -> dict[str, float]:
    """Every plain file."""
    paths = [place / "objects" / str(number) for number in range(OBJECTS)]
    if cold:
        drop_pages(paths)
    began = time.perf_counter()
    total = sum(len(path.read_bytes()) for path in paths)
    seconds = time.perf_counter() - began
    assert total == OBJECTS * SIZE
    return {"seconds": seconds}


def drop_pages(paths: list[Path]) -> None:
    """Let the system forget what it keeps of these files in memory."""
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def sealing(place: Path) -> dict[str, Sample]:
    """Both sides in turn."""
    objects = contents()
    sealed, plain = place / "sealed", place / "plain"
    write_sealed(sealed, objects)
    write_plain(plain, objects)
    samples = take_turns(
        {
            "write sealed": lambda: write_sealed(sealed, objects),
            "write plain": lambda: write_plain(plain, objects),
        },
        ROUNDS,
    )
    for act, cold in (("read", True), ("read from memory", False)):
        samples |= take_turns(
            {
                f"{act} sealed": partial(read_sealed, sealed, cold=cold),
                f"{act} plain": partial(read_plain, plain, cold=cold),
            },
            ROUNDS,
        )
    return samples


# --- a large cache


def uid() -> str:
    """As long as UIDs made from a UUID are."""
    return f"2.25.{secrets.randbits(128)}"


def fill(place: Path) -> None:
    """The rows of a large cache, each as the program writes it; the studies that are listed have their files too."""
    with Store.open(place, KEY) as store, store.index.transaction() as db:
        now = store.inventory.watch.tell(db)
        for number in range(STUDIES):
            answer = StudyAnswer("St. Elisabeth", uid(), Patient(Identifier(str(number // 3)), "Jansen^Piet"))
            record = StudyRecord(answer, INSTANCES, now)
            handle = secrets.token_hex(16)
            key = StudyKey(*store.vault.new_study_key(handle))
            if number < LISTED:
                write_study(store.files, store.vault, store.inventory.owner, handle, key, record)
            row = store.catalogue.insert_study(db, handle, record, now - number * MINUTES_APART * 60)
            db.execute("UPDATE study SET fetched_at = viewed_at, complete = 1 WHERE id = ?", (row,))
            study = OpenStudy(row, handle, answer.study_uid, key.key)
            series = [uid(), uid()]
            for image in range(INSTANCES):
                described = ObjectRecord(uid(), series[image % 2], secrets.token_bytes(16), b"")
                store.catalogue.insert(db, Entry(secrets.token_hex(16), study, described, SIZE))


def looking_after(place: Path) -> dict[str, Sample]:
    """The questions that IT asks, each with the cache opened for it."""
    note(f"filling an index with {STUDIES} studies of {INSTANCES} images")
    fill(place)
    samples = take_turns(
        {
            "stats": lambda: opened(place, lambda store: store.stats()),
            f"list --limit {LISTED}": lambda: opened(place, lambda store: store.studies(limit=LISTED)),
            "list --anonymous": lambda: unread(place, lambda inventory: inventory.latest()),
        },
        ROUNDS,
    )
    plans = {f"clean, {due} studies due": due for due in DUE}
    return samples | take_turns({name: _planning(place, due) for name, due in plans.items()}, ROUNDS)


def _planning(place: Path, due: int) -> Way:
    # Half a step off, so that no study is due at the very second.
    limits = Limits(max_age=timedelta(minutes=(STUDIES - due - 0.5) * MINUTES_APART))

    def plan(inventory: Inventory) -> None:
        planned = cleanup.plan(inventory, limits)
        assert abs(len(planned.removed) - due) <= 1, len(planned.removed)

    return lambda: unread(place, plan)


def opened(place: Path, ask: Callable[[Store], object]) -> dict[str, float]:
    """A question to the cache with its key."""
    began = time.perf_counter()
    with Store.open(place, KEY) as store:
        ask(store)
        return {"seconds": time.perf_counter() - began}


def unread(place: Path, ask: Callable[[Inventory], object]) -> dict[str, float]:
    """A question to the cache without its key."""
    began = time.perf_counter()
    with Inventory.open(place) as inventory:
        ask(inventory)
        return {"seconds": time.perf_counter() - began}


def rebuild(place: Path) -> dict[str, float]:
    """An index made anew from the objects of 500 studies of 20 images, which is lost before."""
    with Store.open(place, KEY) as store:
        for number in range(REBUILT // INSTANCES):
            study = StudyAnswer("A", f"1.2.840.99.{number}", Patient(Identifier("1")))
            store.begin_fetch(study, INSTANCES)
            for image in range(INSTANCES):
                store.add(study, f"{study.study_uid}.{image}", f"{study.study_uid}.0", b"h" * 900, bytes(1000))
            store.finish_fetch(study.study_uid, complete=True)
    drop_index(place)
    began = time.perf_counter()
    with Store.open(place, KEY) as store:
        seconds = time.perf_counter() - began
        assert store.stats().instances == REBUILT
        assert all(one.held.complete for one in store.studies())
    return {"seconds": seconds}


def report(samples: dict[str, Sample], bytes_each: float, rebuilt: float) -> None:
    """The tables and the file."""
    rate = OBJECTS * SIZE / 1e6
    rows = []
    pairs = [f"{act} {kind}" for act in ACTS for kind in ("sealed", "plain")]
    for name in pairs:
        values = samples[name].figures["seconds"]
        spread = f"{milliseconds(min(values))} to {milliseconds(max(values))}"
        rows.append((name, milliseconds(samples[name].median()), spread, f"{rate / samples[name].median():.0f} MB/s"))
    show(f"{OBJECTS} objects of 512 KiB, medians of {ROUNDS} rounds", ("", "wall", "from to", "rate"), rows)
    ratios = {
        act: paired_ratio(*(samples[f"{act} {kind}"].figures["seconds"] for kind in ("sealed", "plain")))
        for act in ACTS
    }
    told = [(f"{act}: sealed / plain", f"{ratios[act]:.2f}", bar) for act, bar in ACTS.items()]
    show("Median of the ratios of each round", ("compared", "ratio", "bar"), told)
    large = [name for name in samples if name not in pairs]
    looked = [(name, milliseconds(samples[name].median())) for name in large]
    show(f"{STUDIES} studies, {STUDIES * INSTANCES} images, opening included", ("", "wall"), looked)
    show(
        "Index",
        ("", "figure"),
        [("bytes an image", f"{bytes_each:.0f}"), ("rebuilt 10 000 images", f"{rebuilt:.1f} s")],
    )
    save("cache", samples, ratios=ratios, bars=ACTS, index_bytes_an_image=bytes_each, rebuild_seconds=rebuilt)


def main() -> None:
    """Measure, print, write."""
    with private_place() as place:
        samples = sealing(place)
        rebuilt = rebuild(place / "rebuilt")["seconds"]
        samples |= looking_after(place / "large")
        bytes_each = (place / "large" / "index.sqlite").stat().st_size / (STUDIES * INSTANCES)
    report(samples, bytes_each, rebuilt)


if __name__ == "__main__":
    main()
