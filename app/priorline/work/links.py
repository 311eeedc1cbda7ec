"""What persons confirmed about identities: an append-only file in the state directory, encrypted line by line.

A line is `kind handle sealed`: kind "+" (confirmed) or "-" (revoked), the handle of the pair, and the link itself,
sealed with AES-GCM. The handle is an authentication code, so it tells nobody whom it is about, but a revocation whose
end was torn off still names what it revokes: a torn confirmation never counts, a torn revocation always does. A line
that is not even that much might have been a revocation of anything, so what was confirmed before it does not count.
Every line carries a rising number, so an old line copied to the end does not count either; whoever can replace the
whole file by an older one can undo revocations, which the audit trail shows.
"""

import base64
import binascii
import hmac
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from priorline.audit.trail import AuditEvent, AuditTrail
from priorline.cache.keys import MasterKey, derive
from priorline.domain.bsn import usual_form
from priorline.domain.links import PersonLink
from priorline.domain.patient import Identifier
from priorline.errors import CacheError, UsageError

LINKS_FILE = "links.sealed"
HANDLE = 32  # hexadecimal digits
NONCE = 12
CONFIRMED, REVOKED = b"+", b"-"


class _Line(msgspec.Struct, frozen=True):
    """What is sealed in a line."""

    number: int
    link: PersonLink
    why: str = ""


class LinkStore:
    """The confirmations of one user; several processes may read and append at once."""

    def __init__(self, path: Path, key: MasterKey, trail: AuditTrail) -> None:
        """`path` is made on first use; both keys are derived from `key` for links only."""
        self._path = path
        self._trail = trail
        self._cipher = AESGCM(derive(key.secret, b"person links"))
        self._handle_key = derive(key.secret, b"person link handles")

    def links_of(self, context: Identifier) -> tuple[PersonLink, ...]:
        """The links in force for this number and issuer, in the order confirmed; raises CacheError."""
        wanted = usual_form(context)
        with self._telling_faults():
            content = self._content()
        links = _in_force(self._entries(content))
        return tuple(link for link in links if usual_form(link.context) == wanted)

    def add(self, link: PersonLink) -> None:
        """Write a confirmation to the audit trail and then to the disk.

        Raises UsageError without a reason, AuditError or CacheError where it cannot be written; then it does not
        count.
        """
        self._append(CONFIRMED, link, link.reason)

    def revoke(self, link: PersonLink, reason: str) -> None:
        """Take a confirmation of this pair back, whoever gave it; audited and raising as `add`."""
        self._append(REVOKED, link, reason)

    def _append(self, kind: bytes, link: PersonLink, reason: str) -> None:
        if not reason.strip():
            raise UsageError("A decision about a patient's identity needs a reason; say how you know.")
        self._trail.record(
            AuditEvent.PATIENT_RECORD,
            reason=reason,
            action="linked" if kind == CONFIRMED else "unlinked",
            hospital=link.hospital,
            patient_id=link.context.value,
            issuer=link.context.issuer,
            other_id=link.other.value,
            other_issuer=link.other.issuer,
            confirmed_by=link.user,
            study=link.study_uid,
        )
        with self._telling_faults(), self._locked(os.O_RDWR | os.O_CREAT, "r+b") as file:
            written = file.read()
            head = kind + b" " + self._handle(link)
            number = max((line.number for _, _, line in self._entries(written) if line), default=0) + 1
            _write(file, written, head + b" " + self._sealed(head, _Line(number, link, reason)) + b"\n")

    def _entries(self, content: bytes) -> Iterator[tuple[bytes, bytes, _Line | None]]:
        """Kind, handle and content of every line; the content is None where it is torn, changed or not new."""
        number = 0
        for text in content.split(b"\n"):
            if not text:
                continue
            kind, handle, sealed = [*text.split(b" ", 2), b"", b""][:3]
            line = self._unsealed(kind + b" " + handle, sealed)
            if line is not None and line.number <= number:
                line = None
            number = number if line is None else line.number
            yield kind, handle, line

    def _handle(self, link: PersonLink) -> bytes:
        code = hmac.new(self._handle_key, msgspec.json.encode(link.pair), sha256)
        return code.hexdigest()[:HANDLE].encode()

    def _sealed(self, head: bytes, line: _Line) -> bytes:
        nonce = os.urandom(NONCE)
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, msgspec.json.encode(line), head))

    def _unsealed(self, head: bytes, sealed: bytes) -> _Line | None:
        try:
            raw = base64.b64decode(sealed, validate=True)
            return msgspec.json.decode(self._cipher.decrypt(raw[:NONCE], raw[NONCE:], head), type=_Line)
        except (binascii.Error, InvalidTag, ValueError):
            # Shorter than a nonce, torn, changed, of another key, or of a later version of this program.
            return None

    def _content(self) -> bytes:
        try:
            with self._locked(os.O_RDONLY, "rb") as file:
                return file.read()
        except FileNotFoundError:
            return b""

    @contextmanager
    def _locked(self, flags: int, mode: str) -> Iterator[IO[bytes]]:
        if flags & os.O_CREAT:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)
        with os.fdopen(descriptor, mode, buffering=0) as file:
            _lock(file, shared=not flags & os.O_CREAT)
            yield file  # The lock ends with the file.

    @contextmanager
    def _telling_faults(self) -> Iterator[None]:
        try:
            yield
        except OSError as problem:
            raise CacheError(
                f"The confirmed identities cannot be read or written ({problem.strerror}); "
                f"make room or give access to {self._path.parent}."
            ) from problem


def _in_force(entries: Iterator[tuple[bytes, bytes, _Line | None]]) -> tuple[PersonLink, ...]:
    links: dict[bytes, PersonLink] = {}
    for kind, handle, line in entries:
        if kind == CONFIRMED:
            if line is not None:
                links[handle] = line.link
        elif kind == REVOKED:
            # Also by a part of the handle: all that it can mean.
            links = {known: link for known, link in links.items() if not known.startswith(handle)}
        else:
            links = {}
    return tuple(links.values())


def _write(file: IO[bytes], written: bytes, line: bytes) -> None:
    """Append a whole line or nothing, on the disk; a torn line before it stays a line of its own."""
    descriptor = file.fileno()
    if sys.platform != "win32" and os.fstat(descriptor).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        os.fchmod(descriptor, 0o600)
    line = line if not written or written.endswith(b"\n") else b"\n" + line
    try:
        file.seek(0, os.SEEK_END)
        while line:
            line = line[file.write(line) :]
        os.fsync(descriptor)
    except OSError:
        file.truncate(len(written))
        raise


def _lock(file: IO[bytes], *, shared: bool) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
