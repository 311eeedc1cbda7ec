"""What the cache does to a disk, one step each: private, never through a link, patient with other programs."""

import os
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

from priorline.errors import CacheError

# Windows refuses what a virus scanner looks at just then: access denied, sharing violation, lock violation.
_HELD = {5, 32, 33}
PATIENCE = 2.5
_PAUSE = 0.05


def replace(source: Path | str, target: Path | str) -> None:
    """Give a file its name, in place of what had it; waits up to `PATIENCE` seconds for who holds it."""
    _patiently(lambda: _rename(source, target))


def remove(path: Path) -> None:
    """Remove a file if it is there; waits as `replace`."""
    _patiently(lambda: path.unlink(missing_ok=True))


def _rename(source: Path | str, target: Path | str) -> None:
    # Not by `Path`, which takes the name apart: there are hundreds of a study.
    os.replace(source, target)  # noqa: PTH105 - see above


def _patiently(action: Callable[[], None]) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            action()
        except OSError as error:
            if getattr(error, "winerror", None) not in _HELD or time.monotonic() >= until:
                raise
            time.sleep(_PAUSE)
        else:
            return


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


def entries(path: Path) -> list[os.DirEntry[str]]:
    """What is in a directory, by name."""
    with os.scandir(path) as entries:
        return sorted(entries, key=lambda entry: entry.name)
