"""The files of the cache: a marked, private directory; files written aside first; owners that are alive or dead.

::

    .priorline-cache          the marker: without it a directory that holds anything is refused
    CACHEDIR.TAG              asks backup programs to leave the cache out
    index.sqlite
    reserve                   room that is given up so that a full disk can still be cleaned
    incoming/<owner>/owner.lock   locked by the operating system as long as the owner's process lives
    incoming/<owner>/<handle>.part
    objects/ab/<handle>.obj   ab: the start of the study's handle, so that a group of a study ends in one directory

All names are random handles of our own; nothing that a peer sent is ever part of a path.
"""

import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from priorline.cache.index import faults
from priorline.errors import CacheError, CacheFull

T = TypeVar("T")

MARKER = ".priorline-cache"
INDEX = "index.sqlite"
RESERVE_BYTES = 8 << 20  # the journal for removing a study of some thousand images
_RESERVE = "reserve"
_BACKUP_TAG = "CACHEDIR.TAG"
_TAG_TEXT = "Signature: 8a477f597d28d172789f06886806bc55\n# The cache of Priorline: can be fetched again.\n"
_OBJECT = re.compile(r"[0-9a-f]{32}\.obj")
_OWNER = re.compile(r"[0-9a-f]{32}")
_LOCK = "owner.lock"


class CacheFiles:
    """The directory tree under one root; paths are made here and nowhere else."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.objects = root / "objects"
        self.incoming = root / "incoming"

    @classmethod
    def open(cls, directory: Path) -> "CacheFiles":
        """The tree at `directory`, made where it does not exist; raises CacheError where it is not a cache."""
        with faults():
            if not directory.exists():
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            root = directory.resolve()
            check_root(root, may_be_empty=True)
            root.chmod(0o700)
            _write_once(root / MARKER, "A cache of Priorline, version 1. It may be purged, it must not be edited.\n")
            _write_once(root / _BACKUP_TAG, _TAG_TEXT)
            files = cls(root)
            private_directory(files.objects)
            private_directory(files.incoming)
            files.keep_reserve()
        return files

    def object_path(self, study: str, handle: str) -> Path:
        """Where the object `handle` of the study `study` is or will be."""
        return self.objects / study[:2] / f"{handle}.obj"

    def found_objects(self) -> Iterator[Path]:
        """Every object file there is; links and foreign names are passed over."""
        for shard in self._shards():
            yield from (Path(entry.path) for entry in _entries(shard) if _is_object(entry))

    def unknown(self) -> Iterator[Path]:
        """Everything among the objects that the cache would not have put there."""
        for entry in _entries(self.objects):
            if not (entry.is_dir(follow_symlinks=False) and len(entry.name) == 2):
                yield Path(entry.path)
        for shard in self._shards():
            yield from (Path(entry.path) for entry in _entries(shard) if not _is_object(entry))

    def _shards(self) -> list[Path]:
        return [
            Path(entry.path)
            for entry in _entries(self.objects)
            if entry.is_dir(follow_symlinks=False) and len(entry.name) == 2
        ]

    def drop_empty_shards(self) -> None:
        """Remove the directories that hold no object any more; only while the index is held."""
        for shard in self._shards():
            if not any(_entries(shard)):
                shard.rmdir()

    def remove_object(self, path: Path) -> None:
        """Remove one object file, never through a link that was put in place of its directory."""
        if path.parent.is_symlink():
            raise CacheError("A directory of the cache is a link to somewhere else; remove the link.")
        path.unlink(missing_ok=True)

    def in_need(self, action: Callable[[], T]) -> T:
        """Do what makes room, or what must go on a full disk too; where it does not fit, on the reserve."""
        try:
            return action()
        except CacheFull:
            (self.root / _RESERVE).unlink(missing_ok=True)
        try:
            return action()
        finally:
            self.keep_reserve()

    def keep_reserve(self) -> None:
        """Set room aside, an eighth of what is free at most; where that fails, go on without."""
        path = self.root / _RESERVE
        try:
            size = min(RESERVE_BYTES, shutil.disk_usage(self.root).free // 8)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError:
            return
        try:
            with os.fdopen(handle, "wb") as file:
                # Written, not only made long: a sparse file would keep no room.
                file.write(bytes(size))
        except OSError:
            path.unlink(missing_ok=True)

    def dead_owners(self) -> list[Path]:
        """The incoming directories whose process is gone; only to be asked while the index is held."""
        return [entry for entry in self._owners() if not is_locked(entry / _LOCK)]

    def live_owners(self) -> set[str]:
        """The owners whose process lives."""
        return {entry.name for entry in self._owners() if is_locked(entry / _LOCK)}

    def _owners(self) -> list[Path]:
        return [
            Path(entry.path)
            for entry in _entries(self.incoming)
            if _OWNER.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
        ]


class Owner:
    """One opened store, known to other processes by a lock that ends with its process."""

    def __init__(self, files: CacheFiles) -> None:
        self.name = secrets.token_hex(16)
        self.directory = files.incoming / self.name
        with faults():
            self.directory.mkdir(mode=0o700)
            self._lock = os.open(self.directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            _try_lock(self._lock)

    @property
    def is_open(self) -> bool:
        """Whether `close` was not called yet."""
        return self._lock >= 0

    def close(self) -> None:
        """Give up the lock and remove what was left unfinished; a second call does nothing."""
        if self._lock < 0:
            return
        os.close(self._lock)
        self._lock = -1
        shutil.rmtree(self.directory, ignore_errors=True)


def check_root(root: Path, *, may_be_empty: bool) -> None:
    """Raise CacheError unless `root` is a directory with our marker or, where allowed, an empty one."""
    if not root.is_dir():
        raise CacheError(f"The cache's directory is not a directory: {root}")
    try:
        names = {entry.name for entry in _entries(root)}
    except PermissionError as error:
        raise CacheError(f"The cache's directory cannot be read; check its rights: {root}") from error
    marked = MARKER in names and stat.S_ISREG((root / MARKER).lstat().st_mode)
    if not marked and not (may_be_empty and not names):
        raise CacheError(f"The directory holds other things than a cache; choose an empty one: {root}")


def erase(directory: Path) -> None:
    """Remove everything in the cache at `directory`, also where its key or its index is lost; the marker stays.

    Raises CacheError where it is not a cache or a process still uses it.
    """
    with faults():
        root = directory.resolve()
        check_root(root, may_be_empty=False)
        files = CacheFiles(root)
        if files.incoming.is_dir() and files.live_owners():
            raise CacheError("The cache is in use; close the window first.")
        # The index goes first: without the wrapped keys in it the rest is noise.
        for name in (f"{INDEX}-journal", INDEX):
            (root / name).unlink(missing_ok=True)
        for entry in _entries(root):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            elif entry.name not in {MARKER, _BACKUP_TAG}:
                Path(entry.path).unlink()


def private_directory(path: Path) -> bool:
    """Make `path` for the owner only, and say whether it is new; raises CacheError where it is a link or a file."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        if not stat.S_ISDIR(path.lstat().st_mode):
            raise CacheError("A directory of the cache is a link or a file; remove it.") from None
        return False
    return True


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable; a no-op where directories cannot be opened (Windows)."""
    if sys.platform == "win32":
        return
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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


def _entries(path: Path) -> list[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _is_object(entry: os.DirEntry[str]) -> bool:
    return _OBJECT.fullmatch(entry.name) is not None and entry.is_file(follow_symlinks=False)


def _write_once(path: Path, text: str) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)
