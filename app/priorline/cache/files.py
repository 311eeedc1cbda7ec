"""The files of the cache: a marked, private directory; files written aside first; owners that are alive or dead.

::

    .priorline-cache          the marker: without it a directory that holds anything is refused
    key.check                 where the key is kept, and a code that only this key makes
    CACHEDIR.TAG              asks backup programs to leave the cache out
    index.sqlite
    reserve                   room that is given up so that a full disk can still be cleaned
    incoming/<owner>/owner.lock   locked by the operating system as long as the owner's process lives
    incoming/<owner>/<handle>.part
    incoming/<owner>/<study>.touched   the owner works on this study: looked after if it dies
    objects/<study>/study     the study's key and record, see `study_file`
    objects/<study>/<handle>.obj

All names are random handles of our own; nothing that a peer sent is ever part of a path.
"""

import os
import re
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from priorline.cache.disk import entries, private_directory, remove, replace, sync_directory
from priorline.cache.index import faults
from priorline.cache.owners import Owner, live_owners
from priorline.errors import CacheError, CacheFull

T = TypeVar("T")

MARKER = ".priorline-cache"
INDEX = "index.sqlite"
RESERVE_BYTES = 8 << 20  # the journal for removing a study of some thousand images
_RESERVE = "reserve"
_BACKUP_TAG = "CACHEDIR.TAG"
_TAG_TEXT = "Signature: 8a477f597d28d172789f06886806bc55\n# The cache of Priorline: can be fetched again.\n"
FORMAT = "A cache of Priorline, version 3. It may be purged, it must not be edited.\n"
_KEY_CHECK = "key.check"
_STUDY = "study"
_OBJECT = re.compile(r"[0-9a-f]{32}\.obj")
_HANDLE = re.compile(r"[0-9a-f]{32}")


class CacheFiles:
    """The directory tree under one root; paths are made here and nowhere else."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.objects = root / "objects"
        self.incoming = root / "incoming"
        self._objects = str(self.objects)

    @classmethod
    def open(cls, directory: Path) -> "CacheFiles":
        """The tree at `directory`, made where it does not exist; raises CacheError where it is not a cache."""
        with faults():
            if not directory.exists():
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            root = directory.resolve()
            check_root(root, may_be_empty=True)
            root.chmod(0o700)
            _write_once(root / MARKER, FORMAT)
            _check_format(root / MARKER)
            _write_once(root / _BACKUP_TAG, _TAG_TEXT)
            files = cls(root)
            private_directory(files.objects)
            private_directory(files.incoming)
            files.keep_reserve()
        return files

    def study_directory(self, study: str) -> Path:
        """The directory of a study's files; raises CacheError where a link is in its place."""
        path = self.objects / study
        with faults():
            if path.is_symlink() or self.objects.is_symlink():
                raise CacheError("A directory of the cache is a link to somewhere else; remove the link.")
        return path

    def study_path(self, study: str) -> Path:
        """Where a study's key and record are."""
        return self.study_directory(study) / _STUDY

    def object_path(self, study: str, handle: str) -> Path:
        """Where the object `handle` of the study `study` is or will be."""
        return Path(self.object_name(study, handle))

    def object_name(self, study: str, handle: str) -> str:
        """The same as text, for those who have hundreds."""
        return f"{self._objects}{os.sep}{study}{os.sep}{handle}.obj"

    def write_study_file(self, owner: Owner, study: str, content: bytes) -> None:
        """Put a study's file in its place, durably, whatever was there before; makes the study's directory."""
        aside = owner.directory / f"{study}.part"
        self._write_aside(aside, content)
        directory = self.study_directory(study)
        new = private_directory(directory)
        replace(aside, directory / _STUDY)
        sync_directory(directory)
        if new:
            sync_directory(self.objects)

    def read_key_check(self) -> tuple[str, bytes] | None:
        """Where the key of this cache is kept, and its check code; None for a cache that nothing was put into."""
        try:
            kept_in, code = (self.root / _KEY_CHECK).read_text("ascii").split("\n")[:2]
            return kept_in, bytes.fromhex(code)
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise CacheError("The cache's key.check is damaged; purge the cache, and fetch anew.") from error

    def write_key_check(self, owner: Owner, kept_in: str, code: bytes) -> None:
        """Remember whose key this cache is sealed with, durably."""
        self._write_aside(owner.directory / _KEY_CHECK, f"{kept_in}\n{code.hex()}\n".encode())
        replace(owner.directory / _KEY_CHECK, self.root / _KEY_CHECK)
        sync_directory(self.root)

    @staticmethod
    def _write_aside(path: Path, content: bytes) -> None:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def studies(self) -> list[str]:
        """The handles of all studies that have a directory."""
        return [entry.name for entry in entries(self.objects) if _is_study(entry)]

    def objects_of(self, study: str) -> dict[str, os.DirEntry[str]]:
        """The object files of a study by handle; links and foreign names are passed over."""
        directory = self.study_directory(study)
        try:
            return {entry.name[:32]: entry for entry in entries(directory) if _is_object(entry)}
        except FileNotFoundError:
            return {}

    def unknown(self) -> Iterator[Path]:
        """Everything among the objects that the cache would not have put there."""
        for entry in entries(self.objects):
            if not _is_study(entry):
                yield Path(entry.path)
                continue
            for inner in entries(Path(entry.path)):
                if not (_is_object(inner) or (inner.name == _STUDY and inner.is_file(follow_symlinks=False))):
                    yield Path(inner.path)

    def destroy_keys(self, studies: Iterable[str]) -> None:
        """Remove the files that hold these studies' keys, durably: what is left of the studies is noise."""
        gone = []
        for study in studies:
            path = self.study_path(study)
            try:
                path.unlink()
            except FileNotFoundError:
                continue
            gone.append(path.parent)
        for directory in gone:
            sync_directory(directory)

    def remove_rest(self, study: str) -> None:
        """Remove the objects of a study whose key is gone, and its directory if nothing foreign is in it."""
        for entry in self.objects_of(study).values():
            remove(Path(entry.path))
        with suppress(OSError):
            self.study_directory(study).rmdir()

    def remove_object(self, study: str, handle: str) -> None:
        """Remove one object file, never through a link that was put in place of its directory."""
        remove(self.study_directory(study) / f"{handle}.obj")

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


