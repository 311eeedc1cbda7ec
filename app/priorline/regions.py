"""The tables of regions that the program ships, read from its resources."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from priorline.domain.region import RegionTable
from priorline.errors import ConfigError
from priorline.resources import resource

T = TypeVar("T")


def load_region_table(words: Path | None = None, codes: Path | None = None) -> RegionTable:
    """The tables of words and of procedure codes at these paths, or those that are shipped; raises ConfigError."""
    words, codes = words or resource("regions.toml"), codes or resource("procedures.toml")
    coded = _told(codes, lambda: _read(codes))
    _told(codes, lambda: RegionTable.build({}, coded))
    return _told(words, lambda: RegionTable.build(_read(words), coded))


def _read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text("utf-8-sig"))


def _told(path: Path, make: Callable[[], T]) -> T:
    """What `make` makes; its complaint names the file."""
    try:
        return make()
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else problem
        raise ConfigError(f"{path}: not a table of regions: {reason}") from problem
