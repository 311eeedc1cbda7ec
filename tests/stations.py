"""A workstation between small demo hospitals, for journeys through the window."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLabel, QLineEdit, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from priorline.archives.demo import story
from priorline.archives.demo.hospitals import DemoHospitals
from priorline.config import CacheSettings, HospitalSettings, Settings
from priorline.desk import theme
from priorline.desk.main import build_window
from priorline.desk.viewer.content import PaneState
from priorline.desk.viewer.pane import Pane
from priorline.desk.window import Window
from priorline.work.launch import Launch

PATIENCE = 60_000
TODAY = date(2026, 11, 24)
CURRENT = story.current_study(TODAY)
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


@dataclass
class TinyPictures:
    """Every pixel of an image is its number, so that each can be told from every other one.

    Images of the current study above `gate_at` wait for the gate.
    """

    gate_at: int = 10**6
    gate: threading.Event = field(default_factory=threading.Event)

    def __call__(self, spec: story.ImageSpec) -> np.ndarray:
        if spec.picture is story.Picture.TRAUMA_CT and spec.number > self.gate_at:
            assert self.gate.wait(60)
        signed = spec.picture.value.endswith("ct")
        kind = np.uint8 if spec.picture is story.Picture.ABDOMEN_US else np.int16 if signed else np.uint16
        return np.full((16, 16), spec.number, kind)


def small_hospitals(pictures: TinyPictures) -> DemoHospitals:
    """The hospitals of the story, all answering at once."""
    return DemoHospitals(pictures, [replace(one, find_delay=0.0) for one in story.hospitals(TODAY)])


def settings_of(hospitals: DemoHospitals, cache: Path) -> Settings:
    """A configuration with these hospitals."""
    peers = tuple(
        HospitalSettings(name=one.name, ae_title=one.ae_title, host=one.host, port=one.port)
        for one in hospitals.running
    )
    return Settings(cache=CacheSettings(directory=str(cache), key="file"), hospital=peers)


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
