"""A process that uses a cache and says on standard output what it was promised; tests kill it or take its disk away.

Started as `fault_child.py ROOT ACT VALUES`:

    ingest START COUNT  adds images in groups of three and tells the number of each that was committed
    remove UID          removes a study and tells "removed"
    churn TURN          writes a study and removes it, for ever
    fill                writes until the disk is full, looks, cleans, writes again
"""

import contextlib
import sys
from pathlib import Path

from priorline.cache.keys import MasterKey
from priorline.cache.store import Store
from priorline.domain.patient import Identifier, Patient
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


def tell(*lines: str) -> None:
    """At once, and whole."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def main(root: str, act: str, *values: str) -> int:
    """0 where all went well, 3 where the disk said no."""
    try:
        with Store.open(Path(root), KEY) as store:
            tell("open")
            if act == "ingest":
                ingest(store, int(values[0]), int(values[1]))
            elif act == "churn":
                churn(store, values[0])
            elif act == "fill":
                fill(store)
            else:
                store.remove(values[0])
                tell("removed")
    except CacheError as problem:
        tell(f"told: {problem}")
        return 3
    except OSError:
        return 3  # the pipe to the test met what was meant for the disk
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
