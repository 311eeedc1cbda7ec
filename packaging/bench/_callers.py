"""Our storage SCP by TLS, and who calls it: stalled handshakes, and the hospital that is waited for."""

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from pynetdicom import AE

from priorline.archives.base import DicomPeer
from priorline.archives.storage_scp import StorageScp
from priorline.archives.tls import server_context
from priorline.config import Tls

HERE, TITLE, OURS = "127.0.0.1", "HOSPITAL", "PRIORLINE"
VERIFICATION, CT_IMAGE = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.2"
STALLED = 30
DAY = timedelta(days=1)


def stalled_handshakes(place: Path) -> dict[str, float]:
    """Seconds from connecting to the answer of C-ECHO, for the hospital behind many that send no ClientHello."""
    theirs, ours = certificate(place / "theirs.pem"), certificate(place / "ours.pem")
    context = server_context(Tls(ca=str(theirs), certificate=str(ours)))
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        port = probe.getsockname()[1]
    scp = StorageScp(OURS, port, start_thread, lambda _alert: None)
    peer = DicomPeer("H0", TITLE, HERE, 1, OURS)
    with scp.expect(peer, "1.2.3", (HERE, HERE), context), ExitStack() as stack:
        for _ in range(STALLED):
            stack.enter_context(socket.create_connection((HERE, port)))
        return {"seconds": echo(port, theirs)}


def echo(port: int, own: Path) -> float:
    """Seconds for an association with C-ECHO by TLS, to which both sides show a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_cert_chain(own)
    context.load_verify_locations(own.with_name("ours.pem"))
    entity = AE(TITLE)
    for name in (VERIFICATION, CT_IMAGE):
        entity.add_requested_context(name)
    began = time.perf_counter()
    opened = entity.associate(HERE, port, ae_title=OURS, tls_args=(context, "priorline"))
    assert opened.is_established
    assert opened.send_c_echo().Status == 0
    seconds = time.perf_counter() - began
    opened.release()
    return seconds


def start_thread(run: Callable[[], None]) -> Callable[[float], None]:
    """As `priorline.work.hospitals` starts them."""
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread.join


def certificate(file: Path) -> Path:
    """A certificate for this computer, signed by itself, and its key, in one file."""
    key, now = rsa.generate_private_key(65537, 2048), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, file.stem)])
    hosts = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HERE))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - DAY).not_valid_after(now + DAY).add_extension(hosts, critical=False)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(secret + builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    return file
