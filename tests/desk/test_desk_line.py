"""The line with its list, shown with studies made here: lanes, keys, spans, the card, and what they say."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import pytest
from PySide6.QtCore import QEvent, QModelIndex, QObject, QPointF, Qt
from PySide6.QtWidgets import QApplication, QLabel
from pytestqt.qtbot import QtBot

from priorline.desk.held import Presence
from priorline.desk.timeline.blocks import Block
from priorline.desk.timeline.controls import TimelineControls
from priorline.desk.timeline.lanes import MOST_LANES, OTHERS, LaneBy, lanes
from priorline.desk.timeline.line import TimelineLine
from priorline.desk.timeline.list import RowDelegate, TimelineList
from priorline.desk.timeline.list_model import SortBy, TimelineListModel, added_runs
from priorline.desk.timeline.rows import TimelineRow, shown_text

TODAY = date.today()  # noqa: DTZ011 - the line ends today
ROW = TimelineRow(
    study_uid="1.2.1",
    when=TODAY - timedelta(days=400),
    regions=("chest",),
    modalities=("CT",),
    hospitals=("OLV Clinic",),
    counts=(12,),
    modality="CT",
    title="CT thorax",
    written_date="2 Mar 2019",
    distance="1 y before",
    copies=1,
    presence=Presence.REMOTE,
    status="12 images",
    shut=False,
    report_only=False,
    current=False,
    suggested=False,
    identity="",
    region_why="from the description",
    twins=(),
    score=0.5,
    reasons=("same region",),
    reason="chest CT",
    search_text=" ct thorax olv clinic 2 mar 2019 chest",
)


def row(number: int, days: int | None, **changes: object) -> TimelineRow:
    when = TODAY - timedelta(days=days) if days is not None else None
    return replace(ROW, study_uid=f"1.2.{number}", when=when, **changes)


ROWS = (
    row(1, 0, current=True, regions=("chest", "abdomen")),
    row(
        2, 400, modalities=("DX",), modality="DX", suggested=True, hospitals=("UMC West", "OLV Clinic"), counts=(2, 2)
    ),
    row(3, 900, regions=("abdomen",), modality="US", modalities=("US",)),
    row(4, 3000, regions=("spine",), modality="SR", modalities=("SR",), report_only=True),
    row(5, None),
)


@pytest.fixture
def line(qtbot: QtBot) -> TimelineLine:
    made = TimelineLine()
    qtbot.addWidget(made)
    made.resize(1400, 220)
    made.show()
    made.set_rows(ROWS)
    return made


class Drawn(QObject):
    """How often the line was drawn since `times` was set to 0."""

    def __init__(self, line: TimelineLine) -> None:
        super().__init__(line)
        self.times = 0
        line.viewport().installEventFilter(self)

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        self.times += event.type() == QEvent.Type.Paint
        return False


def painted(line: TimelineLine) -> dict[str, Block]:
    line.grab()
    return {row.study_uid: block for block in line.seen for row in block.rows}


def follow(line: TimelineLine) -> list[str]:
    """Point where the line says, as the window does."""
    said: list[str] = []

    def point(uid: str) -> None:
        said.append(uid)
        line.point_at(uid, "")

    line.pointed.connect(point)
    return said


def test_lanes_follow_region_modality_or_hospital(line: TimelineLine) -> None:
    assert line.lanes == ("chest", "abdomen", "spine")
    line.set_lanes(LaneBy.MODALITY)
    assert line.lanes == ("CT", "DX", "SR", "US")
    line.set_lanes(LaneBy.HOSPITAL)
    assert line.lanes == ("OLV Clinic", "UMC West")
    assert set(painted(line)) == {row.study_uid for row in ROWS}


def test_many_hospitals_share_a_last_lane() -> None:
    many = tuple(row(number, number, hospitals=(f"H{number}",)) for number in range(120))
    names, _ = lanes(many, LaneBy.HOSPITAL)
    assert len(names) == MOST_LANES
    assert names[-1] == OTHERS


def test_studies_without_a_date_stand_apart_at_the_left(line: TimelineLine) -> None:
    blocks = painted(line)
    assert all(blocks["1.2.5"].box.right() < blocks[uid].box.left() for uid in ("1.2.1", "1.2.2", "1.2.3", "1.2.4"))


def test_arrows_go_along_time_and_between_lanes(qtbot: QtBot, line: TimelineLine) -> None:
    said = follow(line)
    line.point_at("1.2.2", "")
    for key in (Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Down):
        qtbot.keyClick(line, key)
    assert said == ["1.2.3", "1.2.2", "1.2.1", "1.2.1", "1.2.3"]
    qtbot.keyClick(line, Qt.Key.Key_Down)
    qtbot.keyClick(line, Qt.Key.Key_Left)
    assert said[-2:] == ["1.2.4", "1.2.5"]
    with qtbot.waitSignal(line.chosen) as chosen:
        qtbot.keyClick(line, Qt.Key.Key_Return)
    assert chosen.args == ["1.2.5"]


def test_pointing_beyond_the_edge_moves_the_line(line: TimelineLine) -> None:
    follow(line)
    line.show_span(5)
    assert "1.2.4" not in painted(line)
    line.point_at("1.2.3", "")
    line.step(-1)
    assert "1.2.4" in painted(line)


def test_a_span_is_marked_until_somebody_zooms_and_home_shows_all(qtbot: QtBot, line: TimelineLine) -> None:
    controls = TimelineControls()
    qtbot.addWidget(controls)
    line.span_changed.connect(controls.show_span)
    controls.span_chosen.connect(line.show_span)
    controls.lanes_chosen.connect(line.set_lanes)

    def marked() -> list[int]:
        return [years for years, button in controls.spans.items() if button.isChecked()]

    controls.spans[5].click()
    assert marked() == [5]
    before = line.viewRange()[0]
    qtbot.keyClick(line, Qt.Key.Key_PageUp)
    assert line.viewRange()[0][1] - line.viewRange()[0][0] < before[1] - before[0]
    assert marked() == []
    qtbot.keyClick(line, Qt.Key.Key_Home)
    assert marked() == [0]
    assert set(painted(line)) == {row.study_uid for row in ROWS}
    controls.lanes.choose(1)
    assert line.lanes[0] == "CT"


def test_rows_that_arrive_leave_a_chosen_span_alone(line: TimelineLine) -> None:
    line.zoom(0.5)
    before = line.viewRange()[0]
    line.set_rows((*ROWS[:4], row(6, 5000), ROWS[4]))
    assert line.viewRange()[0] == before


def test_an_empty_line_ends_today(qtbot: QtBot) -> None:
    made = TimelineLine()
    qtbot.addWidget(made)
    made.resize(1400, 220)
    made.show()
    made.forget_span()
    first, last = made.viewRange()[0]
    assert first < TODAY.toordinal() - 360
    assert TODAY.toordinal() < last < TODAY.toordinal() + 60


def test_the_oldest_studies_are_seen_whole_also_where_they_fan_out(line: TimelineLine) -> None:
    line.set_rows((ROWS[0], row(6, 5000), row(7, 5000)))
    left = line._canvas.view().area.left()
    assert all(block.box.left() >= left for block in painted(line).values())


def card_of(line: TimelineLine, uid: str) -> str:
    block = painted(line)[uid]
    line._hover(QPointF(block.box.center()))
    return line.card.text


def test_the_card_says_what_the_study_is(line: TimelineLine) -> None:
    said = card_of(line, "1.2.2")
    for words in ("1 y before", "DX", "UMC West · 2 images", "OLV Clinic · 2 images", "Shows: chest", "same region"):
        assert words in said
    assert "Suggested prior: chest CT" in said
    line.hide_card()
    assert not line.card.isVisible()


def test_foreign_text_is_never_markup(line: TimelineLine) -> None:
    hostile = "<img src='file:///etc/passwd'><b>bold</b>"
    line.set_rows((replace(ROWS[0], title=hostile),))
    assert hostile in card_of(line, "1.2.1")
    assert {label.textFormat() for label in line.card.findChildren(QLabel)} == {Qt.TextFormat.PlainText}


def test_text_that_steers_is_made_plain() -> None:
    assert shown_text("X-thorax") == "X-thorax"
    assert shown_text("a\n\u202eb\x00c") == "a b c"
    assert len(shown_text("x" * 100_000)) < 300


def test_a_crowd_is_one_block_with_its_number_and_a_click_goes_through_it(line: TimelineLine) -> None:
    line.set_rows(tuple(row(number, 500) for number in range(40)))
    blocks = painted(line)
    assert {block.count for block in blocks.values()} == {40}
    assert "40 studies" in card_of(line, "1.2.7")


def test_the_pointed_study_is_told_to_those_who_do_not_see(line: TimelineLine) -> None:
    line.set_rows((replace(ROWS[0], shut=True, identity="not certainly this patient; differs: name"),))
    line.point_at("1.2.1", "")
    said = line.accessibleDescription()
    assert "differs: name" in said
    assert "chest, abdomen" in said
    line.set_rows(())


PICTURES: dict[str, Callable[[TimelineRow], TimelineRow]] = {
    "remote": lambda one: one,
    "partly here": lambda one: replace(one, presence=Presence.PARTIAL),
    "here": lambda one: replace(one, presence=Presence.HERE),
    "damaged": lambda one: replace(one, presence=Presence.DAMAGED),
    "shut": lambda one: replace(one, shut=True),
    "copies": lambda one: replace(one, copies=2),
    "report": lambda one: replace(one, report_only=True),
}


def test_every_state_is_drawn_differently_also_without_colour(line: TimelineLine) -> None:
    seen = {}
    for name, change in PICTURES.items():
        line.set_rows((change(row(1, 300)),))
        box = painted(line)["1.2.1"].box.toRect().adjusted(-6, -6, 6, 6)
        grey = (
            line.grab(line.mapFromScene(box).boundingRect())
            .toImage()
            .convertToFormat(line.grab().toImage().Format.Format_Grayscale8)
        )
        seen[name] = bytes(grey.constBits())
    assert len(set(seen.values())) == len(PICTURES)


def test_the_list_sorts_and_filters(qtbot: QtBot) -> None:
    model = TimelineListModel(None)
    model.set_rows(tuple(replace(one, score=one.when.toordinal() % 7 if one.when else 9) for one in ROWS))
    model.set_sort(SortBy.RELEVANCE)
    shown = model.shown()
    assert shown[0].current
    assert [one.score for one in shown[1:]] == sorted((one.score for one in shown[1:]), reverse=True)
    model.set_sort(SortBy.HOSPITAL)
    assert [one.hospitals[0] for one in model.shown()][-1] == "UMC West"
    model.set_sort(SortBy.DATE)
    assert [one.study_uid for one in model.shown()] == [one.study_uid for one in ROWS]
    model.set_filter("thorax 2018")
    assert model.shown() == ()


def test_a_count_draws_its_row_in_the_list_and_nothing_of_the_line(qtbot: QtBot, line: TimelineLine) -> None:
    model = TimelineListModel(None)
    model.set_rows(ROWS)
    told: list[tuple[int, int]] = []
    model.dataChanged.connect(lambda first, last: told.append((first.row(), last.row())))
    with qtbot.waitExposed(line):
        line.repaint()
    drawn = Drawn(line)
    counted = replace(
        ROWS[1], status="3 of 12 images", share=0.25, lacking=True, why_lacking="It stopped.", ahead=True
    )
    for rows in ((ROWS[0], counted, *ROWS[2:]), ROWS):
        QApplication.processEvents()
        told.clear()
        drawn.times = 0
        model.set_rows(rows)
        line.set_rows(rows)
        line.say("No study of this patient is known.")
        QApplication.processEvents()
        assert (told, drawn.times) == ([(1, 1)], 0)
        assert painted(line)["1.2.2"].row.status == rows[1].status
    QApplication.processEvents()
    drawn.times = 0
    line.set_rows((ROWS[0], replace(ROWS[1], presence=Presence.HERE), *ROWS[2:]))
    QApplication.processEvents()
    assert drawn.times > 0


def test_a_count_draws_one_row_of_the_list(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    studies, many = TimelineList(), tuple(row(number, number) for number in range(1, 100))
    qtbot.addWidget(studies)
    studies.resize(360, 600)
    studies.rows.set_rows(many)
    drawn: list[str] = []

    def note(_delegate: object, _painter: object, _option: object, index: QModelIndex) -> None:
        drawn.append(index.data(Qt.ItemDataRole.UserRole).status)

    monkeypatch.setattr(RowDelegate, "paint", note)
    with qtbot.waitExposed(studies):
        studies.show()
    QApplication.processEvents()
    assert len(drawn) > 5
    drawn.clear()
    studies.rows.set_rows((*many[:3], replace(many[3], status="3 of 12 images"), *many[4:]))
    QApplication.processEvents()
    assert drawn == ["3 of 12 images"]
    drawn.clear()
    studies.rows.set_rows(tuple(replace(one, status="here") for one in many))
    QApplication.processEvents()
    assert len(drawn) > 5
    assert set(drawn) == {"here"}


def test_what_is_said_beside_a_block_follows_what_comes(line: TimelineLine) -> None:
    line.point_at("1.2.2", "")
    card_of(line, "1.2.2")
    line.set_rows((ROWS[0], replace(ROWS[1], lacking=True, why_lacking="OLV Clinic broke off."), *ROWS[2:]))
    assert line.card.isVisible()
    assert "broke off" in line.card.text
    assert "broke off" in line.accessibleDescription()
    line.hide_card()
    line.set_rows(ROWS)
    assert not line.card.isVisible()
    line.set_rows((ROWS[0], replace(ROWS[1], presence=Presence.PARTIAL, status="3 of 12 images"), *ROWS[2:]))
    assert "3 of 12 images" in line.accessibleDescription()


@pytest.mark.parametrize(
    "change",
    [
        {"presence": Presence.PARTIAL},
        {"shut": True},
        {"modality": "CR"},
        {"current": True},
        {"suggested": False},
        {"copies": 2},
        {"reason": "another"},
        {"hospitals": ("OLV Clinic",)},
        {"when": TODAY},
        {"report_only": True},
        {"regions": ("abdomen",)},
        {"modalities": ("CR",)},
    ],
)
def test_what_a_block_shows_is_drawn_anew(line: TimelineLine, change: dict[str, object]) -> None:
    assert not replace(ROWS[1], **change).is_drawn_like(ROWS[1])
    before = line.seen[0].blocks
    line.set_rows((ROWS[0], replace(ROWS[1], **change), *ROWS[2:]))
    line.grab()
    assert line.seen[0].blocks is not before


def test_rows_that_arrive_are_put_between_the_others(qtbot: QtBot) -> None:
    model = TimelineListModel(None)
    model.set_rows((ROWS[0], ROWS[3]))
    resets: list[int] = []
    model.modelReset.connect(lambda: resets.append(1))
    model.set_rows(ROWS)
    assert resets == []
    assert [one.study_uid for one in model.shown()] == [one.study_uid for one in ROWS]
    assert model.place("1.2.4").row() == 3
    assert added_runs(["a", "b"], ["x", "a", "y", "z", "b"]) == [(0, 0), (2, 3)]
    assert added_runs(["a", "b"], ["b", "x", "a"]) == []
