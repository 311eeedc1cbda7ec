"""The region table that the program ships, read from its resources."""

import tomllib
from pathlib import Path

from priorline.domain.region import RegionTable
from priorline.errors import ConfigError
from priorline.resources import resource


def load_region_table(path: Path | None = None) -> RegionTable:
    """The table of `path`, or the one that is shipped; raises ConfigError."""
    path = path or resource("regions.toml")
    try:
        return RegionTable.build(tomllib.loads(path.read_text("utf-8-sig")))
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else problem
        raise ConfigError(f"{path}: not a table of regions and words: {reason}") from problem
