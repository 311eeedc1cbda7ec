"""The head of the window: who the patient is, and the sentence about how far the hospitals have answered."""

from PySide6.QtCore import Qt
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from priorline.desk import theme, wording
from priorline.desk.timeline.controls import TimelineControls
from priorline.desk.timeline.coverage import CoverageBar
from priorline.domain.patient import Patient, display_name
from priorline.domain.timeline import Coverage


class Header(QWidget):
    """Patient on the left, hospitals on the right, the coverage sentence below."""

    def __init__(self, parent: QWidget | None = None, in_clear: frozenset[str] = frozenset()) -> None:
        super().__init__(parent)
        self.coverage = CoverageBar(self, in_clear)
        self.controls = TimelineControls(self)
        self._name, self._facts, self._sentence = QLabel(self), QLabel(self), QLabel(self)
        self._name.setFont(theme.font(theme.LARGE, QFont.Weight.DemiBold))
        self._facts.setStyleSheet(f"color: {theme.QUIET};")
        for label in (self._name, self._facts, self._sentence):
            label.setTextFormat(Qt.TextFormat.PlainText)
        top = QHBoxLayout()
        top.setSpacing(16)
        top.addWidget(self._name)
        top.addWidget(self._facts)
        top.addWidget(self.coverage, 1)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(20, 10, 20, 8)
        whole.setSpacing(8)
        whole.addLayout(top)
        below = QHBoxLayout()
        below.addWidget(self._sentence, 1)
        below.addWidget(self.controls)
        whole.addLayout(below)
        self.show_patient(None)

    def show_patient(self, patient: Patient | None) -> None:
        """Name, sex, birth date and number; or that there is no patient."""
        self._name.setText(display_name(patient.name) if patient else "No patient")
        self._facts.setText(wording.patient_facts(patient) if patient else "")
        if patient is None:
            self.coverage.clear()
            self.say("Open a patient from the RIS or PACS, or enter the number below.", theme.QUIET)

    def show_coverage(self, coverage: Coverage) -> None:
        """The state of every hospital."""
        self.coverage.show_coverage(coverage)
        self.say(coverage.sentence(), theme.QUIET if coverage.complete and not coverage.withheld else theme.PARTIAL)

    def say(self, sentence: str, colour: str) -> None:
        """Replace the sentence."""
        self._sentence.setText(sentence)
        self._sentence.setStyleSheet(f"color: {colour};")

    @property
    def sentence(self) -> str:
        """What it says now."""
        return self._sentence.text()
