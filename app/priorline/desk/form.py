"""Opening a patient by hand: number, birth date and reason; there is no list of recent patients."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFormLayout, QHBoxLayout, QLabel, QLineEdit, QPushButton, QWidget

from priorline.desk import theme
from priorline.errors import UsageError
from priorline.work.launch import Launch


class PatientForm(QWidget):
    """A small form; emits a checked `Launch`."""

    submitted = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.number, self.issuer, self.birth_date, self.reason = (QLineEdit(self) for _ in range(4))
        self.birth_date.setPlaceholderText("YYYY-MM-DD")
        self.issuer.setPlaceholderText("this hospital's own numbers")
        self.reason.setPlaceholderText("e.g. trauma, treatment relation")
        self.problem = QLabel(self)
        self.problem.setStyleSheet(f"color: {theme.TROUBLE};")
        self.problem.setWordWrap(True)
        open_button = QPushButton("Ask all hospitals", self)
        open_button.setDefault(True)
        open_button.clicked.connect(self._submit)
        fields = QFormLayout()
        fields.setVerticalSpacing(8)
        labelled = (
            ("Patient number", self.number),
            ("Issuer", self.issuer),
            ("Birth date", self.birth_date),
            ("Reason", self.reason),
        )
        for label, field in labelled:
            field.setAccessibleName(label)
            field.returnPressed.connect(self._submit)
            field.setFixedWidth(280)
            fields.addRow(label, field)
        fields.addRow("", self.problem)
        fields.addRow("", open_button)
        centred = QHBoxLayout(self)
        centred.setContentsMargins(20, 16, 20, 16)
        centred.addLayout(fields)
        centred.addStretch(1)

    def _submit(self) -> None:
        launch = Launch(
            patient_id=self.number.text().strip(),
            issuer=self.issuer.text().strip(),
            birth_date=self.birth_date.text().strip(),
            reason=self.reason.text().strip(),
        )
        if not launch.patient_id:
            self.problem.setText("Enter the patient number.")
            return
        try:
            self.submitted.emit(launch.checked())
        except UsageError as problem:
            self.problem.setText(str(problem))
