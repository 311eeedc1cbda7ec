"""What IT is given, held against the program: the guide's commands and paths, units, task, site configuration."""

import configparser
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import NamedTuple

import pytest
from platformdirs.windows import Windows

from priorline import config
from priorline.audit.trail import AuditEvent
from priorline.cache.files import MARKER
from priorline.cache.keys import SERVICE
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import StudyAnswer
from priorline.work.hospitals import build_hospitals
from priorline.work.links import LINKS_FILE
from priorline.work.session import KEY_FILE, LINKS_ENTRY, LINKS_KEY_FILE, TRAIL_FILE, open_store, open_trail

REPO = Path(__file__).resolve().parent.parent
GUIDE = (REPO / "docs" / "it-guide.md").read_text("utf-8")
SYSTEMD = REPO / "packaging" / "systemd"
SERVICE_UNIT, TIMER_UNIT = (SYSTEMD / f"priorline-cache-clean.{kind}" for kind in ("service", "timer"))
TASK = REPO / "packaging" / "windows" / "priorline-cache-clean.xml"
SITE = REPO / "packaging" / "priorline.site.toml"
NAMESPACE = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
INSTALLED = "/opt/priorline/bin/priorline"

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only on Linux")


class Block(NamedTuple):
    """One fenced block of the guide: its language, why it is not run ("": it is), its lines."""

    language: str
    not_run: str
    lines: list[str]


def blocks() -> list[Block]:
    """All fenced blocks of the guide, also those inside a list."""
    found = re.findall(r"^ *```(\w*)(?: not-run: ([^\n]+))?\n(.*?)^ *```$", GUIDE, re.MULTILINE | re.DOTALL)
    return [Block(language, why, [line.strip() for line in text.splitlines()]) for language, why, text in found]


def run_blocks() -> list[Block]:
    """The blocks that a test runs."""
    return [block for block in blocks() if block.language == "sh" and not block.not_run]


def table(text: str) -> list[list[str]]:
    """The rows of the first table after this text of the guide, without code marks."""
    after = GUIDE.split(text, 1)[1].splitlines()
    rows = [
        line.strip("|").split("|") for line in itertools.takewhile(_in_table, itertools.dropwhile(_outside, after))
    ]
    return [[cell.strip().replace("`", "") for cell in row] for row in rows[2:]]


def _in_table(line: str) -> bool:
    return line.startswith("|")


def _outside(line: str) -> bool:
    return not line.startswith("|")


