#!/usr/bin/env python3
"""The one way to set up, run and check Priorline from a source checkout; needs only Python's standard library.

    dev.py demo [ARGS]       the demonstration, with demo hospitals inside the program
    dev.py run ARGS          any command of the program
    dev.py test [ARGS]       the tests; ARGS go to pytest
    dev.py check             formatting, lint, types, architecture
    dev.py bench [NAME]      one measurement from packaging/bench, or the list of them
    dev.py lock [ARGS]       resolve the lock files anew; ARGS (such as --upgrade) go to uv

The environment lives in `.venv` and is remade only when a lock file, pyproject.toml or the Python changes.
Exit codes of what is run are passed through; 1 means that something is missing here, 2 wrong use.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
VENV = REPO / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
BENCHES = REPO / "packaging" / "bench"
LOCK_RUN = REPO / "packaging" / "lock.txt"
LOCK_DEV = REPO / "packaging" / "lock-dev.txt"
OLDEST = (3, 11)
SOURCES = ["app", "tests", "packaging"]

# Debian's names of what the Qt libraries and their offscreen and xcb plugins link against.
QT_PACKAGES = """
    libgl1 libegl1 libglib2.0-0 libdbus-1-3 libfontconfig1 libfreetype6 libbrotli1 libzstd1 libgssapi-krb5-2
    libx11-6 libx11-xcb1 libxkbcommon0 libxkbcommon-x11-0 libxcb1 libxcb-cursor0 libxcb-glx0 libxcb-icccm4
    libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render0 libxcb-render-util0 libxcb-shape0 libxcb-shm0
    libxcb-sync1 libxcb-util1 libxcb-xfixes0 libxcb-xkb1
""".split()

# What the tests start as real peers: a program that must be there, and Debian's package with it.
TEST_PROGRAMS = {"Orthanc": "orthanc", "dcmqrscp": "dcmtk", "Xvfb": "xvfb", "ps": "procps", "strace": "strace"}
TEST_PLUGINS = {"/usr/share/orthanc/plugins/libOrthancDicomWeb.so": "orthanc-dicomweb"}

QT_PROBE = """
import ctypes, pathlib, sys
from PySide6 import QtSvg, QtWidgets
plugins = pathlib.Path(QtWidgets.__file__).parent / "Qt" / "plugins" / "platforms"
for name in sys.argv[1:]:
    ctypes.CDLL(str(plugins / f"libq{name}.so"))
"""

# A package may bring a service (Orthanc does). It must neither start now, where a policy-rc.d that says
# "no" is Debian's documented way, nor at the next boot: it would hold the ports that hospitals use.
APT_SCRIPT = """
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\\nexit 101\\n' > "$policy" && chmod 755 "$policy"
fi
new=1; [ -e /etc/init.d/orthanc ] && new=0
install() { apt-get install -y -qq -o Dpkg::Use-Pty=0 --no-install-recommends "$@" </dev/null >/dev/null; }
ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1 || apt-get update -qq
install "$@" || { apt-get update -qq && install "$@"; } || exit 1
if [ "$new" = 1 ] && [ -e /etc/init.d/orthanc ] && [ -d /run/systemd/system ]; then
    systemctl disable --quiet orthanc
fi
exit 0
"""


class CannotGoOn(Exception):
    """Something is missing that only a person can bring; the message says what."""

    exit_code = 1


class WrongUse(CannotGoOn):
    """The command line asks for something that does not exist; the message says what does."""

    exit_code = 2


# --- running things


def say(text: str) -> None:
    """One line about what happens now, on standard error, so that standard output stays the program's."""
    print(f"dev: {text}", file=sys.stderr, flush=True)


def run(*command: object, env: dict[str, str] | None = None) -> int:
    """Run in the repository and return the exit code; one ended by signal N gives 128 + N, as a shell does."""
    code = subprocess.run([str(part) for part in command], cwd=REPO, env=env, check=False).returncode
    return code if code >= 0 else 128 - code


def must(what: str, *command: object) -> None:
    """Run, and stop with `what` when it fails."""
    if run(*command) != 0:
        raise CannotGoOn(f"{what}; see the lines above")


