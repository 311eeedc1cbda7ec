"""How every holder of a study describes its person, below how the patient is described; what differs is marked."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QScrollArea, QWidget

from priorline.desk import theme, wording
from priorline.domain.patient import Patient, display_name
from priorline.domain.timeline import TimelineStudy

MOST_HEIGHT, LEAST_HEIGHT = 280, 80
COLUMNS = ("Name", "Birth date", "Sex", "Number")


class Details(QScrollArea):
    """One block for each way in which the person is described; scrolls where they are many, and cuts nothing.

    `read_on` comes when more of it has been on the screen.
    """

    read_on = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName("The patient, and the person of the study")
        self._read_to = 0
        self.verticalScrollBar().valueChanged.connect(self._scrolled)
        self.verticalScrollBar().rangeChanged.connect(self._scrolled)
        self.hide()

    @property
    def is_read(self) -> bool:
        """Whether all of it has been on the screen."""
        return not self.isHidden() and self._read_to >= self.verticalScrollBar().maximum()

    def clear(self) -> None:
        """Nothing of anybody."""
        self._read_to = 0
        self.takeWidget()
        self.hide()

    def fill(self, patient: Patient, study: TimelineStudy) -> None:
        """Show `patient` and everybody as whom holders of the study describe the person."""
        inside = QWidget()
        inside.setStyleSheet(f"background: {theme.PANEL};")
        grid = QGridLayout(inside)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        ours = _values(patient)
        for title, person in (("This patient", patient), *_described(study)):
            _add(grid, title, _values(person), ours)
        self.setWidget(inside)
        needed = inside.sizeHint().height() + 2
        self.setMinimumHeight(min(needed, LEAST_HEIGHT))
        self.setMaximumHeight(min(needed, MOST_HEIGHT))
        self.show()

    def _scrolled(self) -> None:
        self._read_to = max(self._read_to, self.verticalScrollBar().value())
        self.read_on.emit()


def _described(study: TimelineStudy) -> tuple[tuple[str, Patient], ...]:
    """Every way in which holders describe the person, each once."""
    places: dict[Patient, list[str]] = {}
    for copy, place in zip(study.answers, study.places, strict=True):
        places.setdefault(copy.patient, []).append(place)
    return tuple((f"At {', '.join(names)}", person) for person, names in places.items())


def _add(grid: QGridLayout, title: str, values: tuple[str, ...], ours: tuple[str, ...]) -> None:
    first = grid.rowCount()
    grid.addWidget(label(title, theme.CURRENT), first, 0, 1, 2)
    for row, (name, value, own) in enumerate(zip(COLUMNS, values, ours, strict=True), first + 1):
        grid.addWidget(label(name, theme.QUIET), row, 0, Qt.AlignmentFlag.AlignTop)
        told = label(value or "not given", theme.TEXT if value == own else theme.PARTIAL)
        grid.addWidget(told, row, 1, Qt.AlignmentFlag.AlignTop)


def _values(patient: Patient) -> tuple[str, ...]:
    born = wording.written_date(patient.birth_date) if patient.birth_date else ""
    numbers = (patient.identifier, *patient.other_ids)
    told = (f"{one.value} ({one.issuer or 'no issuer'})" for one in numbers if one.value)
    return (display_name(patient.name), born, patient.sex, "\n".join(told))


def label(text: str = "", colour: str = theme.TEXT) -> QLabel:
    """Foreign text as it is, never as markup; long names are broken into lines."""
    made = QLabel(text)
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setWordWrap(True)
    made.setStyleSheet(f"color: {colour};")
    return made
