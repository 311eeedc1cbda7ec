"""How long a real window's thread does not come round: the longest gap between ticks of a timer of 10 ms."""

import time
from pathlib import Path
from typing import cast

from _fed_window import FedBridge
from _hospitals import PATIENT_ID
from PySide6.QtCore import QObject, Qt, QTimer
from PySide6.QtWidgets import QApplication

from priorline.config import Settings
from priorline.desk import main as desk
from priorline.desk.bridge import Bridge
from priorline.desk.window import Window
from priorline.domain.study import HospitalState
from priorline.regions import load_region_table
from priorline.work.launch import Launch

REST_SECONDS, AFTER_SECONDS, LONGEST_SECONDS = 2.0, 0.5, 60.0
TICK_MILLISECONDS = 10
SIZE = (1920, 1080)


class Ticker(QObject):
    """A precise timer that keeps the longest gap between its ticks, and the most work of this thread in one."""

    def __init__(self) -> None:
        super().__init__()
        self.begin()
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start(TICK_MILLISECONDS)

    def begin(self) -> None:
        """Forget what was."""
        self.worst, self._last = 0.0, time.perf_counter()
        # What other processes take of the cores is in the gap, but not in the work.
        self.most_work, self._worked = 0.0, time.thread_time()

    def _tick(self) -> None:
        now, worked = time.perf_counter(), time.thread_time()
        self.worst, self._last = max(self.worst, now - self._last), now
        self.most_work, self._worked = max(self.most_work, worked - self._worked), worked


def answered(window: Window) -> int:
    """How many hospitals have answered."""
    timeline = window.case.timeline if window.case else None
    reports = timeline.coverage().reports if timeline else ()
    return sum(report.state is HospitalState.ANSWERED for report in reports)


class Watching(QObject):
    """Rest, launch, search: the worst gap of each part, in seconds."""

    def __init__(self, window: Window, expected: int) -> None:
        super().__init__()
        self._window, self._expected, self._ticker = window, expected, Ticker()
        self.figures: dict[str, float] = {}
        self._began = 0.0
        QTimer.singleShot(int(REST_SECONDS * 1000), self._launch)

    def _launch(self) -> None:
        self.figures["resting"] = self._ticker.worst
        self._ticker.begin()
        self._began = time.perf_counter()
        who = Launch(patient_id=PATIENT_ID, name="BENCH^Patient", birth_date="1968-04-01", sex="M")
        self._window.launch(who)
        self._look()

    def _look(self) -> None:
        took = time.perf_counter() - self._began
        assert took < LONGEST_SECONDS, f"only {answered(self._window)} of {self._expected} hospitals answered"
        if answered(self._window) < self._expected:
            QTimer.singleShot(100, self._look)
            return
        self.figures["seconds"] = took
        QTimer.singleShot(int(AFTER_SECONDS * 1000), self._end)

    def _end(self) -> None:
        self.figures["searching"] = self._ticker.worst
        self.figures["work"] = self._ticker.most_work
        app = desk.QApplication.instance()
        assert app is not None
        app.exit()


def worst_gaps(settings: Settings, place: Path, plans: tuple[str, ...]) -> dict[str, float]:
    """Search in a window without a screen until all that answer have answered; seconds by part.

    First with a courier that knows the answers, so that no other process takes the cores, then through the real one.
    """
    app = desk._application(headless=True)
    named = dict(zip((hospital.name for hospital in settings.hospital), plans, strict=True))
    expected = len(plans) - plans.count("mute")
    fed = Window(settings, cast("Bridge", FedBridge(named)), load_region_table())
    alone = _watch(app, fed, expected)
    real = _watch(
        app, desk.build_window(settings, place / "cache", place / "state"), len(plans) - plans.count("mute")
    )
    return {**real, **{f"fed: {name}": value for name, value in alone.items()}}


def _watch(app: QApplication, window: Window, expected: int) -> dict[str, float]:
    window.resize(*SIZE)
    window.show()
    watching = Watching(window, expected)
    app.exec()
    window.close()
    return watching.figures