def unit(path: Path) -> configparser.ConfigParser:
    """A unit file, of which no key stands twice."""
    parser = configparser.ConfigParser(delimiters="=", comment_prefixes="#", interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(path.read_text("ascii"))
    return parser


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A user's folder with an empty cache in his home, one record in his trail, and `priorline` to be run."""
    settings = config.load()
    with open_store(settings, settings.cache_directory, settings.state_directory):
        open_trail(settings.state_directory).record(AuditEvent.QUERY, hospital="A")
    program = tmp_path / "bin" / "priorline"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m priorline "$@"\n')
    program.chmod(0o755)
    (tmp_path / "work").mkdir()
    return tmp_path


def run_line(desk: Path, line: str) -> subprocess.CompletedProcess[str]:
    """Run a line as a user would in a shell."""
    paths = os.pathsep.join([str(desk / "bin"), os.environ["PATH"]])
    source = str(Path(config.__file__).parent.parent)
    environment = os.environ | {"PATH": paths, "PYTHONPATH": source}
    command = ["sh", "-c", line]
    return subprocess.run(command, cwd=desk / "work", env=environment, capture_output=True, text=True, check=False)


# --- the guide


def test_every_block_says_what_it_is_and_shell_is_run_or_says_why_not() -> None:
    assert {block.language for block in blocks()} == {"sh", "powershell", "ini"}
    assert GUIDE.count("```") == 2 * len(blocks())
    assert len(run_blocks()) >= 8


@linux
@pytest.mark.parametrize("block", run_blocks(), ids=lambda block: block.lines[0][:40])
def test_what_the_guide_lets_a_user_run_ends_as_it_says(desk: Path, block: Block) -> None:
    for line in block.lines:
        named = re.search(r"# exit (\d): ", line)
        done = run_line(desk, line)
        assert done.returncode == (int(named[1]) if named else 0), f"{line}\n{done.stdout}{done.stderr}"


def test_the_guide_shows_every_command_for_it() -> None:
    shown = "\n".join(line for block in blocks() for line in block.lines) + GUIDE
    for command in ("list", "stats", "clean", "verify", "purge", "pin", "export"):
        assert f"cache {command}" in shown
    for command in ("show", "verify", "export"):
        assert f"audit {command}" in shown


@linux
def test_the_guides_paths_are_the_programs_on_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONFIG_HOME", "CACHE_HOME", "DATA_HOME", "CONFIG_DIRS"):
        monkeypatch.delenv(f"XDG_{name}")
    monkeypatch.setenv("HOME", "/home/jansen")
    assert [row[1].replace("~", "/home/jansen") for row in table("## Where everything lies")] == [
        str(path) for path in real_places()
    ]


def test_the_guides_paths_are_the_programs_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    local = r"C:\Users\jansen\AppData\Local"
    folders = {"CSIDL_LOCAL_APPDATA": local, "CSIDL_COMMON_APPDATA": r"C:\ProgramData"}
    monkeypatch.setattr("platformdirs.windows.get_win_folder", folders.__getitem__)
    for name in ("user_cache_dir", "user_data_dir", "user_config_dir", "site_config_dir"):
        monkeypatch.setattr(f"platformdirs.{name}", lambda *given, name=name: getattr(Windows(*given), name))
    real = [str(path).replace("/", "\\") for path in real_places()]
    assert [row[2].replace("%LOCALAPPDATA%", local) for row in table("## Where everything lies")] == real


def real_places() -> list[Path]:
    """Where the program itself looks."""
    settings = config.Settings()
    state = settings.state_directory
    trail = open_trail(state).path
    head = trail.with_name(f"{TRAIL_FILE}.head")
    files = [state / KEY_FILE, state / LINKS_KEY_FILE, trail, head, state / LINKS_FILE]
    return [config.site_file(), config.user_file(), settings.cache_directory, state, *files]


@linux
def test_only_the_first_folder_for_site_configuration_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_DIRS", "/etc/xdg/xdg-ubuntu:/etc/xdg")
    assert config.site_file() == Path("/etc/xdg/xdg-ubuntu/priorline/priorline.toml")


def test_the_guide_names_the_limits_with_their_defaults() -> None:
    defaults = config.CacheSettings()
    limits = {row[0]: row[1].strip('"') for row in table("### The limits")}
    assert limits == {name: getattr(defaults, name) for name in ("max_age", "max_size", "min_free")}


def test_the_guide_removes_the_key_that_the_program_makes() -> None:
    removals = [line for block in blocks() for line in block.lines if re.search(r"keyring(\.exe)?\"? del ", line)]
    assert len(removals) == 2
    assert all(line.endswith(f'del {SERVICE} "{LINKS_ENTRY}"') for line in removals)


@linux
def test_a_receipt_has_the_fields_that_the_guide_names_and_a_purged_cache_is_empty(desk: Path) -> None:
    settings = config.load()
    study = StudyAnswer("A", "1.2.3", Patient(Identifier("12345", "HOSPITAL")))
    with open_store(settings, settings.cache_directory, settings.state_directory) as store:
        store.begin_fetch(study, 1)
        store.add(study, "1.2.3.4", "1.2.3.5", b"", bytes(1000))
        store.finish_fetch("1.2.3", complete=True)
    # Nothing in it is over a limit, and by its clock it has only just come.
    assert json.loads(run_line(desk, "priorline cache clean --dry-run --json").stdout)["removed"] == []
    assert run_line(desk, "priorline cache purge --patient-id 12345 --issuer HOSPITAL --yes").returncode == 0
    assert json.loads(run_line(desk, "priorline cache stats --json").stdout)["studies"] == 0
    shown = json.loads(run_line(desk, "priorline audit show --json").stdout)["records"]
    (receipt,) = [record for record in shown if record["event"] == "deleted"]
    named = {name.strip() for row in table("A receipt (`deleted`) has") for name in row[0].split(",")}
    assert set(receipt) == named
    assert receipt["reason"] == "purged on request"


def test_what_the_guide_points_to_exists() -> None:
    paths = re.findall(r"\b(packaging/[\w./-]+\w)", GUIDE.replace("\\", "/"))
    assert len(paths) >= 8
    assert not [path for path in paths if not (REPO / path).exists()]
    headings = {
        re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)", GUIDE, re.M)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", GUIDE)) <= headings


