"""Every system call of an act on a cache as a place where it can be killed or refused.

The act runs in a process that `fault_child.py serve` forked, with strace attached before it begins: so all that is
counted belongs to the act, and a point costs some hundredths of a second.
"""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import fault_child

ENV = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
_CALL = re.compile(r"(?:\d+ +)?(\w+)\((.*)")


@dataclass(frozen=True, slots=True)
class Ended:
    """How an act ended: its exit code (negative: the signal), and what it had said by then."""

    code: int
    said: str


class Bench:
    """Runs acts under strace, one at a time; `folder` takes what they say."""

    def __init__(self, folder: Path) -> None:
        self._output, self.log = folder / "output", folder / "log"
        command = [sys.executable, str(Path(fault_child.__file__)), "serve"]
        self._server = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=ENV
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _pipe(self._server.stdin).close()
        self._server.wait()
        _pipe(self._server.stdout).close()

    def run(self, *arguments: str, rule: str) -> Ended:
        """One act, with what strace is to do to it or to note of it."""
        orders, answers = _pipe(self._server.stdin), _pipe(self._server.stdout)
        orders.write(json.dumps([str(self._output), *arguments]) + "\n")
        child = answers.readline().strip()
        tracer = subprocess.Popen(
            ["strace", "-y", "-o", str(self.log), "-e", rule, "-p", child], stderr=subprocess.PIPE, text=True
        )
        attached = _pipe(tracer.stderr).readline()
        orders.write("begin\n")
        code = int(answers.readline())
        tracer.communicate()
        assert "attached" in attached, attached
        return Ended(code, self._output.read_text())

    def points(self, root: Path, *arguments: str, calls: str) -> list[tuple[str, int]]:
        """Each of these system calls that an act on the cache at `root` makes about it: name, and number from 1."""
        ended = self.run(str(root), *arguments, rule=f"trace={calls}")
        assert ended.code == 0, ended.said
        seen: dict[str, int] = {}
        found = []
        for line in self.log.read_text(errors="replace").splitlines():
            call = _CALL.match(line)
            if call:
                seen[call[1]] = seen.get(call[1], 0) + 1
                if str(root) in call[2]:
                    found.append((call[1], seen[call[1]]))
        return found


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe
