"""What our storage SCP refuses is in the audit trail, and nowhere else."""

import socket
from pathlib import Path

import pytest

import peers
from move_tools import agree_to_release, asked, move_answer
from peers import nothing_left_running  # noqa: F401 - a fixture for every test here
from priorline.archives.base import Archive
from priorline.archives.incoming import whole
from priorline.audit.trail import AuditTrail
from priorline.config import HospitalSettings, Settings, Workstation
from priorline.work.hospitals import build_hospitals

STUDY = "1.2.826.0.1.3680043.8.498.1"


def archive(where: peers.DicomPeer, ours: Workstation, trail: AuditTrail) -> Archive:
    known = HospitalSettings(name="North", ae_title="A", host=where.host, port=where.port, retrieve="c-move")
    found = build_hospitals(Settings(workstation=ours, hospital=(known,)), trail)[0].archive
    assert found is not None
    return found


def test_a_stranger_is_on_record(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    trail, ours = AuditTrail(tmp_path / "audit.jsonl"), Workstation(port=peers.free_port())

    def script(connection: socket.socket) -> None:
        context, message = asked(connection)
        with socket.create_connection(("127.0.0.1", ours.port), 5, ("127.0.0.2", 0)) as stranger:
            assert stranger.recv(1) == b""
        connection.sendall(move_answer(context, message, 0, completed=0))
        agree_to_release(connection)

    with peers.raw(script) as where:
        archive(where, ours, trail).retrieve(STUDY, None, (), whole(lambda _one: None), lambda: False)
    (record,) = trail.records()
    assert (record["event"], record["code"]) == ("security_alert", "110113")
    assert (record["address"], record["times"], record["study"]) == ("127.0.0.2", 1, "")
    assert trail.verify() is None
    assert capfd.readouterr() == ("", "")
