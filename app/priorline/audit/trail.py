"""The audit trail: append-only records of who asked for what, when and why, each chained to the one before.

One JSON object a line. Events carry the codes of DICOM PS3.15 A.5 and the minimum fields of NEN 7513. A record is on
the disk before the act that it tells of; where it cannot be written the act must not happen. The trail is the one
place that names patients, and only its owner can read it. Beside it a small file holds the last link, so that records
cut off at the end are noticed too.
"""

import getpass
import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import IO, Any

from priorline.errors import AuditError

FIRST_LINK = "0" * 64
BLOCK = 65536
# Written by the trail itself; a fact of the same name would replace what happened by what somebody says.
OWN_FIELDS = frozenset("time event code user process reason previous link".split())


class AuditEvent(Enum):
    """Event identifiers of PS3.15 A.5 (code values of PS3.16 CID 400, scheme DCM).

    PATIENT_RECORD is what a person's decision about a patient's identity is: it changes whom records are of.
    """

    QUERY = "110112"
    TRANSFERRED = "110104"
    ACCESSED = "110103"
    DELETED = "110105"
    EXPORTED = "110106"
    IMPORTED = "110107"
    PATIENT_RECORD = "110110"
    SECURITY_ALERT = "110113"


@dataclass(frozen=True, slots=True)
class ChainBreak:
    """Where a trail stops being what was written: line number from 1, and what is wrong there."""

    line: int
    problem: str


