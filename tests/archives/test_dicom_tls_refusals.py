"""Who is not provably the hospital is told nothing: each reason has its sentence; nothing falls back to clear."""

import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

import peers
import tls_peers
from certificates import EXPIRED, FUTURE, Authority, Issued, new_key
from peers import nothing_left_running  # noqa: F401 - a fixture for every test here
from priorline.archives.dicom import DicomArchive
from priorline.archives.tls import ClientContext
from priorline.errors import ArchiveBroken, ArchiveError, ArchiveNotTrusted, ArchiveRefused, ArchiveUnreachable

V = ssl.TLSVersion
OLD_CIPHERS = "ALL:@SECLEVEL=0"


@dataclass(frozen=True, slots=True)
class Case:
    """What answers, with which settings it is asked, and what the user reads then."""

    says: str
    shown: Callable[[Authority], Issued] = Authority.issue
    server: Callable[[ssl.SSLContext, Authority], Any] = lambda context, authority: None
    settings: Callable[[Authority, Issued], dict[str, Any]] = lambda authority, issued: {}
    host: str = "127.0.0.1"
    error: type[ArchiveError] = ArchiveNotTrusted
    highest: ssl.TLSVersion = V.TLSv1_3
    kind: str = field(default="")


def foreign(authority: Authority) -> Issued:
    return Authority(authority.file.parent, "Another authority").issue()


def namesake(authority: Authority) -> Issued:
    return Authority(authority.file.parent).issue()


def wants(context: ssl.SSLContext, authority: Authority) -> None:
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.file)


def old(context: ssl.SSLContext, authority: Authority) -> None:
    tls_peers.between(context, V.TLSv1, V.TLSv1_1).set_ciphers(OLD_CIPHERS)


def weak(context: ssl.SSLContext, authority: Authority) -> None:
    tls_peers.between(context, V.TLSv1_2, V.TLSv1_2).set_ciphers("ECDHE+AES+SHA256:ECDHE+SHA1:@SECLEVEL=0")


def revoking(authority: Authority, issued: Issued) -> dict[str, Any]:
    return {"crl": authority.revoke(issued)}


def old_list(authority: Authority, issued: Issued) -> dict[str, Any]:
    return {"crl": authority.revoke(valid=EXPIRED)}


def foreign_list(authority: Authority, issued: Issued) -> dict[str, Any]:
    return {"crl": Authority(authority.file.parent, "Another authority").revoke()}


def other_pin(authority: Authority, issued: Issued) -> dict[str, Any]:
    return {"pins": (authority.issue().pin,)}


def only_other_pin(authority: Authority, issued: Issued) -> dict[str, Any]:
    return {"ca": "", "pins": (authority.issue().pin,)}


def only_its_pin(authority: Authority, issued: Issued) -> dict[str, Any]:
    return {"ca": "", "pins": (issued.pin,)}


def its_pin(authority: Authority, issued: Issued) -> dict[str, Any]:
    return {"pins": (issued.pin,)}


def with_foreign(authority: Authority, issued: Issued) -> dict[str, Any]:
    ours = foreign(authority)
    return {"certificate": ours.certificate, "key": ours.key}


