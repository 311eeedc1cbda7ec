"""What holds for every test: nothing left running, nothing logged unexpectedly, nothing skipped by surprise."""

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

# Before anything imports Qt, and before anything asks for a keyring: tests touch neither screen nor secrets.
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"

import hypothesis
import psutil
import pytest

TEST_DATA = "PRIORLINE_TEST_DATA"
ALLOWED_SKIPS = frozenset(
    {"only on Linux", "only on macOS", "only on Windows", "needs a peer that is packaged for Linux"}
)
PATIENCE = 10.0
"""Seconds that whatever a test left behind may take to end; an end that comes sooner is noticed at once."""

_surprises: list[str] = []

hypothesis.settings.register_profile(
    "house", deadline=None, database=None, print_blob=True, derandomize="CI" in os.environ
)
hypothesis.settings.load_profile("house")


def pytest_configure(config: pytest.Config) -> None:
    """Name our markers."""
    _surprises.clear()
    config.addinivalue_line("markers", "allowed_logs(*patterns): these log records are expected; none: all are")
    config.addinivalue_line("markers", f"real_images: a journey on the images in ${TEST_DATA}; left out without")


# --- real images and surprise skips


def real_images_folder() -> Path | None:
    """The folder with real images, where there is one."""
    named = os.environ.get(TEST_DATA)
    return Path(named) if named and Path(named).is_dir() else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the journeys on real images where there are none; saying so is deselecting, not skipping."""
    if real_images_folder() is not None:
        return
    out = [item for item in items if item.get_closest_marker("real_images")]
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item not in out]


def _note_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if reason not in ALLOWED_SKIPS:
        _surprises.append(f"{report.nodeid}: {reason}")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember skipped tests."""
    _note_skip(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Remember skipped modules."""
    _note_skip(report)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A test that nobody expected to be skipped is a test that did not pass."""
    if _surprises and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which skips came as a surprise."""
    if _surprises:
        terminalreporter.section("skipped by surprise", red=True)
        for line in _surprises:
            terminalreporter.line(line)


@pytest.fixture
def real_images() -> Path:
    """The folder with real images, for tests marked `real_images`."""
    folder = real_images_folder()
    assert folder is not None, "mark the test with real_images"
    return folder


# --- nothing left running


def _threads() -> set[object]:
    return set(threading.enumerate())


def _children() -> set[object]:
    """Our child processes, without the one that Python itself keeps to clean up shared memory."""
    found = set()
    for child in psutil.Process().children(recursive=True):
        try:
            if not any("resource_tracker" in part for part in child.cmdline()):
                found.add(child)
        except psutil.NoSuchProcess:
            continue
        except psutil.ZombieProcess:
            found.add(child)
    return found


def _listeners() -> set[object]:
    connections = psutil.Process().net_connections(kind="inet")
    return {connection.laddr for connection in connections if connection.status == psutil.CONN_LISTEN}


WATCHED: dict[str, Callable[[], set[object]]] = {
    "threads": _threads,
    "child processes": _children,
    "listening sockets": _listeners,
}


def _wait_until_gone(look: Callable[[], set[object]], before: set[object]) -> set[object]:
    """What is still there that was not there before, after waiting for its end."""
    until = time.monotonic() + PATIENCE
    while (left := look() - before) and time.monotonic() < until:
        time.sleep(0.01)
    return left


@pytest.fixture(autouse=True)
def _nothing_left_running() -> Iterator[None]:
    before = {name: look() for name, look in WATCHED.items()}
    yield
    left = {name: _wait_until_gone(look, before[name]) for name, look in WATCHED.items()}
    report = [f"{name}: {sorted(map(str, things))}" for name, things in left.items() if things]
    if report:
        pytest.fail("left behind by the test: " + "; ".join(report), pytrace=False)


# --- nothing logged unexpectedly


class _Ear(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record)


@pytest.fixture
def allowed_logs(request: pytest.FixtureRequest) -> list[str]:
    """Regular expressions of the warnings that this test expects; append to it, or use the marker."""
    marker = request.node.get_closest_marker("allowed_logs")
    return list(marker.args or [""]) if marker else []


@pytest.fixture(autouse=True)
def _nothing_logged_unexpectedly(_nothing_left_running: None, allowed_logs: list[str]) -> Iterator[None]:
    ear = _Ear()
    logging.getLogger().addHandler(ear)
    yield
    logging.getLogger().removeHandler(ear)
    surprises = [
        f"{record.levelname} {record.name}: {record.getMessage()}"
        for record in ear.heard
        if not any(re.search(pattern, record.getMessage()) for pattern in allowed_logs)
    ]
    if surprises:
        pytest.fail("unexpected log records: " + "; ".join(surprises), pytrace=False)


# --- nobody's home


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of its own, so that no test reads or writes what belongs to the person who runs it."""
    home = tmp_path_factory.mktemp("home")
    places = {
        "HOME": "",
        "USERPROFILE": "",
        "APPDATA": "AppData/Roaming",
        "LOCALAPPDATA": "AppData/Local",
        "XDG_CONFIG_HOME": ".config",
        "XDG_CACHE_HOME": ".cache",
        "XDG_DATA_HOME": ".local/share",
        "XDG_STATE_HOME": ".local/state",
        "XDG_CONFIG_DIRS": "etc",
        "XDG_RUNTIME_DIR": "run",
    }
    for name, place in places.items():
        (home / place).mkdir(mode=0o700, parents=True, exist_ok=True)
        monkeypatch.setenv(name, str(home / place))
    for name in [name for name in os.environ if name.startswith("PRIORLINE_") and name != TEST_DATA]:
        monkeypatch.delenv(name)