class AuditTrail:
    """Appends to one file; several processes may do so at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._head = path.with_name(path.name + ".head")

    def record(self, event: AuditEvent, *, reason: str = "", **facts: Any) -> None:
        """Append one record and force it to the disk; raises AuditError where that fails."""
        self.record_all(event, [facts], reason=reason)

    def record_all(self, event: AuditEvent, acts: Sequence[Mapping[str, Any]], *, reason: str = "") -> None:
        """Append one record for the facts of each act and force them to the disk together; all are kept, or none.

        Raises AuditError where that fails.
        """
        posing = OWN_FIELDS.intersection(name for facts in acts for name in facts)
        if posing:
            raise ValueError(f"these names are the trail's own: {', '.join(sorted(posing))}")
        if not acts:
            return
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._locked() as trail:
                link, lines = self._previous(trail), list[bytes]()
                for facts in acts:
                    record = self._record(event, reason, facts, link)
                    link = record["link"]
                    lines.append(json.dumps(record).encode() + b"\n")
                _append(trail, b"".join(lines))
                self._write_head(link)
        except OSError as problem:
            raise AuditError(
                f"The audit trail cannot be written ({problem.strerror}); nothing was asked. "
                f"Make room or give access to {self.path.parent}."
            ) from problem

    def records(self) -> Iterator[dict[str, Any]]:
        """Every record, oldest first; a line that is not one is given as {"damaged": line number}."""
        for number, line in enumerate(self._lines(), 1):
            record = _parsed(line)
            yield {"damaged": number} if record is None else record

    def verify(self) -> ChainBreak | None:
        """The first place where the chain is broken, or None.

        Whoever can write the trail can write a new one: keep copies elsewhere where that matters.
        """
        # Read first: records that are written meanwhile then lie beyond it, not before it.
        head = self._read_head()
        seen = not head
        expected = FIRST_LINK
        number = 0
        for number, line in enumerate(self._lines(), 1):
            record = _parsed(line)
            problem = _problem(record, line, expected)
            if record is None or problem:
                return ChainBreak(number, problem)
            expected = record["link"]
            seen = seen or expected == head
        return None if seen else ChainBreak(number + 1, "records at the end are missing")

    def _lines(self) -> Iterator[str]:
        """The lines up to the end that the trail has now; a record that is just being written is waited for."""
        try:
            with self.path.open("rb") as trail:
                _lock(trail, shared=True)
                left = os.fstat(trail.fileno()).st_size
                _unlock(trail)
                trail.seek(0)
                for line in trail:
                    left -= len(line)
                    if left < 0:
                        return
                    yield line.decode("utf-8", "replace")
        except FileNotFoundError:
            return
        except OSError as problem:
            raise AuditError(f"The audit trail {self.path} cannot be read: {problem.strerror}.") from problem

    def _record(self, event: AuditEvent, reason: str, facts: Mapping[str, Any], previous: str) -> dict[str, Any]:
        record = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": event.name.lower(),
            "code": event.value,
            "user": user_name(),
            "process": os.getpid(),
            "reason": reason,
            **facts,
            "previous": previous,
        }
        return {**record, "link": _link(record)}

    @contextmanager
    def _locked(self) -> Iterator[IO[bytes]]:
        # Unbuffered, so that nothing of a record that could not be written is written later.
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as trail:
            _lock(trail)
            if sys.platform != "win32" and os.fstat(descriptor).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                os.fchmod(descriptor, 0o600)
            yield trail  # The lock ends with the file.

    def _previous(self, trail: IO[bytes]) -> str:
        """The link to go on from; after a cut at the end that is the lost one, so that the gap stays visible."""
        last, head = _last_link(trail), self._read_head()
        if head in ("", last):
            return last
        trail.seek(0)
        # Found further up: the program ended between the record and the note of it.
        return last if any(head.encode() in line for line in trail) else head

    def _write_head(self, link: str) -> None:
        descriptor = os.open(self._head, os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "wb") as head:
            head.write(link.encode())

    def _read_head(self) -> str:
        """The last link as noted; nothing where there is none or it was torn."""
        try:
            head = self._head.read_text("ascii", "replace")
        except OSError:
            return ""
        return head if len(head) == len(FIRST_LINK) else ""


def _append(trail: IO[bytes], lines: bytes) -> None:
    """Write whole lines or nothing; a torn line before them stays a line of its own."""
    size = trail.seek(0, os.SEEK_END)
    if size:
        trail.seek(size - 1)
        lines = lines if trail.read(1) == b"\n" else b"\n" + lines
    try:
        while lines:
            lines = lines[trail.write(lines) :]
        os.fsync(trail.fileno())
    except OSError:
        trail.truncate(size)
        raise


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _problem(record: dict[str, Any] | None, line: str, expected: str) -> str:
    """What is wrong with a record, in words."""
    if record is None or not isinstance(record.get("link"), str):
        return "this line is not a record"
    if record.get("previous") != expected:
        return "a record before this one is missing or was changed"
    rest = {name: value for name, value in record.items() if name != "link"}
    # Compared as text, too: JSON can say a thing twice, and readers differ in which they believe.
    whole = json.dumps(record) + "\n" == line and _link(rest) == record["link"]
    return "" if whole else "this record was changed"


def _link(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _last_link(trail: IO[bytes]) -> str:
    """The link of the last whole record; the chain goes on from there even after a torn line."""
    start = trail.seek(0, os.SEEK_END)
    rest = b""
    while start:
        length = min(start, BLOCK)
        start -= length
        trail.seek(start)
        first, *lines = (trail.read(length) + rest).split(b"\n")
        for line in reversed(lines if start else [first, *lines]):
            record = _parsed(line.decode("utf-8", "replace"))
            if record is not None and "link" in record:
                return str(record["link"])
        rest = first  # The end of a line that begins further up.
    return FIRST_LINK


def user_name() -> str:
    """Who is logged in, as every record says it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return f"uid {os.getuid()}" if sys.platform != "win32" else "unknown"


def _lock(trail: IO[bytes], *, shared: bool = False) -> None:
    if sys.platform == "win32":
        import msvcrt

        trail.seek(0)
        msvcrt.locking(trail.fileno(), msvcrt.LK_LOCK, 1)
    else:
        import fcntl

        fcntl.flock(trail, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)


def _unlock(trail: IO[bytes]) -> None:
    if sys.platform == "win32":
        import msvcrt

        trail.seek(0)
        msvcrt.locking(trail.fileno(), msvcrt.LK_UNLCK, 1)
    else:
        import fcntl

        fcntl.flock(trail, fcntl.LOCK_UN)
