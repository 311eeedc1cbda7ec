"""The page about the cache: what it says, and that cleaning is asked for once."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from pytestqt.qtbot import QtBot

from priorline.config import Settings
from priorline.desk.window import Window
from priorline.regions import load_region_table
from priorline.work.messages import AskCache, CacheTold, HospitalShare, Leaving, RequestFailed
from scripted_bridge import ScriptedBridge

VIEWED = datetime(2026, 10, 2, 12, tzinfo=UTC)
SHARES = (HospitalShare("A", 3, 3_000_000_000), HospitalShare("B", 1, 200_000_000))
LEAVING = (
    Leaving("A", 133, 70_000_000, VIEWED, "older than 30 d"),
    Leaving("B", 1, 8_000_000, VIEWED, "pinned"),
    Leaving("A", 1, 8_000_000, VIEWED),
)


@pytest.fixture
def window(qtbot: QtBot, bridge: ScriptedBridge) -> Iterator[Window]:
    made = Window(Settings(), bridge, load_region_table())  # type: ignore[arg-type]
    qtbot.addWidget(made)
    made.show()
    made.cache_page.look()
    yield made
    made.close()


def told(bridge: ScriptedBridge, leaving: tuple[Leaving, ...] = LEAVING, removed: int = 0) -> CacheTold:
    number = bridge.last(AskCache).number
    freed = 70_000_000 * removed
    return CacheTold(
        number, 4, 3_200_000_000, 20_000_000_000, 41_000_000_000, "file", SHARES, leaving, removed, freed
    )


def cells(window: Window) -> list[list[str]]:
    table = window.cache_page.leaving
    return [
        [item.text() for column in range(table.columnCount()) if (item := table.item(row, column)) is not None]
        for row in range(table.rowCount())
    ]


def test_it_says_how_full_the_cache_is_and_what_goes_next(window: Window, bridge: ScriptedBridge) -> None:
    page = window.cache_page
    assert bridge.last(AskCache).clean is False
    bridge.tell(told(bridge))
    sentence = "3.2 GB of 20 GB · 4 studies · 41 GB free on the disk · encrypted, key in a file of this user"
    assert page.sentence.text() == sentence
    assert page.bar.value() == 160
    assert page.hospitals.rowCount() == 2
    assert cells(window) == [
        ["A", "133", "70 MB", "2 Oct 2026", "now: older than 30 d"],
        ["B", "1", "8 MB", "2 Oct 2026", "stays: pinned"],
        ["A", "1", "8 MB", "2 Oct 2026", "not due yet"],
    ]


def test_cleaning_is_asked_for_once_and_says_what_it_did(window: Window, bridge: ScriptedBridge) -> None:
    page = window.cache_page
    bridge.tell(told(bridge))
    page.clean.click()
    page.clean.click()
    assert [one.clean for one in bridge.sent if isinstance(one, AskCache)] == [False, True]
    bridge.tell(told(bridge, LEAVING[1:], removed=1))
    assert page.outcome.text() == "1 study removed, 70 MB freed."
    assert page.clean.isEnabled()
    assert len(cells(window)) == 2


def test_a_cache_that_cannot_be_read_is_said(window: Window, bridge: ScriptedBridge) -> None:
    page = window.cache_page
    bridge.tell(RequestFailed(bridge.last(AskCache).number, "The cache cannot be read."))
    assert page.outcome.text() == "The cache cannot be read."
    assert page.clean.isEnabled()


def test_an_answer_to_an_older_look_is_not_shown(window: Window, bridge: ScriptedBridge) -> None:
    old = told(bridge)
    window.cache_page.look()
    bridge.tell(old)
    assert cells(window) == []