def check_root(root: Path, *, may_be_empty: bool) -> None:
    """Raise CacheError unless `root` is a directory with our marker or, where allowed, an empty one."""
    if not root.is_dir():
        raise CacheError(f"The cache's directory is not a directory: {root}")
    try:
        names = {entry.name for entry in entries(root)}
    except PermissionError as error:
        raise CacheError(f"The cache's directory cannot be read; check its rights: {root}") from error
    marked = MARKER in names and stat.S_ISREG((root / MARKER).lstat().st_mode)
    if not marked and not (may_be_empty and not names):
        raise CacheError(f"The directory holds other things than a cache; choose an empty one: {root}")


def drop_index(directory: Path) -> None:
    """Remove the index of the cache at `directory`, which the next opening makes anew from the objects.

    Raises CacheError where it is not a cache or a process still uses it.
    """
    with faults():
        root = directory.resolve()
        check_root(root, may_be_empty=False)
        if live_owners(root / "incoming"):
            raise CacheError("The cache is in use; close the window first.")
        for name in (f"{INDEX}-journal", INDEX):
            (root / name).unlink(missing_ok=True)


def was_sealed(directory: Path) -> bool:
    """Whether the cache at `directory` has been given a key already."""
    return os.path.lexists(directory / _KEY_CHECK)


def erase(directory: Path) -> None:
    """Remove everything in the cache at `directory`, also where its key or its index is lost; the marker stays.

    Raises CacheError where it is not a cache or a process still uses it.
    """
    with faults():
        root = directory.resolve()
        check_root(root, may_be_empty=False)
        files = CacheFiles(root)
        if files.incoming.is_dir() and live_owners(files.incoming):
            raise CacheError("The cache is in use; close the window first.")
        if files.objects.is_dir() and not files.objects.is_symlink():
            files.destroy_keys(files.studies())
        for name in (f"{INDEX}-journal", INDEX):
            (root / name).unlink(missing_ok=True)
        for entry in entries(root):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            elif entry.name not in {MARKER, _BACKUP_TAG}:
                Path(entry.path).unlink()
        (root / MARKER).write_text(FORMAT, encoding="ascii")


def _is_study(entry: os.DirEntry[str]) -> bool:
    return _HANDLE.fullmatch(entry.name) is not None and entry.is_dir(follow_symlinks=False)


def _is_object(entry: os.DirEntry[str]) -> bool:
    return _OBJECT.fullmatch(entry.name) is not None and entry.is_file(follow_symlinks=False)


def _check_format(marker: Path) -> None:
    content = marker.read_bytes()[:200]
    if not content:  # the process that made it died just then
        marker.write_text(FORMAT, encoding="ascii")
    elif content != FORMAT.encode():
        raise CacheError(
            "The cache was made by another version of the program; use that one, or purge the cache with"
            " “priorline cache purge --all”."
        )


def _write_once(path: Path, text: str) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)
