"""A window of two hospitals over a bridge that answers what the test says."""

from collections.abc import Callable, Iterator

import pytest
from pytestqt.qtbot import QtBot

from priorline.config import HospitalSettings, Settings
from priorline.desk.window import Window
from priorline.regions import load_region_table
from scripted_bridge import ScriptedBridge


@pytest.fixture
def bridge() -> ScriptedBridge:
    return ScriptedBridge()


@pytest.fixture
def window(qtbot: QtBot, bridge: ScriptedBridge) -> Iterator[Window]:
    hospitals = tuple(HospitalSettings(name=name, ae_title=name, host="127.0.0.1", port=1) for name in "AB")
    made = Window(Settings(hospital=hospitals), bridge, load_region_table())  # type: ignore[arg-type]
    qtbot.addWidget(made)
    made.show()
    yield made
    made.close()


@pytest.fixture
def look(qtbot: QtBot) -> Callable[[Callable[[], bool]], None]:
    """Wait until something holds."""
    return lambda condition: qtbot.waitUntil(condition, timeout=5000)
