"""The strip below a pane whose study did not come whole: how much is here, why, and a way to the rest."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QWidget

from priorline.desk import theme
from priorline.desk.identity_details import label

NOTHING = "Nothing of this study is here."


class FetchNote(QFrame):
    """Shown while there is something to say; `again` carries the study's UID."""

    again = Signal(str)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._study_uid = ""
        self.words = label()
        self.retry = QPushButton("Fetch the rest", self)
        self.retry.clicked.connect(self._press)
        line = QHBoxLayout(self)
        line.setContentsMargins(12, 4, 8, 4)
        line.addWidget(self.words, 1)
        line.addWidget(self.retry)
        self.hide()

    def tell(self, study_uid: str, counted: str, why: str) -> None:
        """Say why a study is not whole, `counted` being how much of it is here; nothing where there is no `why`.

        Where nothing is here the pane itself says why.
        """
        self._study_uid = study_uid if why else ""
        self.words.setText(f"{counted}. {why}" if counted else NOTHING)
        self.words.setStyleSheet(f"color: {theme.PARTIAL if counted else theme.TROUBLE};")
        self.retry.setText("Fetch the rest" if counted else "Fetch again")
        self.retry.setAccessibleName("Fetch what is missing" if counted else "Fetch this study again")
        self.setVisible(bool(why))

    def _press(self) -> None:
        self.again.emit(self._study_uid)
