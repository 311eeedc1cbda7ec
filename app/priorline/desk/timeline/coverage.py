"""The coverage bar: every hospital named or counted, so that an empty line never looks like an empty past."""

import time

from PySide6.QtCore import QPoint, QTimer, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QWidget

from priorline.desk import theme
from priorline.desk.flow import Flow, rows_of
from priorline.desk.timeline import states
from priorline.desk.timeline.chips import Chip, CountChip, HospitalChip, width_of
from priorline.desk.timeline.hospitals import HospitalList
from priorline.domain.study import HospitalReport, HospitalState
from priorline.domain.timeline import Coverage

TURN_MILLISECONDS = 50
SPACING, MOST_ROWS = 6, 4
LATE_SECONDS = 3.0
"""A hospital that is asked for longer is named, also among many."""


class CoverageBar(Flow):
    """A chip for each hospital, or, where they are many, for each that is not well, and counts of the rest.

    `in_clear` names the hospitals whose images cross a network unencrypted.
    """

    retry = Signal(str)

    def __init__(self, parent: QWidget | None = None, in_clear: frozenset[str] = frozenset()) -> None:
        super().__init__(SPACING, parent)
        self._in_clear = in_clear
        self._reports: tuple[HospitalReport, ...] = ()
        self._asked_since: dict[str, float] = {}
        self._again: set[str] = set()
        self._chips: dict[str, HospitalChip] = {}
        self._more, self._summed = CountChip(self), CountChip(self)
        self._list: HospitalList | None = None
        # Hospitals often answer in the same moment; the bar is arranged once for all of them.
        self._soon, self._late = QTimer(self), QTimer(self)
        for timer, milliseconds in ((self._soon, TURN_MILLISECONDS), (self._late, int(LATE_SECONDS * 1000))):
            timer.setSingleShot(True)
            timer.setInterval(milliseconds)
            timer.timeout.connect(self._show)
        for chip in (self._more, self._summed):
            chip.hide()
            chip.clicked.connect(self.show_all)

    def show_coverage(self, coverage: Coverage) -> None:
        """Show every hospital's state, soon; chips keep their places."""
        self._reports = coverage.reports
        now = time.monotonic()
        asking = [one.hospital for one in self._reports if one.state is HospitalState.ASKING]
        self._asked_since = {name: self._asked_since.get(name, now) for name in asking}
        self._again.difference_update(one.hospital for one in self._reports if states.is_well(one))
        self._show_soon()

    def show_all(self) -> None:
        """Open the list of all hospitals, below the bar."""
        if self._list is None:
            self._list = HospitalList(self, self._in_clear)
            self._list.again.connect(self._ask_again)
        corner = self.mapToGlobal(QPoint(self.width(), self.height() + 4))
        self._list.open_at(corner, self._reports)

    def clear(self) -> None:
        """No patient, no hospitals."""
        self._soon.stop()
        self._late.stop()
        self._reports, self._asked_since = (), {}
        self._again.clear()
        if self._list is not None:
            self._list.close()
        self._show()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """As Qt defines it; what fits may be another choice of chips."""
        super().resizeEvent(event)
        if self._reports and event.size().width() != event.oldSize().width():
            self._show_soon()

    def _show_soon(self) -> None:
        if not self._soon.isActive():
            self._soon.start()

    def _ask_again(self, hospital: str) -> None:
        self._again.add(hospital)
        self.retry.emit(hospital)

    def _choose(self) -> states.Shown:
        if len(self._reports) <= states.MOST_CHIPS:
            widths = [width_of(one.place, in_clear=one.hospital in self._in_clear) for one in self._reports]
            if len(rows_of(widths, self.width(), SPACING)) <= MOST_ROWS:
                return states.Shown(self._reports, (), ())
        now = time.monotonic()
        late = {name for name, since in self._asked_since.items() if now - since >= LATE_SECONDS}
        if late != self._asked_since.keys() and not self._late.isActive():
            self._late.start()
        return states.choose(self._reports, tuple(self._chips), self._again, late)

    def _show(self) -> None:
        shown = self._choose()
        named = [self._chip(report) for report in shown.named]
        self._drop({report.hospital for report in shown.named})
        self.arrange([*named, *self._counts(shown)])
        if self._list is not None:
            self._list.show_reports(self._reports)

    def _counts(self, shown: states.Shown) -> list[Chip]:
        more, summed = len(shown.more), states.summary(shown.summed)
        self._more.setVisible(bool(more))
        self._summed.setVisible(bool(summed))
        self._more.show_count(states.more_words(shown.more), theme.TROUBLE, loud=True)
        asking = any(one.state is HospitalState.ASKING for one in shown.summed)
        self._summed.show_count(summed, theme.CURRENT if asking else theme.GOOD, loud=False)
        return [chip for chip, needed in ((self._more, more), (self._summed, summed)) if needed]

    def _drop(self, kept: set[str]) -> None:
        for name in self._chips.keys() - kept:
            chip = self._chips.pop(name)
            chip.hide()
            chip.deleteLater()

    def _chip(self, report: HospitalReport) -> HospitalChip:
        chip = self._chips.get(report.hospital)
        if chip is None:
            in_clear = report.hospital in self._in_clear
            chip = self._chips[report.hospital] = HospitalChip(report, self, in_clear=in_clear)
            chip.again.connect(self._ask_again)
        else:
            chip.show_report(report)
        return chip
