"""The small controls of the line: what the lanes stand for, and how many years are shown."""

from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QHBoxLayout, QMenu, QToolButton, QWidget

from priorline.desk import theme
from priorline.desk.timeline.lanes import LaneBy

SPANS: dict[int, tuple[str, str]] = {
    5: ("5 y", "The last five years"),
    10: ("10 y", "The last ten years"),
    0: ("all", "All years (Home)"),
}
STYLE = f"""
QToolButton {{ background: transparent; color: {theme.QUIET}; border: none; padding: 0 4px; }}
QToolButton:hover, QToolButton:focus {{ color: {theme.CURRENT}; }}
QToolButton:checked {{ color: {theme.TEXT}; font-weight: 700; text-decoration: underline; }}
QToolButton::menu-indicator {{ image: none; }}
"""


class ChoiceButton(QToolButton):
    """A word with a menu: "Lanes: region ▾"; `chosen` gives the number of the choice."""

    chosen = Signal(int)

    def __init__(self, what: str, choices: tuple[str, ...], keys: tuple[str, ...], parent: QWidget) -> None:
        super().__init__(parent)
        self._what, self._choices = what, choices
        self.setStyleSheet(STYLE)
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu, group = QMenu(self), QActionGroup(self)
        self._actions = []
        for number, choice in enumerate(choices):
            action = QAction(choice, group)
            action.setCheckable(True)
            if keys:
                action.setShortcut(QKeySequence(keys[number]))
                parent.addAction(action)
            action.triggered.connect(partial(self.choose, number))
            menu.addAction(action)
            self._actions.append(action)
        self.setMenu(menu)
        named = [f"{choice} ({key})" for choice, key in zip(choices, keys, strict=True)] if keys else choices
        self.setToolTip(f"{what}: {', '.join(named)}")
        self.show_choice(0)

    def choose(self, number: int, *_checked: bool) -> None:
        """Take a choice, as if it had been clicked."""
        self.show_choice(number)
        self.chosen.emit(number)

    def show_choice(self, number: int) -> None:
        """Name the choice."""
        self._actions[number].setChecked(True)
        self.setText(f"{self._what}: {self._choices[number]} ▾")
        self.setAccessibleName(f"{self._what}: {self._choices[number]}")


class TimelineControls(QWidget):
    """Emits `lanes_chosen` with a `LaneBy`, and `span_chosen` with years before today, 0 for all."""

    lanes_chosen = Signal(object)
    span_chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(2)
        words = tuple(by.value for by in LaneBy)
        self.lanes = ChoiceButton("Lanes", words, ("Ctrl+1", "Ctrl+2", "Ctrl+3"), self)
        self.lanes.chosen.connect(self._choose_lanes)
        line.addWidget(self.lanes)
        line.addSpacing(12)
        self.spans: dict[int, QToolButton] = {}
        for years, (word, meaning) in SPANS.items():
            self.spans[years] = self._span_button(years, word, meaning)
            line.addWidget(self.spans[years])
        self.show_span(0)

    def show_span(self, years: int | None) -> None:
        """Mark the span that is shown; None: one that somebody zoomed or moved to."""
        for span, button in self.spans.items():
            button.setChecked(span == years)

    def _span_button(self, years: int, word: str, meaning: str) -> QToolButton:
        button = QToolButton(self)
        button.setText(word)
        button.setToolTip(meaning)
        button.setAccessibleName(meaning)
        button.setCheckable(True)
        button.setStyleSheet(STYLE)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.clicked.connect(partial(self._choose_span, years))
        return button

    def _choose_lanes(self, number: int) -> None:
        self.lanes_chosen.emit(tuple(LaneBy)[number])

    def _choose_span(self, years: int, *_checked: bool) -> None:
        self.show_span(years)
        self.span_chosen.emit(years)
