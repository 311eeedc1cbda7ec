"""A hospital that is spoken to by TLS sends to us by TLS: who is not provably it stores nothing and is reported."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from test_dicom_move_hostile import (
    ELSEWHERE,
    HERE,
    OTHER_STUDY,
    PATIENCE,
    PATIENT,
    STUDY,
    Scene,
    association,
    drained,
    instance,
    store,
    until,
)

import move_tools
import peers
import tls_peers
from certificates import EXPIRED, FUTURE, Authority, Issued, new_key
from peers import nothing_left_running  # noqa: F401 - a fixture for every test here
from priorline.archives.base import DicomPeer, RetrieveSummary
from priorline.archives.incoming import Receiver, whole
from priorline.archives.tls import server_context
from priorline.config import Tls
from priorline.errors import ArchiveRefused

V = ssl.TLSVersion
OTHER_TITLE = "OTHER"
REQUEST = b"\x01\x00\x00\x00\x00\xd0\x00\x01"


@dataclass(frozen=True, slots=True)
class Trust:
    """An authority, and what it gave to the archive, for both directions, and to us."""

    authority: Authority
    theirs: Issued
    ours: Issued

    def settings(self, **changes: Any) -> dict[str, Any]:
        """The `tls` of the hospital."""
        known = {"ca": self.authority.file, "certificate": self.ours.certificate, "key": self.ours.key}
        return {**known, **changes}


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    authority = Authority(tmp_path_factory.mktemp("authority"), rsa_bits=2048)
    return Trust(authority, authority.issue(key=new_key(2048)), authority.issue(["workstation"], key=new_key(2048)))


class SecureScene(Scene):
    """As `Scene`, with an archive that is asked by TLS and sends by TLS."""

    def __init__(self, trust: Trust, act: Callable[[], Any] = lambda: None, *instances: Any, **tls: Any) -> None:
        super().__init__(act, *instances)
        self.trust, self.tls = trust, trust.settings(**tls)

    def sending(self) -> contextlib.AbstractContextManager[Any]:
        return association(self, tls=tls_peers.client(self.trust.theirs, self.trust.authority))

    def play(self, **changes: Any) -> RetrieveSummary:
        context = tls_peers.server(self.trust.theirs, self.trust.authority)
        with peers.raw(tls_peers.over_tls(context, self._send)) as peer:
            asked = tls_peers.secured(peer, **self.tls)
            return self.retrieve(replace(asked, retrieve="c-move", **{"timeouts": PATIENT, **changes}))


def knocking(*tries: dict[str, Any]) -> tuple[Callable[[Scene], None], list[bool]]:
    """Opens an association as described for each of `tries`, and who was let in."""
    let_in: list[bool] = []

    def knock(scene: Scene) -> None:
        for who in tries:
            with association(scene, **who) as opened:
                let_in.append(opened.is_established)

    return knock, let_in


# --- who is proven


@pytest.mark.parametrize("version", [V.TLSv1_2, V.TLSv1_3])
def test_what_the_archive_sends_by_tls_is_taken(trust: Trust, version: ssl.TLSVersion) -> None:
    statuses: list[int] = []

    def send() -> None:
        context = tls_peers.between(tls_peers.client(trust.theirs, trust.authority), version, version)
        with association(scene, tls=context) as opened:
            statuses.append(opened.send_c_echo().Status)
            statuses.extend(store(opened, instance(number)) for number in range(20))

    scene = SecureScene(trust, send)
    assert scene.play().received == 20
    assert statuses == [0] * 21
    assert scene.alerts == []


def test_an_object_of_megabytes_comes_whole(trust: Trust) -> None:
    large = instance()
    large.Rows, large.Columns = 2048, 2048
    large.PixelData = bytes(range(256)) * (1 << 15)
    scene = SecureScene(trust, lambda: None, large)
    assert scene.play().received == 1
    assert large.PixelData in scene.got[0].dataset


def test_storescu_sends_by_tls(trust: Trust, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.dcm" for number in range(3)]
    for number, file in enumerate(files):
        dataset = instance(number)
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.save_as(file)

    def send() -> None:
        us = DicomPeer("Us", peers.CALLING, HERE, scene.port, "")
        tls_peers.store(us, trust.theirs, trust.authority, files, peers.CALLED)

    scene = SecureScene(trust, send)
    assert scene.play().received == 3
    assert scene.alerts == []


def test_a_pinned_key_counts_instead_of_the_name(trust: Trust) -> None:
    nameless = trust.authority.issue(["sender.example"])
    knock, let_in = knocking({"tls": tls_peers.client(nameless)})
    scene = SecureScene(trust, lambda: knock(scene), pins=(trust.theirs.pin, nameless.pin))
    scene.play()
    assert let_in == [True]
    assert scene.alerts == []


def test_a_certificate_may_name_a_host_from_which_it_sends(trust: Trust) -> None:
    other = trust.authority.issue(["localhost"])
    knock, let_in = knocking({"tls": tls_peers.client(other)})
    scene = SecureScene(trust, lambda: knock(scene))
    scene.play(sends_from=("LocalHost",))
    assert let_in == [True]


# --- who is not


def foreign(authority: Authority) -> Issued:
    return Authority(authority.file.parent, "Another authority").issue()


def namesake(authority: Authority) -> Issued:
    return Authority(authority.file.parent).issue()


@dataclass(frozen=True, slots=True)
class Case:
    """What somebody shows who calls us, with which settings he is judged, and what is reported."""

    says: str
    shown: Callable[[Authority], Issued | None] = Authority.issue
    changed: Callable[[ssl.SSLContext], Any] = lambda context: context
    settings: Callable[[Trust, Issued | None], dict[str, Any]] = lambda trust, shown: {}


def revoking(trust: Trust, shown: Issued | None) -> dict[str, Any]:
    assert shown is not None
    return {"crl": trust.authority.revoke(shown)}


def pinning(trust: Trust, shown: Issued | None) -> dict[str, Any]:
    return {"pins": (trust.theirs.pin,)}


def older(context: ssl.SSLContext) -> None:
    tls_peers.between(context, V.TLSv1, V.TLSv1_1)


def newer_no_more(context: ssl.SSLContext) -> None:
    context.maximum_version = V.TLSv1_2


def unsafe(context: ssl.SSLContext) -> None:
    newer_no_more(context)
    context.set_ciphers("ECDHE+AES+SHA256:ECDHE+SHA1:AES128-GCM-SHA256:@SECLEVEL=0")


def distrusting(context: ssl.SSLContext) -> None:
    context.verify_mode = ssl.CERT_REQUIRED


SHOWED = "showed a certificate "
CASES = {
    "expired": Case(SHOWED + "that has expired", lambda a: a.issue(valid=EXPIRED)),
    "future": Case(SHOWED + "that is not valid yet", lambda a: a.issue(valid=FUTURE)),
    "wrong CA": Case(SHOWED + "that is not from the authority", foreign),
    "wrong CA of the same name": Case(SHOWED + "that is not from the authority", namesake),
    "self-signed": Case(SHOWED + "that is not from the authority", lambda a: a.issue(alone=True)),
    "revoked": Case(SHOWED + "that was revoked", settings=revoking),
    "SHA-1": Case(SHOWED + "that, or whose authority's, is too weak", Authority.issue_sha1),
    "short key": Case(SHOWED + "that, or whose authority's, is too weak", lambda a: a.issue(key=new_key(1024))),
    "for servers only": Case(SHOWED + "that is not meant for who calls", lambda a: a.issue(for_servers=True)),
    "wrong pin": Case(SHOWED + "of a key that is not one of those in tls.pins", settings=pinning),
    "pinned key, wrong CA": Case(SHOWED + "that is not from the authority", foreign, settings=pinning),
    "another host": Case(SHOWED + "that names none of the hosts", lambda a: a.issue(["127.0.0.2", "other.example"])),
    "a name only in the subject": Case(
        SHOWED + "that names none of the hosts", lambda a: a.issue([HERE], alternatives=False)
    ),
    "no certificate, 1.3": Case("showed no certificate", lambda a: None),
    "no certificate, 1.2": Case("showed no certificate", lambda a: None, newer_no_more),
    "TLS 1.1": Case("offered only versions of TLS before 1.2", changed=older),
    "CBC and static RSA only": Case("offered no method of encryption that is safe", changed=unsafe),
    "trusts another authority": Case("did not accept our certificate", changed=distrusting),
}


@pytest.mark.parametrize("name", CASES)
def test_who_is_not_proven_to_be_the_hospital_stores_nothing_and_is_reported_once(name: str, trust: Trust) -> None:
    case = CASES[name]
    shown = case.shown(trust.authority)
    context = tls_peers.client(shown)
    case.changed(context)
    knock, let_in = knocking({"tls": context})
    scene = SecureScene(trust, lambda: knock(scene), instance(), **case.settings(trust, shown))
    assert scene.play().received == 1
    assert let_in == [False]
    (alert,) = scene.alerts
    assert case.says in alert.problem
    assert (alert.address, alert.hospital) == (HERE, "Hospital North")


def test_nobody_is_let_in_in_clear(trust: Trust) -> None:
    knock, let_in = knocking({})
    scene = SecureScene(trust, lambda: knock(scene), instance())
    assert scene.play().received == 1
    assert let_in == [False]
    (alert,) = scene.alerts
    assert "spoke in clear" in alert.problem


def test_who_speaks_in_clear_is_not_told_a_byte(trust: Trust) -> None:
    told: list[bytes] = []

    def speak() -> None:
        with socket.create_connection((HERE, scene.port), PATIENCE) as connection:
            connection.sendall(REQUEST)
            with contextlib.suppress(ConnectionResetError):
                told.append(drained(connection))

    scene = SecureScene(trust, speak, instance())
    assert scene.play().received == 1
    assert told in ([], [b""])
    assert len(scene.alerts) == 1


def test_tls_is_not_taken_from_a_hospital_without_it(trust: Trust) -> None:
    knock, let_in = knocking({"tls": tls_peers.client(trust.theirs)})
    scene = Scene(lambda: knock(scene), instance())
    assert scene.play().received == 1
    assert let_in == [False]
    assert ["spoke TLS" in one.problem for one in scene.alerts] == [True]


def test_titles_count_by_tls_too(trust: Trust) -> None:
    ours = tls_peers.client(trust.theirs)
    knock, let_in = knocking({"tls": ours, "called": "SOMEBODY"}, {"tls": ours, "calling": "SOMEBODY"})
    scene = SecureScene(trust, lambda: knock(scene), instance())
    assert scene.play().received == 1
    assert let_in == [False, False]
    assert [(one.calling, one.called) for one in scene.alerts] == [
        (peers.CALLED, "SOMEBODY"),
        ("SOMEBODY", peers.CALLING),
    ]


# --- two hospitals that send at once, from one address


class Other(Scene):
    """A second hospital, whose retrieval of another study is open together with that of `first`."""

    def __init__(self, first: Scene, act: Callable[[], Any]) -> None:
        Scene.__init__(self, act)
        self.port, self.scp, self.alerts = first.port, first.scp, first.alerts

    def retrieve(self, peer: DicomPeer) -> RetrieveSummary:
        theirs = replace(peer, name="Hospital South", sends_as=(OTHER_TITLE,))
        return move_tools.DicomArchive(theirs, self.scp).retrieve(
            OTHER_STUDY, None, (), whole(self.take), lambda: False
        )


class OtherSecure(Other, SecureScene):
    """The same by TLS, as trusted as `first`."""

    def __init__(self, first: SecureScene, act: Callable[[], Any], theirs: Issued) -> None:
        super().__init__(first, act)
        self.trust, self.tls = replace(first.trust, theirs=theirs), {**first.tls, "host": "localhost"}


def test_a_plain_and_a_secure_hospital_share_the_port_and_neither_may_speak_as_the_other(trust: Trust) -> None:
    secure = tls_peers.client(trust.theirs)
    knock, let_in = knocking({}, {"calling": OTHER_TITLE, "tls": secure})
    statuses: list[int] = []

    def send() -> None:
        knock(first)
        with association(first, tls=secure) as one, association(first, calling=OTHER_TITLE) as other:
            statuses.append(store(one, instance()))
            statuses.append(store(other, instance(study=OTHER_STUDY)))
            statuses.append(store(other, instance(2)))
            statuses.append(store(one, instance(2, study=OTHER_STUDY)))

    first = SecureScene(trust)
    second = Other(first, send)
    first.act = second.play
    assert (first.play().received, len(second.got)) == (1, 1)
    assert let_in == [False, False]
    assert statuses == [0, 0, 0x0124, 0x0124]
    assert [one.problem.partition(" ")[0] for one in first.alerts] == ["asked", "asked", "sent", "sent"]
    assert all("does not prove to be" in one.problem for one in first.alerts[:2])


def test_a_certificate_is_good_for_the_titles_of_its_own_hospital_only(trust: Trust) -> None:
    """Both have one authority, as the hospitals of a region may."""
    theirs = trust.authority.issue(["localhost"], key=new_key(2048))
    north, south = tls_peers.client(trust.theirs), tls_peers.client(theirs)
    knock, let_in = knocking(
        {"tls": north},
        {"tls": south},
        {"tls": north, "calling": OTHER_TITLE},
        {"tls": south, "calling": OTHER_TITLE},
    )
    first = SecureScene(trust)
    first.act = OtherSecure(first, lambda: knock(first), theirs).play
    first.play()
    assert let_in == [True, False, False, True]
    assert ["does not prove to be" in one.problem for one in first.alerts] == [True, True]


def expecting(name: str, address: str, trust: Trust) -> tuple[DicomPeer, str, tuple[str, str], Receiver, Any]:
    """What `StorageScp.expect` takes for a hospital at this address."""
    settings = {key: str(value) for key, value in trust.settings().items()}
    return (
        peers.peer(1, name=name, host=address),
        STUDY,
        (HERE, address),
        whole(lambda _one: None),
        server_context(Tls(**settings)),
    )


def test_each_hospital_sees_the_certificate_that_is_configured_for_it(trust: Trust, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    other = Trust(authority, authority.issue([ELSEWHERE]), authority.issue(["workstation"]))
    port = peers.free_port()
    scp = move_tools.scp(port)
    with scp.expect(*expecting("North", HERE, trust)), scp.expect(*expecting("South", ELSEWHERE, other)):
        for source, known in ((HERE, trust), (ELSEWHERE, other)):
            context = tls_peers.client(known.theirs, known.authority)
            with (
                socket.create_connection((HERE, port), PATIENCE, (source, 0)) as connection,
                context.wrap_socket(connection) as secure,
            ):
                shown = ssl.DER_cert_to_PEM_cert(secure.getpeercert(binary_form=True) or b"")
            assert shown.split() == known.ours.certificate.read_text().split()


def test_hospitals_that_could_not_be_told_apart_send_one_after_the_other(trust: Trust, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    other = Trust(authority, authority.issue(), authority.issue(["workstation"]))
    scp = move_tools.scp(peers.free_port())
    with (
        scp.expect(*expecting("North", HERE, trust)),
        pytest.raises(ArchiveRefused, match="South has to wait"),
        scp.expect(*expecting("South", HERE, other)),
    ):
        pass
    with scp.expect(*expecting("South", HERE, other)):
        pass
    assert not move_tools.listening_ports()


# --- stalls and floods


def hello() -> bytes:
    """A ClientHello."""
    heard, said = ssl.MemoryBIO(), ssl.MemoryBIO()
    secure = tls_peers.client().wrap_bio(heard, said)
    with pytest.raises(ssl.SSLWantReadError):
        secure.do_handshake()
    return said.read()


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        (b"\x16" + bytes(range(255)), "sent what TLS does not allow"),
        (b"\x16\x03\x01\xff\xff" + bytes(300), "sent what TLS does not allow"),
        (b"\x16\x03\x01\x00\x20" + bytes(32), "sent what TLS does not allow"),
        (b"\x17\x03\x03\x00\x20" + bytes(32), "spoke in clear"),
        (b"GET / HTTP/1.1\r\n\r\n", "spoke in clear"),
    ],
    ids=["noise", "too long a record", "zeros in a record", "data before keys", "HTTP"],
)
def test_what_is_not_tls_ends_at_once_and_is_reported(trust: Trust, sent: bytes, says: str) -> None:
    def speak() -> None:
        with socket.create_connection((HERE, scene.port), PATIENCE) as connection:
            connection.sendall(sent)
            with contextlib.suppress(ConnectionResetError):
                drained(connection)

    scene = SecureScene(trust, speak, instance())
    assert scene.play().received == 1
    assert [says in one.problem for one in scene.alerts] == [True]


def half(connection: socket.socket) -> None:
    connection.sendall(hello()[:40])


def dripping(connection: socket.socket) -> None:
    peers.drip(connection, hello(), 0.05)


def mute(connection: socket.socket) -> None:
    connection.sendall(hello())
    connection.recv(1)


@pytest.mark.parametrize("script", [lambda _connection: None, half, dripping, mute])
def test_a_stall_inside_the_handshake_ends_by_the_deadline_and_is_reported(
    trust: Trust, script: Callable[[socket.socket], None]
) -> None:
    def stall() -> None:
        with socket.create_connection((HERE, scene.port), PATIENCE) as connection, contextlib.suppress(OSError):
            script(connection)
            drained(connection)

    scene = SecureScene(trust, stall, instance())
    assert scene.play().received == 1
    assert [one.problem for one in scene.alerts] == ["connected and did not ask for an association"]


@pytest.mark.parametrize("secure", [True, False], ids=["TLS", "in clear"])
def test_looking_whether_we_are_there_is_not_reported(trust: Trust, secure: bool) -> None:
    """As a monitor does, by which a connection is closed or reset before anything is said."""

    def look() -> None:
        for linger in (struct.pack("ii", 0, 0), struct.pack("ii", 1, 0)):
            with socket.create_connection((HERE, scene.port), PATIENCE) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    scene = SecureScene(trust, look, instance()) if secure else Scene(look, instance())
    assert scene.play().received == 1
    assert scene.alerts == []


def test_breaking_off_inside_the_handshake_is_reported(trust: Trust) -> None:
    def leave() -> None:
        with socket.create_connection((HERE, scene.port), PATIENCE) as connection:
            connection.sendall(hello())

    scene = SecureScene(trust, leave, instance())
    assert scene.play().received == 1
    assert ["broke off" in one.problem for one in scene.alerts] == [True]


@pytest.mark.parametrize("sent", [b"", hello()[:40]], ids=["idle", "half a hello"])
def test_many_stalled_handshakes_do_not_keep_the_hospital_out(trust: Trust, sent: bytes) -> None:
    """Row S5 of the faults: 30 stalled handshakes, none of them long; all come from the hospital's own address."""
    statuses: list[Any] = []
    slow = replace(PATIENT, acse=60.0)

    def flood() -> None:
        before = threading.active_count()
        with contextlib.ExitStack() as stack:
            for _ in range(30):
                idle = stack.enter_context(socket.create_connection((HERE, scene.port), PATIENCE))
                with contextlib.suppress(OSError):
                    idle.sendall(sent)
            with scene.sending() as opened:
                statuses.append(opened.send_c_echo().Status)
            assert threading.active_count() - before <= 12

    scene = SecureScene(trust, flood, instance())
    assert scene.play(timeouts=slow).received == 1
    assert statuses == [0]
    assert sum(one.times for one in scene.alerts) >= 27


