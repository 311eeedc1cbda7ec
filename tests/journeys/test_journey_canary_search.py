"""The search of the canary run finds what is there: each canary in each form, in each place, given to a process."""

import base64
import json
import os
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from canary_session import Session, until
from canary_tools import CANARIES, FAMILY, Watch, canaries_below, canaries_in

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only on Linux")


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with Watch() as watch:
        yield Session(tmp_path, [], watch)


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
