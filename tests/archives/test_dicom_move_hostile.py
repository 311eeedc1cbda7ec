"""Our storage SCP against whoever else finds it open, and C-MOVE at archives that promise and do not keep."""

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from typing import Any

import psutil
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import UID, ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode

import move_tools
import peers
from move_tools import agree_to_release, asked, listening_ports, move_answer
from peers import nothing_left_running  # noqa: F401 - a fixture for every test here
from priorline.archives.base import DicomPeer, RetrieveSummary, SecurityAlert
from priorline.archives.dicom import DicomArchive
from priorline.archives.incoming import Received, whole
from priorline.archives.storage_scp import ALERTS_OF_A_KIND, StorageScp
from priorline.errors import ArchiveTimedOut, AuditError, CacheFull

STUDY, OTHER_STUDY = "1.2.826.0.1.3680043.8.498.1", "1.2.826.0.1.3680043.8.498.66"
PATIENCE = 10.0
PATIENT = replace(peers.QUICK, progress=PATIENCE)
HERE, ELSEWHERE = "127.0.0.1", "127.0.0.2"


def instance(number: int = 1, study: str = STUDY) -> FileDataset:
    dataset = dcmread(get_testdata_file("CT_small.dcm"))
    dataset.StudyInstanceUID, dataset.SOPInstanceUID = study, f"{study}.{number}"
    return dataset


class Scene:
    """A retrieval of `STUDY` by C-MOVE during which the archive lets `act` happen before it sends `instances`."""

    def __init__(self, act: Callable[[], Any] = lambda: None, *instances: Dataset) -> None:
        self.port = peers.free_port()
        self.got: list[Received] = []
        self.alerts: list[SecurityAlert] = []
        self.scp = move_tools.scp(self.port, self.alerts.append)
        self.take: Callable[[Received], None] = self.got.append
        self.cancelled: Callable[[], bool] = lambda: False
        self.act, self.instances = act, instances

    def play(self, **changes: Any) -> RetrieveSummary:
        """Run it to its end."""
        with peers.raw(self._send) as peer:
            return self.retrieve(replace(peer, retrieve="c-move", **{"timeouts": PATIENT, **changes}))

    def retrieve(self, peer: DicomPeer) -> RetrieveSummary:
        return DicomArchive(peer, self.scp).retrieve(STUDY, None, (), whole(self.take), self.cancelled)

    def sending(self) -> contextlib.AbstractContextManager[Association]:
        """The association on which the archive sends."""
        return association(self)

    def _send(self, connection: socket.socket) -> None:
        context, message = asked(connection)
        self.act()
        if self.instances:
            with self.sending() as opened:
                sent = [store(opened, dataset) for dataset in self.instances]
                assert set(sent) == {0}
        connection.sendall(move_answer(context, message, 0, completed=len(self.instances)))
        agree_to_release(connection)


@contextlib.contextmanager
def association(
    scene: Scene,
    calling: str = peers.CALLED,
    called: str = peers.CALLING,
    source: str = HERE,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Association]:
    """An association that somebody opens to our storage SCP, in clear or by TLS."""
    entity = AE(calling)
    entity.add_requested_context(peers.CT_IMAGE, ExplicitVRLittleEndian)
    entity.add_requested_context(peers.VERIFICATION)
    entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = PATIENCE
    with peers.sockets_shut():
        opened = entity.associate(
            HERE, scene.port, ae_title=called, bind_address=(source, 0), tls_args=tls and (tls, "us")
        )
        try:
            yield opened
        finally:
            if opened.is_established:
                opened.release()
            if opened.ident is not None:
                opened.join(PATIENCE)


def store(opened: Association, dataset: Dataset, sop_instance: str = "", sop_class: str = "") -> int:
    """The status with which an instance is answered that is announced under these names; -1 for no answer."""
    message = C_STORE()
    message.MessageID, message.Priority = 7, 0
    message.AffectedSOPClassUID = UID(sop_class or str(dataset.SOPClassUID))
    message.AffectedSOPInstanceUID = UID(sop_instance or str(dataset.SOPInstanceUID))
    message.DataSet = BytesIO(encode(dataset, False, True) or b"")
    opened._reactor_checkpoint.clear()
    context = next(one for one in opened.accepted_contexts if one.abstract_syntax == peers.CT_IMAGE)
    opened.dimse.send_msg(message, context.context_id or 1)
    _, answer = opened.dimse.get_msg(block=True)
    opened._reactor_checkpoint.set()
    return -1 if answer is None else int(answer.Status)