# --- the timer of systemd


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="only on Linux")
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    # It looks whether the program is there.
    installed = SERVICE_UNIT.read_text("ascii").replace(INSTALLED, sys.executable)
    (tmp_path / SERVICE_UNIT.name).write_text(installed, "ascii")
    shutil.copy(TIMER_UNIT, tmp_path)
    files = [tmp_path / SERVICE_UNIT.name, tmp_path / TIMER_UNIT.name]
    command = ["systemd-analyze", "verify", "--user", "--man=no", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@linux
def test_the_service_may_write_to_cache_and_state_and_runs_where_there_is_a_cache(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = unit(SERVICE_UNIT)
    expanded = {key: value.replace("%C", "~/.cache").replace("%h", "~") for key, value in service["Service"].items()}
    for name in ("CACHE_HOME", "DATA_HOME"):
        monkeypatch.delenv(f"XDG_{name}")
    settings = config.Settings()
    written = [Path(path.removeprefix("-")).expanduser() for path in expanded["ReadWritePaths"].split()]
    assert written == [settings.cache_directory, settings.state_directory]
    condition = service["Unit"]["ConditionPathExists"].replace("%C", "~/.cache")
    assert Path(condition).expanduser() == settings.cache_directory / MARKER


def test_the_service_keeps_study_dates_and_reasons_out_of_the_journal_and_stays_off_the_network() -> None:
    service = unit(SERVICE_UNIT)["Service"]
    wanted = {
        "Type": "oneshot",
        "StandardOutput": "null",
        "UMask": "0077",
        "NoNewPrivileges": "yes",
        "PrivateNetwork": "yes",
        "RestrictAddressFamilies": "AF_UNIX",
        "ProtectSystem": "strict",
    }
    assert {key: service.get(key) for key in wanted} == wanted
    # The contract knows no exit code but 0 that means success, so none may be taken for one.
    assert "SuccessExitStatus" not in service


def test_the_timer_makes_up_for_missed_days_and_starts_the_service() -> None:
    timer = unit(TIMER_UNIT)
    assert TIMER_UNIT.stem == SERVICE_UNIT.stem
    assert "Unit" not in timer["Timer"]
    assert timer["Timer"]["Persistent"] == "true"
    assert timer["Timer"]["OnCalendar"] == "daily"
    assert timer["Install"]["WantedBy"] == "timers.target"


# --- the task of Windows


def task() -> ET.Element:
    """The task as a tree."""
    return ET.fromstring(TASK.read_bytes())  # noqa: S314 - our own file


def text_of(path: str) -> str:
    """The text at a path of the task."""
    found = task().find("/".join(f"{NAMESPACE}{step}" for step in path.split("/")))
    assert found is not None, path
    return found.text or ""


def test_the_task_runs_for_each_user_at_logon_and_daily() -> None:
    assert text_of("Principals/Principal/GroupId") == "S-1-5-32-545"
    assert text_of("Principals/Principal/RunLevel") == "LeastPrivilege"
    assert text_of("Triggers/LogonTrigger/Enabled") == "true"
    # A user named here would be the only one.
    assert task().find(f".//{NAMESPACE}UserId") is None
    assert text_of("Triggers/CalendarTrigger/ScheduleByDay/DaysInterval") == "1"
    assert text_of("Settings/MultipleInstancesPolicy") == "Parallel"
    assert text_of("Settings/StartWhenAvailable") == "true"
    actions = task().find(f"{NAMESPACE}Actions")
    principal = task().find(f"{NAMESPACE}Principals/{NAMESPACE}Principal")
    assert actions is not None
    assert principal is not None
    assert actions.get("Context") == principal.get("id")


def test_the_task_is_read_whatever_reads_it() -> None:
    assert TASK.read_bytes().isascii()
    assert "encoding" not in TASK.read_text("ascii").splitlines()[0]


# --- what they run


def scheduled_commands() -> list[str]:
    """The command lines of unit, task and the guide's drop-ins, without the program."""
    dropped = [line for block in blocks() if block.language == "ini" for line in block.lines]
    starts = [
        line.partition("=")[2] for line in [f"ExecStart={unit(SERVICE_UNIT)['Service']['ExecStart']}", *dropped]
    ]
    commands = [start.removeprefix(INSTALLED).strip() for start in starts if start.startswith(INSTALLED)]
    assert text_of("Actions/Exec/Command") == r"%ProgramFiles%\Priorline\Scripts\priorline.exe"
    return [*commands, text_of("Actions/Exec/Arguments")]


def test_timer_and_task_run_the_same_command() -> None:
    commands = scheduled_commands()
    assert len(commands) == 3
    assert commands[0] == commands[-1] == "cache clean"


@linux
@pytest.mark.parametrize("command", scheduled_commands())
def test_what_is_scheduled_succeeds_on_an_empty_cache(desk: Path, command: str) -> None:
    done = run_line(desk, f"priorline {command}")
    assert done.returncode == 0, done.stderr


def test_the_guide_installs_where_timer_and_task_look() -> None:
    lines = [line for block in blocks() for line in block.lines]
    assert f"python3 -m venv {Path(INSTALLED).parent.parent}" in lines
    assert 'py -3.11 -m venv "$env:ProgramFiles\\Priorline"' in lines


# --- the site configuration


@linux
def test_the_site_example_is_accepted_where_the_guide_puts_it(desk: Path) -> None:
    target = config.site_file()
    target.parent.mkdir(parents=True)
    shutil.copy(SITE, target)
    done = run_line(desk, "priorline config check --json")
    assert done.returncode == 0, done.stderr
    assert str(target) in done.stdout


def test_the_site_example_names_hospitals_that_this_version_can_ask() -> None:
    settings = config.parse(SITE.read_text("utf-8"), SITE.name)
    assert [hospital.archive is not None for hospital in build_hospitals(settings)] == [True, True]
    assert settings.cache.encrypt
    assert not any(hospital.patient_id for hospital in settings.hospital)
