"""A whole session with a patient of unmistakable names and numbers: they are in the audit trail and nowhere else.

"Nowhere" is every byte of the cache, the settings, the temporary files and what the programs told, also at the moment
when a crash has left something over, and the arguments and the environment of every process that the programs start.
"""

import base64
import io
import json
import os
import signal
import stat
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from urllib.parse import quote

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
)
from canary_session import PATIENCE, Session, Town, decide_and_take_back, running_town, until
from canary_tools import (
    BIRTH_DATE,
    CANARIES,
    DESCRIPTION,
    FAMILY,
    NUMBER,
    PINNED,
    SOP_MARK,
    UID_ROOT,
    Watch,
    canaries_below,
    canaries_in,
)

from priorline.__main__ import load_desk
from priorline.cli.app import main

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


def test_a_patient_is_in_the_audit_trail_and_nowhere_else(
    session: Session, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    look_around(session)
    read_while_helpers_crash(session)
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
    as_current = session.request(study=CURRENT)
    assert session.run("timeline", "--request", "-", "--json", stdin=as_current, names=True).code == 3


def read_while_helpers_crash(session: Session) -> None:
    """A window fetches what is read and a prior, while its decoder and its courier are killed."""
    picture = session.apart / "picture.png"
    asked = session.request(study=CURRENT, compare=FILM)
    line = ("--verbose", "open", "--request", "-", "--screenshot", picture)
    window = session.start(*line, stdin=asked)
    until(session.objects, "the first images are here")
    window.kill_helper("priorline.work.decoder", signal.SIGKILL)
    window.kill_helper("priorline.work.decoder", signal.SIGSEGV)
    window.kill_helper("priorline.work.courier", signal.SIGKILL)
    session.town.scripted.open_gate()
    # In part, as some hospitals do not answer.
    assert window.process.wait(PATIENCE) == 3
    assert "Segmentation fault" in window.err
    assert len(session.objects()) == SLICES + 1
    assert canaries_in(picture.read_bytes()) == set()
    session.town.scripted.close_gate()


def end_in_the_middle(session: Session) -> None:
    """A second launch is handed to the open window; in the middle of its fetch courier and window die."""
    before = session.objects()
    window = session.start()
    until(session.window_listens, "the window is open")
    assert session.run("open", "--request", "-", stdin=session.request(study=INTERRUPTED)).code == 0
    until(lambda: session.objects() - before, "the first images are here")
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
    assert session.run("cache", "list", "--json", names=True).out.count(DESCRIPTION) == 6
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


# What is said of a launch that is wrong in the place where the patient stands

ONE, TWO = f"priorlin://open?patientID={NUMBER}", f"priorline://open?patientID={NUMBER}&patientID={NAME}"
WRONG = [
    f'{{"patientID": "{NUMBER}", "patient_id": "{NUMBER}0"}}',
    f'{{"patientID": ["{NUMBER}"]}}',
    f'{{"patientID": "{NUMBER}", "birthDate": "{BIRTH_DATE}7"}}',
    f'{{"patientID": "{NUMBER}*"}}',
    f'{{"patientID": "{NUMBER}", "sex": "{NAME}"}}',
    f'{{"patientID": "{NUMBER}", "name": "{NAME}"',
    f'{{"study": "{CURRENT}x"}}',
    ONE,
    TWO,
]


def complaint(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(arguments, load_desk) == 2
    return "".join(capsys.readouterr())


@pytest.mark.parametrize("asked", WRONG)
@pytest.mark.parametrize("given", [True, False], ids=["argument", "standard input"])
def test_a_wrong_request_is_not_repeated(
    asked: str, given: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(asked))
    told = complaint(["timeline", "--request", asked if given else "-"], capsys)
    assert canaries_in(told.encode()) == set()


@pytest.mark.parametrize(
    "given",
    [
        ("--patient-id", f"{NUMBER}*"),
        ("--patient-id", "1", "--birth-date", f"{BIRTH_DATE}7"),
        ("--patient-id", "1", "--name", "de", FAMILY),
        ("--study", f"{CURRENT}x"),
    ],
)
def test_a_wrong_argument_that_names_somebody_is_not_repeated(
    given: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert canaries_in(complaint(["timeline", *given], capsys).encode()) == set()


@pytest.mark.parametrize(
    "numbers", [f'"{NUMBER}" = "1", "{NUMBER}" = "2"', f'"{NUMBER}" = 1', f'"{NUMBER}" = "{NUMBER}', f'"{NUMBER}"']
)
def test_a_wrong_table_of_numbers_is_not_repeated(
    session: Session, numbers: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = complaint(["--config", str(session.numbers_file(numbers)), "config", "check"], capsys)
    assert "numbers.toml" in told
    assert canaries_in(told.encode()) == set()


# What is there is found

ENCODED: dict[str, Callable[[str], bytes]] = {
    "UTF-8": str.encode,
    "capitals": lambda text: text.upper().encode(),
    "Latin-1": lambda text: text.encode("latin-1"),
    "UTF-16": lambda text: text.encode("utf-16-le"),
    "UTF-16, the other way": lambda text: text.encode("utf-16-be"),
    "decomposed": lambda text: unicodedata.normalize("NFD", text).encode(),
    "hexadecimal": lambda text: text.encode().hex().upper().encode(),
    "base64": lambda text: base64.b64encode(text.encode()),
    "base64, inside": lambda text: base64.b64encode(b"x" + text.encode() + b"yz"),
    "base64, further inside": lambda text: base64.b64encode(b"xy" + text.encode() + b"y"),
    "JSON": lambda text: json.dumps({"a": text}).encode(),
    "URL": lambda text: quote(text).encode(),
    "Python": lambda text: ascii([text]).encode(),
}


@pytest.mark.parametrize("form", ENCODED)
@pytest.mark.parametrize("name", CANARIES)
def test_every_canary_is_found_in_every_form(name: str, form: str) -> None:
    planted = b"\0\xff before " + ENCODED[form](CANARIES[name]) + b" after \x80"
    assert name in canaries_in(planted)


@pytest.mark.parametrize(
    "place",
    [
        "cache/priorline/index.sqlite-journal",
        "cache/priorline/incoming/0/1.part",
        "cache/priorline/objects/0/1.obj",
        "config/priorline/priorline.toml",
        "data/priorline/links.sealed",
        "data/priorline/audit.jsonl.head",
        "state/log/priorline.log",
        "run/any",
        "tmp/any",
        "told/01.err",
        "home/.anything",
        "work/core",
        f"tmp/{FAMILY}/empty",
    ],
)
def test_a_canary_in_any_place_is_found(session: Session, place: str) -> None:
    assert canaries_below(session.searched, [session.trail]) == {}
    file = session.searched / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"" if FAMILY in place else os.urandom(100) + FAMILY.encode("latin-1"))
    assert canaries_below(session.searched, [session.trail]) == {
        str(path.relative_to(session.searched)): {"family name"}
        for path in (file, *file.parents)
        if path == file or FAMILY in path.name
    }


@pytest.mark.parametrize("where", ["argument", "environment"])
def test_a_canary_that_a_process_is_given_is_found(session: Session, where: str) -> None:
    inner = "import sys; sys.stdin.read()"
    outer = (
        "import os, subprocess, sys; name = sys.stdin.readline().strip(); "
        f"line = [sys.executable, '-c', {inner!r}] + [name] * {where == 'argument'}; "
        f"given = dict.fromkeys(['NAME'] * {where == 'environment'}, name); "
        "subprocess.run(line, env={**os.environ, **given})"
    )
    with subprocess.Popen([sys.executable, "-c", outer], stdin=subprocess.PIPE) as process:
        session.watch.add(process.pid)
        assert process.stdin is not None
        process.stdin.write(f"{FAMILY}\n".encode())
        process.stdin.flush()
        until(session.watch.found, "it is found")
    assert set.union(*session.watch.found().values()) == {"family name"}
