"""The coverage bar: every hospital with its state, so that an empty line never looks like an empty past."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget

from priorline.desk import theme
from priorline.desk.flow import FlowLayout
from priorline.domain.study import HospitalReport, HospitalState
from priorline.domain.timeline import Coverage

# State: (colour, word). Every colour is doubled by its word.
LOOKS: dict[HospitalState, tuple[str, str]] = {
    HospitalState.ASKING: (theme.CURRENT, "asking…"),
    HospitalState.ANSWERED: (theme.GOOD, ""),
    HospitalState.NONE: (theme.QUIET, "none"),
    HospitalState.FAILED: (theme.TROUBLE, "not reachable"),
    HospitalState.TIMED_OUT: (theme.TROUBLE, "timed out"),
    HospitalState.REFUSED: (theme.TROUBLE, "refused"),
    HospitalState.NOT_ASKED: (theme.PARTIAL, "not asked"),
}
RETRIABLE = frozenset({HospitalState.FAILED, HospitalState.TIMED_OUT, HospitalState.REFUSED, HospitalState.NOT_ASKED})


class HospitalChip(QPushButton):
    """One hospital; pressing it asks again where that makes sense, and it says more when pointed at."""

    again = Signal(str)

    def __init__(self, report: HospitalReport, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("chip")
        self.setCursor(Qt.CursorShape.ArrowCursor)
        self._line = QHBoxLayout(self)
        self._line.setContentsMargins(10, 0, 10, 0)
        self._line.setSpacing(6)
        self._dot, self._name, self._word = QLabel("●", self), QLabel(self), QLabel(self)
        for label in (self._dot, self._name, self._word):
            label.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
            self._line.addWidget(label)
        self.setFixedHeight(26)
        self._hospital = report.hospital
        self.clicked.connect(self._press)
        self.show_report(report)

    def _press(self) -> None:
        self.again.emit(self._hospital)

    def show_report(self, report: HospitalReport) -> None:
        """Show a state; a list that was cut is trouble even when it was answered."""
        colour, word = LOOKS[report.state]
        if report.state is HospitalState.ANSWERED:
            word = f"{report.studies}+ (list cut)" if report.cut else str(report.studies)
        again = report.state in RETRIABLE
        self._dot.setStyleSheet(f"color: {colour}; font-size: 9px;")
        self._name.setText(report.hospital)
        self._word.setText(f"{word} · retry" if again else word)
        loud = colour if again or report.state is HospitalState.ASKING else theme.QUIET
        self._word.setStyleSheet(f"color: {loud}; font-weight: 600;")
        seconds = f" after {report.seconds:.1f} s" if report.seconds else ""
        self.setToolTip(f"{report.hospital}: {word or 'answered'}{seconds}. {report.message}".strip())
        self.setAccessibleName(f"{report.hospital}, {word}{', press to ask again' if again else ''}")
        self.setEnabled(again)
        self.setFixedWidth(self._line.sizeHint().width())


class CoverageBar(QWidget):
    """All hospitals in one line of chips."""

    retry = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._line = FlowLayout(self, 6)
        self._chips: dict[str, HospitalChip] = {}

    def show_coverage(self, coverage: Coverage) -> None:
        """Show every hospital's state; chips keep their places."""
        for report in coverage.reports:
            chip = self._chips.get(report.hospital)
            if chip is None:
                self._add(report)
            else:
                chip.show_report(report)

    def clear(self) -> None:
        """No patient, no hospitals."""
        for chip in self._chips.values():
            chip.deleteLater()
        self._chips.clear()

    def _add(self, report: HospitalReport) -> None:
        chip = HospitalChip(report, self)
        chip.again.connect(self.retry)
        self._chips[report.hospital] = chip
        self._line.addWidget(chip)