NORTH = "Hospital North is not trusted: its "
CASES = {
    "expired": Case(NORTH + "certificate has expired", lambda a: a.issue(valid=EXPIRED)),
    "future": Case(NORTH + "certificate is not valid yet", lambda a: a.issue(valid=FUTURE)),
    "wrong CA": Case(NORTH + "certificate is not from the authority in tls.ca", foreign),
    "wrong CA of the same name": Case(NORTH + "certificate is not from the authority in tls.ca", namesake),
    "wrong host": Case(
        NORTH + "certificate is for another host than localhost",
        lambda a: a.issue(["archive.example"]),
        host="localhost",
    ),
    "wrong address": Case(
        NORTH + "certificate is for another host than 127.0.0.1", lambda a: a.issue(["127.0.0.2", "localhost"])
    ),
    "a name only in the subject": Case(
        NORTH + "certificate is for another host than localhost",
        lambda a: a.issue(["localhost"], alternatives=False),
        host="localhost",
    ),
    "self-signed": Case(NORTH + "certificate is signed by itself alone", lambda a: a.issue(alone=True)),
    "revoked": Case(NORTH + "certificate was revoked", settings=revoking),
    "old list": Case(NORTH + "certificate cannot be looked up: the revocation list in tls.crl", settings=old_list),
    "foreign list": Case(
        NORTH + "certificate cannot be looked up: the revocation list in tls.crl", settings=foreign_list
    ),
    "SHA-1": Case(NORTH + "certificate, or that of its authority, is too weak", Authority.issue_sha1),
    "short key": Case(NORTH + "certificate, or that", lambda a: a.issue(key=new_key(1024)), kind="weak key"),
    "TLS 1.1": Case("it speaks only versions of TLS before 1.2", server=old),
    "CBC only": Case("it has no method of encryption that is safe", server=weak),
    "other pin": Case(NORTH + "key is not one of those in tls.pins", settings=other_pin),
    "only another pin": Case(NORTH + "key is not one of those in tls.pins", settings=only_other_pin),
    "pinned, expired": Case(
        NORTH + "certificate has expired", lambda a: a.issue(valid=EXPIRED), settings=only_its_pin
    ),
    "pinned, future": Case(
        NORTH + "certificate is not valid yet", lambda a: a.issue(valid=FUTURE), settings=only_its_pin
    ),
    "pinned, wrong CA": Case(NORTH + "certificate is not from the authority", foreign, settings=its_pin),
    "no certificate of ours, 1.2": Case(
        "North refused the connection: it wants a certificate of this workstation",
        server=wants,
        error=ArchiveRefused,
        highest=V.TLSv1_2,
    ),
    "no certificate of ours, 1.3": Case(
        "North refused the connection: it wants a certificate of this workstation", server=wants, error=ArchiveRefused
    ),
    "foreign certificate of ours, 1.2": Case(
        "North refused the connection: it does not accept our certificate",
        server=wants,
        settings=with_foreign,
        error=ArchiveRefused,
        highest=V.TLSv1_2,
    ),
    "foreign certificate of ours, 1.3": Case(
        "North refused the connection: it does not accept our certificate",
        server=wants,
        settings=with_foreign,
        error=ArchiveRefused,
    ),
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), rsa_bits=2048)


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_by_a_sentence_of_its_own_and_told_nothing(name: str, authority: Authority) -> None:
    case, heard = CASES[name], []
    issued = case.shown(authority)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.load_cert_chain(issued.certificate, issued.key)
    case.server(context, authority)
    settings = {"ca": authority.file, **case.settings(authority, issued)}
    script = tls_peers.over_tls(context, lambda secure: heard.append(secure.recv(1)))
    with peers.raw(script) as peer, tls_peers.recorded(peer.port) as (port, connections):
        asked = tls_peers.secured(peers.peer(port, peers.QUICK), host=case.host, **settings)
        assert asked.tls is not None
        asked.tls.maximum_version = case.highest
        with pytest.raises(case.error) as caught:
            DicomArchive(asked).echo()
    assert case.says in str(caught.value)
    assert type(caught.value) is case.error
    assert [data for data in heard if data] == []
    assert [tls_peers.is_tls(data) for data in connections] == [True]


def test_the_sentences_of_different_reasons_differ() -> None:
    alike = {
        "wrong CA of the same name",
        "a name only in the subject",
        "foreign list",
        "short key",
        "only another pin",
    }
    different = {name: case.says for name, case in CASES.items() if name not in alike and "pinned" not in name}
    assert len({*different.values()}) == len(different) - 2, "only TLS 1.2 and 1.3 say the same"


# --- no TLS at all


