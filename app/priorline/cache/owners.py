"""Who works on a cache: every opened store is an owner, known to others by a lock that ends with its process."""

import os
import re
import secrets
import shutil
import sys
import time
from pathlib import Path

from priorline.cache.disk import entries
from priorline.cache.index import faults
from priorline.errors import CacheError

PATIENCE = 2.5
_PAUSE = 0.001
_LOCK = "owner.lock"
_TOUCHED = ".touched"
_HANDLE = re.compile(r"[0-9a-f]{32}")


class Owner:
    """One opened store, known to other processes by a lock that ends with its process."""

    def __init__(self, incoming: Path) -> None:
        self.name = secrets.token_hex(16)
        self.directory = incoming / self.name
        self._touched: set[str] = set()
        self._leaves = False
        with faults():
            self.directory.mkdir(mode=0o700)
            self._lock = os.open(self.directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            self._take_lock()

    def _take_lock(self) -> None:
        # Who only looks whether it is held holds it for a moment; a store without it would be taken for a dead one.
        until = time.monotonic() + PATIENCE
        while not _try_lock(self._lock):
            if time.monotonic() >= until:
                self.close()
                raise CacheError("The disk of the cache cannot lock files; set cache.directory to a local one.")
            time.sleep(_PAUSE)

    @property
    def is_open(self) -> bool:
        """Whether `close` was not called yet."""
        return self._lock >= 0

    def touch(self, study: str) -> None:
        """Note that this process works on a study, so that it is looked after if the process dies."""
        if study not in self._touched:
            path = self.directory / (study + _TOUCHED)
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
            self._touched.add(study)

    def settle(self, study: str) -> None:
        """Note that nothing of a study is half-done any more."""
        self._touched.discard(study)
        (self.directory / (study + _TOUCHED)).unlink(missing_ok=True)

    def leave(self) -> None:
        """Leave the touched studies to the next opening, as if this process had died: something of them failed."""
        self._leaves = True

    def close(self) -> None:
        """Give up the lock and remove what was left unfinished; a second call does nothing."""
        if self._lock < 0:
            return
        handle, self._lock = self._lock, -1
        with faults():
            os.close(handle)
            if not (self._leaves and self._touched):
                shutil.rmtree(self.directory, ignore_errors=True)


def dead_owners(incoming: Path) -> list[Path]:
    """The incoming directories whose process is gone; only to be asked while the index is held."""
    return [entry for entry in _owners(incoming) if not is_locked(entry / _LOCK)]


def live_owners(incoming: Path) -> set[str]:
    """The owners whose process lives."""
    return {entry.name for entry in _owners(incoming) if is_locked(entry / _LOCK)}


def _owners(incoming: Path) -> list[Path]:
    return [
        Path(entry.path)
        for entry in entries(incoming)
        if _HANDLE.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
    ]


def touched_studies(owner: Path) -> list[str]:
    """The studies that the owner of this incoming directory was working on."""
    try:
        names = [entry.name for entry in entries(owner)]
    except FileNotFoundError:
        return []  # it closed just now, and so left nothing half-done
    return [name[:32] for name in names if _HANDLE.fullmatch(name[:32]) and name[32:] == _TOUCHED]


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock file at `path`."""
    try:
        handle = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return False
    try:
        return not _try_lock(handle)
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
