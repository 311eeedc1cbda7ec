"""The rules that hold for every test, each provoked once in a run of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py").read_text("utf-8")
HEAD = """
import logging, os, pathlib, socket, subprocess, sys, threading
import pytest
kept = []
def test_it(allowed_logs):
"""
WAIT = "[sys.executable, '-c', 'input()'], stdin=subprocess.PIPE"


def outcome(folder: Path, body: str, **environment: str) -> tuple[int, str]:
    """Exit code and output of a run with one test whose body is given."""
    (folder / "conftest.py").write_text(CONFTEST.replace("PATIENCE = 10.0", "PATIENCE = 0.2"), "utf-8")
    (folder / "test_one.py").write_text(
        HEAD.replace("def ", environment.pop("mark", "") + "\ndef ") + f"    {body}\n", "utf-8"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-W",
        "error",
        "--strict-markers",
        str(folder),
    ]
    clean = {name: value for name, value in os.environ.items() if name != "PRIORLINE_TEST_DATA"} | environment
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("logging.getLogger('x').warning('oh dear')", "unexpected log records: WARNING x: oh dear"),
        ("threading.Thread(target=threading.Event().wait, daemon=True).start()", "left behind by the test: threads"),
        (f"kept.append(subprocess.Popen({WAIT}))", "left behind by the test: child processes"),
        ("kept.append(socket.create_server(('127.0.0.1', 0)))", "left behind by the test: listening sockets"),
        ("pytest.skip('no mood')", "skipped by surprise"),
    ],
)
def test_a_test_that_breaks_a_rule_fails_the_run(tmp_path: Path, body: str, complaint: str) -> None:
    code, output = outcome(tmp_path, body)
    assert complaint in output
    assert code == 1


@pytest.mark.parametrize(
    "body",
    [
        "allowed_logs.append('^oh'); logging.getLogger('x').warning('oh dear')",
        "pytest.skip('only on Windows')",
        "t = threading.Thread(target=int); t.start()",
        "assert 'home' in str(pathlib.Path.home()) and 'PRIORLINE_CONFIG' not in os.environ",
    ],
)
def test_a_test_that_keeps_the_rules_passes(tmp_path: Path, body: str) -> None:
    code, output = outcome(tmp_path, body, PRIORLINE_CONFIG="elsewhere.toml")
    assert code == 0, output


def test_a_marked_log_is_allowed(tmp_path: Path) -> None:
    code, output = outcome(tmp_path, "logging.error('oh dear')", mark="@pytest.mark.allowed_logs('dear$')")
    assert code == 0, output


def test_real_images_are_left_out_without_a_folder_and_used_with_one(tmp_path: Path) -> None:
    mark = "@pytest.mark.real_images"
    code, output = outcome(tmp_path, "assert 0", mark=mark)
    assert (code, "1 deselected" in output) == (5, True), output
    code, output = outcome(tmp_path, "pass", mark=mark, PRIORLINE_TEST_DATA=str(tmp_path))
    assert (code, "1 passed" in output) == (0, True), output
