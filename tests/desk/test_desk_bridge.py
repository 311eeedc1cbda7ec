"""What the courier tells reaches the window in order and whole, and the window goes on meanwhile."""

import select
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from PySide6.QtCore import QObject, QTimer
from pytestqt.qtbot import QtBot

from priorline.config import Settings
from priorline.desk import bridge as door
from priorline.desk.bridge import Bridge
from priorline.work.messages import Configure, SearchEnded
from priorline.work.right_of_way import GivingWay
from stations import until

EVENTS = 300


class Quiet:
    """Stands where courier and decoders are."""

    greeting: Configure
    inherited: Sequence[int]

    def __init__(self, *given: object, inherited: Sequence[int] = ()) -> None:
        if isinstance(given[-1], Configure):
            Quiet.greeting, Quiet.inherited = given[-1], inherited

    def close(self) -> None: ...


@pytest.fixture
def quiet(qapp: QObject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bridge]:
    for name in ("Helper", "Decoders"):
        monkeypatch.setattr(door, name, Quiet)
    bridge = Bridge(Settings(), tmp_path, tmp_path)
    yield bridge
    bridge.close()


def tell(bridge: Bridge, first: int, last: int) -> None:
    for number in range(first, last):
        bridge._heard(SearchEnded(number))


def test_events_of_another_thread_come_once_and_in_order(qtbot: QtBot, quiet: Bridge) -> None:
    heard: list[int] = []
    quiet.heard.connect(lambda event: heard.append(event.number))
    teller = threading.Thread(target=tell, args=(quiet, 0, 20 * EVENTS))
    teller.start()
    until(qtbot, lambda: len(heard) >= 20 * EVENTS)
    teller.join()
    assert heard == list(range(20 * EVENTS))


def test_many_events_at_once_leave_room_for_what_else_is_due(
    qtbot: QtBot, quiet: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "SLICE_SECONDS", 0.0)
    heard: list[int] = []
    ticks: list[int] = []
    ticking = QTimer()
    ticking.timeout.connect(lambda: ticks.append(len(heard)))
    quiet.heard.connect(lambda event: heard.append(event.number))
    tell(quiet, 0, EVENTS)
    ticking.start(0)
    until(qtbot, lambda: len(heard) == EVENTS)
    ticking.stop()
    assert heard == list(range(EVENTS))
    assert len([tick for tick in ticks if 0 < tick < EVENTS]) > 10


def test_who_listens_may_stop_listening_and_what_is_told_after_the_end_is_not_heard(
    qtbot: QtBot, quiet: Bridge
) -> None:
    heard: list[int] = []

    def once(event: SearchEnded) -> None:
        heard.append(event.number)
        quiet.heard.disconnect(once)

    quiet.heard.connect(once)
    tell(quiet, 0, 3)
    done: list[bool] = []
    QTimer.singleShot(0, lambda: done.append(True))
    until(qtbot, lambda: bool(done) and not quiet._inbox)
    assert heard == [0]
    quiet.heard.connect(once)
    tell(quiet, 3, 5)
    quiet.close()
    QTimer.singleShot(0, lambda: done.append(True))
    until(qtbot, lambda: len(done) == 2)
    assert heard == [0]


@pytest.mark.skipif(sys.platform == "win32", reason="only on Linux")
def test_the_courier_is_told_where_to_see_that_an_image_is_due(quiet: Bridge) -> None:
    (told,) = Quiet.inherited
    assert Quiet.greeting.right_of_way == told
    at_rest = select.poll()
    at_rest.register(told, select.POLLIN)
    for _ in range(2):
        assert at_rest.poll(0)
        quiet.image_is_due()
        assert not at_rest.poll(0)
        quiet.image_is_painted()
    GivingWay(told).pause()
    quiet.close()
    quiet.close()
    quiet.image_is_due()
    quiet.image_is_painted()
