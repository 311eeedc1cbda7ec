"""A workstation between small demo hospitals, for journeys through the window."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLabel, QLineEdit, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from priorline.archives.demo import story
from priorline.config import Settings
from priorline.desk import theme
from priorline.desk.main import build_window
from priorline.desk.viewer.content import PaneState
from priorline.desk.viewer.pane import Pane
from priorline.desk.window import Window
from priorline.work.launch import Launch
from small_hospitals import CURRENT, TODAY

PATIENCE = 60_000
FILM = story.CHEST_2019
NAMESAKE = story.NAMESAKE_CHEST
STUDIES = {study.study_uid for one in story.hospitals(TODAY) for study in one.studies} - {NAMESAKE.study_uid}


def launch_of(person: story.Person, study_uid: str = "") -> Launch:
    """What a RIS would ask for."""
    return Launch(
        patient_id=person.number,
        issuer=person.issuer,
        name=person.name,
        birth_date=person.birth_date,
        sex=person.sex,
        study=study_uid,
    )


LAUNCH = launch_of(story.PATIENT, CURRENT.study_uid)


def open_window(qtbot: QtBot, settings: Settings, folder: Path) -> Window:
    """The window as `priorline` opens it, on no screen."""
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    theme.apply_theme(app)
    window = build_window(settings, folder / "cache", folder / "state")
    window.resize(1600, 900)
    with qtbot.waitExposed(window):
        window.show()
    window.activateWindow()
    return window


def until(qtbot: QtBot, holds: Callable[[], bool]) -> None:
    """Let the window live until something holds."""
    qtbot.waitUntil(holds, timeout=PATIENCE)


def is_shown(pane: Pane, study_uid: str) -> bool:
    """Whether pixels of this study are on the screen."""
    shows = pane.content.state is PaneState.IMAGE and pane.frame is not None
    return bool(shows and pane.frame and pane.frame.header.study_uid == study_uid)


def is_whole(window: Window, study_uid: str) -> bool:
    """Whether the study is fetched to the end."""
    case = window.case
    here = case.presence.get(study_uid) if case else None
    return bool(case and here and here.complete and study_uid not in case.fetching)


def all_texts(window: Window) -> list[str]:
    """Every word that the window shows or tells a screen reader, of list, line, panes and all else."""
    texts = [window.windowTitle()]
    for widget in window.findChildren(QWidget):
        texts += [widget.toolTip(), widget.accessibleName(), widget.accessibleDescription()]
        if isinstance(widget, QLabel | QLineEdit | QPushButton):
            texts.append(widget.text())
        if isinstance(widget, Pane):
            texts.append(repr(widget.content))
    model = window.list.rows
    for number in range(model.rowCount()):
        texts += [
            str(model.index(number).data(role)) for role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.UserRole)
        ]
    texts += [repr(row) for row in model._rows]
    return texts
