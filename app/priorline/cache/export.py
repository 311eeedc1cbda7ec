"""Exporting a study out of the cache as ordinary files, under numbers and never under a name that a peer chose."""

import os
from pathlib import Path

from priorline.cache.disk import private_directory
from priorline.cache.store import Store
from priorline.errors import CacheDamaged, CacheError, UsageError


def export(store: Store, study_uid: str, target_dir: Path) -> int:
    """Write every instance that may be shown to `target_dir` as IM000001.dcm and so on; how many were written.

    The files are not encrypted and carry the patient's identity. Raises UsageError where the directory holds
    something already, CacheError where it cannot be written or the study is not here, CacheDamaged, after all
    others were written, where images are damaged.
    """
    instances = store.instances(study_uid)
    if not instances:
        raise CacheError("The cache holds no image of this study; fetch it first.")
    damaged = 0
    try:
        _prepare(target_dir)
        for number, (_, content) in enumerate(store.read_each(instances), start=1):
            if content is None:
                damaged += 1
            else:
                _write(target_dir / f"IM{number:06d}.dcm", content)
    except OSError as error:
        raise CacheError(f"The study cannot be written to that directory ({error.strerror}).") from error
    if damaged:
        raise CacheDamaged(
            f"{damaged} of {len(instances)} images are damaged and were left out; fetch the study again."
        )
    return len(instances)


def _prepare(target_dir: Path) -> None:
    target_dir.parent.mkdir(parents=True, exist_ok=True)
    if target_dir.exists():
        if not target_dir.is_dir() or any(target_dir.iterdir()):
            raise UsageError("The directory to export to is not empty; name a new one.")
    else:
        private_directory(target_dir)


def _write(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