def quiet(*command: object) -> bool:
    """Whether a command succeeds; its output is dropped."""
    parts = [str(part) for part in command]
    sink = subprocess.DEVNULL
    try:
        return subprocess.run(parts, cwd=REPO, stdout=sink, stderr=sink, stdin=sink, check=False).returncode == 0
    except OSError:
        return False


# --- packages of the system


def root_prefix() -> list[str] | None:
    """What to put before a command to run it as root without a question; None when that cannot be."""
    if os.geteuid() == 0:
        return []
    return ["sudo", "-n"] if quiet("sudo", "-n", "true") else None


def install_system(packages: list[str], purpose: str) -> None:
    """Install Debian packages, or stop and say the command that does it."""
    command = f"apt-get install --no-install-recommends {' '.join(packages)}"
    if not shutil.which("apt-get"):
        raise CannotGoOn(f"{purpose}: install what your system calls these packages: {' '.join(packages)}")
    prefix = root_prefix()
    if prefix is None:
        raise CannotGoOn(f"{purpose}: please run  sudo {command}")
    say(f"{purpose}: {command}")
    quiet_apt = ["env", "DEBIAN_FRONTEND=noninteractive", "sh", "-c", APT_SCRIPT, "sh"]
    must("the system packages could not be installed", *prefix, *quiet_apt, *packages)


def need_qt(*, screen: bool) -> None:
    """See to it that Qt loads on Linux; elsewhere the wheels bring all they need."""
    if not sys.platform.startswith("linux"):
        return
    plugins = ["offscreen", "xcb"] if screen else ["offscreen"]
    if quiet(PYTHON, "-c", QT_PROBE, *plugins):
        return
    install_system(QT_PACKAGES, "Qt needs libraries of the system")
    must("Qt still does not load", PYTHON, "-c", QT_PROBE, *plugins)


def need_test_programs() -> None:
    """See to it that the real peers of the tests are there (Linux only: elsewhere those tests are left out)."""
    if not sys.platform.startswith("linux"):
        return
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    missing = [package for program, package in TEST_PROGRAMS.items() if not shutil.which(program, path=path)]
    missing += [package for plugin, package in TEST_PLUGINS.items() if not Path(plugin).exists()]
    if missing:
        install_system(missing, "the tests need real peers")


# --- the environment in .venv


def fingerprint(lock: Path) -> str:
    """What an installation depends on; the place counts, because an environment cannot be moved."""
    digest = hashlib.sha256(f"{sys.version}\0{sys.platform}\0{REPO}\0".encode())
    for file in (lock, REPO / "pyproject.toml"):
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def stamp_of(lock: Path) -> Path:
    """Where it is noted that a lock file has been installed completely."""
    return VENV / f".{lock.stem}.stamp"


def installed(lock: Path) -> bool:
    """Whether this lock file is installed and nothing that it depends on has changed."""
    stamp = stamp_of(lock)
    return PYTHON.exists() and stamp.exists() and stamp.read_text() == fingerprint(lock)


def venv_usable() -> bool:
    """Whether .venv holds a Python of our version that starts."""
    version = ".".join(str(part) for part in sys.version_info[:2])
    probe = "import sys; sys.exit('.'.join(map(str, sys.version_info[:2])) != sys.argv[1])"
    return PYTHON.exists() and quiet(PYTHON, "-c", probe, version)


def pip_command() -> list[object]:
    """The pip that installs into .venv: its own, else the one outside."""
    if quiet(PYTHON, "-m", "pip", "--version"):
        return [PYTHON, "-m", "pip"]
    return ["pip", "--python", PYTHON]


def make_venv() -> None:
    """A fresh .venv; Debian ships Python without ensurepip, so an outer pip or its package may have to help."""
    if venv_usable():
        return
    if not quiet(sys.executable, "-c", "import ensurepip, venv") and not shutil.which("pip"):
        install_system(["python3-venv"], "Python needs its venv module")
    say(f"making {VENV}")
    has_pip = quiet(sys.executable, "-c", "import ensurepip")
    options = ["--clear"] if has_pip else ["--clear", "--without-pip"]
    must("the environment could not be made", sys.executable, "-m", "venv", *options, VENV)


