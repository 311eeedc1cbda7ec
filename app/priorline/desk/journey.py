"""Waits until what was asked for is on the screen, then saves the picture of the window."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, QTimer

from priorline.desk.viewer.content import PaneState
from priorline.desk.viewer.presenter import StudyPresenter
from priorline.desk.window import Window
from priorline.domain.study import FetchState

POLL_MILLISECONDS = 30
SETTLE_MILLISECONDS = 120


@dataclass(frozen=True, slots=True)
class Step:
    """One picture: wait for `until`, save as `name`, then do `after`."""

    name: str
    until: Callable[[], bool]
    after: Callable[[], None] = lambda: None


class Journey(QObject):
    """Takes the steps one after another; `done(late)` at the end, `late` naming the step that never came."""

    def __init__(
        self, window: Window, steps: list[Step], folder: Path, seconds: float, done: Callable[[str], None]
    ) -> None:
        super().__init__(window)
        self._window, self._steps, self._folder, self._done = window, list(steps), folder, done
        self._seconds = seconds
        self._until = time.monotonic() + seconds
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_MILLISECONDS)
        self._timer.timeout.connect(self._look)
        self._timer.start()

    def _look(self) -> None:
        step = self._steps[0]
        if step.until():
            self._timer.stop()
            # Layouts and repaints that the last event asked for come first.
            QTimer.singleShot(SETTLE_MILLISECONDS, self._take)
        elif time.monotonic() > self._until:
            self._timer.stop()
            self._save(step)
            self._done(step.name)

    def _save(self, step: Step) -> bool:
        """Write the window as PNG; false where that is not possible."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            return False
        return self._window.grab().save(str(self._folder / step.name), "PNG")

    def _take(self) -> None:
        step = self._steps.pop(0)
        if not self._save(step):
            self._done(step.name)
            return
        step.after()
        if not self._steps:
            self._done("")
            return
        self._until = time.monotonic() + self._seconds
        self._timer.start()


def is_searched(window: Window) -> bool:
    """Every hospital has ended."""
    case = window.case
    if case is None or case.searching:
        return False
    return case.timeline is None or not case.timeline.coverage().asking


def is_shown(window: Window, presenter: StudyPresenter, study_uid: str) -> bool:
    """The study's picture is on the screen and its fetch has ended, or it is said why it is not."""
    case = window.case
    if case is None or presenter.study_uid != study_uid or study_uid in case.fetching:
        return presenter.pane.content.state is PaneState.OTHER_PATIENT
    if presenter.pane.content.state is PaneState.IMAGE:
        return presenter.pane.frame is not None
    return presenter.pane.content.state in (PaneState.CANNOT_SHOW, PaneState.OTHER_PATIENT)


def is_settled(window: Window, compare_uid: str) -> bool:
    """All that a launch asked for is on the screen."""
    if not is_searched(window) or window.case is None:
        return False
    current = window.case.current()
    comparison = window.comparison
    if current is not None and not is_shown(window, comparison.current, current.study_uid):
        return False
    wanted = window.case.study(compare_uid) if compare_uid else None
    return wanted is None or wanted.current or is_shown(window, comparison.prior, compare_uid)


def exit_code(window: Window, compare_uid: str) -> int:
    """0 all was shown; 3 a hospital did not answer or a study is not whole; 1 what was asked for is not there."""
    case = window.case
    if case is None or case.timeline is None or (compare_uid and case.study(compare_uid) is None):
        return 1
    panes = (window.comparison.current, window.comparison.prior)
    states = [one.pane.content.state for one in panes if one.pane.content.state is not PaneState.EMPTY]
    if (compare_uid or case.names_current) and PaneState.IMAGE not in states:
        return 1
    if case.names_current and case.current() is None:
        return 3
    parts = any(report.state is not FetchState.COMPLETE for report in case.reports.values())
    whole = case.timeline.coverage().complete and not parts and all(state is PaneState.IMAGE for state in states)
    return 0 if whole else 3
