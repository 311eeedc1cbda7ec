"""Frozen settings from TOML; a wrong file is an error that names file, key and what is allowed there."""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import platformdirs
from msgspec import Meta

from priorline.errors import ConfigError

AeTitle = Annotated[str, Meta(min_length=1, max_length=16)]
Port = Annotated[int, Meta(ge=0, le=65535)]
_SIZE_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_AGE_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1, "w": 7 * 86400}


def parse_size(text: str) -> int:
    """Bytes of "20 GB"; raises ValueError."""
    return int(_parse_amount(text, {unit.casefold(): n for unit, n in _SIZE_UNITS.items()}, 'a size like "20 GB"'))


def parse_age(text: str) -> float:
    """Seconds of "30 d"; raises ValueError."""
    return _parse_amount(text, _AGE_UNITS, 'an age like "30 d"')


def _parse_amount(text: str, units: Mapping[str, int], allowed: str) -> float:
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    if found is None or found[2].casefold() not in units:
        raise ValueError(f'"{text}" is not {allowed}')
    return float(found[1]) * units[found[2].casefold()]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the configuration file; unknown keys are refused."""


class Workstation(Section, frozen=True):
    """Who we are to the hospitals."""

    ae_title: AeTitle = "PRIORLINE"
    port: Port = 11112
    language: Literal["en", "nl", ""] = ""


class CacheSettings(Section, frozen=True):
    """Where priors are kept and for how long; sizes in bytes and ages in seconds through the properties."""

    directory: str = ""
    max_size: str = "20 GB"
    max_age: str = "30 d"
    min_free: str = "5 GB"
    encrypt: bool = True
    key: Literal["auto", "keyring", "file", "session"] = "auto"

    def __post_init__(self) -> None:
        parse_size(self.max_size)
        parse_size(self.min_free)
        parse_age(self.max_age)


class Tls(Section, frozen=True):
    """Certificate files of one hospital."""

    ca: str = ""
    certificate: str = ""
    key: str = ""


class HospitalSettings(Section, frozen=True):
    """One hospital and how its archive is reached; `timeout` in seconds without an answer."""

    name: Annotated[str, Meta(min_length=1)]
    protocol: Literal["dicom", "dicomweb", "folder"] = "dicom"
    ae_title: Annotated[str, Meta(max_length=16)] = ""
    host: str = ""
    port: Port = 0
    url: str = ""
    directory: str = ""
    retrieve: Literal["auto", "c-get", "c-move"] = "auto"
    associations: Annotated[int, Meta(ge=1, le=32)] = 4
    timeout: Annotated[float, Meta(gt=0, le=600)] = 10
    patient_id_issuer: str = ""
    patient_id: dict[str, str] = {}
    tls: Tls = Tls()
    role: Literal["hospital", "department"] = "hospital"

    def __post_init__(self) -> None:
        needed = {"dicom": ("ae_title", "host", "port"), "dicomweb": ("url",), "folder": ("directory",)}
        missing = [key for key in needed[self.protocol] if not getattr(self, key)]
        if missing:
            raise ValueError(f'"{self.name}" with protocol "{self.protocol}" needs {", ".join(missing)}')


class Settings(Section, frozen=True):
    """The whole configuration."""

    workstation: Workstation = Workstation()
    cache: CacheSettings = CacheSettings()
    hospital: tuple[HospitalSettings, ...] = ()

    def __post_init__(self) -> None:
        names = [hospital.name for hospital in self.hospital]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f'hospital name "{twice}" stands twice; names must be unique')

    @property
    def cache_directory(self) -> Path:
        """The cache's folder: `PRIORLINE_CACHE_DIR`, else `cache.directory`, else the user's cache folder."""
        chosen = os.environ.get("PRIORLINE_CACHE_DIR") or self.cache.directory
        return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("priorline", False))

    @property
    def state_directory(self) -> Path:
        """The folder for what must outlive the cache: key file and audit trail."""
        return Path(platformdirs.user_data_dir("priorline", False))


def site_file() -> Path:
    """The configuration for all users of the computer."""
    return Path(platformdirs.site_config_dir("priorline", False)) / "priorline.toml"


def user_file() -> Path:
    """The configuration of this user."""
    return Path(platformdirs.user_config_dir("priorline", False)) / "priorline.toml"


def sources(chosen: Path | None = None) -> tuple[Path, ...]:
    """The files that are read, later wins: the chosen one alone, or site and user file where they exist."""
    named = chosen or (Path(os.environ["PRIORLINE_CONFIG"]) if os.environ.get("PRIORLINE_CONFIG") else None)
    if named is not None:
        return (named.expanduser(),)
    return tuple(path for path in (site_file(), user_file()) if path.is_file())


def load(chosen: Path | None = None) -> Settings:
    """Read the configuration; raises ConfigError with file, key and what is allowed."""
    merged: dict[str, Any] = {}
    files = sources(chosen)
    for path in files:
        table = _read(path)
        _convert(table, str(path))
        merged = _merge(merged, table)
    return _convert(merged, " + ".join(str(path) for path in files))


def parse(text: str, source: str) -> Settings:
    """Settings from TOML text; `source` names it in messages."""
    return _convert(_parse_toml(text, source), source)


def _read(path: Path) -> dict[str, Any]:
    try:
        return _parse_toml(path.read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read: {reason}") from problem


def _parse_toml(text: str, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise ConfigError(f"{source}: not valid TOML: {problem}") from problem


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Tables merge key by key; everything else, the list of hospitals too, is replaced by the later file."""
    merged = dict(below)
    for key, value in above.items():
        both_tables = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = {**merged[key], **value} if both_tables else value
    return merged


def _convert(table: dict[str, Any], source: str) -> Settings:
    try:
        return msgspec.convert(table, Settings)
    except (msgspec.ValidationError, ValueError) as problem:
        raise ConfigError(f"{source}: {_explain(str(problem), table)}") from problem


def _explain(message: str, table: dict[str, Any]) -> str:
    """Turn msgspec's sentence and path (`$.hospital[0].port`) into the words of the configuration file."""
    text, _, path = message.partition(" - at `")
    where = path.rstrip("`").removeprefix("$").removeprefix(".")
    unknown = re.search(r"unknown field `(.+)`", text)
    if unknown is None:
        return f"{_name_place(where, table)}: {text}" if where else text
    key = ".".join(part for part in (_name_place(where, table), unknown[1]) if part)
    return f'unknown key "{key}"; allowed are {", ".join(_allowed_keys(where))}'


def _name_place(where: str, table: dict[str, Any]) -> str:
    found = re.match(r"hospital\[(\d+)\]", where)
    if found is None:
        return where
    entry = table["hospital"][int(found[1])]
    name = entry.get("name") if isinstance(entry, dict) else None
    return f'hospital "{name}"{where[found.end() :]}' if name else where


def _allowed_keys(where: str) -> tuple[str, ...]:
    section = {"": Settings, "workstation": Workstation, "cache": CacheSettings}.get(where)
    if section is None:
        section = Tls if where.endswith("tls") else HospitalSettings
    return section.__struct_fields__
