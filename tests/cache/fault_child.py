"""A process that uses a cache and says on standard output what it was promised; tests kill it or take its disk away.

Started as `fault_child.py ROOT ACT VALUES`:

    ingest START COUNT  adds images in groups of three and tells the number of each that was committed
    remove UID          removes a study and tells "removed"
    churn TURN          writes a study and removes it, for ever
    open                does nothing more
    look                reads every image and tells its number
    fill                writes until the disk is full, looks, cleans, writes again
    clean               lets go what is older than 30 days, without the right to read, and tells what went

Started as `fault_child.py serve` it forks such a process for every line (where its output goes, and its arguments)
and tells its number; the process starts with the next line, so that a tracer can come first, and its end is told.
"""

import contextlib
import ctypes
import json
import os
import select
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from priorline.cache import cleanup
from priorline.cache.inventory import Inventory
from priorline.cache.keys import MasterKey
from priorline.cache.store import Store
from priorline.domain.patient import Identifier, Patient
from priorline.domain.retention import Limits
from priorline.domain.study import StudyAnswer
from priorline.errors import CacheError, CacheFull

KEY = MasterKey(b"k" * 32, "file")
STUDY = StudyAnswer("A", "1.2.840.99.1", Patient(Identifier("1")))
SIZE = 3000


def content(number: int) -> bytes:
    """What the image with this number holds."""
    return b"%d" % number * SIZE


def ingest(store: Store, start: int, count: int) -> None:
    """Add images; what was told is durable."""
    store.begin_fetch(STUDY, 0)
    for number in range(start, start + count):
        store.add(STUDY, f"1.2.{number}", "1.2", b"%d" % number, content(number))
        if number % 3 == 2:
            store.commit()
            tell(*(str(one) for one in range(max(start, number - 2), number + 1)))
    store.finish_fetch(STUDY.study_uid, complete=False)


def churn(store: Store, turn: str) -> None:
    """A study that comes and goes."""
    study = StudyAnswer("B", f"1.2.840.99.2.{turn}", Patient(Identifier("2")))
    while True:
        store.begin_fetch(study, 4)
        for number in range(4):
            store.add(study, f"1.3.{number}", "1.3", b"", content(number))
        store.finish_fetch(study.study_uid, complete=True)
        tell("came")
        store.remove(study.study_uid)
        tell("went")


def fill(store: Store) -> None:
    """Until the disk is full, and what then still works."""
    store.begin_fetch(STUDY, 0)
    number = 0
    try:
        while True:
            store.add(STUDY, f"1.2.{number}", "1.2", b"", content(number) * 10)
            number += 1
            if number % 8 == 0:
                store.commit()
    except CacheFull as problem:
        tell(f"full: {problem}")
    with contextlib.suppress(CacheFull):
        store.commit()
    here = store.instances(STUDY.study_uid)
    readable = [one for one in here if store.read(one) == content(int(one.sop_uid[4:])) * 10]
    tell(f"readable: {len(readable)}", f"committed: {len(here)}")
    tell(f"aside: {len(list(store.files.incoming.rglob('*.part')))}")
    store.remove(STUDY.study_uid)
    left = len(store.studies())
    outcome = store.add(STUDY, "1.2.0", "1.2", b"", content(0)).outcome
    store.commit()
    tell(f"after cleaning: {left} studies, {len(store.instances(STUDY.study_uid))} {outcome.value}")


def look(store: Store) -> None:
    """What was read is what was written."""
    for instance in store.instances(STUDY.study_uid):
        number = instance.sop_uid.removeprefix("1.2.")
        assert store.read(instance) == content(int(number))
        tell(number)


def remove(store: Store, uid: str) -> None:
    """What was told is gone."""
    store.remove(uid)
    tell("removed")


def clean(root: Path) -> None:
    """As the command line cleans where it has no key."""
    with Inventory.open(root) as inventory:
        tell("open")
        done = cleanup.run(inventory, cleanup.plan(inventory, Limits(max_age=timedelta(days=30))))
        tell(*(study.handle for study, _reason in done.removed))


def serve() -> None:
    """Fork instead of starting Python anew for every point."""
    while order := sys.stdin.readline():
        output, *arguments = json.loads(order)
        child = os.fork()
        if child == 0:
            traced_after_fork(output)
            os._exit(main(*arguments))
        tell(str(child))
        tell(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
        sys.stdin.readline()


def traced_after_fork(output: str) -> None:
    """Let any process of this user trace this one, and wait for the word to begin."""
    anybody = 0x59616D61, ctypes.c_ulong(-1)  # PR_SET_PTRACER, PR_SET_PTRACER_ANY
    ctypes.CDLL(None).prctl(*anybody, 0, 0, 0)
    told = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(told, 1)
    os.dup2(told, 2)
    select.select([0], [], [])


def tell(*lines: str) -> None:
    """At once, and whole."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def act_on(store: Store, act: str, values: tuple[str, ...]) -> None:
    """One of the acts that need the key."""
    acts: dict[str, Callable[[], None]] = {
        "ingest": lambda: ingest(store, int(values[0]), int(values[1])),
        "churn": lambda: churn(store, values[0]),
        "fill": lambda: fill(store),
        "look": lambda: look(store),
        "open": lambda: None,
        "remove": lambda: remove(store, values[0]),
    }
    acts[act]()


def main(root: str, act: str, *values: str) -> int:
    """0 where all went well, 3 where the disk said no."""
    try:
        if act == "clean":
            clean(Path(root))
            return 0
        with Store.open(Path(root), KEY) as store:
            tell("open")
            act_on(store, act, values)
    except CacheError as problem:
        tell(f"told: {problem}")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(serve() if sys.argv[1:] == ["serve"] else main(*sys.argv[1:]))