def until(condition: Callable[[], bool]) -> bool:
    """Whether it came true in time."""
    end = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < end:
        threading.Event().wait(0.01)
    return condition()


# --- who may come in


@pytest.mark.parametrize(
    ("who", "problem"),
    [
        ({"called": "SOMEBODY"}, "AE title"),
        ({"calling": "SOMEBODY"}, "AE title"),
        ({"source": ELSEWHERE}, "address"),
    ],
    ids=["wrong called title", "unknown calling title", "address off the list"],
)
def test_whoever_is_not_expected_is_refused_and_reported(who: dict[str, str], problem: str) -> None:
    let_in: list[bool] = []

    def knock() -> None:
        with association(scene, **who) as opened:
            let_in.append(opened.is_established)

    scene = Scene(knock, instance())
    assert scene.play().received == 1
    assert let_in == [False]
    (alert,) = scene.alerts
    assert problem in alert.problem
    assert alert.address == who.get("source", HERE)
    if "source" not in who:
        assert (alert.calling, alert.called) == (who.get("calling", peers.CALLED), who.get("called", peers.CALLING))
        assert alert.hospital == "Hospital North"


def test_titles_and_hosts_that_are_configured_may_send() -> None:
    statuses: list[int] = []

    def send() -> None:
        with association(scene, calling="SENDER", source=ELSEWHERE) as opened:
            statuses.append(store(opened, instance()))
        with association(scene, calling=peers.CALLED) as opened:
            assert not opened.is_established

    scene = Scene(send)
    summary = scene.play(sends_as=("SENDER",), sends_from=(ELSEWHERE,))
    assert (statuses, summary.received) == ([0], 1)
    assert [alert.calling for alert in scene.alerts] == [peers.CALLED]


def test_an_audit_trail_that_cannot_be_written_ends_the_retrieval() -> None:
    def knock() -> None:
        with association(scene, called="SOMEBODY"):
            pass

    def broken(_alert: SecurityAlert) -> None:
        raise AuditError("no room")

    scene = Scene(knock)
    scene.scp = move_tools.scp(scene.port, broken)
    with pytest.raises(AuditError):
        scene.play()
    assert not listening_ports()


def test_the_configured_address_is_the_one_that_listens() -> None:
    seen: list[str] = []

    def look() -> None:
        connections = psutil.Process().net_connections(kind="inet")
        listening = (one for one in connections if one.status == psutil.CONN_LISTEN and one.laddr.port == scene.port)
        seen.extend(one.laddr.ip for one in listening)

    scene = Scene(look)
    scene.scp = StorageScp(peers.CALLING, scene.port, move_tools.start_thread, scene.alerts.append, ELSEWHERE)
    scene.play()
    assert seen == [ELSEWHERE]


# --- what may come in


def test_a_study_that_nobody_asked_for_is_refused_and_reported_once() -> None:
    statuses: list[int] = []

    def send() -> None:
        with association(scene) as opened:
            statuses.extend(store(opened, dataset) for dataset in (instance(study=OTHER_STUDY), instance()))

    scene = Scene(send)
    scene.play()
    assert statuses == [0x0124, 0]
    assert [one.sop_instance_uid for one in scene.got] == [f"{STUDY}.1"]
    (alert,) = scene.alerts
    assert alert.study_uid == OTHER_STUDY


def test_a_study_that_nobody_asked_for_is_not_taken_into_memory() -> None:
    statuses: list[int] = []
    large = instance(study=OTHER_STUDY)
    large.PixelData = bytes(64 << 20)
    encoded = encode(large, False, True)

    def send() -> None:
        before = psutil.Process().memory_info().rss
        with association(scene) as opened, contextlib.suppress(OSError):
            raw = opened.dul.socket.socket  # type: ignore[union-attr]
            assert raw is not None
            raw.sendall(command_pdu())
            for at in range(0, len(encoded or b""), 65536):
                raw.sendall(data_pdu(encoded[at : at + 65536]))  # type: ignore[index]
        statuses.append(psutil.Process().memory_info().rss - before)

    scene = Scene(send)
    scene.play()
    assert not scene.got
    assert [alert.study_uid for alert in scene.alerts] == [OTHER_STUDY]
    assert statuses[0] < 32 << 20


def command_pdu() -> bytes:
    """The C-STORE-RQ of a CT image in the first context."""
    body = b""
    for number, value in (
        (0x0002, peers.CT_IMAGE.encode() + b"\0"),
        (0x0100, struct.pack("<H", 1)),
        (0x0110, struct.pack("<H", 1)),
        (0x0700, struct.pack("<H", 0)),
        (0x0800, struct.pack("<H", 1)),
        (0x1000, b"1.2.3\0"),
    ):
        body += struct.pack("<HHL", 0, number, len(value)) + value
    return pdv(3, struct.pack("<HHLL", 0, 0, 4, len(body)) + body)


