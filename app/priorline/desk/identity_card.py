"""Whose study is it? What agrees and differs in words, the details for who asks with a reason, and the decision.

The details belong to somebody who is perhaps another person, so they are shown only once the look is on record.
"""

from PySide6.QtCore import Signal
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from priorline.desk import theme, wording
from priorline.desk.identity_details import Details, label
from priorline.domain.identity import Identity
from priorline.domain.patient import Patient
from priorline.domain.timeline import TimelineStudy

WIDTH = 440
COMPARE, CONFIRM = "Compare the details", "Same person: show the images"
KEPT = "Your name, the time and the reason are kept. You can undo it."


class IdentityCard(QFrame):
    """Asks about one study at a time; `details_asked` and `confirmed` carry it as it was seen, and the reason."""

    details_asked = Signal(object, str)
    confirmed = Signal(object, str)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("identity")
        self.setStyleSheet(
            f"#identity {{ background: {theme.PANEL}; border: 1px solid {theme.PARTIAL};"
            f" border-radius: {theme.RADIUS}px; }}"
        )
        self._study: TimelineStudy | None = None
        self._patient: Patient | None = None
        self._title, self._words, self._kept = label("Perhaps this patient"), label(), label(KEPT, theme.QUIET)
        self._title.setFont(theme.font(theme.LARGE, QFont.Weight.DemiBold))
        self._details = Details(self)
        self.reason = QLineEdit(self)
        self.reason.setAccessibleName("How do you know that it is the same person?")
        self.reason.setPlaceholderText("How do you know? e.g. maiden name in the referral")
        self.look, self.same = QPushButton(COMPARE, self), QPushButton(CONFIRM, self)
        self._lay_out()
        self.reason.textChanged.connect(self._judge)
        self._details.read_on.connect(self._judge)
        # Enter only ever looks: the decision is a press of its own, once the details have been there to be read.
        self.reason.returnPressed.connect(self.look.click)
        self.look.clicked.connect(self._ask_details)
        self.same.clicked.connect(self._confirm)
        self.hide()

    def ask(self, study: TimelineStudy, patient: Patient) -> None:
        """Ask whether a study is of `patient`; being told the same again changes nothing."""
        if self.is_about(study):
            return
        self._study, self._patient = study, patient
        self._words.setText("\n".join((_source(study), *study.match.card()[1:])))
        self._details.clear()
        self.same.hide()
        self.look.show()
        self.reason.clear()
        self._judge()
        self.show()

    def is_about(self, study: TimelineStudy) -> bool:
        """Whether it asks about this study as it is described now."""
        asked = self._study
        return asked is not None and (asked.answers, asked.match) == (study.answers, study.match)

    def leave(self) -> None:
        """Nothing is in question here."""
        self._study = self._patient = None
        self._details.clear()
        self.hide()

    def show_details(self, study: TimelineStudy) -> None:
        """The look at this study, as it was then, is on record: all descriptions, one below the other."""
        if self._patient is None or not self.is_about(study):
            return
        self._details.fill(self._patient, study)
        self.look.hide()
        self.same.show()
        self._judge()

    def _lay_out(self) -> None:
        press = QHBoxLayout()
        press.addStretch(1)
        press.addWidget(self.look)
        press.addWidget(self.same)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 16, 20, 16)
        column.setSpacing(10)
        for widget in (self._title, self._words, self._details, self.reason):
            column.addWidget(widget)
        column.addLayout(press)
        column.addWidget(self._kept)

    def _judge(self) -> None:
        given = bool(self.reason.text().strip())
        self.look.setEnabled(given and self.same.isHidden())
        # In a small window the details scroll: nobody confirms what was never on the screen.
        self.same.setEnabled(given and not self.same.isHidden() and self._details.is_read)

    def _ask_details(self) -> None:
        if self._study is not None:
            self.look.setEnabled(False)  # until it is answered or another reason is typed
            self.details_asked.emit(self._study, self.reason.text().strip())

    def _confirm(self) -> None:
        if self._study is not None:
            self.same.setEnabled(False)
            self.confirmed.emit(self._study, self.reason.text().strip())


class ConfirmedNote(QFrame):
    """A strip below a pane whose study is the patient's by somebody's word; `undone` carries its UID."""

    undone = Signal(str)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._study_uid = ""
        self._words = label()
        self._words.setStyleSheet(f"color: {theme.PARTIAL};")
        self.undo = QPushButton("Undo", self)
        self.undo.setAccessibleName("Undo the confirmation and close the images")
        self.undo.clicked.connect(self._press)
        line = QHBoxLayout(self)
        line.setContentsMargins(12, 4, 8, 4)
        line.addWidget(self._words, 1)
        line.addWidget(self.undo)
        self.hide()

    def tell(self, study: TimelineStudy | None) -> None:
        """Say who confirmed the study, or nothing where it needs nobody's word."""
        link = study.match.link if study is not None else None
        self._study_uid = study.study_uid if study is not None and link is not None else ""
        self._words.setText(study.match.grade if study is not None and link is not None else "")
        self.setVisible(bool(self._study_uid))

    def _press(self) -> None:
        self.undone.emit(self._study_uid)


def _source(study: TimelineStudy) -> str:
    kinds = " ".join(study.modalities)
    places = ", ".join(study.places)
    return " · ".join(part for part in (kinds, wording.written_date(study.best.study_date), places) if part)


def in_question(study: TimelineStudy) -> bool:
    """Whether a person has to decide whose study it is."""
    return study.match.outcome is Identity.PROPOSED
