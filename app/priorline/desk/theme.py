"""How the window looks: colours, type and the style of the widgets, for a dark reading room."""

import logging
from pathlib import Path

from PySide6.QtGui import QColor, QFont, QFontDatabase, QPalette
from PySide6.QtWidgets import QApplication

from priorline.resources import resource

GROUND = "#0d1014"
PANEL = "#141920"
RAISED = "#1b222c"
LINE = "#232b36"
TEXT = "#dbe2ea"
QUIET = "#8b97a6"
CURRENT = "#56b4e9"
PRIOR = "#e69f00"
PARTIAL = "#e69f00"
GOOD = "#2fb380"
TROUBLE = "#e06c5a"
IMAGE_GROUND = "#000000"
HALO = "#000000"

SMALL, NORMAL, LARGE = 12, 13, 15
"""Sizes of type in pixels that do not depend on the screen; nothing is smaller."""

UNIT = 4
RADIUS = 4

_FAMILIES = ["Inter", "Noto Sans", "Segoe UI", "DejaVu Sans"]
_log = logging.getLogger(__name__)


def font(pixels: int = NORMAL, weight: QFont.Weight = QFont.Weight.Normal) -> QFont:
    """The program's typeface with figures of equal width, `pixels` high before screen scaling."""
    made = QFont(_FAMILIES)
    made.setPixelSize(max(pixels, SMALL))
    made.setWeight(weight)
    made.setFeature(QFont.Tag("tnum"), 1)
    return made


def load_fonts(folder: Path) -> int:
    """Make the typefaces in `folder` known to Qt; returns how many files were taken, 0 where there are none."""
    files = sorted(path for path in folder.glob("*") if path.suffix.lower() in {".ttf", ".otf", ".ttc"})
    taken = [path for path in files if QFontDatabase.addApplicationFont(str(path)) >= 0]
    if len(taken) < len(files):
        _log.warning("%d of %d typefaces could not be loaded", len(files) - len(taken), len(files))
    return len(taken)


def apply_theme(app: QApplication) -> None:
    """Give the whole program its typeface, palette and style."""
    try:
        load_fonts(resource("fonts"))
    except FileNotFoundError:
        _log.warning("no typefaces are installed with the program; the system's are used")
    app.setStyle("Fusion")
    app.setFont(font())
    app.setPalette(_palette())
    app.setStyleSheet(_STYLE)


def _palette() -> QPalette:
    role = QPalette.ColorRole
    colours = {
        role.Window: GROUND,
        role.WindowText: TEXT,
        role.Base: PANEL,
        role.AlternateBase: GROUND,
        role.Text: TEXT,
        role.PlaceholderText: QUIET,
        role.Button: PANEL,
        role.ButtonText: TEXT,
        role.ToolTipBase: RAISED,
        role.ToolTipText: TEXT,
        role.Highlight: LINE,
        role.HighlightedText: TEXT,
        role.Link: CURRENT,
        role.BrightText: TROUBLE,
    }
    palette = QPalette()
    for name, colour in colours.items():
        palette.setColor(name, QColor(colour))
    for name in (role.Text, role.ButtonText, role.WindowText):
        palette.setColor(QPalette.ColorGroup.Disabled, name, QColor(QUIET))
    return palette


_STYLE = f"""
QToolTip {{ background: {RAISED}; color: {TEXT}; border: 1px solid {LINE}; padding: 4px 8px; }}

QLineEdit {{
    background: {GROUND}; color: {TEXT}; border: 1px solid {LINE}; border-radius: {RADIUS}px;
    padding: 4px 8px; selection-background-color: {CURRENT}; selection-color: {GROUND};
}}
QLineEdit:focus {{ border-color: {CURRENT}; }}

QPushButton {{
    background: {PANEL}; color: {TEXT}; border: 1px solid {LINE}; border-radius: {RADIUS}px;
    padding: 4px 12px; min-height: 16px;
}}
QPushButton:hover {{ background: {RAISED}; }}
QPushButton:pressed, QPushButton:checked {{ background: {LINE}; }}
QPushButton:focus, QPushButton:default {{ border-color: {CURRENT}; }}
QPushButton:disabled {{ color: {QUIET}; background: {GROUND}; }}

QAbstractItemView {{
    background: {PANEL}; color: {TEXT}; border: none; outline: none; gridline-color: {LINE};
    selection-background-color: {LINE}; selection-color: {TEXT};
}}
QAbstractItemView::item {{ padding: 4px 8px; }}
QAbstractItemView::item:hover {{ background: {RAISED}; }}
QHeaderView::section {{
    background: {PANEL}; color: {QUIET}; border: none; border-bottom: 1px solid {LINE}; padding: 4px 8px;
}}

QMenu {{ background: {PANEL}; color: {TEXT}; border: 1px solid {LINE}; padding: 4px 0; }}
QMenu::item {{ padding: 4px 24px 4px 12px; }}
QMenu::item:selected {{ background: {LINE}; }}
QMenu::item:disabled {{ color: {QUIET}; }}
QMenu::separator {{ height: 1px; background: {LINE}; margin: 4px 0; }}

QScrollBar {{ background: transparent; border: none; margin: 0; }}
QScrollBar:vertical {{ width: 8px; }}
QScrollBar:horizontal {{ height: 8px; }}
QScrollBar::handle {{ background: {LINE}; border-radius: {RADIUS}px; min-height: 24px; min-width: 24px; }}
QScrollBar::handle:hover {{ background: {QUIET}; }}
QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}

QStatusBar {{ background: {PANEL}; color: {QUIET}; border-top: 1px solid {LINE}; }}
QStatusBar::item {{ border: none; }}
QSplitter::handle {{ background: {LINE}; }}
QSplitter::handle:horizontal {{ width: 1px; }}
QSplitter::handle:vertical {{ height: 1px; }}
"""
