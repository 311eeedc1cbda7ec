"""The audit trail: append-only records of who asked for what, when and why, each chained to the one before.

One JSON object a line. Events carry the codes of DICOM PS3.15 A.5 and the minimum fields of NEN 7513. A record is on
the disk before the act that it tells of; where it cannot be written the act must not happen. The trail is the one
place that names patients, and only its owner can read it.
"""

import getpass
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import IO, Any

from priorline.errors import AuditError

FIRST_LINK = "0" * 64


class AuditEvent(Enum):
    """Event identifiers of PS3.15 A.5 (code values of PS3.16, scheme DCM)."""

    QUERY = "110112"
    TRANSFERRED = "110104"
    ACCESSED = "110103"
    DELETED = "110105"
    EXPORTED = "110106"
    IMPORTED = "110107"
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

    def record(self, event: AuditEvent, *, reason: str = "", **facts: Any) -> None:
        """Append one record and force it to the disk; raises AuditError where that fails."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._locked() as trail:
                line = self._line(event, reason, facts, _last_link(trail))
                trail.seek(0, os.SEEK_END)
                trail.write(line.encode() + b"\n")
                trail.flush()
                os.fsync(trail.fileno())
        except OSError as problem:
            raise AuditError(
                f"The audit trail cannot be written ({problem.strerror}); nothing was asked. "
                f"Make room or give access to {self.path.parent}."
            ) from problem

    def records(self) -> Iterator[dict[str, Any]]:
        """Every record, oldest first; a line that is not one is given as {"damaged": line number}."""
        for number, line in enumerate(self._lines(), 1):
            try:
                yield json.loads(line)
            except ValueError:
                yield {"damaged": number}

    def verify(self) -> ChainBreak | None:
        """The first place where the chain is broken, or None."""
        expected = FIRST_LINK
        for number, line in enumerate(self._lines(), 1):
            try:
                record = json.loads(line)
                link = record.pop("link")
            except (ValueError, KeyError, AttributeError):
                return ChainBreak(number, "this line is not a record")
            if record.get("previous") != expected:
                return ChainBreak(number, "a record before this one is missing or was changed")
            if link != _link(record):
                return ChainBreak(number, "this record was changed")
            expected = link
        return None

    def _lines(self) -> Iterator[str]:
        try:
            with self.path.open(encoding="utf-8", errors="replace") as trail:
                yield from trail
        except FileNotFoundError:
            return
        except OSError as problem:
            raise AuditError(f"The audit trail {self.path} cannot be read: {problem.strerror}.") from problem

    def _line(self, event: AuditEvent, reason: str, facts: dict[str, Any], previous: str) -> str:
        record = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": event.name.lower(),
            "code": event.value,
            "user": getpass.getuser(),
            "process": os.getpid(),
            "reason": reason,
            **facts,
            "previous": previous,
        }
        return json.dumps({**record, "link": _link(record)}, ensure_ascii=True)

    @contextmanager
    def _locked(self) -> Iterator[IO[bytes]]:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "r+b") as trail:
            _lock(trail)
            yield trail  # The lock ends with the file.


def _link(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def _last_link(trail: IO[bytes]) -> str:
    """The link of the last whole record; the chain goes on from there even after a torn line."""
    size = trail.seek(0, os.SEEK_END)
    trail.seek(max(0, size - 65536))
    for line in reversed(trail.read().splitlines()):
        try:
            return str(json.loads(line)["link"])
        except (ValueError, KeyError, TypeError):
            continue
    return FIRST_LINK


def _lock(trail: IO[bytes]) -> None:
    if sys.platform == "win32":
        import msvcrt

        trail.seek(0)
        msvcrt.locking(trail.fileno(), msvcrt.LK_LOCK, 1)
    else:
        import fcntl

        fcntl.flock(trail, fcntl.LOCK_EX)
