"""The files below a folder that nobody vouches for: listed within bounds, and opened only from that list.

No path is ever made of what a file says: names from a DICOMDIR choose among the files that were listed, and links are
not listed. So nothing outside the folder can be read.
"""

import os
import re
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from priorline.errors import ArchiveBroken, ArchiveError, ArchiveRefused, ArchiveTimedOut, ArchiveUnreachable

FILES_MAX = 100_000
FOLDERS_MAX = 20_000
DEPTH_MAX = 16
WINDOWS_NOT_READY = 21
# What systems keep on a stick for themselves, often closed to users; deleted files are no files.
OF_THE_SYSTEM = re.compile(
    r"system volume information|\$recycle\.bin|lost\+found|found\.\d+|\.trash.*|\.spotlight-v100|\.fseventsd"
    r"|\.documentrevisions-v100|\.temporaryitems",
    re.IGNORECASE,
)
# Symbolic links and mount points (junctions) of Windows.
REPARSE_TAGS = frozenset((0xA000000C, 0xA0000003))
OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

Place = tuple[str, ...]
"""The names of folders and file below the root, as they are on the disk."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A regular file: where it is, and by what a change would be noticed."""

    place: Place
    size: int
    changed: int


@dataclass(slots=True)
class Listing:
    """The regular files of a folder; `unreadable` counts folders that could not be looked into, `is_cut` too many."""

    files: list[Listed] = field(default_factory=list)
    folders: int = 0
    unreadable: int = 0
    is_cut: bool = False
    is_too_deep: bool = False
    is_late: bool = False

    def is_full(self) -> bool:
        """Whether no more is taken."""
        self.is_cut = self.is_cut or len(self.files) >= FILES_MAX or self.folders > FOLDERS_MAX
        return self.is_cut or self.is_late


def list_files(name: str, root: Path, until: float, cancelled: Callable[[], bool]) -> Listing:
    """The files below `root`, which is what the user calls `name`; links are not followed, devices are left out.

    Raises ArchiveError where the folder itself cannot be read or is empty, as a drive is without a disc.
    """
    listing = Listing(folders=1)
    waiting = _take(listing, (), _entries_of_root(name, root))
    while waiting and not listing.is_full() and not cancelled():
        listing.is_late = time.monotonic() > until
        place = waiting.pop()
        try:
            with os.scandir(root.joinpath(*place)) as found:
                entries = list(islice(found, FILES_MAX + 1))
        except OSError:
            listing.unreadable += 1
            continue
        waiting.extend(_take(listing, place, entries))
    return listing


def probe(name: str, root: Path) -> None:
    """Look whether the folder is there and holds anything; raises ArchiveError as `list_files`."""
    _entries_of_root(name, root)


def open_file(root: Path, place: Place) -> BinaryIO:
    """Open a listed file, unless it has become something else since; raises OSError."""
    for depth in range(1, len(place)):
        if _is_link(root.joinpath(*place[:depth]).lstat()):
            raise PermissionError("a folder became a link")
    path = root.joinpath(*place)
    if _is_link(path.lstat()):
        raise PermissionError("the file became a link")
    stream = os.fdopen(os.open(path, OPEN_FLAGS), "rb", buffering=0)
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise PermissionError("not a regular file")
    return stream


def unfinished(name: str, listing: Listing) -> ArchiveError | None:
    """Why not all of the folder is in the list, None where it is."""
    if listing.is_cut or listing.is_too_deep:
        much = f"nests folders deeper ({DEPTH_MAX})" if listing.is_too_deep else f"holds more files ({FILES_MAX})"
        return ArchiveBroken(f"{name} {much} than is looked through; name a folder below it.")
    if listing.is_late:
        return too_slow(name)
    if listing.unreadable:
        return ArchiveRefused(
            f"{name} has {listing.unreadable} folders that cannot be read; check the disc, or who may read them."
        )
    return None


def too_slow(name: str) -> ArchiveTimedOut:
    """Not all was read in the time that a search may take."""
    return ArchiveTimedOut(
        f"{name} was not read to its end in time; ask again, which goes on from there, or raise its timeout."
    )


def _entries_of_root(name: str, root: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(root) as found:
            entries = list(islice(found, FILES_MAX + 1))
    except OSError as problem:
        raise _root_failure(name, problem) from problem
    except ValueError as problem:
        raise ArchiveUnreachable(f"{name} has a directory that is no path; correct it.") from problem
    if not entries:
        raise ArchiveUnreachable(
            f"{name} is empty: put the disc or stick in and ask again, or check which directory is named."
        )
    return entries


def _root_failure(name: str, problem: OSError) -> ArchiveError:
    if getattr(problem, "winerror", None) != WINDOWS_NOT_READY:
        if isinstance(problem, NotADirectoryError):
            return ArchiveUnreachable(f"{name} is not a folder; check which directory is named.")
        if isinstance(problem, PermissionError):
            return ArchiveRefused(f"{name} may not be read by this account; ask your IT department.")
        if not isinstance(problem, FileNotFoundError):
            return ArchiveUnreachable(
                f"{name} cannot be read ({problem.strerror}); check the disc or stick, and ask again."
            )
    return ArchiveUnreachable(
        f"{name} is not there: put the disc or stick in and ask again, or check which directory is named."
    )


def _take(listing: Listing, above: Place, entries: list[os.DirEntry[str]]) -> list[Place]:
    """Note the files among `entries`; the folders come back, the first by name at the end."""
    folders: list[Place] = []
    for entry in sorted(entries, key=lambda one: one.name):
        try:
            facts = entry.stat(follow_symlinks=False)
        except OSError:
            listing.unreadable += 1
            continue
        place = (*above, entry.name)
        if _is_link(facts) or (not above and OF_THE_SYSTEM.fullmatch(entry.name)):
            continue
        if stat.S_ISREG(facts.st_mode) and not listing.is_full():
            listing.files.append(Listed(place, facts.st_size, facts.st_mtime_ns))
        elif stat.S_ISDIR(facts.st_mode):
            listing.folders += 1
            if len(place) <= DEPTH_MAX:
                folders.append(place)
            else:
                listing.is_too_deep = True
    listing.is_cut = listing.is_cut or len(entries) > FILES_MAX
    return folders[::-1]


def _is_link(facts: os.stat_result) -> bool:
    return stat.S_ISLNK(facts.st_mode) or getattr(facts, "st_reparse_tag", 0) in REPARSE_TAGS
