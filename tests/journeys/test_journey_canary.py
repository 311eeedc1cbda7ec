"""A whole session with a patient of unmistakable names and numbers: they are in the audit trail and nowhere else.

"Nowhere" is every byte of the cache, the settings, the temporary files and what the programs told, also at the moment
when a crash has left something over, and the arguments and the environment of every process that the programs start.
"""

import json
import os
import signal
import stat
import sys
from collections.abc import Iterator

import pytest
from canary_hospitals import (
    BROKEN,
    CHATTY,
    CURRENT,
    FILM,
    GARBLED,
    INTERRUPTED,
    MIXED,
    NAME,
    SHOUTING,
    SLICES,
    Hospitals,
)
from canary_session import PATIENCE, Session, Town, decide_and_take_back, running_town, until
from canary_tools import (
    DESCRIPTION,
    NUMBER,
    PINNED,
    SOP_MARK,
    UID_ROOT,
    Watch,
    canaries_below,
    canaries_in,
)

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
        made = Session(tmp_path_factory.mktemp("c"), town.hospitals(), watch)
        for name, value in made.environment().items():
            monkeypatch.setenv(name, value)
        yield made


def test_a_patient_is_in_the_audit_trail_and_nowhere_else(
    session: Session, town: Town, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    look_around(session)
    read_while_helpers_crash(session, town.scripted)
    end_in_the_middle(session)
    # With all that the crashes have left over, before anything can tidy it up.
    assert_leaks_nothing(session)
    decide_and_take_back(session)
    keep_and_clean(session)
    meet_a_bug(session)
    (session.searched / "told" / "courier").write_bytes(b"".join(capfdbinary.readouterr()))
    assert_leaks_nothing(session)
    assert_trail_names_and_is_its_owners(session)


# The session


def look_around(session: Session) -> None:
    """Everything that tells how it is; the numbers that a hospital is known to use are in its configuration."""
    for command in (("config", "check"), ("config", "show"), ("config", "path")):
        assert session.run(*command).code == 0
    shown = session.run("--config", session.numbers_file(), "config", "show")
    assert "(not shown)" in shown.out
    assert session.run("hospitals", "check").code == 3
    timeline = session.run("--verbose", "timeline", "--request", "-", stdin=session.request(), names=True)
    assert timeline.code == 3
    assert timeline.out.count(DESCRIPTION) == 6
    assert all(name in timeline.err for name in (SHOUTING, GARBLED, CHATTY))
    for known_by in (session.request(study=CURRENT), json.dumps({"folder": str(session.disc())})):
        assert session.run("timeline", "--request", "-", "--json", stdin=known_by, names=True).code == 3


def read_while_helpers_crash(session: Session, slow: Hospitals) -> None:
    """A window fetches what is read and a prior, while its decoder and its courier are killed."""
    picture = session.apart / "picture.png"
    before, asked = session.objects(), session.request(study=CURRENT, compare=FILM)
    line = ("--verbose", "open", "--request", "-", "--screenshot", picture)
    window = session.start(*line, stdin=asked)
    until(lambda: session.objects() - before, "the first images are here")
    window.kill_helper("priorline.work.decoder", signal.SIGKILL)
    window.kill_helper("priorline.work.decoder", signal.SIGSEGV)
    window.kill_helper("priorline.work.courier", signal.SIGKILL)
    slow.open_gate()
    # In part, as some hospitals do not answer.
    assert window.process.wait(PATIENCE) == 3
    assert "Segmentation fault" in window.err
    assert len(session.objects() - before) == SLICES + 1
    assert canaries_in(picture.read_bytes()) == set()
    slow.close_gate()


def end_in_the_middle(session: Session) -> None:
    """A second launch is handed to the open window; in the middle of its fetch courier and window die."""
    before = session.objects()
    window = session.start()
    until(session.window_listens, "the window is open")
    assert session.run("open", "--request", "-", stdin=session.request(study=INTERRUPTED)).code == 0
    # What is fetched ahead meanwhile is a single image.
    until(lambda: len(session.objects() - before) > 2, "its first images are here")
    # The window stands still, so that it does not start the courier again; and then it crashes.
    window.process.send_signal(signal.SIGSTOP)
    window.kill_helper("priorline.work.courier", signal.SIGKILL)
    window.process.send_signal(signal.SIGSEGV)
    window.process.send_signal(signal.SIGCONT)
    assert window.process.wait(PATIENCE) == -signal.SIGSEGV
    assert any((session.cache / "incoming").iterdir()), "a killed courier leaves something over"


def keep_and_clean(session: Session) -> None:
    """What IT does, with an object of somebody else and one that no decoder reads."""
    mixed = session.run("fetch", MIXED, names=True)
    assert mixed.code == 3
    assert "names another patient" in mixed.err
    assert session.run("fetch", BROKEN, names=True).code == 0
    broken = f"{UID_ROOT}{SOP_MARK}.6.1"
    assert session.run("render", "--instance", broken, "-o", session.apart / "broken.png", names=True).code == 1
    assert session.run("cache", "list", "--json", names=True).out.count(DESCRIPTION) == 7
    for command in (("list", "--anonymous"), ("stats",), ("verify", "--json", "--repair"), ("verify",)):
        assert session.run("cache", *command).code == 0
    assert session.run("cache", "pin", CURRENT, "--reason", PINNED, names=True).code == 0
    assert session.run("cache", "export", FILM, session.apart / "exported", names=True).code == 0
    assert_leaks_nothing(session)
    cleaned = session.run("cache", "clean", "--max-size", "0GB", names=True)
    assert PINNED in cleaned.out
    purged = session.run("cache", "purge", "--patient-id", NUMBER, "--yes", names=True)
    assert purged.code == 0
    assert session.objects() == set()
    assert session.run("audit", "verify").code == 0


def meet_a_bug(session: Session) -> None:
    """A bug whose message quotes the patient, in a command and in the window."""
    bent = session.apart / "bent"
    bent.mkdir()
    bug = "def bug(*_): raise KeyError(__import__('os').environ['BUG'][::-1])\n"
    where = "import priorline.domain.timeline as t\nt.Timeline.coverage = bug\n"
    (bent / "sitecustomize.py").write_text(bug + where)
    path = os.pathsep.join((str(bent), session.environment()["PYTHONPATH"]))
    for command in (("timeline",), ("open", "--screenshot", session.apart / "bug.png")):
        told = session.start(*command, "--request", "-", stdin=session.request(), PYTHONPATH=path, BUG=NAME[::-1])
        until(lambda told=told: "KeyError" in told.err, "the bug is met")
        told.process.terminate()
        told.process.wait(PATIENCE)


# What holds


def assert_leaks_nothing(session: Session) -> None:
    assert canaries_below(session.searched, [session.trail]) == {}
    assert session.watch.found() == {}
    assert session.watch.seen(b"priorline.work.courier") >= 2
    assert session.watch.seen(b"priorline.work.decoder") >= 2


def assert_trail_names_and_is_its_owners(session: Session) -> None:
    named = {"number", "study UID", "reason of the launch", "reason of the confirmation", "reason of its end"}
    assert named <= canaries_in(session.trail.read_bytes())
    assert stat.S_IMODE(session.trail.stat().st_mode) == 0o600
    assert stat.S_IMODE(session.trail.parent.stat().st_mode) == 0o700
