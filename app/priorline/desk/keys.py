"""The keys in words: the line at the foot of the window, and the sheet behind F1."""

from PySide6.QtGui import QKeySequence

from priorline import __version__
from priorline.desk.viewer.interaction import KEYS

KEY_HINTS = "⏎ compare    / filter    F6 other pane    wheel images    1–8 window    Ctrl+O patient    F1 all keys"
WINDOW_KEYS = (
    ("Enter", "compare the study with the current one; on that one, fetch what is missing"),
    ("Ctrl+Enter", "compare the suggested prior"),
    ("← → ↑ ↓", "older, newer, lane above, lane below (on the line)"),
    ("Page Up/Down, Home", "zoom in time, all years (on the line)"),
    ("Ctrl+1 2 3", "lanes by region, modality, hospital"),
    ("/", "filter the list"),
    ("F6", "other pane"),
    ("Ctrl+L", "to the line"),
    ("Ctrl+O", "another patient"),
    ("F9", "the cache on this workstation"),
    ("F11", "full screen"),
)
SAFETY = "A comparison aid, not a diagnostic device."


def key_sheet() -> str:
    """All keys, one a line, and what this program is not."""
    pane = [(QKeySequence(int(mods.value) | int(key)).toString(), word.value) for (key, mods), word in KEYS.items()]
    lines = [f"{keys}\t{meaning}" for keys, meaning in (*WINDOW_KEYS, *pane)]
    return "\n".join((*lines, "", f"Priorline {__version__}. {SAFETY}"))
