"""What can wait comes between two images of somebody who scrolls, and at once where nobody does."""

from collections.abc import Callable

import pytest
from PySide6.QtCore import QObject, QTimer
from pytestqt.qtbot import QtBot

from hand_clock import Clock
from priorline.desk import lull
from priorline.desk.lull import Lull
from stations import until

LONG_MILLISECONDS = 60_000


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def quiet(qapp: QObject, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Lull:
    monkeypatch.setattr(lull, "LONGEST_MILLISECONDS", LONG_MILLISECONDS)
    return Lull(qapp, clock)


def act(told: list[str], name: str) -> Callable[[], None]:
    return lambda: told.append(name)


def turns(qtbot: QtBot) -> None:
    """All that the event loop does at once is done."""
    done: list[bool] = []
    for _ in range(3):
        QTimer.singleShot(0, lambda: done.append(True))
        until(qtbot, lambda: bool(done))
        done.clear()


def call_all(quiet: Lull, told: list[str], names: str) -> None:
    """One act for each letter, which tells it."""
    for name in names:
        quiet.call(act(told, name))


def test_where_nobody_scrolls_all_is_done_at_once_and_in_order(qtbot: QtBot, quiet: Lull, told: list[str]) -> None:
    call_all(quiet, told, "ab")
    assert not told
    until(qtbot, lambda: told == ["a", "b"])


def test_while_somebody_scrolls_one_act_follows_each_image(
    qtbot: QtBot, quiet: Lull, told: list[str], clock: Clock
) -> None:
    quiet.scrolled("left")
    call_all(quiet, told, "ab")
    turns(qtbot)
    assert not told
    quiet.painted("right")
    turns(qtbot)
    assert not told
    for due in (["a"], ["a", "b"]):
        quiet.painted("left")
        turns(qtbot)
        assert told == due


def test_it_is_done_in_the_end_where_nothing_is_painted_any_more(
    qtbot: QtBot, quiet: Lull, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lull, "LONGEST_MILLISECONDS", 20)
    quiet.scrolled("left")
    quiet.call(act(told, "a"))
    until(qtbot, lambda: told == ["a"])


def test_what_has_waited_too_long_is_done_without_a_break(
    qtbot: QtBot, quiet: Lull, told: list[str], clock: Clock
) -> None:
    quiet.scrolled("left")
    call_all(quiet, told, "abc")
    clock.now += LONG_MILLISECONDS / 1000
    quiet.scrolled("left")
    quiet.painted("left")
    until(qtbot, lambda: told == ["a", "b", "c"])


def test_an_act_that_fails_does_not_keep_the_others_from_being_done(
    qtbot: QtBot, quiet: Lull, told: list[str]
) -> None:
    def failing() -> None:
        raise ValueError

    with qtbot.captureExceptions() as raised:
        quiet.call(failing)
        quiet.call(act(told, "a"))
        until(qtbot, lambda: told == ["a"])
    assert [kind for kind, *_ in raised] == [ValueError]


def test_who_stopped_scrolling_is_not_waited_for(qtbot: QtBot, quiet: Lull, told: list[str], clock: Clock) -> None:
    quiet.scrolled("left")
    clock.now += lull.SCROLLING_SECONDS
    quiet.call(act(told, "a"))
    until(qtbot, lambda: told == ["a"])


def test_what_is_asked_for_twice_is_done_once_and_what_is_forgotten_never(
    qtbot: QtBot, quiet: Lull, told: list[str]
) -> None:
    one, other = act(told, "a"), act(told, "b")
    for each in (one, other, one):
        quiet.call(each)
    quiet.forget(other)
    until(qtbot, lambda: told == ["a"])
    turns(qtbot)
    assert told == ["a"]
    quiet.call(one)
    until(qtbot, lambda: told == ["a", "a"])


def test_what_an_act_asks_for_comes_after_it(qtbot: QtBot, quiet: Lull, told: list[str]) -> None:
    follower = act(told, "b")

    def first() -> None:
        quiet.call(follower)
        told.append("a")

    quiet.call(first)
    until(qtbot, lambda: told == ["a", "b"])
