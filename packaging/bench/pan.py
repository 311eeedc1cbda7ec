"""How long a frame of the line takes while it is moved and zoomed, and how long its rows take to make.

A window of 1600 x 900 without a screen, one patient; each frame is one movement of the mouse or the wheel and the
painting that follows. The bar for 5,000 studies: 99 of 100 frames within 16 ms. Rows are made in turns of the event
loop; how long the longest of these is, is how long a frame may wait.
"""

import argparse
import os
import random
import time
from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from _common import Sample, note, save, show
from PySide6.QtCore import QEvent, QObject, QPoint, QPointF, Qt, Signal
from PySide6.QtGui import QMouseEvent, QWheelEvent
from PySide6.QtWidgets import QApplication

from priorline.config import HospitalSettings, Settings
from priorline.desk import theme
from priorline.desk.garbage import collect_when_left
from priorline.desk.timeline.rows import RowBuilder
from priorline.desk.window import Window
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import StudyAnswer
from priorline.regions import load_region_table
from priorline.work.launch import Launch
from priorline.work.messages import PatientKnown, PresenceItem, PresenceKnown, StudiesFound

COUNTS = (60, 500, 5000)
FRAMES = 400
ROUNDS = 9
HOSPITALS = tuple(f"Hospital {number}" for number in range(1, 7))
TODAY = date.today()  # noqa: DTZ011 - the line ends today
PATIENT = Patient(Identifier("999990007", "NLMINBIZA"), "BENCH^Patient", date(1968, 4, 1), "M")
WHAT = (
    ("CT", "CT thorax"),
    ("DX", "X-thorax"),
    ("CR", "X-knie"),
    ("MR", "MRI LWK"),
    ("US", "Echo abdomen"),
    ("CT", "CT hersenen"),
    ("MR", "MRI schouder"),
    ("SR", "verslag"),
)


class NoHelpers(QObject):
    """Stands where the processes are; what the window asks is not measured here."""

    heard = Signal(object)
    frame = Signal(int, object)

    def __init__(self) -> None:
        super().__init__()
        self._number = 0

    def next_number(self) -> int:
        """As the bridge."""
        self._number += 1
        return self._number

    def __getattr__(self, _name: str) -> Callable[..., int]:
        return lambda *_arguments: 0


def studies(count: int) -> tuple[StudyAnswer, ...]:
    """Studies of 25 years, the first is today's; one in ten lies in two hospitals, one in a hundred has no date."""
    chance = random.Random(7)
    found = []
    for number in range(count):
        when = TODAY - timedelta(days=chance.randint(1, 9100) if number else 0)
        modality, description = chance.choice(WHAT) if number else WHAT[0]
        day = None if number and chance.random() < 0.01 else when
        for hospital in chance.sample(HOSPITALS, 1 + (chance.random() < 0.1)):
            uid = f"2.25.{number + 1}"
            found.append(StudyAnswer(hospital, uid, PATIENT, day, None, (modality,), description, images=40))
    return tuple(found)


def open_window(count: int) -> Window:
    """A window with so many studies on the line, a third of them in the cache."""
    hospitals = tuple(HospitalSettings(name=name, ae_title="BENCH", host="127.0.0.1", port=1) for name in HOSPITALS)
    bridge: Any = NoHelpers()
    window = Window(Settings(hospital=hospitals), bridge, load_region_table())
    window.resize(1600, 900)
    window.show()
    identifier = PATIENT.identifier
    window.launch(
        Launch(
            patient_id=identifier.value,
            issuer=identifier.issuer,
            name=PATIENT.name,
            birth_date="1968-04-01",
            sex="M",
            study="2.25.1",
        )
    )
    # The only request so far is the question.
    number = next(iter(window.case._searches))  # type: ignore[union-attr]
    bridge.heard.emit(PatientKnown(number, PATIENT, {}))
    bridge.heard.emit(StudiesFound(number, studies(count)))
    bridge.heard.emit(PresenceKnown(0, {f"2.25.{one}": PresenceItem(40, True) for one in range(2, count, 3)}))
    window.case.changed.emit()  # type: ignore[union-attr]
    while window.list.rows.total() < count:
        QApplication.processEvents()
    QApplication.processEvents()
    return window


