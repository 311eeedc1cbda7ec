"""The department's archive in the window: asked first, named for what it is, and its part made whole elsewhere."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from pytestqt.qtbot import QtBot

from priorline.config import HospitalSettings, Settings
from priorline.desk.timeline.chips import HospitalChip
from priorline.desk.window import Window
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import FetchReport, FetchState, HospitalReport, HospitalState, StudyAnswer
from priorline.regions import load_region_table
from priorline.work.launch import Launch
from priorline.work.messages import (
    AskPresence,
    Fetch,
    FetchEnded,
    HospitalEnded,
    Notice,
    PatientKnown,
    PresenceItem,
    PresenceKnown,
    Search,
    SearchEnded,
    StudiesFound,
)
from scripted_bridge import ScriptedBridge
from small_hospitals import TODAY

OURS = "Our archive"
JANSEN = Patient(Identifier("999990007", "NLMINBIZA"), "JANSEN^Piet^^van der", None, "M")
CT = StudyAnswer("A", "1.2.1", JANSEN, TODAY, None, ("CT",), "CT thorax", images=5)
FILM = StudyAnswer("A", "1.2.2", JANSEN, TODAY.replace(year=2019), None, ("DX",), "X-thorax", images=5)
COPY = replace(FILM, hospital=OURS, images=2)


@pytest.fixture
def window(qtbot: QtBot, bridge: ScriptedBridge) -> Iterator[Window]:
    known = {"ae_title": "X", "host": "127.0.0.1", "port": 1}
    hospitals = (HospitalSettings(name="A", **known), HospitalSettings(name=OURS, role="department", **known))
    made = Window(Settings(hospital=hospitals), bridge, load_region_table())  # type: ignore[arg-type]
    qtbot.addWidget(made)
    made.show()
    made.launch(Launch(patient_id="999990007", issuer="NLMINBIZA", name=JANSEN.name, sex="M", study=CT.study_uid))
    number = bridge.last(Search).number
    bridge.tell(PatientKnown(number, JANSEN, {}))
    bridge.tell(StudiesFound(number, (CT, FILM, COPY)))
    for name in ("A", OURS):
        bridge.tell(HospitalEnded(number, HospitalReport(name, HospitalState.ANSWERED, 1)))
    bridge.tell(SearchEnded(number))
    for one in [one for one in bridge.sent if isinstance(one, AskPresence)]:
        bridge.tell(PresenceKnown(one.number, dict.fromkeys(one.study_uids, PresenceItem(0, complete=False))))
    yield made
    made.close()


def fetches(bridge: ScriptedBridge) -> list[str]:
    return [one.study.hospital for one in bridge.sent if isinstance(one, Fetch) and one.study.study_uid == "1.2.2"]


def end_fetch(bridge: ScriptedBridge, state: FetchState, received: int) -> None:
    asked = bridge.last(Fetch)
    report = FetchReport(asked.study.study_uid, asked.study.hospital, state, asked.study.images or 0, received)
    bridge.tell(FetchEnded(asked.number, report))


@pytest.mark.parametrize("state", [FetchState.COMPLETE, FetchState.PARTIAL, FetchState.FAILED])
def test_a_part_of_ours_is_asked_for_first_and_the_rest_of_the_hospital(
    window: Window, bridge: ScriptedBridge, state: FetchState, look: Callable[[Callable[[], bool]], None]
) -> None:
    case = window.case
    assert case is not None
    study = case.study(FILM.study_uid)
    assert study is not None
    case.fetch(study)
    assert fetches(bridge) == [OURS]
    end_fetch(bridge, state, 2 if state is not FetchState.FAILED else 0)
    look(lambda: fetches(bridge) == [OURS, "A"])
    assert case.reports.get(FILM.study_uid) is None
    end_fetch(bridge, FetchState.COMPLETE, 5)
    look(lambda: case.reports.get(FILM.study_uid) is not None)
    assert case.reports[FILM.study_uid].hospital == "A"


def test_the_user_sees_the_hospital_and_that_the_pictures_are_a_copy(
    window: Window, bridge: ScriptedBridge, look: Callable[[Callable[[], bool]], None]
) -> None:
    def names() -> list[str]:
        return [chip.accessibleName() for chip in window.header.coverage.findChildren(HospitalChip)]

    look(lambda: any(name.startswith("Our archive (department archive)") for name in names()))
    assert window.case is not None
    window.compare(FILM.study_uid)
    look(lambda: window.comparison.prior.study_uid == FILM.study_uid)
    here = {FILM.study_uid: PresenceItem(2, complete=False, hospital=OURS)}
    window.case.presence.update(here)
    study = window.case.study(FILM.study_uid)
    assert study is not None
    content = window.comparison._content(study, "PRIOR")
    assert content.hospital == "A, from Our archive (department archive)"
    window.case.presence[FILM.study_uid] = PresenceItem(5, complete=True, hospital="A")
    assert window.comparison._content(study, "PRIOR").hospital == "A"


def test_what_could_not_be_filled_is_told_in_the_head(
    window: Window, bridge: ScriptedBridge, look: Callable[[Callable[[], bool]], None]
) -> None:
    bridge.tell(Notice(0, "Our archive was not filled."))
    look(lambda: window.header.sentence == "Our archive was not filled.")
