"""TLS as DICOM wants it (PS3.15 B.12, BCP 195): for each hospital one context to call it, and one for its calls.

Who a hospital is follows from its own authority and name, or from the pinned key, never from what it says of itself.
A context checks the pins itself, so no user of it can send a byte to a peer that is not the right one.
"""

import base64
import hashlib
import ipaddress
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from priorline.config import Tls
from priorline.errors import ConfigError

# RFC 9325 4.2: forward secrecy and authenticated encryption; 112 bits of security keep SHA-1 and short keys out.
CIPHERS = "@SECLEVEL=2:ECDHE+AESGCM:ECDHE+CHACHA20"
PIN_PREFIX = "sha256//"
# X509_V_ERR_* of OpenSSL.
NOT_YET_VALID, EXPIRED, NOT_PINNED = 9, 10, -1
# As `getpeercert` calls the kinds of alternative names (RFC 5280 4.2.1.6).
HOST_NAMES = frozenset(("DNS", "IP Address"))
NO_TLS = Tls()


class _Context(ssl.SSLContext):
    """A context that also knows the pinned keys, and the settings that it was made from."""

    settings: Tls = NO_TLS
    pins: frozenset[str] = frozenset()
    presents: bool = False

    def inspect(self, certificate: bytes | None) -> None:
        """Raise SSLCertVerificationError unless the peer's certificate (DER) is of a pinned key, where there are any.

        Without an authority that looks at it, its dates count here, too.
        """
        if not self.pins:
            return
        from cryptography import x509

        try:
            shown = x509.load_der_x509_certificate(certificate or b"")
            held = pin_of(shown.public_key())
        except (ValueError, TypeError) as problem:
            raise _distrust(NOT_PINNED) from problem
        if held not in self.pins:
            raise _distrust(NOT_PINNED)
        now = datetime.now(UTC)
        if now > shown.not_valid_after_utc:
            raise _distrust(EXPIRED)
        if now < shown.not_valid_before_utc:
            raise _distrust(NOT_YET_VALID)


class _Socket(ssl.SSLSocket):
    def do_handshake(self, block: bool = False) -> None:
        super().do_handshake(block)
        if isinstance(self.context, _Context):
            self.context.inspect(self.getpeercert(binary_form=True))


class _Object(ssl.SSLObject):
    def do_handshake(self) -> None:
        super().do_handshake()
        if isinstance(self.context, _Context):
            self.context.inspect(self.getpeercert(binary_form=True))


class ClientContext(_Context):
    """For connections to a hospital; `presents` tells whether it has a certificate of ours to show."""


class ServerContext(_Context):
    """For connections that a hospital opens to us."""


_Context.sslsocket_class = _Socket
_Context.sslobject_class = _Object


@dataclass(frozen=True, slots=True)
class Proof:
    """What is known of who opened a connection: its certificate was verified by `settings`, and names these hosts.

    Settings in which nothing is wanted are those of a connection in clear.
    """

    settings: Tls = NO_TLS
    names: frozenset[str] = frozenset()

    def binds(self, settings: Tls, hosts: Iterable[str]) -> bool:
        """Whether it proves a hospital with these settings and hosts: by a pin, else by a name as we have it.

        The authority alone may be that of many hospitals, so it says only that it is one of them.
        """
        if self.settings != settings:
            return False
        return not settings.wanted or bool(settings.pins) or not self.names.isdisjoint(map(_plain_name, hosts))


CLEAR = Proof()


def proof(secure: ssl.SSLSocket, context: ServerContext) -> Proof:
    """What the certificate proves that was shown, after the handshake."""
    certificate: dict[str, Any] = secure.getpeercert() or {}
    entries = certificate.get("subjectAltName", ())
    return Proof(context.settings, frozenset(_plain_name(name) for kind, name in entries if kind in HOST_NAMES))


