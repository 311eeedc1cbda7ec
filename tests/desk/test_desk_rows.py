"""Rows that are made in slices end as rows made at once, and nothing false is said meanwhile."""

import math
from collections.abc import Iterator
from datetime import date, time, timedelta

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from priorline.config import HospitalSettings, Settings
from priorline.desk.timeline import rows
from priorline.desk.timeline.rows import RowBuilder, TimelineRow
from priorline.desk.window import Window
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import HospitalReport, HospitalState, StudyAnswer
from priorline.regions import load_region_table
from priorline.work.launch import Launch
from priorline.work.messages import (
    HospitalEnded,
    PatientKnown,
    PresenceItem,
    PresenceKnown,
    Search,
    SearchEnded,
    StudiesFound,
)
from scripted_bridge import ScriptedBridge

JANSEN = Patient(Identifier("999990007", "NLMINBIZA"), "JANSEN^Piet", date(1970, 3, 14), "M")
COUNT = 200
KINDS = (("CT", "CT thorax"), ("DX", "X-thorax"), ("MR", "MRI LWK"))


class ToldBridge(ScriptedBridge):
    """Passes on what the test tells, under the number of the last search."""

    @property
    def search(self) -> int:
        return self.last(Search).number


def studies(count: int = COUNT, first: int = 0) -> tuple[StudyAnswer, ...]:
    """The first is the newest; every tenth has no date."""
    found = []
    for number in range(first, first + count):
        modality, words = KINDS[number % len(KINDS)]
        when = date(2024, 5, 1) - timedelta(days=number) if number % 10 != 9 else None
        found.append(StudyAnswer("A", f"1.2.{number}", JANSEN, when, time(9), (modality,), words, images=2))
    return tuple(found)


@pytest.fixture
def bridge() -> ToldBridge:
    return ToldBridge()


@pytest.fixture
def window(qtbot: QtBot, bridge: ToldBridge, monkeypatch: pytest.MonkeyPatch) -> Iterator[Window]:
    monkeypatch.setattr(rows, "SLICE_SECONDS", 0.0)
    settings = Settings(hospital=(HospitalSettings(name="A", ae_title="A", host="127.0.0.1", port=1),))
    made = Window(settings, bridge, load_region_table())  # type: ignore[arg-type]
    qtbot.addWidget(made)
    made.show()
    yield made
    made.close()


def launch(window: Window, bridge: ToldBridge, number: str = JANSEN.identifier.value, study: str = "") -> None:
    identifier = Identifier(number, "NLMINBIZA")
    window.launch(Launch(patient_id=number, issuer="NLMINBIZA", name="JANSEN^Piet", study=study))
    bridge.tell(PatientKnown(bridge.search, Patient(identifier, "JANSEN^Piet", date(1970, 3, 14), "M"), {}))


def end(bridge: ToldBridge, state: HospitalState, count: int) -> None:
    bridge.tell(HospitalEnded(bridge.search, HospitalReport("A", state, count)), SearchEnded(bridge.search))


def at_once(window: Window, monkeypatch: pytest.MonkeyPatch) -> tuple[TimelineRow, ...]:
    """The rows of the window's case as a builder makes them in one go."""
    assert window.case is not None
    told: list[tuple[TimelineRow, ...]] = []
    builder = RowBuilder()
    builder.built.connect(told.append)
    with monkeypatch.context() as patch:
        patch.setattr(rows, "SLICE_SECONDS", math.inf)
        builder.build(window.case)
    return told[0]


def test_slices_end_as_rows_made_at_once(
    qtbot: QtBot, window: Window, bridge: ToldBridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch(window, bridge, study="1.2.0")
    bridge.tell(StudiesFound(bridge.search, studies()))
    end(bridge, HospitalState.ANSWERED, COUNT)
    bridge.tell(PresenceKnown(0, {f"1.2.{number}": PresenceItem(2, complete=True) for number in range(0, COUNT, 3)}))
    qtbot.waitUntil(lambda: window.list.rows.total() == COUNT)
    whole = at_once(window, monkeypatch)
    assert len(whole) == COUNT
    qtbot.waitUntil(lambda: window.list.rows.shown() == whole)
    assert window.line._canvas.blocks.rows == whole
    assert sum(row.current for row in whole) == sum(row.suggested for row in whole) == 1


def test_the_first_slice_is_not_all_and_is_not_shown(window: Window, bridge: ToldBridge) -> None:
    launch(window, bridge)
    bridge.tell(StudiesFound(bridge.search, studies()))
    window._refresh()
    assert window.list.rows.total() == 0


def test_nothing_is_said_of_no_studies_while_rows_are_made(qtbot: QtBot, window: Window, bridge: ToldBridge) -> None:
    launch(window, bridge)
    end(bridge, HospitalState.NONE, 0)
    qtbot.waitUntil(lambda: window.line.message == "No earlier studies.")
    assert window.case is not None
    window.case.retry("A")
    bridge.tell(StudiesFound(bridge.search, studies()))
    end(bridge, HospitalState.ANSWERED, COUNT)
    window._refresh()
    said = []
    while window.list.rows.total() == 0:
        said.append((window.line.message, window.count.text()))
        assert len(said) < 100_000, "the rows never came"
        QApplication.processEvents()
    assert len(said) > 2
    assert not [message for message, _count in said if message]


def test_a_change_between_slices_is_in_the_rows(
    qtbot: QtBot, window: Window, bridge: ToldBridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch(window, bridge)
    bridge.tell(StudiesFound(bridge.search, studies()))
    window._refresh()
    bridge.tell(
        StudiesFound(bridge.search, studies(5, first=COUNT)),
        PresenceKnown(0, {"1.2.0": PresenceItem(2, complete=True)}),
    )
    window._refresh()
    qtbot.waitUntil(lambda: window.list.rows.total() > 0)
    assert window.list.rows.shown() == at_once(window, monkeypatch)


def test_filter_and_selection_stay_while_slices_come(qtbot: QtBot, window: Window, bridge: ToldBridge) -> None:
    launch(window, bridge)
    bridge.tell(StudiesFound(bridge.search, studies()))
    qtbot.waitUntil(lambda: window.list.rows.total() == COUNT)
    window.filter.setText("thorax ct")
    window.list.select("1.2.60")
    bridge.tell(StudiesFound(bridge.search, studies(60, first=COUNT)))
    qtbot.waitUntil(lambda: window.list.rows.total() == COUNT + 60)
    row = window.list.currentIndex().data(Qt.ItemDataRole.UserRole)
    assert row.study_uid == "1.2.60"
    assert {row.modality for row in window.list.rows.shown()} == {"CT"}
    assert window.count.text() == "87 of 260 shown · Esc all"


def test_slices_of_the_last_patient_are_never_shown(qtbot: QtBot, window: Window, bridge: ToldBridge) -> None:
    launch(window, bridge)
    bridge.tell(StudiesFound(bridge.search, studies()))
    window._refresh()
    launch(window, bridge, "999990019")
    seen: list[int] = []
    window._rows.built.connect(lambda made: seen.append(len(made)))
    end(bridge, HospitalState.NONE, 0)
    qtbot.waitUntil(lambda: window.line.message == "No earlier studies.")
    assert set(seen) == {0}
    assert window.list.rows.total() == 0