def test_a_plain_archive_on_the_port_is_told_not_one_byte_of_dicom(authority: Authority) -> None:
    with peers.scripted([], acse_timeout=0.5) as plain, tls_peers.recorded(plain.port) as (port, connections):
        asked = tls_peers.secured(peers.peer(port, peers.QUICK), ca=authority.file)
        with pytest.raises(ArchiveNotTrusted, match="does not speak TLS, and nothing was sent to it"):
            DicomArchive(asked).echo()
    assert len(connections) == 1
    assert tls_peers.is_tls(connections[0])
    assert not any(title.encode() in connections[0] for title in (peers.CALLED, peers.CALLING))


ANSWERS = {
    "abort": (bytes.fromhex("07000000000400000200"), ArchiveNotTrusted, "does not speak TLS"),
    "acceptance": (b"\x02\x00\x00\x00\x00\x44" + bytes(68), ArchiveNotTrusted, "does not speak TLS"),
    "HTTP": (b"HTTP/1.1 400 Bad Request\r\n\r\n", ArchiveNotTrusted, "does not speak TLS"),
    "noise": (bytes(range(256)), ArchiveNotTrusted, "does not speak TLS"),
    "too long a record": (b"\x16\x03\x03\xff\xff" + bytes(300), ArchiveNotTrusted, "does not speak TLS"),
    "data before keys": (b"\x17\x03\x03\x00\x40" + bytes(64), ArchiveNotTrusted, "does not speak TLS"),
    "nothing": (b"", ArchiveBroken, "broke off before encryption was agreed"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_what_is_not_tls_ends_at_once(name: str, authority: Authority) -> None:
    answer, error, says = ANSWERS[name]

    def script(connection: Any) -> None:
        connection.recv(65536)
        connection.sendall(answer)
        connection.close()

    with peers.raw(script) as peer, pytest.raises(error, match=says):
        DicomArchive(tls_peers.secured(peer, ca=authority.file)).echo()


def test_a_reset_before_encryption_is_a_broken_connection(authority: Authority) -> None:
    with peers.raw(lambda connection: connection.close()) as peer, pytest.raises(ArchiveBroken, match="before encr"):
        DicomArchive(tls_peers.secured(peer, ca=authority.file)).echo()


def test_nobody_there_is_unreachable_as_ever(authority: Authority) -> None:
    nobody = tls_peers.secured(peers.peer(peers.free_port(), peers.QUICK), ca=authority.file)
    with pytest.raises(ArchiveUnreachable):
        DicomArchive(nobody).echo()


def test_leaving_after_the_handshake_without_a_word_may_be_about_our_certificate(authority: Authority) -> None:
    script = tls_peers.over_tls(tls_peers.server(authority.issue()), lambda secure: secure.close())
    with peers.raw(script) as peer, pytest.raises(ArchiveBroken, match="whether it knows our certificate"):
        DicomArchive(tls_peers.secured(peer, ca=authority.file)).echo()


def test_a_plain_hospital_is_told_nothing_of_tls(authority: Authority) -> None:
    script = tls_peers.over_tls(tls_peers.server(authority.issue()), lambda secure: None)
    with peers.raw(script) as peer, pytest.raises(ArchiveBroken, match="what DICOM does not allow"):
        DicomArchive(peer).echo()


def test_what_the_peer_said_before_it_left_is_read_when_we_cannot_send_any_more(authority: Authority) -> None:
    """In TLS 1.3 it may be gone before we say our first word."""
    gone = threading.Event()

    class Slow(ClientContext.sslsocket_class):  # type: ignore[misc, name-defined]
        def do_handshake(self, block: bool = False) -> None:
            super().do_handshake(block)
            assert gone.wait(peers.START_SECONDS)

    def refusing(connection: socket.socket) -> None:
        context = tls_peers.server(authority.issue(), authority)
        with pytest.raises(ssl.SSLError):
            context.wrap_socket(connection, server_side=True)
        gone.set()

    with peers.raw(refusing) as peer:
        asked = tls_peers.secured(peer, ca=authority.file)
        assert asked.tls is not None
        asked.tls.sslsocket_class = Slow
        with pytest.raises(ArchiveRefused, match="wants a certificate of this workstation"):
            DicomArchive(asked).echo()
