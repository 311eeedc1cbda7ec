"""What a context is made from: a file that cannot be used is named in one sentence; pins bind all who use it."""

import http.client
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

import peers
import tls_peers
from certificates import Authority, new_key
from peers import nothing_left_running  # noqa: F401 - a fixture for every test here
from priorline.archives.tls import client_context, server_context
from priorline.config import Tls
from priorline.errors import ConfigError


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def known(authority: Authority, tmp_path: Path) -> dict[str, str]:
    """Files by what is in them."""
    ours = authority.issue()
    files: dict[str, Path] = {name: tmp_path / f"{name}.pem" for name in ("missing", "empty", "junk", "secret")}
    files["empty"].write_text(" \n")
    files["junk"].write_text("certificate: enclosed\n")
    locked = BestAvailableEncryption(b"a long password")
    files["secret"].write_bytes(new_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
    files |= {"ca": authority.file, "ours": ours.certificate, "key": ours.key, "other": authority.issue().key}
    files |= {"folder": tmp_path, "list": authority.revoke()}
    return {name: str(path) for name, path in files.items()} | {"nul": "a\0b", "pin": ours.pin, "": ""}


WRONG = [
    ({"ca": "missing"}, r"tls\.ca: .*missing\.pem cannot be read: No such file or directory\.$"),
    ({"ca": "empty"}, r"tls\.ca: .*empty\.pem is empty\.$"),
    ({"ca": "junk"}, r"tls\.ca: .*junk\.pem does not hold a certificate in PEM form\.$"),
    ({"ca": "key"}, r"tls\.ca: .* does not hold a certificate in PEM form\.$"),
    ({"ca": "list"}, r"tls\.ca: .* does not hold a certificate in PEM form\.$"),
    ({"ca": "folder"}, r"tls\.ca: .* cannot be read: Is a directory\.$"),
    ({"ca": "nul"}, r"tls\.ca: .* cannot be read: no file can have this name\.$"),
    ({"certificate": "ours", "key": "key"}, r"^tls\.ca is empty: name the PEM file .* or pins\.$"),
    ({"ca": "ca", "key": "key"}, r"^tls\.key needs tls\.certificate"),
    ({"ca": "ca", "certificate": "missing", "key": "key"}, r"tls\.certificate: .*missing\.pem cannot be read"),
    ({"ca": "ca", "certificate": "ours", "key": "missing"}, r"tls\.key: .*missing\.pem cannot be read"),
    ({"ca": "ca", "certificate": "ours", "key": "empty"}, r"tls\.key: .*empty\.pem is empty"),
    ({"ca": "ca", "certificate": "ours", "key": "junk"}, "are not a certificate and its private key in PEM form"),
    ({"ca": "ca", "certificate": "ours", "key": "other"}, "are not a certificate and its private key in PEM form"),
    ({"ca": "ca", "certificate": "ours"}, "are not a certificate and its private key in PEM form"),
    ({"ca": "ca", "certificate": "ours", "key": "secret"}, r"tls\.key: .*secret\.pem is protected by a password"),
    ({"ca": "ca", "crl": "missing"}, r"tls\.crl: .*missing\.pem cannot be read"),
    ({"ca": "ca", "crl": "ca"}, r"tls\.crl: .* does not hold a revocation list in PEM form\.$"),
    ({"pins": "pin", "crl": "list"}, r"^tls\.crl needs tls\.ca"),
]


def settings(known: dict[str, str], chosen: dict[str, str]) -> Tls:
    files = {key: known[name] for key, name in chosen.items() if key != "pins"}
    return Tls(**files, pins=(known["pin"],) if "pins" in chosen else ())


@pytest.mark.parametrize(("chosen", "says"), WRONG, ids=["-".join(chosen.values()) for chosen, _ in WRONG])
def test_a_file_that_cannot_be_used_is_named_in_one_sentence(
    known: dict[str, str], chosen: dict[str, str], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        client_context(settings(known, chosen))


RECEIVING = [
    *((chosen, says) for chosen, says in WRONG if "certificate" in chosen and "ca" in chosen),
    ({"ca": "ca"}, r"^tls\.certificate is empty: name the PEM file of our certificate"),
    ({"pins": "pin", "certificate": "ours", "key": "key"}, r"^tls\.ca is empty: .* pins alone prove nobody"),
]


@pytest.mark.parametrize(("chosen", "says"), RECEIVING, ids=["-".join(chosen.values()) for chosen, _ in RECEIVING])
def test_so_is_what_is_needed_to_be_called(known: dict[str, str], chosen: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        server_context(settings(known, chosen))


def test_who_calls_has_to_show_a_certificate_and_no_ticket_instead(known: dict[str, str]) -> None:
    context = server_context(settings(known, {"ca": "ca", "certificate": "ours", "key": "key"}))
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert (context.num_tickets, bool(context.options & ssl.OP_NO_TICKET)) == (0, True)


def test_key_and_certificate_may_stand_in_one_file(known: dict[str, str], tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_text(Path(known["key"]).read_text() + Path(known["ours"]).read_text())
    assert client_context(Tls(ca=known["ca"], certificate=str(both))).presents


def test_it_holds_to_the_floor_and_to_one_authority(known: dict[str, str]) -> None:
    context = client_context(settings(known, {"ca": "ca"}))
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    names = {cipher["name"] for cipher in context.get_ciphers()}
    assert {name.split("-")[0].split("_")[0] for name in names} == {"ECDHE", "TLS"}
    assert all("GCM" in name or "CHACHA20" in name for name in names)
    assert context.cert_store_stats()["x509"] == 1
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_what_the_computer_trusts_counts_where_it_is_asked_for_and_nothing_else_is_named(
    known: dict[str, str],
) -> None:
    context = client_context(Tls(), public=True)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert client_context(settings(known, {"ca": "ca"}), public=True).cert_store_stats()["x509"] == 1


# --- pins bind whoever uses the context


def by_http(context: ssl.SSLContext, port: int) -> None:
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
    try:
        connection.request("GET", "/")
    finally:
        connection.close()


def by_socket(context: ssl.SSLContext, port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        context.wrap_socket(connection, server_hostname="127.0.0.1").close()


def by_memory(context: ssl.SSLContext, port: int) -> None:
    heard, said = ssl.MemoryBIO(), ssl.MemoryBIO()
    secure = context.wrap_bio(heard, said, server_hostname="127.0.0.1")
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        while True:
            try:
                secure.do_handshake()
                break
            except ssl.SSLWantReadError:
                connection.sendall(said.read())
                heard.write(connection.recv(65536))
        connection.sendall(said.read())


@pytest.mark.parametrize("use", [by_http, by_socket, by_memory])
def test_a_pin_binds_every_use_of_the_context(
    authority: Authority, use: Callable[[ssl.SSLContext, int], None]
) -> None:
    issued, other = authority.issue(), authority.issue()
    for pin, is_right in ((issued.pin, True), (other.pin, False)):
        heard: list[Any] = []
        script = tls_peers.over_tls(tls_peers.server(issued), lambda secure, to=heard: to.append(secure.recv(1)))  # type: ignore[misc]
        with peers.raw(script) as peer:
            if is_right:
                use(client_context(Tls(pins=(pin,))), peer.port)
            else:
                with pytest.raises(ssl.SSLCertVerificationError):
                    use(client_context(Tls(pins=(pin,))), peer.port)
        assert [one for one in heard if one] == ([b"G"] if is_right and use is by_http else [])