def _plain_name(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.lower().rstrip(".")


def pin_of(public_key: Any) -> str:
    """The pin of a key of `cryptography`: SHA-256 of its SubjectPublicKeyInfo (RFC 7469 2.4), as curl writes it."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    info = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return PIN_PREFIX + base64.b64encode(hashlib.sha256(info).digest()).decode("ascii")


def client_context(settings: Tls, public: bool = False) -> ClientContext:
    """The context for connections to one hospital; safe to share between threads.

    With `ca`, chain, dates and the name or address of the host are verified by it alone; with `pins` the key decides
    instead of the name, and alone where there is no `ca`. `public` takes the authorities that the computer trusts
    where there is neither. Raises ConfigError in one sentence for files that are missing, unreadable or not PEM.
    """
    context = ClientContext(ssl.PROTOCOL_TLS_CLIENT)
    context.hostname_checks_common_name = False
    _prepare(context, settings, public)
    return context


def server_context(settings: Tls) -> ServerContext:
    """The context for connections that one hospital opens to us; safe to share between threads.

    Its certificate is wanted, and verified by `ca`, `crl` and `pins`. Raises ConfigError as `client_context`, and
    where there is nothing to show it, or nothing to verify it by.
    """
    if not settings.certificate:
        raise ConfigError("tls.certificate is empty: name the PEM file of our certificate, and tls.key for its key.")
    if not settings.ca:
        # The library asks for no certificate that it cannot verify.
        raise ConfigError(
            "tls.ca is empty: name the PEM file of the authority of the hospital, or of the certificate with which "
            "it sends; pins alone prove nobody who calls us."
        )
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    # Whoever comes again proves again.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    _prepare(context, settings, public=False)
    return context


def _prepare(context: _Context, settings: Tls, public: bool) -> None:
    context.settings = settings
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.pins = frozenset(settings.pins)
    _load_trust(context, settings, public)
    _load_own(context, settings)


def _load_trust(context: _Context, settings: Tls, public: bool) -> None:
    if context.pins:
        context.check_hostname = False
    if settings.ca:
        _load_authorities(context, "ca", settings.ca)
    elif context.pins:
        context.verify_mode = ssl.CERT_NONE
    elif public:
        context.load_default_certs()
    else:
        raise ConfigError("tls.ca is empty: name the PEM file of the authority of the hospital, or pins.")
    if not settings.crl:
        return
    if context.verify_mode is ssl.CERT_NONE:
        raise ConfigError("tls.crl needs tls.ca: a revocation list counts only with the authority that signed it.")
    _load_authorities(context, "crl", settings.crl)
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF


def _load_authorities(context: _Context, key: str, name: str) -> None:
    kind = {"ca": ("x509", "a certificate"), "crl": ("crl", "a revocation list")}[key]
    path = _readable(key, name)
    before = context.cert_store_stats()[kind[0]]
    try:
        context.load_verify_locations(cafile=str(path))
    except OSError as problem:
        raise ConfigError(f"tls.{key}: {path} does not hold {kind[1]} in PEM form.") from problem
    if context.cert_store_stats()[kind[0]] == before:
        raise ConfigError(f"tls.{key}: {path} does not hold {kind[1]} in PEM form.")


def _load_own(context: _Context, settings: Tls) -> None:
    if not settings.certificate:
        if settings.key:
            raise ConfigError("tls.key needs tls.certificate: name the PEM file of the certificate for that key.")
        return
    certificate = _readable("certificate", settings.certificate)
    key = _readable("key", settings.key) if settings.key else None

    def no_password() -> bytes:
        raise ConfigError(f"tls.key: {key or certificate} is protected by a password; name a key without one.")

    try:
        context.load_cert_chain(certificate, key, no_password)
    except OSError as problem:
        what = f"{certificate} and {key}" if key else str(certificate)
        raise ConfigError(
            f"tls.certificate: {what} are not a certificate and its private key in PEM form, or too weak."
        ) from problem
    context.presents = True


def _readable(key: str, name: str) -> Path:
    path = Path(name).expanduser()
    try:
        empty = not path.read_bytes().strip()
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", "no file can have this name")
        raise ConfigError(f"tls.{key}: {path} cannot be read: {reason}.") from problem
    if empty:
        raise ConfigError(f"tls.{key}: {path} is empty.")
    return path


def _distrust(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "the certificate does not fit what is configured")
    error.verify_code = code
    return error
