"""DICOMweb over TLS: nothing is asked, and no token is shown, before the hospital is who it should be."""

import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

import peers
from certificates import Authority
from peers import nothing_left_running  # noqa: F401 - a fixture for every test here
from priorline.archives.dicomweb import DicomWebArchive
from priorline.archives.dicomweb_peer import DicomWebPeer
from priorline.archives.incoming import Received, whole
from priorline.archives.tls import client_context
from priorline.config import Settings, Tls, parse
from priorline.errors import ArchiveError, ArchiveNotTrusted, ArchiveRefused, ArchiveTimedOut
from priorline.work.hospitals import build_hospitals
from tls_peers import server
from web_hospital import STUDY, answers, images, scripted, token_file


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def wrapped(context: ssl.SSLContext) -> Callable[[socket.socket], socket.socket]:
    def wrap(connection: socket.socket) -> socket.socket:
        try:
            return context.wrap_socket(connection, server_side=True)
        except OSError:
            connection.close()
            raise

    return wrap


def retrieve(peer: DicomWebPeer) -> int:
    got: list[Received] = []
    return DicomWebArchive(peer).retrieve(STUDY, None, (), whole(got.append), lambda: False).received


def test_a_study_comes_over_tls(authority: Authority) -> None:
    with scripted(answers(images(range(8))), wrapped(server(authority.issue()))) as hospital:
        peer = hospital.peer(peers.PATIENT_WAIT, tls=client_context(Tls(ca=str(authority.file))))
        assert retrieve(peer) == 8


@pytest.mark.parametrize("ca", [False, True])
def test_a_hospital_that_is_not_trusted_is_asked_nothing(tmp_path: Path, authority: Authority, ca: bool) -> None:
    other = Tls(ca=str(Authority(tmp_path).file)) if ca else Tls()
    with scripted(answers(images([1])), wrapped(server(authority.issue()))) as hospital:
        token = token_file(tmp_path, "secret")
        peer = hospital.peer(peers.PATIENT_WAIT, tls=client_context(other, public=True), token_file=token)
        with pytest.raises(ArchiveNotTrusted, match=r"tls\.ca"):
            retrieve(peer)
    assert hospital.requests == []


def test_a_certificate_of_another_host_is_not_trusted(authority: Authority) -> None:
    with scripted(answers(images([1])), wrapped(server(authority.issue(("elsewhere.example",))))) as hospital:
        peer = hospital.peer(peers.PATIENT_WAIT, tls=client_context(Tls(ca=str(authority.file))))
        with pytest.raises(ArchiveNotTrusted, match="another host"):
            retrieve(peer)
    assert hospital.requests == []


def test_a_hospital_that_wants_our_certificate_gets_it(authority: Authority) -> None:
    ours, ca = authority.issue(("workstation.example",)), str(authority.file)
    with scripted(answers(images([1])), wrapped(server(authority.issue(), authority))) as hospital:
        own = Tls(ca=ca, certificate=str(ours.certificate), key=str(ours.key))
        assert retrieve(hospital.peer(peers.PATIENT_WAIT, tls=client_context(own))) == 1
        with pytest.raises(ArchiveRefused, match=r"tls\.certificate"):
            retrieve(hospital.peer(peers.PATIENT_WAIT, tls=client_context(Tls(ca=ca))))
    assert len(hospital.requests) == 1


def test_a_handshake_that_stalls_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        peer = DicomWebPeer("Hospital West", url, peers.QUICK, tls=client_context(Tls(), public=True))
        with pytest.raises(ArchiveTimedOut, match="no encryption"):
            retrieve(peer)


def test_clear_text_where_tls_is_expected_is_refused() -> None:
    def plain(connection: socket.socket) -> socket.socket:
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        return connection

    with (
        scripted(answers(images([1])), plain) as hospital,
        pytest.raises(ArchiveNotTrusted, match="does not speak TLS"),
    ):
        retrieve(hospital.peer(tls=client_context(Tls(), public=True)))
    assert hospital.requests == []


def test_one_that_hangs_up_in_the_handshake_is_an_error(authority: Authority) -> None:
    def close(connection: socket.socket) -> socket.socket:
        connection.close()
        raise OSError

    with scripted(answers(images([1])), close) as hospital, pytest.raises(ArchiveError):
        retrieve(hospital.peer(tls=client_context(Tls(ca=str(authority.file)))))


def settings(*lines: str) -> Settings:
    return parse('[[hospital]]\nname = "West"\nprotocol = "dicomweb"\n' + "\n".join(lines), "test")


def test_the_configured_authority_is_used_and_the_connection_is_marked(authority: Authority) -> None:
    with scripted(answers(images([1])), wrapped(server(authority.issue()))) as running:
        url = f'url = "https://127.0.0.1:{running.port}/dicom-web"'
        (hospital,) = build_hospitals(settings(url, f'tls = {{ ca = "{authority.file}" }}'))
        assert hospital.encrypted
        assert hospital.archive is not None
        assert hospital.archive.retrieve(STUDY, None, (), whole(lambda _one: None), lambda: False).received == 1


def test_what_cannot_be_set_up_is_not_asked(tmp_path: Path) -> None:
    (hospital,) = build_hospitals(settings('url = "https://127.0.0.1/"', f'tls = {{ ca = "{tmp_path}/none.pem" }}'))
    assert hospital.archive is None
    assert "tls.ca" in hospital.why_not


def test_plain_http_is_marked() -> None:
    (hospital,) = build_hospitals(settings('url = "http://127.0.0.1:1/"'))
    assert hospital.archive is not None
    assert not hospital.encrypted
