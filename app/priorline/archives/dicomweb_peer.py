"""A hospital's DICOMweb service: where it is, how long it may take, and how we show who we are."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from priorline.archives.base import Timeouts
from priorline.archives.tls import ClientContext
from priorline.errors import ArchiveRefused

TOKEN_MAX = 16384
# RFC 6750 2.1; also what keeps line ends out of the request.
TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")


@dataclass(frozen=True, slots=True)
class DicomWebPeer:
    """Where a hospital speaks DICOMweb (PS3.18); requests go to `url` and nowhere else.

    `name` is the hospital as the user sees it; `patient_id_issuer` issues the numbers that come without an issuer;
    `rows_max` answers are taken of one search. `tls` is needed for an https address. `token_file` holds a bearer
    token (RFC 6750) that somebody else keeps fresh.
    """

    name: str
    url: str
    timeouts: Timeouts = field(default=Timeouts())
    patient_id_issuer: str = ""
    rows_max: int = 2000
    token_file: Path | None = None
    tls: ClientContext | None = None

    @property
    def host(self) -> str:
        """The host, without brackets."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port, by default that of the scheme."""
        return urlsplit(self.url).port or (443 if self.is_encrypted else 80)

    @property
    def authority(self) -> str:
        """Host and port as they stand in the address."""
        return urlsplit(self.url).netloc

    @property
    def path(self) -> str:
        """What stands before the path of each request, without a slash at its end."""
        return urlsplit(self.url).path.rstrip("/")

    @property
    def is_encrypted(self) -> bool:
        """Whether the address is an https one."""
        return urlsplit(self.url).scheme == "https"

    def token(self) -> str:
        """The token that its file holds now, "" where none is configured.

        Raises ArchiveRefused for a file that cannot be read or does not hold one token.
        """
        if self.token_file is None:
            return ""
        try:
            with self.token_file.open("rb") as file:
                token = file.read(TOKEN_MAX + 1).decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as problem:
            raise self._no_token() from problem
        if len(token) > TOKEN_MAX or not TOKEN.fullmatch(token):
            raise self._no_token()
        return token

    def _no_token(self) -> ArchiveRefused:
        return ArchiveRefused(
            f"{self.name} was not asked: its token_file cannot be read or does not hold one token; "
            "check it in the configuration."
        )