def test_who_is_proven_gives_no_way_to_who_has_shown_nothing(trust: Trust) -> None:
    """The flood begins between the handshake of the hospital and its request."""
    flood = contextlib.ExitStack()

    class Flooded(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            super().do_handshake(block)
            for _ in range(30):
                flood.enter_context(socket.create_connection((HERE, scene.port), PATIENCE))
            assert until(lambda: len(scene.alerts) >= 20)

    def send() -> None:
        context = tls_peers.client(trust.theirs)
        context.sslsocket_class = Flooded
        with association(scene, tls=context) as opened:
            assert store(opened, instance()) == 0

    scene = SecureScene(trust, send)
    with flood:
        assert scene.play(timeouts=replace(PATIENT, acse=60.0)).received == 1


def test_the_listener_leaves_with_handshakes_under_way(trust: Trust) -> None:
    waiting = contextlib.ExitStack()

    def stall() -> None:
        for sent in (b"", hello()[:40], hello()):
            idle = waiting.enter_context(socket.create_connection((HERE, scene.port), PATIENCE))
            idle.sendall(sent)

    scene = SecureScene(trust, stall, instance())
    with waiting:
        assert scene.play(timeouts=replace(PATIENT, acse=60.0)).received == 1
        assert scene.port not in move_tools.listening_ports()
    assert scene.alerts == []
