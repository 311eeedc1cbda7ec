"""A process that uses a cache and says on standard output what it was promised; tests kill it or take its disk away.

`fault_child.py ROOT ingest START COUNT`: adds images in groups of three and tells the number of each that was
committed. `fault_child.py ROOT remove UID`: removes a study and tells "removed".
"""

import sys
from pathlib import Path

from priorline.cache.keys import MasterKey
from priorline.cache.store import Store
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import StudyAnswer
from priorline.errors import CacheError

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
            else:
                store.remove(values[0])
                tell("removed")
    except CacheError as problem:
        tell(f"told: {problem}")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