def prepare(lock: Path) -> None:
    """Bring .venv to what a lock file says, with the project itself in editable form."""
    # Everything that runs the program is in the developers' lock file too.
    if installed(lock) or installed(LOCK_DEV):
        return
    make_venv()
    stamp_of(lock).unlink(missing_ok=True)
    pip = [*pip_command(), "--disable-pip-version-check", "--no-input", "install", "--quiet"]
    say(f"installing {lock.relative_to(REPO)}")
    must("the locked packages could not be installed", *pip, "--require-hashes", "-r", lock)
    must("Priorline could not be installed", *pip, "--no-deps", "--no-build-isolation", "-e", REPO)
    stamp_of(lock).write_text(fingerprint(lock))


# --- the commands


def has_screen() -> bool:
    """Whether Qt would choose X11 here."""
    return bool(os.environ.get("DISPLAY")) and os.environ.get("QT_QPA_PLATFORM", "xcb").startswith("xcb")


def program(args: list[str]) -> int:
    """Run the program itself, with what it needs to show a window."""
    prepare(LOCK_RUN)
    need_qt(screen=has_screen())
    return run(BIN / "priorline", *args)


def demo(args: list[str]) -> int:
    """The demonstration."""
    return program(["demo", *args])


def test(args: list[str]) -> int:
    """The tests, against real peers on this machine."""
    prepare(LOCK_DEV)
    need_qt(screen=True)
    need_test_programs()
    return run(PYTHON, "-m", "pytest", *args)


def check(args: list[str]) -> int:
    """Formatting, lint, types and architecture; all of them run, the first bad exit code counts."""
    if args:
        raise WrongUse("check takes no arguments")
    prepare(LOCK_DEV)
    steps: list[list[object]] = [
        [BIN / "ruff", "format", "--check", *SOURCES],
        [BIN / "ruff", "check", *SOURCES],
        [BIN / "mypy"],
        [BIN / "lint-imports", "--no-logo"],
    ]
    codes = []
    for step in steps:
        say(shlex.join([Path(str(step[0])).name, *map(str, step[1:])]))
        codes.append(run(*step))
    return next((code for code in codes if code), 0)


def bench(args: list[str]) -> int:
    """One measurement, or the names of all."""
    names = sorted(file.stem for file in BENCHES.glob("[!_]*.py"))
    if not args:
        say(f"measurements: {', '.join(names) or 'none'}")
        return 0
    if args[0] not in names:
        raise WrongUse(f"no such measurement; there are: {', '.join(names) or 'none'}")
    prepare(LOCK_DEV)
    need_qt(screen=has_screen())
    return run(PYTHON, BENCHES / f"{args[0]}.py", *args[1:])


def lock(args: list[str]) -> int:
    """Resolve both lock files anew: for every platform, with hashes, without an address."""
    uv = shutil.which("uv")
    if not uv:
        raise CannotGoOn("the lock files are made by uv: install it (pip install uv), then run this again")
    common = "--universal --python-version 3.11 --generate-hashes --no-header --no-annotate".split()
    silent = ["--quiet", "--no-emit-index-url", "--no-emit-find-links"]
    for group, file, extra in (("build", LOCK_RUN, []), ("dev", LOCK_DEV, ["--constraint", LOCK_RUN])):
        compile_ = [uv, "pip", "compile", "pyproject.toml", "--group", group, *common, *silent]
        must(f"{file.name} could not be resolved", *compile_, *extra, *args, "--output-file", file)
    return 0


COMMANDS = {"demo": demo, "run": program, "test": test, "check": check, "bench": bench, "lock": lock}


def main(argv: list[str]) -> int:
    """Do one command and return its exit code."""
    if sys.version_info < OLDEST:
        say(f"Python {'.'.join(map(str, OLDEST))} or newer is needed; this is {sys.version.split()[0]}")
        return 1
    if not argv or argv[0] in {"-h", "--help", "help"}:
        print(__doc__)
        return 0 if argv else 2
    command = COMMANDS.get(argv[0])
    if command is None:
        say(f"no such command: {argv[0]}; there are: {', '.join(COMMANDS)}")
        return 2
    try:
        return command(argv[1:])
    except CannotGoOn as reason:
        say(str(reason))
        return reason.exit_code
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
