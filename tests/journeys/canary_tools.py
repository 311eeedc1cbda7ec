"""Names and numbers that occur nowhere by chance; the search for them in files and in what processes are given."""

import base64
import contextlib
import json
import os
import threading
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psutil

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
    if not content.strip(b"\0"):
        return set()
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
            content += b"\n" + path.read_bytes()
        hits = canaries_in(content)
        if hits:
            found[name] = hits
    return found


@dataclass
class Watch:
    """Looks, as long as its context lasts, at what every descendant of the processes told to it is given."""

    arguments: dict[tuple[int, float], set[bytes]] = field(default_factory=dict)
    environments: dict[tuple[int, float], bytes] = field(default_factory=dict)
    _roots: list[tuple[psutil.Process, bool]] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._look_until_over)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def add(self, pid: int, *, itself: bool = True) -> None:
        """Watch all that this process starts, and the process itself unless a test gave it canaries."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._roots.append((psutil.Process(pid), itself))

    def seen(self, part: bytes) -> int:
        """How many processes had `part` among their arguments."""
        return sum(any(part in one for one in lines) for lines in self.arguments.values())

    def found(self) -> dict[str, set[str]]:
        """Canaries in the arguments and the environment of any process, by the process."""
        found = {}
        for (pid, started), lines in self.arguments.items():
            given = b"\n".join(lines) + b"\n" + self.environments.get((pid, started), b"")
            hits = canaries_in(given)
            if hits:
                found[f"process {pid}: {sorted(lines)!r}"] = hits
        return found

    def _look_until_over(self) -> None:
        while not self._over.wait(POLL_SECONDS):
            for root, itself in list(self._roots):
                with contextlib.suppress(psutil.Error):
                    for one in ((root,) if itself else ()) + tuple(root.children(recursive=True)):
                        self._look(one)

    def _look(self, one: psutil.Process) -> None:
        with contextlib.suppress(psutil.Error, OSError):
            key, place = (one.pid, one.create_time()), Path("/proc", str(one.pid))
            self.arguments.setdefault(key, set()).add((place / "cmdline").read_bytes())
            self.environments[key] = (place / "environ").read_bytes()
