"""Journeys through the window: daily business goes on, whatever dies underneath."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PySide6.QtCore import QElapsedTimer, Qt, QTimer
from pytestqt.qtbot import QtBot

from priorline.archives.demo import story
from priorline.audit.trail import AuditTrail
from priorline.desk.journey import is_searched, is_settled
from priorline.desk.viewer.content import PaneState
from priorline.desk.viewer.pane import Pane
from priorline.desk.window import Window
from priorline.imaging.instance import InstanceHeader
from priorline.work.demo_hospitals import DemoPeers
from small_hospitals import CURRENT, SmallHospitals
from stations import (
    FILM,
    LAUNCH,
    NAMESAKE,
    all_texts,
    is_shown,
    is_whole,
    launch_of,
    open_window,
    until,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="only on Linux")


@pytest.fixture
def hospitals(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SmallHospitals]:
    """With `gated` as parameter, the later images of the CT wait for the gate."""
    with SmallHospitals(tmp_path, getattr(request, "param", None)) as running:
        yield running


gated = pytest.mark.parametrize("hospitals", [40], indirect=True, ids=["gated"])


@pytest.fixture
def window(qtbot: QtBot, hospitals: SmallHospitals, tmp_path: Path) -> Iterator[Window]:
    window = open_window(qtbot, hospitals.settings(tmp_path), tmp_path)
    yield window
    window.close()


def current_of(window: Window) -> Pane:
    return window.comparison.current.pane


def prior_of(window: Window) -> Pane:
    return window.comparison.prior.pane


def shows_what_it_says(pane: Pane) -> bool:
    """The pixels are those of the image whose number stands beside them; the last slice is the lowest."""
    frame, content = pane.frame, pane.content
    if frame is None:
        return False
    number = int(frame.array[0, 0]) - 2**15 if frame.array.dtype == "uint16" else int(frame.array[0, 0])
    uids = [CURRENT.sop_uid(0, image) for image in range(CURRENT.images)]
    place = uids.index(frame.header.sop_uid)
    return number == place + 1 and content.image_number in (place + 1, CURRENT.images - place)


def go_to(qtbot: QtBot, window: Window, key: Qt.Key, number: int) -> None:
    pane = current_of(window)
    qtbot.keyClick(pane, key)
    until(qtbot, lambda: pane.content.image_number == number)
    assert shows_what_it_says(pane)


def kill_decoder_after(qtbot: QtBot, window: Window, killed: int) -> int:
    """Kill the decoder that follows `killed`: an image decoded ahead may be shown before there is one."""
    until(qtbot, lambda: window._bridge.helper_pids()[1] != killed)
    decoder = window._bridge.helper_pids()[1]
    os.kill(decoder, signal.SIGKILL)
    return decoder


def open_current(qtbot: QtBot, window: Window) -> None:
    window.launch(LAUNCH)
    until(qtbot, lambda: is_searched(window) and is_whole(window, CURRENT.study_uid))
    until(qtbot, lambda: is_shown(current_of(window), CURRENT.study_uid))


def test_the_ct_comes_up_and_the_film_beside_it(qtbot: QtBot, window: Window) -> None:
    open_current(qtbot, window)
    assert (current_of(window).content.role, current_of(window).content.received) == ("CURRENT", 120)
    assert shows_what_it_says(current_of(window))
    window.compare(FILM.study_uid)
    until(qtbot, lambda: is_shown(prior_of(window), FILM.study_uid) and is_whole(window, FILM.study_uid))
    content = prior_of(window).content
    assert (content.role, content.hospital) == ("PRIOR", "OLV Clinic")
    assert "2 Mar 2019" in content.date
    assert is_shown(current_of(window), CURRENT.study_uid)
    until(qtbot, lambda: is_settled(window, FILM.study_uid))


def test_the_suggested_priors_are_fetched_ahead_on_record_and_nothing_opens(
    qtbot: QtBot, window: Window, tmp_path: Path
) -> None:
    open_current(qtbot, window)
    until(qtbot, lambda: is_whole(window, FILM.study_uid))
    assert prior_of(window).content.state is PaneState.EMPTY
    assert prior_of(window).frame is None
    records = list(AuditTrail(tmp_path / "state" / "audit.jsonl").records())
    transferred = {one["study"]: one["reason"] for one in records if one["event"].startswith("trans")}
    assert transferred[FILM.study_uid] == "prefetch of a suggested prior"
    assert 1 <= sum(reason.startswith("prefetch") for reason in transferred.values()) <= 2
    assert not any(one["study"] == FILM.study_uid for one in records if one["event"] == "accessed")


def test_daily_business_goes_on_when_courier_and_decoders_are_killed(qtbot: QtBot, window: Window) -> None:
    open_current(qtbot, window)
    courier, *decoders = window._bridge.helper_pids()
    os.kill(courier, signal.SIGKILL)
    go_to(qtbot, window, Qt.Key.Key_Home, 1)
    for decoder in decoders:
        os.kill(decoder, signal.SIGKILL)
    go_to(qtbot, window, Qt.Key.Key_End, CURRENT.images)
    killed = decoders[0]
    for number in (119, 118, 117, 116, 115, 114, 113, 112):
        killed = kill_decoder_after(qtbot, window, killed)
        go_to(qtbot, window, Qt.Key.Key_Up, number)
    os.kill(window._bridge.helper_pids()[0], signal.SIGKILL)
    window.compare(FILM.study_uid)
    until(qtbot, lambda: is_shown(prior_of(window), FILM.study_uid) and is_whole(window, FILM.study_uid))
    assert not {courier, *decoders} & set(window._bridge.helper_pids())


def open_files(pid: int) -> list[Path]:
    found = []
    for one in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.append(one.readlink())
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux")
def test_the_courier_inherits_where_the_window_tells_that_an_image_is_due_also_when_it_was_started_anew(
    qtbot: QtBot, window: Window
) -> None:
    open_current(qtbot, window)
    told = Path(f"/proc/self/fd/{window._bridge._way.descriptor}").readlink()
    for _ in range(2):
        courier = window._bridge.helper_pids()[0]
        assert told in open_files(courier)
        os.kill(courier, signal.SIGKILL)
        until(qtbot, lambda killed=courier: window._bridge.helper_pids()[0] != killed)
        go_to(qtbot, window, Qt.Key.Key_Home, 1)
        go_to(qtbot, window, Qt.Key.Key_End, CURRENT.images)


@gated
def test_the_courier_is_killed_while_the_ct_arrives(qtbot: QtBot, window: Window, hospitals: SmallHospitals) -> None:
    window.launch(LAUNCH)
    until(qtbot, lambda: is_shown(current_of(window), CURRENT.study_uid))
    assert not current_of(window).content.complete
    os.kill(window._bridge.helper_pids()[0], signal.SIGKILL)
    hospitals.open_gate()
    until(qtbot, lambda: is_searched(window) and is_whole(window, CURRENT.study_uid))
    until(qtbot, lambda: current_of(window).content.complete)
    go_to(qtbot, window, Qt.Key.Key_End, CURRENT.images)


@gated
def test_another_patient_while_answers_are_in_flight(
    qtbot: QtBot, window: Window, hospitals: SmallHospitals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even a namesake with the same number: from the moment of the switch, nothing of the first is painted."""
    painted: list[InstanceHeader] = []
    words: set[str] = set()
    real = Pane.set_frame

    def set_frame(pane: Pane, array: object, mapping: object, header: InstanceHeader, *more: int) -> bool:
        painted.append(header)
        return real(pane, array, mapping, header, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(Pane, "set_frame", set_frame)
    window.launch(LAUNCH)
    until(qtbot, lambda: is_shown(current_of(window), CURRENT.study_uid))
    for _ in range(10):
        qtbot.keyClick(current_of(window), Qt.Key.Key_Down)
    window.compare(FILM.study_uid)
    painted.clear()
    window.launch(launch_of(story.NAMESAKE, NAMESAKE.study_uid))
    assert current_of(window).frame is None
    assert prior_of(window).frame is None
    hospitals.open_gate()
    assert window.case is not None
    window.case.changed.connect(lambda: words.update(all_texts(window)))
    until(qtbot, lambda: is_searched(window) and is_shown(current_of(window), NAMESAKE.study_uid))
    until(qtbot, lambda: is_whole(window, NAMESAKE.study_uid))
    words.update(all_texts(window))
    assert {header.study_uid for header in painted} == {NAMESAKE.study_uid}
    assert not any("1970" in text or CURRENT.study_uid in text or FILM.study_uid in text for text in words)
    window.launch(LAUNCH)
    assert current_of(window).frame is None
    until(qtbot, lambda: is_whole(window, CURRENT.study_uid) and is_shown(current_of(window), CURRENT.study_uid))


@gated
def test_no_patient_while_answers_are_in_flight(qtbot: QtBot, window: Window, hospitals: SmallHospitals) -> None:
    window.launch(LAUNCH)
    until(qtbot, lambda: is_shown(current_of(window), CURRENT.study_uid))
    for _ in range(10):
        qtbot.keyClick(current_of(window), Qt.Key.Key_Down)
    qtbot.waitUntil(window.isActiveWindow)
    qtbot.keyClick(current_of(window), Qt.Key.Key_O, Qt.KeyboardModifier.ControlModifier)
    assert window.case is None
    hospitals.open_gate()
    qtbot.wait(500)
    assert current_of(window).frame is None
    assert window.list.rows.total() == 0
    assert "No patient" in all_texts(window)
    assert not any("JANSEN" in text for text in all_texts(window))


@gated
def test_closing_in_the_middle_of_everything_leaves_nothing(
    qtbot: QtBot, window: Window, hospitals: SmallHospitals
) -> None:
    window.launch(LAUNCH)
    until(qtbot, lambda: is_shown(current_of(window), CURRENT.study_uid))
    pids = window._bridge.helper_pids()
    memory = [slot._memory.name for slot in window._bridge._decoders._slots]
    qtbot.keyClick(current_of(window), Qt.Key.Key_End)
    window.close()
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert memory
    assert not any(Path("/dev/shm", name.lstrip("/")).exists() for name in memory)  # noqa: S108


def test_closing_with_a_courier_that_hangs(qtbot: QtBot, window: Window) -> None:
    pids = window._bridge.helper_pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    window.close()
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_the_window_never_waits(qtbot: QtBot, tmp_path: Path) -> None:
    """The whole story on real pictures: between two ticks of a timer of 10 ms there is never a second."""
    worst = 0
    clock, ticker = QElapsedTimer(), QTimer()

    def tick() -> None:
        nonlocal worst
        worst = max(worst, clock.restart())

    with DemoPeers(at_once=True) as peers:
        window = open_window(qtbot, peers.settings(str(tmp_path)), tmp_path)
        ticker.timeout.connect(tick)
        clock.start()
        ticker.start(10)
        launch = peers.launch()
        window.launch(launch)
        until(qtbot, lambda: is_searched(window) and is_shown(current_of(window), launch.study))
        window.compare(FILM.study_uid)
        until(qtbot, lambda: is_settled(window, FILM.study_uid) and is_shown(prior_of(window), FILM.study_uid))
        pane = current_of(window)
        qtbot.keyClick(pane, Qt.Key.Key_Home)
        for number in range(1, 60):
            qtbot.keyClick(pane, Qt.Key.Key_Down)
            until(qtbot, lambda number=number: pane.content.image_number > number)  # type: ignore[misc]
        ticker.stop()
        window.close()
    assert 0 < worst < 1000, f"the longest gap was {worst} ms"
