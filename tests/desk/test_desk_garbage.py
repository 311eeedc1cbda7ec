"""Garbage is looked for while nobody looks at the window."""

import gc
import weakref
from collections.abc import Iterator

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from priorline.desk import garbage


class Ring:
    """Holds itself."""

    def __init__(self) -> None:
        self.self = self


@pytest.fixture
def app(qapp: QApplication) -> Iterator[QApplication]:
    before = gc.get_threshold()
    garbage.collect_when_left(qapp)
    yield qapp
    qapp.applicationStateChanged.disconnect(garbage._collect)
    gc.set_threshold(*before)
    gc.unfreeze()


def test_old_garbage_goes_when_the_window_is_left_and_not_before(app: QApplication) -> None:
    ring = weakref.ref(Ring())
    # Survived both younger generations once: only looking through everything finds it.
    kept = ring()
    gc.collect(1)
    del kept
    app.applicationStateChanged.emit(Qt.ApplicationState.ApplicationActive)
    survived = ring() is not None
    app.applicationStateChanged.emit(Qt.ApplicationState.ApplicationInactive)
    assert (survived, ring()) == (True, None)


def test_making_many_objects_does_not_look_through_all(app: QApplication) -> None:
    before = gc.get_stats()[2]["collections"]
    made = [[number] for number in range(300_000)]
    assert gc.get_stats()[2]["collections"] == before
    assert len(made) == 300_000