def script(window: Window) -> list[QEvent]:
    """Wheel and mouse as a person moves them: in, along, further in, along, and out again, at several places."""
    viewport = window.line.viewport()
    middle = viewport.height() / 2
    events: list[QEvent] = []
    for start in range(350, 1500, 330):
        place = QPointF(float(start), middle)
        events += [_wheel(place, 120)] * 16 + _drag(place, 260, 24) + [_wheel(place, 120)] * 14
        events += _drag(place, -200, 18) + [_wheel(place, -120)] * 30
    return (events * (FRAMES // len(events) + 1))[:FRAMES]


def _wheel(place: QPointF, turn: int) -> QWheelEvent:
    nothing = Qt.MouseButton.NoButton
    keys, phase = Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase
    return QWheelEvent(place, place, QPoint(), QPoint(0, turn), nothing, keys, phase, False)


def _drag(place: QPointF, pixels: int, steps: int) -> list[QEvent]:
    kinds = [QEvent.Type.MouseButtonPress, *[QEvent.Type.MouseMove] * steps, QEvent.Type.MouseButtonRelease]
    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    events: list[QEvent] = []
    for number, kind in enumerate(kinds):
        at = place + QPointF(pixels * min(number, steps) / steps, 0)
        button = none if kind is QEvent.Type.MouseMove else left
        held = none if kind is QEvent.Type.MouseButtonRelease else left
        events.append(QMouseEvent(kind, at, at, button, held, Qt.KeyboardModifier.NoModifier))
    return events


def frames(window: Window) -> tuple[list[float], int]:
    """Seconds of each frame, and how many different spans were seen."""
    viewport = window.line.viewport()
    taken, spans = [], set()
    for event in script(window):
        began = time.perf_counter()
        QApplication.sendEvent(viewport, event)
        viewport.repaint()
        taken.append(time.perf_counter() - began)
        spans.add(tuple(window.line.viewRange()[0]))
        QApplication.processEvents()
    return taken, len(spans)


def rows(window: Window) -> dict[str, list[float]]:
    """Seconds until all rows are made at first and the longest turn of the event loop meanwhile, then seconds until
    the window shows them again after one study changed, and the longest turn of that."""
    made: dict[str, list[float]] = {"rows at first": [], "its turn": [], "shown again": [], "turn of showing": []}
    case = window.case
    assert case is not None
    for number in range(ROUNDS):
        fresh = RowBuilder()
        whole, longest = turns(fresh, partial(fresh.build, case))
        made["rows at first"].append(whole)
        made["its turn"].append(longest)
        case.presence["2.25.2"] = PresenceItem(number + 1, False)
        whole, longest = turns(window._rows, window._refresh)
        made["shown again"].append(whole)
        made["turn of showing"].append(longest)
    return made


def turns(builder: RowBuilder, begin: Callable[[], None]) -> tuple[float, float]:
    """Seconds from `begin` until the rows are told and painted, and those of the longest turn."""
    told: list[object] = []

    def hear(made: object) -> None:
        told.append(made)

    builder.built.connect(hear)
    began = time.perf_counter()
    begin()
    longest, over = time.perf_counter() - began, False
    while not over:
        # What is told in one turn is painted in the next.
        over, turn = bool(told), time.perf_counter()
        QApplication.processEvents()
        longest = max(longest, time.perf_counter() - turn)
    builder.built.disconnect(hear)
    return time.perf_counter() - began, longest


def measure(count: int) -> Sample:
    """All figures for so many studies."""
    note(f"{count} studies")
    window = open_window(count)
    taken, spans = frames(window)
    assert spans > FRAMES // 2, "the line did not move"
    figures = {"frame": taken, **rows(window)}
    window.close()
    return Sample(figures)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("counts", type=int, nargs="*", default=list(COUNTS))
    app = QApplication([])
    theme.apply_theme(app)
    collect_when_left(app)
    samples = {f"{count} studies": measure(count) for count in parser.parse_args().counts}
    table, ends = [], {}
    for name, sample in samples.items():
        figures = sample.figures["frame"]
        ends[name] = float(np.percentile(figures, 99))
        seconds = (
            sample.median("frame"),
            ends[name],
            max(figures),
            *(sample.median(key) for key in list(sample.figures)[1:]),
        )
        table.append((name, *(f"{1000 * value:.1f} ms" for value in seconds)))
    columns = ("on the line", "frame", "p99", "worst", "rows at first", "its turn", "shown again", "turn of showing")
    show(f"{FRAMES} frames of moving and zooming at 1600 x 900, medians", columns, table)
    save("pan", samples, frames=FRAMES, p99_seconds=ends)


if __name__ == "__main__":
    main()
