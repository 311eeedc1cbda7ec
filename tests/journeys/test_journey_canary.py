"""A whole session with a patient of unmistakable names and numbers: they are in the audit trail and nowhere else.

"Nowhere" is every byte of the cache, the settings, the temporary files and what the programs told, also at the moment
when a crash has left something over, and the arguments and the environment of every process that the programs start.
"""

import os
import signal
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from canary_hospitals import BROKEN, CURRENT, FILM, GARBLED, INTERRUPTED, MIXED, SHOUTING
from canary_session import NORTH, Session, Town, decide_and_take_back, running_town, until
from canary_tools import NUMBER, PINNED, SOP_MARK, UID_ROOT, Watch, canaries_below

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only on Linux")


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with running_town(tmp_path_factory.mktemp("town")) as running:
        yield running


@pytest.fixture
def session(
    town: Town, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Session]:
    # A short name, as the name of a local socket has room for a hundred characters.
    with Watch() as watch:
        made = Session(tmp_path_factory.mktemp("c"), town, watch)
        for name, value in made.environment().items():
            monkeypatch.setenv(name, value)
        yield made


def test_a_patient_is_in_the_audit_trail_and_nowhere_else(session: Session, capfdbinary: pytest.CaptureFixture) -> None:
    look_around(session)
    read_with_crashes(session)
    end_in_the_middle(session)
    assert_nothing_leaked(session)
    decide_and_take_back(session)
    keep_and_clean(session)
    fail(session)
    (session.searched / "told" / "courier.err").write_bytes(b"".join(capfdbinary.readouterr()))
    assert_nothing_leaked(session)


# Steps


def look_around(session: Session) -> None:
    assert session.run("config", "check").code == 0
    assert session.run("config", "show").code == 0
    session.run("hospitals", "check")
    timeline = session.run("--verbose", "timeline", "--request", "-", stdin=session.request(), names=True)
    assert timeline.code == 3
    assert FILM not in timeline.out
    assert GARBLED in timeline.err
    print(timeline.out, timeline.err)
    assert session.run("timeline", "--request", "-", "--json", stdin=session.request(study=CURRENT), names=True).code == 3


def read_with_crashes(session: Session) -> None:
    picture = session.apart / "picture.png"
    asked = session.request(study=CURRENT, compare=FILM)
    window = session.start("open", "--request", "-", "--screenshot", picture, stdin=asked)
    until(session.objects, "the first images are here")
    window.kill_helper("priorline.work.decoder", signal.SIGKILL)
    window.kill_helper("priorline.work.decoder", signal.SIGSEGV)
    window.kill_helper("priorline.work.courier", signal.SIGKILL)
    session.town.scripted.open_gate()
    assert window.process.wait(60) == 3
    assert picture.is_file()
    session.town.scripted.close_gate()


def end_in_the_middle(session: Session) -> None:
    before = session.objects()
    window = session.start("open", "--request", "-", stdin=session.request(study=INTERRUPTED))
    until(lambda: session.objects() - before, "the first images are here")
    # The window stands still, so that it does not start the courier again; and then it crashes.
    window.process.send_signal(signal.SIGSTOP)
    window.kill_helper("priorline.work.courier", signal.SIGKILL)
    window.process.send_signal(signal.SIGSEGV)
    window.process.send_signal(signal.SIGCONT)
    assert window.process.wait(60) == -signal.SIGSEGV


def keep_and_clean(session: Session) -> None:
    session.run("fetch", MIXED, names=True)
    session.run("fetch", BROKEN, names=True)
    session.run("render", "--instance", f"{UID_ROOT}{SOP_MARK}.6.1", "-o", session.apart / "broken.png", names=True)
    session.run("cache", "list", names=True)
    session.run("cache", "list", "--anonymous")
    session.run("cache", "stats")
    session.run("cache", "verify", "--json")
    session.run("cache", "pin", CURRENT, "--reason", PINNED, names=True)
    session.run("cache", "clean", "--max-size", "0GB", names=True)
    session.run("audit", "verify")


def fail(session: Session) -> None:
    session.run("timeline", "--request", f"priorlin://open?patientID={NUMBER}", names=True)


def assert_nothing_leaked(session: Session) -> None:
    found = canaries_below(session.searched, [session.trail])
    assert found == {}
    assert session.watch.found() == {}
