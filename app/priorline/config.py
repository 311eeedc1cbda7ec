"""Settings read from TOML; a wrong file is an error that names file, key and what is allowed there."""

import json
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import platformdirs

from priorline.errors import ConfigError
from priorline.settings import (
    CacheSettings,
    Deadlines,
    HospitalSettings,
    Prefetch,
    Section,
    Settings,
    Tls,
    Workstation,
    parse_age,
    parse_size,
)

__all__ = [
    "CacheSettings",
    "Deadlines",
    "HospitalSettings",
    "Prefetch",
    "Settings",
    "Tls",
    "Workstation",
    "load",
    "parse",
    "parse_age",
    "parse_size",
    "site_file",
    "sources",
    "user_file",
]


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
        return _parse_toml(path.read_text("utf-8-sig"), str(path))
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read: {reason}") from problem


def _parse_toml(text: str, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        # A key that stands twice can be a patient's number, below `patient_id`; line and column tell which one.
        told = re.sub(r"(table key) .* \(", r"\1 (", str(problem))
        raise ConfigError(f"{source}: not valid TOML: {told}") from problem


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
    place = _name_place(where, table)
    kind = _kind_at(where)
    if named := re.search(r"unknown field `(.+)`", text):
        return f'unknown key "{_join(place, named[1])}"; allowed are {", ".join(kind.__struct_fields__)}'
    if named := re.search(r"missing required field `(.+)`", text):
        return f"{_join(place, named[1])}: missing; {_allowed(_kind_at(_join(where, named[1])))}"
    if text.startswith(("Expected", "Invalid")):
        return f"{place}: {_allowed(kind)}"
    # Our own sentences, some with the key in front.
    return _join(place, text) if re.match(r"[a-z_.]+: ", text) else f"{place}: {text}"


def _join(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def _name_place(where: str, table: dict[str, Any]) -> str:
    """The keys on the way, a hospital by its name, or by its number in the file where it has none."""
    found = re.match(r"hospital\[(\d+)\]", where)
    if found is None:
        return where
    entry = table["hospital"][int(found[1])]
    name = entry.get("name") if isinstance(entry, dict) else None
    shown = f'"{name}"' if isinstance(name, str) and name.strip() else f"number {int(found[1]) + 1}"
    # A key below `patient_id` is a patient's number, which msgspec leaves out as well.
    return f"hospital {shown}{where[found.end() :].replace('[...]', '')}"


def _kind_at(where: str) -> Any:
    """The type that the settings have for a path."""
    kind: Any = Settings
    for key, number in re.findall(r"([^.\[]+)(\[[^]]*\])?", where):
        kind = get_type_hints(kind, include_extras=True)[key]
        if number and get_origin(kind) is tuple:
            kind = get_args(kind)[0]
    return kind


def _allowed(kind: Any) -> str:
    """What a value of this type may be, in words."""
    if isinstance(kind, type) and issubclass(kind, Section):
        return f"allowed is a table with {', '.join(kind.__struct_fields__)}"
    if get_origin(kind) is Literal:
        return f"allowed are {', '.join(json.dumps(choice) for choice in get_args(kind))}"
    if get_origin(kind) is Annotated:
        return f"allowed is {get_args(kind)[1].description}"
    if get_origin(kind) is tuple and get_origin(get_args(kind)[0]) is Annotated:
        return f"allowed is a list, each {get_args(get_args(kind)[0])[1].description}"
    words = {str: "text in quotes", bool: "true or false", tuple: "one [[hospital]] table for each hospital"}
    return f"allowed is {words.get(get_origin(kind) or kind, 'a table of texts in quotes')}"
