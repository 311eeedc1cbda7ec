"""The coverage bar: a hospital that did not answer is named, or counted in red with the list one click away."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import hypothesis
import hypothesis.strategies as st
import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QWidget
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from priorline.desk import theme
from priorline.desk.flow import rows_of
from priorline.desk.timeline import coverage, hospitals, states
from priorline.desk.timeline.chips import Chip, CountChip, HospitalChip
from priorline.desk.timeline.coverage import CoverageBar
from priorline.domain.study import HospitalReport, HospitalState
from priorline.domain.timeline import Coverage

S = HospitalState
REPORTS = st.builds(
    HospitalReport,
    hospital=st.just(""),
    state=st.sampled_from(S),
    studies=st.integers(0, 9),
    cut=st.booleans(),
    withheld=st.integers(0, 1),
)


def reports(*named: HospitalState, count: int = 120, rest: HospitalState = S.ANSWERED) -> tuple[HospitalReport, ...]:
    """So many hospitals, the first of them in these states."""
    found = [*named, *[rest] * (count - len(named))]
    return tuple(HospitalReport(f"H{number}", state, 8 * (state is S.ANSWERED)) for number, state in enumerate(found))


@pytest.fixture
def bar(qtbot: QtBot) -> CoverageBar:
    made = CoverageBar()
    qtbot.addWidget(made)
    made.resize(1400, 60)
    with qtbot.waitExposed(made):
        made.show()
    return made


def chips(bar: QWidget) -> list[Chip]:
    """The chips in sight, in reading order."""
    seen = [chip for chip in bar.findChildren(Chip) if chip.isVisible()]
    return sorted(seen, key=lambda chip: (chip.y(), chip.x()))


def words(bar: QWidget) -> list[str]:
    return [chip.words for chip in chips(bar)]


@pytest.fixture
def show(qtbot: QtBot, bar: CoverageBar) -> Callable[[tuple[HospitalReport, ...]], list[str]]:
    """Show these states and wait until that is done; the words on the chips."""

    def do(given: tuple[HospitalReport, ...]) -> list[str]:
        bar.show_coverage(Coverage(given))
        qtbot.waitUntil(lambda: not bar._soon.isActive())
        return words(bar)

    return do


Show = Callable[[tuple[HospitalReport, ...]], list[str]]


# --- which are named


@hypothesis.given(st.lists(REPORTS, max_size=150), st.data())
def test_every_hospital_is_named_or_counted_and_none_in_trouble_among_the_well(
    given: list[HospitalReport], data: st.DataObject
) -> None:
    all_of_them = [replace(report, hospital=f"H{number}") for number, report in enumerate(given)]
    some = st.lists(st.sampled_from([one.hospital for one in all_of_them]), unique=True) if given else st.just([])
    before, again, late = data.draw(some), data.draw(some), data.draw(some)
    shown = states.choose(all_of_them, before, again, late)
    parts = [*shown.named, *shown.summed, *shown.more]
    assert sorted(parts, key=lambda one: one.hospital) == sorted(all_of_them, key=lambda one: one.hospital)
    assert len(shown.named) <= states.MOST_NAMED
    assert all(states.is_well(one) or one.state is S.ASKING for one in shown.summed)
    assert not any(states.is_well(one) for one in shown.more)
    counted = [int(part.split()[0]) for part in states.summary(shown.summed).split(" · ") if part]
    assert sum(counted) == len(shown.summed)


def test_few_hospitals_have_a_chip_each_in_their_order(show: Show) -> None:
    said = show(reports(S.ANSWERED, S.FAILED, S.NONE, S.ASKING, count=6))
    assert said == ["H0 8", "H1 not reachable · retry", "H2 none", "H3 asking…", "H4 8", "H5 8"]


def test_thirty_have_a_chip_each_and_one_more_is_counted(show: Show) -> None:
    assert len(show(reports(S.FAILED, count=30))) == 30
    assert show(reports(S.FAILED, count=31)) == ["H0 not reachable · retry", "30 answered ▾"]


def test_where_chips_do_not_fit_the_well_are_counted(qtbot: QtBot, bar: CoverageBar, show: Show) -> None:
    given = reports(S.FAILED, count=30)
    show(given)
    bar.resize(400, 200)
    qtbot.waitUntil(lambda: words(bar) == ["H0 not reachable · retry", "29 answered ▾"])


def test_all_that_is_not_whole_is_named(show: Show) -> None:
    given = list(reports(S.FAILED, S.TIMED_OUT, S.REFUSED, S.NOT_ASKED, S.NONE))
    given[50], given[60] = replace(given[50], cut=True), replace(given[60], withheld=2)
    assert show(tuple(given)) == [
        "H0 not reachable · retry",
        "H1 timed out · retry",
        "H2 refused · retry",
        "H3 not asked · retry",
        "H50 8+ (list cut)",
        "H60 8 · 2 left out",
        "113 answered · 1 none ▾",
    ]


def test_those_in_trouble_beyond_the_chips_are_counted_in_red(bar: CoverageBar, show: Show) -> None:
    said = show(reports(*[S.FAILED] * 20))
    assert said[-2:] == ["12 more did not answer ▾", "100 answered ▾"]
    assert len(said) == states.MOST_NAMED + 2
    more = chips(bar)[-2]
    assert more._face.word_colour == theme.TROUBLE
    assert more.accessibleName() == "12 more did not answer, press to show all hospitals"


def test_nobody_is_counted_as_well_where_all_failed(show: Show) -> None:
    assert show(reports(rest=S.FAILED))[-1] == "112 more did not answer ▾"


def test_a_hospital_that_is_asked_for_long_is_named(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "LATE_SECONDS", 0.15)
    bar = CoverageBar()
    qtbot.addWidget(bar)
    bar.resize(1400, 60)
    bar.show()
    bar.show_coverage(Coverage(reports(S.ASKING)))
    qtbot.waitUntil(lambda: words(bar) == ["119 answered · 1 asking ▾"])
    qtbot.waitUntil(lambda: words(bar) == ["H0 asking…", "119 answered ▾"])


def test_who_is_asked_again_keeps_the_chip_until_he_is_well(qtbot: QtBot, bar: CoverageBar, show: Show) -> None:
    before = show(reports(*[S.FAILED] * 20))
    with qtbot.waitSignal(bar.retry) as asked:
        qtbot.mouseClick(chips(bar)[2], Qt.MouseButton.LeftButton)
    assert asked.args == ["H2"]
    failed = [S.FAILED] * 20
    failed[2] = S.ASKING
    assert show(reports(*failed)) == [*before[:2], "H2 asking…", *before[3:]]
    failed[2] = S.ANSWERED
    assert show(reports(*failed)) == [*before[:2], *before[3:8], "H8 not reachable · retry", *_rest(11, 101)]


def _rest(more: int, answered: int) -> list[str]:
    return [f"{more} more did not answer ▾", f"{answered} answered ▾"]


# --- what it costs, and what stays


def test_many_changes_in_a_moment_are_one_arrangement(qtbot: QtBot) -> None:
    arranged = []

    class Counting(CoverageBar):
        def arrange(self, children: object) -> None:
            arranged.append(children)
            super().arrange(children)  # type: ignore[arg-type]

    bar = Counting()
    qtbot.addWidget(bar)
    bar.resize(1400, 60)
    bar.show()
    for number in range(120):
        bar.show_coverage(Coverage(reports(*[S.ANSWERED] * number, rest=S.ASKING)))
    qtbot.waitUntil(lambda: words(bar) == ["119 answered · 1 asking ▾"])
    assert len(arranged) == 1


def test_changes_without_a_pause_are_shown_all_the_same(qtbot: QtBot, bar: CoverageBar) -> None:
    ticking = QTimer(bar)
    ticking.timeout.connect(partial(bar.show_coverage, Coverage(reports(S.FAILED))))
    ticking.start(coverage.TURN_MILLISECONDS // 10)
    qtbot.waitUntil(lambda: words(bar) == ["H0 not reachable · retry", "119 answered ▾"])
    ticking.stop()


def test_chips_of_many_hospitals_are_few(bar: CoverageBar, show: Show) -> None:
    show(reports(*[S.FAILED] * 60))
    assert len(bar.findChildren(HospitalChip)) == states.MOST_NAMED
    assert not [label for chip in bar.findChildren(Chip) for label in chip.findChildren(QWidget)]


def test_without_a_patient_no_hospital_is_left(bar: CoverageBar, show: Show) -> None:
    show(reports(S.FAILED))
    bar.show_all()
    bar.show_coverage(Coverage(reports(S.FAILED, S.FAILED)))
    bar.clear()
    assert words(bar) == []
    assert bar._list is not None
    assert not bar._list.isVisible()
    assert not bar._soon.isActive()
    assert not bar._late.isActive()


@pytest.mark.parametrize("width", [300, 700, 1400])
def test_chips_lie_beside_each_other_and_within_the_bar(bar: CoverageBar, show: Show, width: int) -> None:
    show(reports(*[S.FAILED] * 20))
    bar.resize(width, bar.heightForWidth(width))
    boxes = [chip.geometry() for chip in chips(bar)]
    assert all(bar.rect().contains(box) for box in boxes)
    assert not any(one.intersects(other) for one in boxes for other in boxes if one is not other)
    assert max(box.right() for box in boxes) == width - 1


def test_rows_take_as_many_as_fit() -> None:
    assert rows_of([10, 10, 10], 32, 1) == [range(3)]
    assert rows_of([10, 10, 10], 31, 1) == [range(2), range(2, 3)]
    assert rows_of([50, 10], 20, 1) == [range(1), range(1, 2)]
    assert rows_of([], 20, 1) == []


# --- the list of all


def opened(bar: CoverageBar, qtbot: QtBot) -> hospitals.HospitalList:
    count = next(chip for chip in chips(bar) if isinstance(chip, CountChip))
    count.setFocus()
    qtbot.keyClick(count, Qt.Key.Key_Return)
    assert bar._list is not None
    assert bar._list.isVisible()
    return bar._list


def row(table: hospitals.HospitalList, number: int) -> list[object]:
    model = table.rows
    return [model.data(model.index(number, column)) for column in range(model.columnCount())]


def test_the_list_names_all_and_those_in_trouble_first(qtbot: QtBot, bar: CoverageBar, show: Show) -> None:
    given = list(reports(S.ANSWERED, S.NONE, S.ASKING, S.TIMED_OUT))
    given[50] = replace(given[50], cut=True, seconds=1.25)
    show(tuple(given))
    table = opened(bar, qtbot)
    assert table.rows.rowCount() == 120
    assert row(table, 0) == ["H3", "● timed out", "", "", "", "retry"]
    assert row(table, 1) == ["H2", "● asking…", "", "", "", ""]
    assert row(table, 2) == ["H50", "● answered · list cut", "8", "1.2 s", "", ""]
    assert row(table, 119) == ["H1", "● none", "", "", "", ""]
    spoken = table.rows.data(table.rows.index(0, 0), Qt.ItemDataRole.AccessibleTextRole)
    assert spoken == "H3, timed out, press Enter to ask again"


def test_enter_and_a_click_ask_again_and_rows_keep_their_places(qtbot: QtBot, bar: CoverageBar, show: Show) -> None:
    asked: list[str] = []
    bar.retry.connect(asked.append)
    show(reports(*[S.FAILED] * 20))
    table = opened(bar, qtbot)
    qtbot.keyClick(table.table, Qt.Key.Key_Down)
    qtbot.keyClick(table.table, Qt.Key.Key_Return)
    place = table.table.visualRect(table.rows.index(4, hospitals.RETRY)).center()
    qtbot.mouseClick(table.table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert asked == ["H1", "H4"]
    show(reports(S.FAILED, S.ANSWERED, *[S.FAILED] * 18))
    assert row(table, 1) == ["H1", "● answered", "8", "", "", ""]
    table.table.setCurrentIndex(table.rows.index(1, 0))
    qtbot.keyClick(table.table, Qt.Key.Key_Return)
    assert asked == ["H1", "H4"]
    qtbot.keyClick(table.table, Qt.Key.Key_Escape)
    assert not table.isVisible()


def test_the_list_is_a_well_behaved_model(qtmodeltester: ModelTester, bar: CoverageBar) -> None:
    model = hospitals.HospitalModel(bar)
    model.begin(reports(S.FAILED, S.ASKING))
    qtmodeltester.check(model)
    model.take(reports(S.ANSWERED, S.NONE))
    model.take(reports(count=7))
    assert model.rowCount() == 7
