"""The line of all studies in the window, filled by real hospitals through a real courier."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from priorline.archives.demo import story
from priorline.config import Settings
from priorline.desk.journey import is_searched
from priorline.desk.window import Window
from priorline.domain.study import HospitalState
from small_hospitals import CURRENT, SmallHospitals
from stations import (
    FILM,
    LAUNCH,
    NAMESAKE,
    STUDIES,
    all_texts,
    is_shown,
    is_whole,
    launch_of,
    open_window,
    until,
)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    folder = tmp_path_factory.mktemp("hospitals")
    with SmallHospitals(folder) as hospitals:
        yield hospitals.settings(folder)


@pytest.fixture
def window(qtbot: QtBot, settings: Settings, tmp_path: Path) -> Iterator[Window]:
    window = open_window(qtbot, settings, tmp_path)
    yield window
    window.close()


def pointed(window: Window) -> str:
    row = window.list.currentIndex().data(Qt.ItemDataRole.UserRole)
    return row.study_uid if row else ""


def says_retry(window: Window) -> bool:
    return "De Heuvel, not reachable, press to ask again" in all_texts(window)


def test_before_a_patient_nothing_of_anybody_is_shown(window: Window) -> None:
    assert window.case is None
    assert window.list.rows.total() == 0
    assert "No patient" in all_texts(window)


def test_every_hospital_ends_in_a_state_that_is_shown(qtbot: QtBot, window: Window) -> None:
    window.launch(LAUNCH)
    until(qtbot, lambda: is_searched(window))
    assert window.case is not None
    assert window.case.timeline is not None
    states = {one.hospital: one.state for one in window.case.timeline.coverage().reports}
    assert states == {
        "St. Elisabeth": HospitalState.ANSWERED,
        "OLV Clinic": HospitalState.ANSWERED,
        "UMC West": HospitalState.ANSWERED,
        "Rivierland": HospitalState.NONE,
        "Zuiderzee": HospitalState.ANSWERED,
        "De Heuvel": HospitalState.FAILED,
    }
    until(qtbot, lambda: says_retry(window))
    said = " ".join(all_texts(window))
    assert all(f"{name}, " in said for name in states)
    assert "may be incomplete" in window.header.sentence
    until(qtbot, lambda: {row.study_uid for row in window.list.rows.shown()} == STUDIES)


def test_the_same_study_of_two_hospitals_is_one_row(qtbot: QtBot, window: Window) -> None:
    window.launch(LAUNCH)
    until(qtbot, lambda: is_searched(window) and window.list.rows.total() == len(STUDIES))
    rows = [row for row in window.list.rows.shown() if row.study_uid == story.CHEST_2016.study_uid]
    assert [row.copies for row in rows] == [2]
    assert set(rows[0].place.split(", ")) == {"OLV Clinic", "UMC West"}


def test_the_film_that_matters_is_suggested_and_pointed_at(qtbot: QtBot, window: Window) -> None:
    window.launch(LAUNCH)
    until(qtbot, lambda: is_searched(window))
    until(qtbot, lambda: [row.study_uid for row in window.list.rows.shown() if row.suggested] == [FILM.study_uid])
    until(qtbot, lambda: pointed(window) == FILM.study_uid)


def test_the_namesake_never_appears(qtbot: QtBot, window: Window) -> None:
    """Same name and same number at another hospital: only that something was left out is said."""
    seen: set[str] = set()

    def look() -> None:
        seen.update(all_texts(window))

    window.launch(LAUNCH)
    assert window.case is not None
    window.case.changed.connect(look)
    until(qtbot, lambda: is_searched(window) and is_shown(window.comparison.current.pane, CURRENT.study_uid))
    window.compare(NAMESAKE.study_uid)
    window.compare(FILM.study_uid)
    until(qtbot, lambda: is_shown(window.comparison.prior.pane, FILM.study_uid))
    until(qtbot, lambda: not window.case.fetching if window.case else False)
    look()
    said = "\n".join(seen)
    assert FILM.study_uid in said
    for secret in (NAMESAKE.study_uid, "1943", "22 Aug 2017", "2017", NAMESAKE.accession):
        assert secret not in said
    assert "1 study of another person" in said


def test_the_namesake_has_his_own_line_and_nothing_of_the_other(qtbot: QtBot, window: Window) -> None:
    window.launch(launch_of(story.NAMESAKE, NAMESAKE.study_uid))
    until(qtbot, lambda: is_searched(window) and is_shown(window.comparison.current.pane, NAMESAKE.study_uid))
    assert {row.study_uid for row in window.list.rows.shown()} == {NAMESAKE.study_uid}
    assert "1970" not in "\n".join(all_texts(window))


def test_a_hospital_that_failed_is_asked_again(qtbot: QtBot, window: Window) -> None:
    window.launch(LAUNCH)
    until(qtbot, lambda: is_searched(window))
    window.header.coverage.retry.emit("De Heuvel")
    assert not is_searched(window)
    until(qtbot, lambda: "De Heuvel, asking…" in all_texts(window) or is_searched(window))
    until(qtbot, lambda: is_searched(window) and says_retry(window))


def test_the_whole_story_by_keyboard(qtbot: QtBot, window: Window) -> None:
    window.launch(LAUNCH)
    current, prior = window.comparison.current.pane, window.comparison.prior.pane
    until(qtbot, lambda: is_searched(window) and is_shown(current, CURRENT.study_uid))
    until(qtbot, lambda: is_whole(window, CURRENT.study_uid))
    qtbot.waitUntil(window.isActiveWindow)
    qtbot.keyClick(window.focusWidget(), Qt.Key.Key_Slash)
    until(qtbot, window.filter.hasFocus)
    qtbot.keyClicks(window.filter, "thorax 2019")
    assert [row.study_uid for row in window.list.rows.shown()] == [FILM.study_uid]
    qtbot.keyClick(window.filter, Qt.Key.Key_Return)
    until(qtbot, window.list.hasFocus)
    qtbot.keyClick(window.list, Qt.Key.Key_Return)
    until(qtbot, lambda: is_shown(prior, FILM.study_uid))
    assert (current.content.role, prior.content.role) == ("CURRENT", "PRIOR")
    qtbot.keyClick(window.list, Qt.Key.Key_Slash)
    until(qtbot, window.filter.hasFocus)
    qtbot.keyClick(window.filter, Qt.Key.Key_Escape)
    assert {row.study_uid for row in window.list.rows.shown()} == STUDIES
    until(qtbot, window.list.hasFocus)
    before = window.list.currentIndex().row()
    qtbot.keyClick(window.list, Qt.Key.Key_Down)
    assert window.list.currentIndex().row() == before + 1
    qtbot.keyClick(window.list, Qt.Key.Key_F6)
    qtbot.keyClick(window.focusWidget(), Qt.Key.Key_F6)
    until(qtbot, current.hasFocus)
    number = current.content.image_number
    for _ in range(3):
        qtbot.keyClick(current, Qt.Key.Key_Down)
    until(qtbot, lambda: current.content.image_number == number + 3)


def test_ctrl_enter_compares_the_suggestion(qtbot: QtBot, window: Window) -> None:
    window.launch(LAUNCH)
    until(qtbot, lambda: is_searched(window))
    qtbot.waitUntil(window.isActiveWindow)
    qtbot.keyClick(window.list, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    until(qtbot, lambda: is_shown(window.comparison.prior.pane, FILM.study_uid))
