"""A real window with a real courier: how soon Enter shows an image, and how scrolling goes while a study is fetched.

Each round is a process with an empty cache, which opens a stack of 512 x 512, looks at all of it once, and scrolls it
with 60 turns of the wheel a second: at rest, then while the large study comes, then at rest again. A frame lasts from
the moment at which the wheel's event is due, so that the thread's being busy counts, until the image is painted.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from _common import Sample, show, take_turns
from _memory import settle
from _meter import stolen
from _orthanc import BIRTH_DATE, PATIENT_ID, PATIENT_NAME, SEX, Made
from _ours import settings_for
from PySide6.QtCore import QEvent, QObject, QPoint, QPointF, Qt, QTimer
from PySide6.QtGui import QKeyEvent, QWheelEvent
from PySide6.QtWidgets import QApplication, QWidget

from priorline.desk import main as desk
from priorline.desk.viewer.pane import Pane
from priorline.desk.window import Window
from priorline.work.launch import Launch

TURN_MILLISECONDS = 16
REST_FRAMES = 120
LONGEST_SECONDS, LOOK_MILLISECONDS, PAUSE_MILLISECONDS = 60.0, 5, 1500
SIZE = (1600, 900)
FRAME_BAR_SECONDS, FRAME_BAR_RATIO = 0.016, 1.5
Steps = Iterator[Callable[[], bool]]


class Hand(QObject):
    """Turns the wheel over a pane until told to stop, and keeps how long each frame took."""

    def __init__(self, pane: Pane) -> None:
        super().__init__()
        self._pane, self._step = pane, 1
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._turn)
        self.frames: list[float] = []
        self.work: list[float] = []
        self.cpu: list[float] = []

    def start(self) -> None:
        """Begin with no frames."""
        self.frames, self.work, self.cpu = [], [], []
        self._arm()

    def stop(self) -> None:
        """No more turns."""
        self._timer.stop()

    def _arm(self) -> None:
        self._due = time.perf_counter() + TURN_MILLISECONDS / 1000
        self._timer.start(TURN_MILLISECONDS)

    def _turn(self) -> None:
        began, cpu = time.perf_counter(), time.thread_time()
        turn(self._pane, self._step)
        self._pane.repaint()
        now = time.perf_counter()
        self.frames.append(now - self._due)
        self.work.append(now - began)
        self.cpu.append(time.thread_time() - cpu)
        content = self._pane.content
        if content.image_number in (1, content.image_count):
            self._step = 1 if content.image_number == 1 else -1
        self._arm()


class Painted(QObject):
    """When a pane first painted pixels."""

    def __init__(self, pane: Pane) -> None:
        super().__init__()
        self._pane, self.at = pane, 0.0
        pane.installEventFilter(self)

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """As Qt defines it."""
        if event.type() == QEvent.Type.Paint and self._pane.frame is not None and not self.at:
            self._pane.removeEventFilter(self)
            # Comes round once this painting is over.
            QTimer.singleShot(0, self._note)
        return False

    def _note(self) -> None:
        self.at = time.perf_counter()


class Round(QObject):
    """What happens in one process, step after step; a step is over once what it yields holds."""

    def __init__(self, window: Window, stack: Made, study: Made) -> None:
        super().__init__()
        self._window, self._stack, self._study = window, stack, study
        self._hand = Hand(window.comparison.current.pane)
        self.figures: dict[str, list[float]] = {}
        self._steps = self._all()
        self._holds: Callable[[], bool] = lambda: True
        self._end = time.perf_counter() + LONGEST_SECONDS
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._look)
        self._timer.start(LOOK_MILLISECONDS)

    def _look(self) -> None:
        assert time.perf_counter() < self._end, "this took too long"
        if self._holds():
            following = next(self._steps, None)
            if following is None:
                self._timer.stop()
                QApplication.exit()
            else:
                self._holds = following

    def _all(self) -> Steps:
        window, pane = self._window, self._window.comparison.current.pane
        window.launch(
            Launch(patient_id=PATIENT_ID, name=PATIENT_NAME, birth_date=BIRTH_DATE, sex=SEX, study=self._stack.uid)
        )
        yield lambda: self._is_whole(self._stack) and pane.frame is not None
        yield from self._seen_once(pane)
        yield from self._at_rest("rest before")
        settle()
        painted = Painted(window.comparison.prior.pane)
        began = time.perf_counter()
        window.list.select(self._study.uid)
        press(window.list, Qt.Key.Key_Return)
        yield lambda: bool(painted.at)
        self.figures["first image"] = [painted.at - began]
        self._hand.start()
        yield lambda: self._is_whole(self._study)
        self._keep("fetching")
        self.figures["fetched"] = [time.perf_counter() - began]
        yield self._pause()
        yield from self._at_rest("rest after")

    def _seen_once(self, pane: Pane) -> Steps:
        presenter = self._window.comparison.current
        for number in range(self._stack.slices):
            presenter.go_to(number)
            yield lambda number=number: pane.content.image_number == number + 1  # type: ignore[misc]

    def _at_rest(self, name: str) -> Steps:
        self._hand.start()
        yield lambda: len(self._hand.frames) >= REST_FRAMES
        self._keep(name)

    def _keep(self, name: str) -> None:
        self._hand.stop()
        self.figures[name], self.figures[f"{name}, work"] = self._hand.frames, self._hand.work
        self.figures[f"{name}, cpu"] = self._hand.cpu

    def _pause(self) -> Callable[[], bool]:
        end = time.perf_counter() + PAUSE_MILLISECONDS / 1000
        return lambda: time.perf_counter() > end

    def _is_whole(self, study: Made) -> bool:
        case = self._window.case
        here = case.presence.get(study.uid) if case else None
        return bool(
            case and here and here.complete and here.images == study.slices and study.uid not in case.fetching
        )


def turn(pane: QWidget, step: int) -> None:
    """One turn of the wheel over the middle of a pane: a picture on, or back."""
    where = QPointF(pane.rect().center())
    nothing, keys, phase = Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase
    event = QWheelEvent(where, where, QPoint(), QPoint(0, -120 * step), nothing, keys, phase, False)
    QApplication.sendEvent(pane, event)


def press(widget: QWidget, key: Qt.Key) -> None:
    """A key, down and up."""
    for kind in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
        QApplication.sendEvent(widget, QKeyEvent(kind, key, Qt.KeyboardModifier.NoModifier))


def one_round(port: int, place: Path, stack: Made, study: Made) -> dict[str, list[float]]:
    """All figures of one window."""
    app = desk._application(headless=True)
    window = desk.build_window(settings_for(port, place / "cache"), place / "cache", place / "state")
    window.resize(*SIZE)
    window.show()
    script = Round(window, stack, study)
    app.exec()
    window.close()
    return script.figures


def measure(
    port: int, stack: Made, study: Made, fresh: Callable[[], Path], rounds: int, *options: str
) -> dict[str, Sample]:
    """Rounds in processes of their own, and the tables."""
    told: dict[str, list[list[float]]] = {}

    def way() -> dict[str, float]:
        place = fresh()
        place.mkdir()
        settle()
        began, before = time.perf_counter(), stolen()
        told_here = subprocess.run(
            [sys.executable, *options, __file__, json.dumps([port, str(place), *_plain(stack), *_plain(study)])],
            check=True,
            stdout=subprocess.PIPE,
        ).stdout
        figures: dict[str, list[float]] = json.loads(told_here)
        for name, values in figures.items():
            told.setdefault(name, []).append(values)
        share = (stolen() - before) / (time.perf_counter() - began) / (os.cpu_count() or 1)
        return {**_ends(figures), "load": os.getloadavg()[0], "stolen": share}

    sample = take_turns({"window": way}, rounds)["window"]
    _tell(sample, told)
    frames = Sample({name: list(chain.from_iterable(values)) for name, values in told.items()})
    return {"window": sample, "frames": frames}


def _plain(made: Made) -> tuple[int, int, str]:
    return made.slices, made.number, made.date


def _ends(figures: dict[str, list[float]]) -> dict[str, float]:
    """p99 of a round by part, and the times after Enter."""
    rest = figures["rest before"] + figures["rest after"]
    p99 = {"rest": float(np.percentile(rest, 99)), "fetching": float(np.percentile(figures["fetching"], 99))}
    return {
        "rest p99": p99["rest"],
        "fetching p99": p99["fetching"],
        "ratio": p99["fetching"] / p99["rest"],
        "frames": len(figures["fetching"]),
        "first image": figures["first image"][0],
        "fetched": figures["fetched"][0],
    }


def _tell(sample: Sample, told: dict[str, list[list[float]]]) -> None:
    rows = []
    for name, parts in (("at rest", ("rest before", "rest after")), ("while fetching", ("fetching",))):
        for kind, ending in (("due to painted", ""), ("event to painted", ", work"), ("CPU of it", ", cpu")):
            values = np.array([value for part in parts for one in told[part + ending] for value in one]) * 1000
            figures = (f"{np.percentile(values, share):.1f} ms" for share in (50, 95, 99, 100))
            rows.append((f"{name}, {kind}", len(values), *figures))
    show(
        "Frames of scrolling 512 x 512 in the window, all rounds",
        ("", "frames", "median", "p95", "p99", "worst"),
        rows,
    )
    bars = [
        ("p99 while fetching", milliseconds(sample, "fetching p99"), f"{FRAME_BAR_SECONDS * 1000:.0f} ms"),
        ("p99 at rest", milliseconds(sample, "rest p99"), ""),
        ("ratio of the two", f"{sample.median('ratio'):.2f}", f"{FRAME_BAR_RATIO:.2f}"),
        ("Enter to first image painted", milliseconds(sample, "first image"), ""),
        ("Enter to whole study", milliseconds(sample, "fetched"), ""),
        ("load", f"{sample.median('load'):.1f}", ""),
        ("CPU that the host gave to others", f"{sample.median('stolen'):.1%}", ""),
    ]
    show("Medians of the rounds", ("", "measured", "bar"), bars)


def milliseconds(sample: Sample, figure: str) -> str:
    """A median for the table."""
    return f"{sample.median(figure) * 1000:.1f} ms"


def main() -> None:
    """One round; its figures as JSON on standard output."""
    told: list[Any] = json.loads(sys.argv[1])
    port, place = told[:2]
    figures = one_round(port, Path(place), Made(*told[2:5]), Made(*told[5:8]))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