def data_pdu(piece: bytes) -> bytes:
    return pdv(0, piece)


def pdv(control: int, piece: bytes) -> bytes:
    return struct.pack(">BBLLBB", 4, 0, len(piece) + 6, len(piece) + 2, 1, control) + piece


@pytest.mark.parametrize(
    "names", [{"sop_instance": "1.2.3"}, {"sop_class": "1.2.840.10008.5.1.4.1.1.4"}], ids=["instance", "class"]
)
def test_an_instance_under_another_name_is_handed_on_for_quarantine_and_refused(names: dict[str, str]) -> None:
    statuses: list[int] = []

    def send() -> None:
        with association(scene) as opened:
            statuses.append(store(opened, instance(), **names))

    scene = Scene(send)
    scene.play()
    assert statuses == [0xA900]
    (received,) = scene.got
    assert {received.sop_instance_uid, received.sop_class_uid} & set(names.values())
    assert [alert.study_uid for alert in scene.alerts] == [STUDY]


@pytest.mark.parametrize("name", ["../../../../tmp/evil", "/etc/cron.d/x", "C:\\evil", "CON", "1.2.3x", "a" * 64])
def test_a_name_that_is_no_uid_goes_no_further(name: str) -> None:
    statuses: list[int] = []

    def send() -> None:
        with association(scene) as opened:
            statuses.append(store(opened, instance(), sop_instance=name))

    scene = Scene(send)
    scene.play()
    assert statuses == [0xA900]
    assert not scene.got
    assert len(scene.alerts) == 1


def test_an_instance_that_does_not_tell_its_study_is_refused() -> None:
    statuses: list[int] = []
    nameless = Dataset()
    nameless.PatientName = "Nobody"

    def send() -> None:
        with association(scene) as opened:
            statuses.append(store(opened, nameless, "1.2.3", peers.CT_IMAGE))

    scene = Scene(send, instance())
    assert scene.play().received == 1
    assert statuses == [0x0124]
    assert len(scene.alerts) == 1


@pytest.mark.parametrize("message", [b"\3garbage", bytes(20), b""], ids=["garbage", "zeros", "nothing"])
def test_what_is_no_instance_ends_the_association(message: bytes) -> None:
    def send() -> None:
        with association(scene) as opened:
            opened._reactor_checkpoint.clear()
            raw = opened.dul.socket.socket  # type: ignore[union-attr]
            assert raw is not None
            raw.sendall(pdv(3, message))
            assert until(lambda: bool(scene.alerts))
            opened._reactor_checkpoint.set()

    scene = Scene(send, instance())
    assert scene.play().received == 1
    assert len(scene.alerts) == 1


def test_the_connection_can_be_tested() -> None:
    statuses: list[Any] = []

    def echo() -> None:
        with association(scene) as opened:
            statuses.append(opened.send_c_echo().Status)

    scene = Scene(echo)
    scene.play()
    assert statuses == [0]
    assert not scene.alerts


# --- acknowledged is what was taken


def test_an_instance_is_acknowledged_after_it_was_taken() -> None:
    order: list[str] = []

    def send() -> None:
        with association(scene) as opened:
            for number in (1, 2):
                assert store(opened, instance(number)) == 0
                order.append(f"acknowledged {number}")

    def take(received: Received) -> None:
        threading.Event().wait(0.1)
        order.append(f"took {received.sop_instance_uid[-1]}")

    scene = Scene(send)
    scene.take = take
    scene.play()
    assert order == ["took 1", "acknowledged 1", "took 2", "acknowledged 2"]


def test_an_instance_that_finds_no_room_is_not_acknowledged() -> None:
    statuses: list[int] = []

    def full(_received: Received) -> None:
        raise CacheFull("no room")

    def send() -> None:
        with association(scene) as opened:
            statuses.append(store(opened, instance()))

    scene = Scene(send)
    scene.take = full
    with pytest.raises(CacheFull):
        scene.play()
    assert statuses == [0xA700]
    assert not listening_ports()


# --- floods


