"""When Python looks through all objects for garbage: while nobody looks at the window."""

import gc

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication

# Objects made until the young are looked through, and how often that happens until the older are, and until all are:
# only a guard, for a window that nobody leaves for hours.
THRESHOLDS = (1_000, 10, 500)


def collect_when_left(app: QGuiApplication) -> None:
    """Look through all objects when another program comes to the front.

    Python's own choice falls in the middle of a search, which makes many objects, and stops the window for 40 ms with
    120 hospitals, and for 110 ms with 5,000 studies. What is there at the start stays and is never looked through.
    """
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    app.applicationStateChanged.connect(_collect)


def _collect(state: Qt.ApplicationState) -> None:
    if state != Qt.ApplicationState.ApplicationActive:
        gc.collect()
