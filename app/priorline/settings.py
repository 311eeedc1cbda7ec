"""The settings as frozen values, each with what is allowed for it; where they are read from is `config`."""

import os
import re
from collections.abc import Mapping
from datetime import time
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
import platformdirs
from msgspec import Meta

# PS3.5 6.2, value representation AE: printable ASCII without a backslash, and not only spaces.
AE_PATTERN = r"^ *[!-\[\]-~][ -\[\]-~]*$"
AE_ALLOWED = "1 to 16 ASCII characters without a backslash"
AeTitle = Annotated[str, Meta(min_length=1, max_length=16, pattern=AE_PATTERN, description=AE_ALLOWED)]
PeerTitle = Annotated[str, Meta(max_length=16, pattern=f"{AE_PATTERN}|^$", description=AE_ALLOWED)]
Port = Annotated[int, Meta(ge=0, le=65535, description="a whole number from 0 to 65535")]
PIN_ALLOWED = 'the SHA-256 of a public key in base64, written "sha256//…="'
Pin = Annotated[str, Meta(pattern=r"^sha256//[A-Za-z0-9+/]{43}=$", description=PIN_ALLOWED)]
IpAddress = Annotated[str, Meta(pattern=r"^[0-9A-Fa-f.:]*$", description='an IP address like "10.1.2.3"')]
AeTitles = Annotated[
    tuple[AeTitle, ...], Meta(description=f"a list of AE titles in quotes, each {AE_ALLOWED}; [] = its ae_title")
]
Hosts = Annotated[tuple[str, ...], Meta(description="a list of host names or IP addresses in quotes")]
_SIZE_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_AGE_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_LARGEST_SIZE = 10**18
_LONGEST_AGE = 100 * 365 * 86400
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def parse_size(text: str) -> int:
    """Bytes of "20 GB"; raises ValueError."""
    units = {"": 1} | {unit.casefold(): factor for unit, factor in _SIZE_UNITS.items()}
    return int(_parse_amount(text, units, _LARGEST_SIZE, 'a size like "20 GB" (B, KB, MB, GB or TB)'))


def parse_age(text: str) -> float:
    """Seconds of "30 d"; raises ValueError."""
    return _parse_amount(text, _AGE_UNITS, _LONGEST_AGE, 'an age like "30 d" (s, m, h, d or w; at most 100 years)')