@pytest.mark.parametrize("sent", [b"", b"\x01\x00\x00\x00\x00\xd0\x00\x01"], ids=["idle", "half a request"])
def test_many_connections_that_say_nothing_do_not_keep_the_hospital_out(sent: bytes) -> None:
    threads: list[int] = []
    statuses: list[Any] = []

    def flood() -> None:
        before = threading.active_count()
        with contextlib.ExitStack() as stack:
            for _ in range(300):
                idle = stack.enter_context(socket.create_connection((HERE, scene.port), PATIENCE))
                with contextlib.suppress(OSError):
                    idle.sendall(sent)
            with association(scene) as opened:
                statuses.append(opened.send_c_echo().Status)
            threads.append(threading.active_count() - before)

    scene = Scene(flood, instance())
    assert scene.play().received == 1
    assert statuses == [0]
    assert threads[0] <= 12
    assert len(scene.alerts) == ALERTS_OF_A_KIND + 1
    assert sum(alert.times for alert in scene.alerts) >= 296


def test_half_a_request_is_not_waited_for() -> None:
    ended: list[bytes] = []

    def half() -> None:
        connections = [socket.create_connection((HERE, scene.port), PATIENCE) for _ in range(50)]
        for connection in connections:
            with connection, contextlib.suppress(OSError):
                connection.sendall(b"\x01\x00\x00\x00\x00\xd0\x00\x01")
                ended.append(drained(connection))

    scene = Scene(half, instance())
    assert scene.play().received == 1
    assert scene.alerts
    assert len(ended) >= 4


def drained(connection: socket.socket) -> bytes:
    """All that comes until the other side hangs up."""
    data = b""
    while more := connection.recv(65536):
        data += more
    return data


def test_a_huge_length_is_refused_before_memory_is_taken() -> None:
    grown: list[int] = []

    def send() -> None:
        before = psutil.Process().memory_info().rss
        with socket.create_connection((HERE, scene.port), PATIENCE) as connection, contextlib.suppress(OSError):
            connection.sendall(b"\x01\x00\xff\xff\xff\x00")
            for _ in range(64):
                connection.sendall(bytes(1 << 20))
        grown.append(psutil.Process().memory_info().rss - before)

    scene = Scene(send, instance())
    assert scene.play().received == 1
    assert grown[0] < 8 << 20
    assert len(scene.alerts) == 1


# --- archives that promise and do not keep


def test_promises_without_end_are_not_waited_for() -> None:
    scene = Scene()

    def script(connection: socket.socket) -> None:
        context, message = asked(connection)
        with contextlib.suppress(OSError):
            while True:
                connection.sendall(move_answer(context, message, 0xFF00, remaining=10))
                threading.Event().wait(0.02)

    with peers.raw(script) as peer, pytest.raises(ArchiveTimedOut):
        scene.retrieve(replace(peer, retrieve="c-move"))
    assert not listening_ports()


@pytest.mark.parametrize("comes", [True, False])
def test_what_comes_late_is_waited_for_a_little_and_refused_afterwards(comes: bool) -> None:
    scene, later = Scene(), threading.Event()
    refused: list[bool] = []

    def script(connection: socket.socket) -> None:
        context, message = asked(connection)
        connection.sendall(move_answer(context, message, 0, completed=2))
        with association(scene) as opened:
            assert store(opened, instance(1)) == 0
            if comes:
                assert store(opened, instance(2)) == 0
            assert later.wait(PATIENCE)
        with association(scene) as opened:
            refused.append(not opened.is_established)

    with peers.raw(script) as peer:
        timeouts = replace(peers.QUICK, late=0.3)
        summary = scene.retrieve(replace(peer, retrieve="c-move", timeouts=timeouts))
        assert scene.port not in listening_ports()
        later.set()
        assert until(lambda: bool(refused))
    assert (summary.completed, summary.received, len(scene.got)) == (2, 1 + comes, 1 + comes)
    assert refused == [True]


def test_cancelling_tells_the_archive_and_lets_nothing_more_in() -> None:
    scene, heard = Scene(), list[bytes]()

    def script(connection: socket.socket) -> None:
        context, message = asked(connection)
        with association(scene) as opened:
            assert store(opened, instance(1)) == 0
            heard.append(peers.read_pdu(connection))
        connection.sendall(move_answer(context, message, 0xFE00, completed=1))

    scene.cancelled = lambda: bool(scene.got)
    with peers.raw(script) as peer:
        summary = scene.retrieve(replace(peer, retrieve="c-move"))
        assert summary.cancelled
        assert scene.port not in listening_ports()
        assert until(lambda: bool(heard))
    # Command Field (0000,0100) of C-CANCEL-RQ is 0FFF.
    assert struct.pack("<HHLH", 0, 0x0100, 2, 0x0FFF) in heard[0]
