"""Whose study is it? What agrees and differs in words, the details for who asks with a reason, and the decision.

The details belong to somebody who is perhaps another person, so they are shown only once the look is on record.
"""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from priorline.desk import theme, wording
from priorline.domain.identity import Identity, Match
from priorline.domain.patient import Patient, display_name
from priorline.domain.timeline import TimelineStudy

WIDTH = 440
COMPARE, CONFIRM = "Compare the details", "Same person: show the images"
KEPT = "Your name, the time and the reason are kept. You can undo it."
FIELDS = (("name", "Name"), ("birth date", "Birth date"), ("sex", "Sex"), ("number", "Number"))


class IdentityCard(QFrame):
    """Asks about one study at a time; `details_asked` and `confirmed` carry the study's UID and the reason."""

    details_asked = Signal(str, str)
    confirmed = Signal(str, str)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("identity")
        self.setStyleSheet(
            f"#identity {{ background: {theme.PANEL}; border: 1px solid {theme.PARTIAL};"
            f" border-radius: {theme.RADIUS}px; }}"
        )
        self._study: TimelineStudy | None = None
        self._patient: Patient | None = None
        self._title, self._words, self._kept = _label(), _label(), _label()
        self._title.setFont(theme.font(theme.LARGE, QFont.Weight.DemiBold))
        self._kept.setStyleSheet(f"color: {theme.QUIET};")
        self._kept.setText(KEPT)
        self._details = QWidget(self)
        self.reason = QLineEdit(self)
        self.reason.setAccessibleName("How do you know that it is the same person?")
        self.reason.setPlaceholderText("How do you know? e.g. maiden name in the referral")
        self.button = QPushButton(self)
        self._lay_out()
        self.reason.textChanged.connect(self._judge)
        self.reason.returnPressed.connect(self.button.click)
        self.button.clicked.connect(self._press)
        self.hide()

    def ask(self, study: TimelineStudy, patient: Patient) -> None:
        """Ask whether a study is of `patient`; being told the same again changes nothing."""
        if self.is_about(study):
            return
        self._study, self._patient = study, patient
        self._title.setText("Perhaps this patient")
        self._words.setText("\n".join((_source(study), *study.match.card()[1:])))
        self._details.hide()
        self.button.setText(COMPARE)
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
        _empty(self._details)
        self.hide()

    def show_details(self, study_uid: str) -> None:
        """The look is on record: both descriptions, side by side."""
        study, patient = self._study, self._patient
        if study is None or patient is None or study.study_uid != study_uid:
            return
        _empty(self._details)
        grid = self._details.layout()
        assert isinstance(grid, QGridLayout)  # noqa: S101 - laid out here
        _fill(grid, study.match, (("This patient", patient), *_described(study)))
        self._details.show()
        self.button.setText(CONFIRM)
        self._judge()

    def _lay_out(self) -> None:
        grid = QGridLayout(self._details)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(4)
        press = QHBoxLayout()
        press.addStretch(1)
        press.addWidget(self.button)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 16, 20, 16)
        column.setSpacing(10)
        for widget in (self._title, self._words, self._details, self.reason):
            column.addWidget(widget)
        column.addLayout(press)
        column.addWidget(self._kept)

    def _judge(self) -> None:
        self.button.setEnabled(bool(self.reason.text().strip()))

    def _press(self) -> None:
        if self._study is None or not self.button.isEnabled():
            return
        asked = self.confirmed if self.button.text() == CONFIRM else self.details_asked
        asked.emit(self._study.study_uid, self.reason.text().strip())


class ConfirmedNote(QFrame):
    """A strip below a pane whose study is the patient's by somebody's word; `undone` carries its UID."""

    undone = Signal(str)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._study_uid = ""
        self._words = _label()
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
    places = ", ".join(study.hospitals)
    return " · ".join(part for part in (kinds, wording.written_date(study.best.study_date), places) if part)


def _described(study: TimelineStudy) -> tuple[tuple[str, Patient], ...]:
    """Every way in which holders describe the person, each once."""
    places: dict[Patient, list[str]] = {}
    for copy in study.answers:
        places.setdefault(copy.patient, []).append(copy.hospital)
    return tuple((", ".join(names), patient) for patient, names in places.items())


def _fill(grid: QGridLayout, match: Match, people: tuple[tuple[str, Patient], ...]) -> None:
    for column, (name, _) in enumerate(people, 1):
        grid.addWidget(_label(name, theme.QUIET), 0, column)
        grid.setColumnStretch(column, 1)
    for row, (field, title) in enumerate(FIELDS, 1):
        grid.addWidget(_label(title, theme.QUIET), row, 0)
        colour = theme.PARTIAL if field in match.conflicting else theme.TEXT
        for column, (_, patient) in enumerate(people, 1):
            grid.addWidget(_label(_value(field, patient) or "not given", colour), row, column)


def _value(field: str, patient: Patient) -> str:
    if field == "name":
        return display_name(patient.name)
    if field == "birth date":
        return wording.written_date(patient.birth_date) if patient.birth_date else ""
    if field == "sex":
        return patient.sex
    numbers = (patient.identifier, *patient.other_ids)
    return "\n".join(f"{one.value} ({one.issuer or 'no issuer'})" for one in numbers if one.value)


def _empty(widget: QWidget) -> None:
    layout = widget.layout()
    while layout is not None and (item := layout.takeAt(0)) is not None:
        inner = item.widget()
        if inner is not None:
            inner.hide()
            inner.deleteLater()


def _label(text: str = "", colour: str = theme.TEXT) -> QLabel:
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setStyleSheet(f"color: {colour};")
    return label


def in_question(study: TimelineStudy) -> bool:
    """Whether a person has to decide whose study it is."""
    return study.match.outcome is Identity.PROPOSED
