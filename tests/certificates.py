"""An authority for one test: certificates of every kind that a hospital may show, as PEM files."""

import ipaddress
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from priorline.archives.tls import pin_of

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
VALID = (NOW - DAY, NOW + DAY)
EXPIRED = (NOW - 3 * DAY, NOW - DAY)
FUTURE = (NOW + DAY, NOW + 3 * DAY)
# sha256WithRSAEncryption and sha1WithRSAEncryption (RFC 8017 A.2.4).
SHA256_RSA, SHA1_RSA = bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2a864886f70d010105")
_numbers = itertools.count(1)

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key, in files and as values."""

    certificate: Path
    key: Path
    value: x509.Certificate

    @property
    def pin(self) -> str:
        """The pin of its key."""
        return pin_of(self.value.public_key())


def new_key(rsa_bits: int = 0) -> Key:
    """A key on P-256, or of RSA."""
    return rsa.generate_private_key(65537, rsa_bits) if rsa_bits else ec.generate_private_key(ec.SECP256R1())


class Authority:
    """Who signs certificates; its own is in `file`, signed by `above` or by itself, and `revoke` writes its list."""

    def __init__(
        self, folder: Path, name: str = "Test authority", rsa_bits: int = 0, above: "Authority | None" = None
    ) -> None:
        self._folder, self._name = folder, _named(name)
        self._key = new_key(rsa_bits)
        mark = x509.BasicConstraints(ca=True, path_length=None)
        signer = above or self
        own = _builder(self._name, self._key, VALID).issuer_name(signer._name).add_extension(mark, critical=True)
        self.file = folder / f"authority-{next(_numbers)}.pem"
        self.file.write_bytes(own.sign(signer._key, hashes.SHA256()).public_bytes(Encoding.PEM))

    def issue(
        self,
        hosts: Sequence[str] = ("127.0.0.1",),
        valid: tuple[datetime, datetime] = VALID,
        key: Key | None = None,
        alone: bool = False,
        alternatives: bool = True,
        for_servers: bool = False,
    ) -> Issued:
        """A certificate for these hosts; with `alone` it is signed by its own key.

        Without `alternatives` only its subject names the first host, as was done long ago. One `for_servers` is not
        meant for who calls (RFC 5280 4.2.1.12).
        """
        key = key or new_key()
        subject = _named(hosts[0])
        builder = _builder(subject, key, valid).issuer_name(subject if alone else self._name)
        if alternatives:
            builder = builder.add_extension(_alternatives(hosts), critical=False)
        if for_servers:
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        value = builder.sign(key if alone else self._key, hashes.SHA256())
        return _written(self._folder, value, key)

    def issue_sha1(self) -> Issued:
        """A certificate as it was signed until 2016; for an authority with a key of RSA."""
        issued = self.issue()
        assert isinstance(self._key, rsa.RSAPrivateKey)
        signed = issued.value.tbs_certificate_bytes.replace(SHA256_RSA, SHA1_RSA)
        signature = self._key.sign(signed, PKCS1v15(), hashes.SHA1())  # noqa: S303 - that is what has to be refused
        whole = issued.value.public_bytes(Encoding.DER).replace(SHA256_RSA, SHA1_RSA)
        value = x509.load_der_x509_certificate(whole[: -len(signature)] + signature)
        issued.certificate.write_bytes(value.public_bytes(Encoding.PEM))
        return Issued(issued.certificate, issued.key, value)

    def revoke(self, *issued: Issued, valid: tuple[datetime, datetime] = VALID) -> Path:
        """The list of these revoked certificates."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._name)
        builder = builder.last_update(valid[0]).next_update(valid[1])
        for one in issued:
            entry = x509.RevokedCertificateBuilder().serial_number(one.value.serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(valid[0]).build())
        file = self._folder / f"revoked-{next(_numbers)}.pem"
        file.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))
        return file


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(subject: x509.Name, key: Key, valid: tuple[datetime, datetime]) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(valid[0]).not_valid_after(valid[1])


def _alternatives(hosts: Sequence[str]) -> x509.SubjectAlternativeName:
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return x509.SubjectAlternativeName(names)


def _written(folder: Path, value: x509.Certificate, key: Key) -> Issued:
    number = next(_numbers)
    files = Issued(folder / f"certificate-{number}.pem", folder / f"key-{number}.pem", value)
    files.certificate.write_bytes(value.public_bytes(Encoding.PEM))
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    files.key.write_bytes(secret)
    return files
