"""A thousand patients one after another while answers to older questions still come: nobody else is ever shown."""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, time

import numpy as np
import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from priorline.config import HospitalSettings, Settings
from priorline.desk.window import Window
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import HospitalReport, HospitalState, StudyAnswer
from priorline.imaging.frame import DecodedFrame, ValueMapping
from priorline.imaging.instance import InstanceHeader
from priorline.regions import load_region_table
from priorline.work.launch import Launch
from priorline.work.messages import (
    AskPresence,
    CachedInstance,
    Event,
    HospitalEnded,
    InstanceArrived,
    OpenStudy,
    PatientKnown,
    PresenceItem,
    PresenceKnown,
    Search,
    StudiesFound,
    StudyContents,
    Ticket,
)
from scripted_bridge import ScriptedBridge

SWITCHES = 1000
HOSPITALS = tuple(f"H{number}" for number in range(20))
PATIENTS = [
    Patient(Identifier(f"99999{number:04}", "NLMINBIZA"), f"NAME{number}^Ann", date(1950 + number, 1, 1), "F")
    for number in range(9)
]


@pytest.fixture
def window(qtbot: QtBot, bridge: ScriptedBridge) -> Iterator[Window]:
    hospitals = tuple(HospitalSettings(name=name, ae_title=name, host="127.0.0.1", port=1) for name in HOSPITALS)
    made = Window(Settings(hospital=hospitals), bridge, load_region_table())  # type: ignore[arg-type]
    qtbot.addWidget(made)
    made.show()
    yield made
    made.close()


def study(patient: Patient, hospital: str, number: int) -> StudyAnswer:
    uid = f"1.2.{patient.identifier.value}.{number}"
    return StudyAnswer(hospital, uid, patient, date(2010 + number, 1, 1), time(9), ("DX",), "X-thorax", images=1)


def header_of(patient: Patient, uid: str) -> InstanceHeader:
    return InstanceHeader(f"{uid}.9", "1", "1", uid, f"{uid}.8", patient)


class LateAnswers:
    """All that helpers could still tell: of every question and every look, also of those that nobody waits for."""

    def __init__(self, bridge: ScriptedBridge, dice: random.Random) -> None:
        self._bridge, self._dice = bridge, dice
        self._whose: dict[int, Patient] = {}
        self._heard_of = 0

    def ask(self, patient: Patient) -> None:
        """The last question was about this patient."""
        self._whose[self._bridge.last(Search).number] = patient

    def tell_some(self) -> None:
        """Answers to some requests, the newest ones and older ones mixed."""
        asked = self._bridge.sent[-60:]
        for request in (*self._dice.sample(asked, min(12, len(asked))), *asked[-2:]):
            for event in self._answers(request):
                self._bridge.tell(event)
        self._paint_some()

    def _answers(self, request: object) -> list[Event]:
        if isinstance(request, Search):
            patient = self._whose[request.number]
            hospital = self._dice.choice(HOSPITALS)
            rows = tuple(study(patient, hospital, number) for number in range(3))
            report = HospitalReport(hospital, HospitalState.ANSWERED, 3)
            return [
                PatientKnown(request.number, patient, {}),
                StudiesFound(request.number, rows),
                HospitalEnded(request.number, report),
            ]
        if isinstance(request, AskPresence):
            here = PresenceItem(1, complete=True)
            return [PresenceKnown(request.number, dict.fromkeys(request.study_uids, here))]
        if isinstance(request, OpenStudy):
            item = self._item(request.study_uid)
            contents = StudyContents(request.number, request.study_uid, (item,), 1, complete=True)
            return [contents, InstanceArrived(request.number, request.study_uid, item, 1, 1, 9)]
        return []

    def _item(self, uid: str) -> CachedInstance:
        patient = next(one for one in PATIENTS if one.identifier.value == uid.split(".")[2])
        return CachedInstance(header_of(patient, uid), Ticket(f"/{uid}", "ab" * 16, b""))

    def _paint_some(self) -> None:
        for number, (ticket, _) in list(self._bridge.wanted.items())[-8:]:
            item = self._item(ticket.path[1:])
            frame = DecodedFrame(np.zeros((4, 4), np.uint8), ValueMapping(bits=8), item.header)
            self._bridge.frame.emit(number, frame)


def shown_patients(window: Window) -> set[str]:
    """Everybody of whom anything is on the screen."""
    panes = (window.comparison.current.pane, window.comparison.prior.pane)
    frames = [pane.frame for pane in panes]
    painted = {frame.header.patient.identifier.value for frame in frames if frame is not None}
    words = " ".join((*(pane.content.patient for pane in panes), window.header.findChild(type(window.count)).text()))
    named = {one.identifier.value for one in PATIENTS if one.identifier.value in words or one.name[:5] in words}
    listed = {row.study_uid.split(".")[2] for row in window.list.rows.shown()}
    return painted | named | listed


def test_a_thousand_switches_show_nobody_else(window: Window, bridge: ScriptedBridge) -> None:
    dice = random.Random(20261124)
    late, painted = LateAnswers(bridge, dice), 0
    for _ in range(SWITCHES):
        patient = dice.choice(PATIENTS)
        who = patient.identifier
        current = f"1.2.{who.value}.{dice.randrange(3)}"
        window.launch(Launch(patient_id=who.value, issuer=who.issuer, name=patient.name, study=current))
        late.ask(patient)
        for _ in range(3):
            late.tell_some()
            assert window.case is not None
            window.case.changed.emit()
            window.compare(f"1.2.{who.value}.{dice.randrange(3)}")
        QApplication.processEvents()
        assert shown_patients(window) <= {who.value}
        panes = (window.comparison.current.pane, window.comparison.prior.pane)
        painted += any(pane.frame is not None for pane in panes)
        bridge.sent = bridge.sent[-80:]
    assert painted > SWITCHES // 10  # pictures did come


def test_the_check_itself_would_see_another_patient(window: Window, bridge: ScriptedBridge) -> None:
    ours, theirs = PATIENTS[:2]
    window.launch(Launch(patient_id=ours.identifier.value, issuer=ours.identifier.issuer, name=ours.name))
    number = bridge.last(Search).number
    bridge.tell(PatientKnown(number, ours, {}))
    bridge.tell(StudiesFound(number, (replace(study(ours, "H0", 1), study_uid=f"1.2.{theirs.identifier.value}.1"),)))
    assert window.case is not None
    window.case.changed.emit()
    assert theirs.identifier.value in shown_patients(window)
