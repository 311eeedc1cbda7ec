"""Where the window's graph is built: settings in, exit code out."""

import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace
from PySide6.QtCore import QTimer
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QApplication

from priorline.config import Prefetch, Settings
from priorline.desk import qt_messages, theme
from priorline.desk.bridge import Bridge
from priorline.desk.garbage import collect_when_left
from priorline.desk.handover import Reception, hand_over
from priorline.desk.journey import Journey, Step, exit_code, is_searched, is_settled
from priorline.desk.window import Window
from priorline.regions import load_region_table
from priorline.resources import resource
from priorline.work.demo_hospitals import DemoPeers
from priorline.work.launch import Launch

SECONDS_PER_PICTURE = 90.0
PICTURE_SIZE = (1920, 1080)
FEW_CORES = 2


def has_display() -> bool:
    """Whether there is a screen to open a window on."""
    always = sys.platform in ("win32", "darwin")
    return always or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def run_window(settings: Settings, launch: Launch | None, screenshot: Path | None = None) -> int:
    """Open the window for a launch, or save a picture of it and end."""
    app = _application(headless=screenshot is not None and not has_display())
    if screenshot is None and hand_over(launch or Launch()):
        return 0
    asked = settings if screenshot is None else _only_what_is_asked(settings)
    window = build_window(asked, settings.cache_directory, settings.state_directory)
    if launch is not None:
        window.launch(launch)
    if screenshot is not None:
        return _picture(app, window, launch or Launch(), screenshot)
    reception = Reception(window)
    reception.launched.connect(lambda asked: _receive(window, asked))
    return _show(app, window)


def run_demo(screenshots: Path | None, headless: bool) -> int:
    """The story on hospitals inside the program; with a display the window stays."""
    alone = headless or not has_display()
    app = _application(headless=alone)
    with tempfile.TemporaryDirectory(prefix="priorline-demo-") as folder, DemoPeers() as peers:
        cache = Path(folder) / "cache"
        window = build_window(peers.settings(str(cache)), cache, Path(folder) / "state")
        window.launch(peers.launch())
        pictures = screenshots or Path(tempfile.mkdtemp(prefix="priorline-pictures-"))
        if not alone:
            _compare_when_lit(window)
            return _show(app, window)
        return _play(app, window, pictures)


def build_window(settings: Settings, cache_directory: Path, state_directory: Path) -> Window:
    """The window with its helpers running."""
    return Window(settings, Bridge(settings, cache_directory, state_directory), load_region_table())


def _only_what_is_asked(settings: Settings) -> Settings:
    """Nobody stays to open what would be fetched ahead."""
    nothing = Prefetch(studies=0)
    hospitals = tuple(replace(hospital, prefetch=nothing) for hospital in settings.hospital)
    return replace(settings, hospital=hospitals)


def _application(*, headless: bool) -> QApplication:
    if headless and "QT_QPA_PLATFORM" not in os.environ:
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
    if (os.cpu_count() or 1) <= FEW_CORES:
        # Scaling that Qt shares out among threads ends when the last of them was given a core, which here the helpers
        # hold; in one thread a slice of 512 x 512 takes no longer.
        os.environ.setdefault("QT_NO_GUI_THREADPOOL", "1")
    existing = QApplication.instance()
    app = existing if isinstance(existing, QApplication) else QApplication(["priorline"])
    qt_messages.install()
    app.setApplicationName("Priorline")
    app.setWindowIcon(QIcon(str(resource("icons/app.svg"))))
    theme.apply_theme(app)
    collect_when_left(app)
    return app


def _show(app: QApplication, window: Window) -> int:
    _end_on_signals(window.close)
    window.showMaximized()
    return app.exec()


def _receive(window: Window, launch: Launch) -> None:
    if launch.names_somebody:
        window.launch(launch)
    window.showNormal() if window.isMinimized() else window.show()
    window.raise_()
    window.activateWindow()


def _end_on_signals(close: Callable[[], object]) -> None:
    """Ctrl+C and SIGTERM close the window as a person would; the timer lets Python see the signal."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: close())
    timer = QTimer(QApplication.instance())
    timer.timeout.connect(lambda: None)
    timer.start(200)


def _picture(app: QApplication, window: Window, launch: Launch, path: Path) -> int:
    step = Step(path.name, lambda: is_settled(window, launch.compare))
    late = _take(app, window, [step], path.parent)
    code = 3 if late else exit_code(window, launch.compare)
    sentence = window.header.sentence
    window.close()
    print(f"{path}: {sentence}", file=sys.stderr)  # noqa: T201 - what a script's log should keep
    return code


def _play(app: QApplication, window: Window, folder: Path) -> int:
    """The story, step by step, each with a picture and a line of text."""

    def first_answers() -> bool:
        case = window.case
        return bool(case and case.timeline and len(case.timeline.studies()) > 3 and case.current())

    def suggestion_uid() -> str:
        timeline = window.case.timeline if window.case else None
        suggestion = timeline.suggestion() if timeline else None
        return suggestion.study_uid if suggestion else ""

    steps = [
        Step("1-asking.png", first_answers),
        Step("2-timeline.png", lambda: is_settled(window, ""), lambda: window.compare(suggestion_uid())),
        Step("3-compare.png", lambda: is_settled(window, suggestion_uid())),
    ]
    late = _take(app, window, steps, folder)
    _tell(window, folder)
    window.close()
    return 1 if late else 0


def _take(app: QApplication, window: Window, steps: list[Step], folder: Path) -> str:
    """Play the steps; the name of the one that never came, or ""."""
    result: list[str] = []

    def done(late: str) -> None:
        result.append(late)
        # Not quit(): that closes the window, and what it shows is still to be told.
        app.exit()

    window.resize(*PICTURE_SIZE)
    window.show()
    Journey(window, steps, folder, SECONDS_PER_PICTURE, done)
    app.exec()
    return result[0] if result else "closed"


def _tell(window: Window, folder: Path) -> None:
    case = window.case
    timeline = case.timeline if case else None
    if timeline is None:
        return
    suggestion = timeline.suggestion()
    lines = [timeline.coverage().sentence()]
    lines += [f"  {one.place}: {one.state}. {one.message}".rstrip() for one in timeline.coverage().reports]
    lines.append(f"{len(timeline.studies())} studies on the line.")
    if suggestion is not None:
        best = suggestion.best
        lines.append(f"Beside today's CT: {best.description}, {best.study_date}, {suggestion.places[0]}.")
        lines.append(f"Why: {', '.join(suggestion.relevance.reasons)}.")
    lines.append(f"Pictures: {folder}")
    print("\n".join(lines))  # noqa: T201 - the demo's answer


def _compare_when_lit(window: Window) -> None:
    """In the demo the film is fetched and shown by itself, once every hospital has ended."""
    timer = QTimer(window)

    def look() -> None:
        if is_searched(window) and window.case is not None:
            timer.stop()
            timeline = window.case.timeline
            suggestion = timeline.suggestion() if timeline else None
            if suggestion is not None:
                window.compare(suggestion.study_uid)

    timer.timeout.connect(look)
    timer.start(100)
