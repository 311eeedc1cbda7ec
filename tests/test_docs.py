"""What the documents promise, held against the program: documents that can fail."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from priorline import config
from priorline.work.hospitals import build_hospitals

REPO = Path(__file__).resolve().parent.parent
DOCUMENTS = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"]
README = (REPO / "README.md").read_text("utf-8")
EXAMPLE = "packaging/priorline.example.toml"
COMMANDS = re.findall(r"^\| `([a-z ]+)` \|", README, re.MULTILINE)
GROUPS = ["", *sorted({command.split()[0] for command in COMMANDS if " " in command})]


def toml_blocks(text: str) -> list[str]:
    """The TOML examples of a document."""
    return re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def listed_in_help(group: str) -> set[str]:
    """The commands that `--help` lists, of the program or of one of its groups."""
    environment = os.environ | {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "160"}
    command = [sys.executable, "-m", "priorline", *group.split(), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment, check=False)
    assert done.returncode == 0, done.stderr
    after = re.split(r"Commands\b", done.stdout, maxsplit=1)[-1]
    return set(re.findall(r"^[^\w\n-]*([a-z]+)\b", after, re.MULTILINE))


def test_the_readme_shows_a_configuration_that_is_accepted() -> None:
    (block,) = toml_blocks(README)
    settings = config.parse(block, "README.md")
    # What the README shows, this version can talk to.
    assert [hospital.archive is not None for hospital in build_hospitals(settings)] == [True, True]


def test_the_example_configuration_is_accepted_and_shows_every_key() -> None:
    text = (REPO / EXAMPLE).read_text("utf-8")
    settings = config.parse(text, EXAMPLE)
    assert len(settings.hospital) == 3
    shown = tomllib.loads(text)
    assert set(shown) == set(config.Settings.__struct_fields__)
    assert set(shown["workstation"]) == set(config.Workstation.__struct_fields__)
    assert set(shown["cache"]) == set(config.CacheSettings.__struct_fields__)
    hospital_keys = {key for hospital in shown["hospital"] for key in hospital}
    assert hospital_keys == set(config.HospitalSettings.__struct_fields__)


def test_the_example_configuration_shows_the_defaults() -> None:
    shown = config.parse((REPO / EXAMPLE).read_text("utf-8"), EXAMPLE)
    assert shown.cache == config.CacheSettings()


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group or "priorline")
def test_readme_and_help_know_the_same_commands(group: str) -> None:
    depth = len(group.split())
    promised = {command.split()[depth] for command in COMMANDS if command.startswith(group)}
    assert promised <= listed_in_help(group)


def test_the_readme_names_the_two_commands() -> None:
    for name in ("demo", "test"):
        assert f"\n```\npython3 packaging/dev.py {name}\n```\n" in README


def test_the_readme_says_what_the_program_is_not() -> None:
    assert "not a diagnostic device" in README


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_a_document_points_to_exists(document: str) -> None:
    text = (REPO / document).read_text("utf-8")
    links = [link for link in re.findall(r"(?<!!)\[[^]]*\]\(([^)#]+)\)", text) if "://" not in link]
    paths = re.findall(r"`((?:app|docs|packaging|resources|tests)/[\w./-]+|\.ci/run)`", text)
    missing = [path for path in links + paths if not (REPO / path).exists()]
    assert not missing


def test_the_changelog_knows_this_version() -> None:
    version = tomllib.loads((REPO / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert f"\n## {version}" in (REPO / "CHANGELOG.md").read_text("utf-8")


def test_dev_explains_itself_without_anything_installed() -> None:
    command = [sys.executable, "-I", str(REPO / "packaging" / "dev.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert all(f"dev.py {name}" in done.stdout for name in ("demo", "run", "test", "check", "bench", "lock"))