def _parse_amount(text: str, units: Mapping[str, int], most: int, allowed: str) -> float:
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*", text)
    unit = units.get(found[2].casefold()) if found else None
    if found is None or unit is None or float(found[1]) * unit > most:
        raise ValueError(f'"{text}" is not {allowed}')
    return float(found[1]) * unit


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the configuration file; unknown keys are refused."""


class Workstation(Section, frozen=True):
    """Who we are to the hospitals.

    `port` and `address` are where we listen while a hospital sends to us by C-MOVE; without an address it is that at
    which the hospital sees us.
    """

    ae_title: AeTitle = "PRIORLINE"
    port: Port = 11112
    address: IpAddress = ""
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
        for key, parse_amount in (("max_size", parse_size), ("max_age", parse_age), ("min_free", parse_size)):
            try:
                parse_amount(getattr(self, key))
            except ValueError as problem:
                raise ValueError(f"{key}: {problem}") from problem


class Tls(Section, frozen=True):
    """How one hospital and we prove who we are: PEM files, and pins of its keys; all empty is no TLS.

    `ca` issued the hospital's certificate, `crl` tells which ones it took back; `certificate` and `key` are ours.
    With `pins` the key decides instead of the host's name, and alone where there is no `ca`.
    """

    ca: str = ""
    certificate: str = ""
    key: str = ""
    pins: tuple[Pin, ...] = ()
    crl: str = ""

    @property
    def wanted(self) -> bool:
        """Whether anything is configured, so that nothing may go in clear."""
        return self != Tls()


Deadline = Annotated[
    float, Meta(ge=0, le=3600, description="a number of seconds from 0 to 3600; 0 = what follows from timeout")
]


class Deadlines(Section, frozen=True):
    """How long one hospital may take over each step, in seconds; 0 = what follows from its `timeout`.

    `connect` is for the connection, `association` for the answer to the first request, `progress` the longest silence
    after that, and `query` bounds one whole search.
    """

    connect: Deadline = 0
    association: Deadline = 0
    progress: Deadline = 0
    query: Deadline = 0


HOURS = r"([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]"
HOURS_ALLOWED = 'a span of the day like "07:00-22:00", or "" for always'


class Prefetch(Section, frozen=True):
    """What one hospital sends before anybody asks, once a search has ended.

    Of the first `studies` suggested priors of a patient, those that this hospital holds; 0 turns it off. No more than
    `size` of each; the rest comes when somebody opens it. Begun only within `hours` of the day, "" being always.
    """

    studies: Annotated[int, Meta(ge=0, le=20, description="a whole number from 0 to 20")] = 2
    size: str = "500 MB"
    hours: Annotated[str, Meta(pattern=f"^({HOURS})?$", description=HOURS_ALLOWED)] = ""

    def __post_init__(self) -> None:
        try:
            parse_size(self.size)
        except ValueError as problem:
            raise ValueError(f"size: {problem}") from problem

    def is_open(self, at: time) -> bool:
        """Whether it may begin at this time of the day; a span may go past midnight."""
        if not self.hours:
            return True
        begin, end = (time.fromisoformat(part) for part in self.hours.split("-"))
        return begin <= at < end if begin <= end else at >= begin or at < end


class HospitalSettings(Section, frozen=True):
    """One hospital and how its archive is reached; `timeout` in seconds without an answer.

    `token_file` holds the bearer token for a DICOMweb service; the token itself is never part of the settings. By
    C-MOVE it may send under the AE titles `sends_as`, if any, instead of `ae_title`, and from the hosts `sends_from`.
    With the role "department" it is our own archive: asked first, and filled with what was fetched elsewhere.
    """

    name: Annotated[str, Meta(pattern=r"\S", description="text that is not empty")]
    protocol: Literal["dicom", "dicomweb", "folder"] = "dicom"
    ae_title: PeerTitle = ""
    host: str = ""
    port: Port = 0
    url: str = ""
    directory: str = ""
    retrieve: Literal["auto", "c-get", "c-move"] = "auto"
    sends_as: AeTitles = ()
    sends_from: Hosts = ()
    associations: Annotated[int, Meta(ge=1, le=32, description="a whole number from 1 to 32")] = 4
    timeout: Annotated[float, Meta(gt=0, le=600, description="a number of seconds above 0, at most 600")] = 10
    patient_id_issuer: str = ""
    patient_id: dict[str, str] = {}
    tls: Tls = Tls()
    role: Literal["hospital", "department"] = "hospital"
    deadlines: Deadlines = Deadlines()
    prefetch: Prefetch = Prefetch()
    token_file: str = ""

    def __post_init__(self) -> None:
        needed = {"dicom": ("ae_title", "host", "port"), "dicomweb": ("url",), "folder": ("directory",)}
        missing = [key for key in needed[self.protocol] if not getattr(self, key)]
        if missing:
            raise ValueError(f'protocol "{self.protocol}" needs {" and ".join(missing)}')
        if self.directory and self.protocol != "folder":
            raise ValueError('directory: belongs to protocol "folder"')
        if self.protocol == "dicomweb":
            _check_url(self.url)
            if self.tls.wanted and not self.encrypted:
                raise ValueError("url: has to begin with https://, because tls is configured")
            if self.token_file and not self.encrypted and urlsplit(self.url).hostname not in LOOPBACK:
                raise ValueError("url: has to begin with https://, because there is a token_file")
        elif self.token_file:
            raise ValueError('token_file: belongs to protocol "dicomweb"')

    @property
    def encrypted(self) -> bool:
        """Whether it is spoken to by TLS; a folder, where nothing is spoken, is not."""
        if self.protocol == "dicomweb":
            return self.url.startswith("https://")
        return self.protocol == "dicom" and self.tls.wanted

    @property
    def in_clear(self) -> bool:
        """Whether images cross a network where others can read them; a folder or this computer is not one."""
        host = urlsplit(self.url).hostname if self.protocol == "dicomweb" else self.host
        return self.protocol != "folder" and not self.encrypted and (host or "").casefold() not in LOOPBACK


def _check_url(url: str) -> None:
    """Raise ValueError for what is not the address of a service, or carries a password."""
    if not url.startswith(("https://", "http://")):
        raise ValueError("url: has to begin with https:// or http://")
    try:
        parts = urlsplit(url)
        is_usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or not re.fullmatch(r"[!-~]+", url) or re.search(r"[@?#\\]", url):
        raise ValueError("url: has to be like https://host:port/path, without user, password, ? or #")


class Settings(Section, frozen=True):
    """The whole configuration."""

    workstation: Workstation = Workstation()
    cache: CacheSettings = CacheSettings()
    hospital: tuple[HospitalSettings, ...] = ()

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for hospital in self.hospital:
            key = hospital.name.strip().casefold()
            if key in seen:
                raise ValueError(f'hospital.name: "{hospital.name}" stands twice; names have to be unique')
            seen.add(key)

    @property
    def cache_directory(self) -> Path:
        """The cache's folder: `PRIORLINE_CACHE_DIR`, else `cache.directory`, else the user's cache folder."""
        chosen = os.environ.get("PRIORLINE_CACHE_DIR") or self.cache.directory
        return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("priorline", False))

    @property
    def state_directory(self) -> Path:
        """The folder for what must outlive the cache: key file and audit trail."""
        return Path(platformdirs.user_data_dir("priorline", False))
