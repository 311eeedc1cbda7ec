"""A pane with what is asked or said about its study: whose it is, over it and below it; what is missing, below it."""

from PySide6.QtCore import QRect
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from priorline.desk.fetch_note import FetchNote
from priorline.desk.identity_card import WIDTH, ConfirmedNote, IdentityCard, in_question
from priorline.desk.viewer.pane import Pane
from priorline.domain.patient import Patient
from priorline.domain.timeline import TimelineStudy

MARGIN = 12


class PaneFrame(QWidget):
    """One half of the comparison."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.study_uid = ""
        self.pane = Pane(self)
        self.note = ConfirmedNote(self)
        self.missing = FetchNote(self)
        self.card = IdentityCard(self)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.pane, 1)
        column.addWidget(self.missing)
        column.addWidget(self.note)

    def clear(self) -> None:
        """No study is here."""
        self.study_uid = ""
        self.missing.tell("", "", "")
        self.note.tell(None)
        self.card.leave()

    def tell(self, study: TimelineStudy, patient: Patient) -> None:
        """From now on this is about `study`: ask whose it is, say who decided it, or neither."""
        self.study_uid = study.study_uid
        self.missing.tell("", "", "")
        self.note.tell(study)
        if in_question(study):
            self.card.ask(study, patient)
            self.place_card()
        else:
            self.card.leave()

    def place_card(self) -> None:
        """In the middle of the pane, as high as its words need."""
        card, area = self.card, self.pane.geometry()
        width = min(WIDTH, area.width() - 2 * MARGIN)
        layout = card.layout()
        needed = layout.totalHeightForWidth(width) if layout is not None else 0
        height = min(needed, area.height() - 2 * MARGIN)
        left, top = area.x() + (area.width() - width) // 2, area.y() + (area.height() - height) // 2
        card.setGeometry(QRect(left, top, width, height))
        card.raise_()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """As Qt defines it: the card stays in the middle."""
        super().resizeEvent(event)
        self.place_card()
