"""A second launch goes to the window that is open, whole and checked, and nobody else can use that way."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from PySide6.QtNetwork import QLocalSocket
from pytestqt.qtbot import QtBot

from priorline.desk import handover
from priorline.desk.handover import Reception
from priorline.work.launch import Launch

SECOND = (
    "import sys, msgspec; from PySide6.QtCore import QCoreApplication; app = QCoreApplication([]);"
    "from priorline.desk.handover import hand_over; from priorline.work.launch import Launch;"
    "sys.exit(0 if hand_over(msgspec.json.decode(sys.argv[1], type=Launch)) else 7)"
)


@pytest.fixture
def reception(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reception]:
    # A user of its own, so that a window that is really open on this machine is left alone.
    monkeypatch.setenv("LOGNAME", "priorline-test")
    made = Reception()
    yield made
    made.close()


def second_launch(text: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", SECOND, text])


def test_a_second_launch_is_handed_to_the_open_window(qtbot: QtBot, reception: Reception) -> None:
    with qtbot.waitSignal(reception.launched, timeout=20000) as caught:
        process = second_launch('{"patient_id": "12", "compare": "1.2.3"}')
    assert caught.args == [Launch(patient_id="12", compare="1.2.3")]
    qtbot.waitUntil(lambda: process.poll() is not None, timeout=20000)
    assert process.returncode == 0


def test_a_bare_second_start_only_raises_the_window(qtbot: QtBot, reception: Reception) -> None:
    with qtbot.waitSignal(reception.launched, timeout=20000) as caught:
        process = second_launch("{}")
    assert caught.args == [Launch()]
    qtbot.waitUntil(lambda: process.poll() is not None, timeout=20000)


def test_without_a_window_the_launch_stays_with_the_second(monkeypatch: pytest.MonkeyPatch, qapp: object) -> None:
    monkeypatch.setenv("LOGNAME", "priorline-nobody")
    process = second_launch('{"patient_id": "12"}')
    assert process.wait(30) == 7


@pytest.mark.parametrize("line", [b"not json\n", b'{"patient_id": "1*"}\n', b"x" * (70 * 1024)])
def test_what_is_no_launch_is_turned_away(qtbot: QtBot, reception: Reception, line: bytes) -> None:
    told: list[object] = []
    reception.launched.connect(told.append)
    socket = QLocalSocket()
    socket.connectToServer(handover._server_name())
    assert socket.waitForConnected(5000)
    socket.write(line)
    qtbot.waitUntil(lambda: socket.state() is QLocalSocket.LocalSocketState.UnconnectedState, timeout=10000)
    assert told == []
