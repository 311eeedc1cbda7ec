"""Names and numbers that occur nowhere by chance; the search for them in files and in what processes are given."""

import base64
import contextlib
import json
import os
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

UID_ROOT = "1.2.826.0.1.3680043.8.498."
STUDY_MARK, SERIES_MARK, SOP_MARK = "7731009144", "8842017355", "9953028466"
NUMBER, BIRTH_DATE, ACCESSION = "777310119", "19370317", "QZACC7731X"
FAMILY, GIVEN, MAIDEN, PHYSICIAN = "Vörbergqvist", "Anaïsabelle", "Ødegårdskjær", "Ûlrikestønner"
STRANGER, STRANGER_NUMBER = "Vreemdelinge", "884201732"
DESCRIPTION, COMMENT = "Zwerfkogelscan", "Dwaallichtnotitie"
LAUNCHED, PINNED, CONFIRMED, REVOKED = "Spoedvraagzin", "Bewaarredezin", "Bevestigzin", "Herroepzin"

CANARIES = {
    "number": NUMBER,
    "birth date": BIRTH_DATE,
    "birth date, written out": "1937-03-17",
    "birth date, as people write it": "17-03-1937",
    "family name": FAMILY,
    "given name": GIVEN,
    "maiden name": MAIDEN,
    "physician": PHYSICIAN,
    "accession number": ACCESSION,
    "study UID": STUDY_MARK,
    "series UID": SERIES_MARK,
    "SOP instance UID": SOP_MARK,
    "description": DESCRIPTION,
    "comment": COMMENT,
    "stranger's name": STRANGER,
    "stranger's number": STRANGER_NUMBER,
    "reason of the launch": LAUNCHED,
    "reason of the pin": PINNED,
    "reason of the confirmation": CONFIRMED,
    "reason of its end": REVOKED,
}
POLL_SECONDS = 0.02


def forms(text: str) -> tuple[frozenset[bytes], frozenset[bytes]]:
    """The bytes that `text` may stand in: in lower case those whose case does not matter, and those where it does."""
    spellings = {text, text.upper(), text.lower(), unicodedata.normalize("NFD", text), _without_accents(text)}
    loose, exact = set[bytes](), set[bytes]()
    for spelling in spellings:
        for encoding in ("utf-8", "latin-1", "utf-16-le", "utf-16-be"):
            with contextlib.suppress(UnicodeEncodeError):
                encoded = spelling.encode(encoding)
                loose |= {encoded.lower(), encoded.hex().encode()}
                exact |= _base64(encoded)
        loose |= {json.dumps(spelling)[1:-1].encode().lower(), quote(spelling).encode().lower()}
        loose |= {ascii(spelling)[1:-1].encode().lower()}
    return frozenset(loose), frozenset(exact)


def _without_accents(text: str) -> str:
    letters = unicodedata.normalize("NFD", text)
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def _base64(encoded: bytes) -> set[bytes]:
    """What of `encoded` is always the same in base64, wherever in a longer text it begins and ends."""
    found = set()
    for before, mixed in ((0, 0), (1, 2), (2, 3)):
        whole = base64.b64encode(bytes(before) + encoded)
        end = len(whole) - (0, 3, 2)[(before + len(encoded)) % 3]
        found.add(whole[mixed:end])
    return found | {one.translate(bytes.maketrans(b"+/", b"-_")) for one in found}


FORMS = {name: forms(text) for name, text in CANARIES.items()}


def canaries_in(content: bytes) -> set[str]:
    """The names of the canaries that stand in `content` in any form."""
    lower = content.lower()
    return {
        name
        for name, (loose, exact) in FORMS.items()
        if any(one in lower for one in loose) or any(one in content for one in exact)
    }


def canaries_below(folder: Path, excluded: Sequence[Path] = ()) -> dict[str, set[str]]:
    """Every file below `folder`, links and folders too, in whose name or content a canary stands, and which."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if any(path.is_relative_to(one) for one in excluded):
            continue
        name = str(path.relative_to(folder))
        content = os.fsencode(name)
        if path.is_symlink():
            content += b"\n" + os.fsencode(path.readlink())
        elif path.is_file():
            content += b"\n" + _unless_empty(path.read_bytes())
        hits = canaries_in(content)
        if hits:
            found[name] = hits
    return found


def _unless_empty(content: bytes) -> bytes:
    """Nothing for room that is only set aside: it is large, and quickly seen to be zeros."""
    return content if content.strip(b"\0") else b""


class Watch:
    """Looks, as long as its context lasts, at what every descendant of the processes told to it is given."""

    def __init__(self) -> None:
        self._given: dict[tuple[int, bytes], bytes] = {}
        self._roots: dict[int, bool] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_until_over)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def add(self, pid: int, *, itself: bool = True) -> None:
        """Watch all that this process starts, and the process itself unless a test gave it canaries."""
        self._roots[pid] = itself

    def seen(self, part: bytes) -> int:
        """How many processes had `part` among their arguments."""
        return len({pid for pid, arguments in self._given.copy() if part in arguments})

    def found(self) -> dict[str, set[str]]:
        """Canaries in the arguments and the environment of any process, by the process."""
        looked = {
            f"process {pid}: {arguments!r}": canaries_in(arguments + b"\n" + environment)
            for (pid, arguments), environment in self._given.copy().items()
        }
        return {process: hits for process, hits in looked.items() if hits}

    def _look_until_over(self) -> None:
        while not self._over.wait(POLL_SECONDS):
            for root, itself in self._roots.copy().items():
                # A process that was forked has its parent's arguments until it has some of its own.
                own = b"" if itself else _read(root, "cmdline")
                for pid in (*[root] * itself, *_descendants(root)):
                    arguments = _read(pid, "cmdline")
                    if arguments != own and (pid, arguments) not in self._given:
                        self._given[pid, arguments] = _read(pid, "environ")


def _read(pid: int, what: str) -> bytes:
    """What the system tells of a process, nothing where it has ended; it can at any time."""
    with contextlib.suppress(OSError):
        return Path("/proc", str(pid), what).read_bytes()
    return b""


def _descendants(pid: int) -> Iterator[int]:
    """All processes that `pid` started and that run now, and those that they started."""
    children: list[str] = []
    with contextlib.suppress(OSError):
        for task in Path("/proc", str(pid), "task").glob("*/children"):
            children += task.read_text().split()
    for child in map(int, children):
        yield child
        yield from _descendants(child)
