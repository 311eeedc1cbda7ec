"""What a disk holds after a power cut: replays what strace saw a process do, up to any point.

Only what was brought to the disk is certain: a file's content by fsync of the file, a name by fsync of its directory.
Of everything later, each content and each name is there or not, as the dice say.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

TRACED = "openat,write,pwrite64,ftruncate,fsync,fdatasync,rename,unlink,rmdir,mkdir"
_CALL = re.compile(r"(?:\d+ +)?(\w+)\((.*)\) += (-?\d+)")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_OPENED = re.compile(r"(\d+)<((?:\\x[0-9a-f]{2})*|[^>]*)>")


@dataclass
class File:
    """A file's content now, and as it is certain to be on the disk."""

    now: bytearray = field(default_factory=bytearray)
    kept: bytes = b""


@dataclass(frozen=True)
class Step:
    """One system call that succeeded."""

    name: str
    paths: tuple[str, ...]
    data: bytes
    numbers: tuple[int, ...]
    flags: str


def steps(log: Path) -> Iterator[Step]:
    """What strace wrote with -y -xx, in order."""
    for line in log.read_text("ascii", "replace").splitlines():
        call = _CALL.match(line)
        if call is None or int(call[3]) < 0:
            continue
        texts = [_bytes(one) for one in _TEXT.findall(call[2])]
        opened = [_path(one) for _number, one in _OPENED.findall(call[2])]
        bare = _OPENED.sub("", _TEXT.sub("", call[2]))
        numbers = tuple(int(one) for one in re.findall(r"\b\d+\b", bare))
        data = texts[0] if call[1] in {"write", "pwrite64"} and texts else b""
        named = call[1] in {"openat", "rename", "unlink", "rmdir", "mkdir"}
        paths = [text.decode("utf-8", "replace") for text in texts] if named else opened
        yield Step(call[1], tuple(paths), data, numbers, bare)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _path(text: str) -> str:
    return _bytes(text).decode("utf-8", "replace") if text.startswith("\\x") else text


class Disk:
    """The files under one root, as they are and as they certainly are."""

    def __init__(self, root: str) -> None:
        self._root = root
        self.now: dict[str, File | None] = {root: None}  # a directory is None
        self.kept: dict[str, File | None] = {root: None}

    def apply(self, step: Step) -> None:
        """Do one step, if it is about this root."""
        if not step.paths or not step.paths[0].startswith(self._root):
            return
        if step.name in {"fsync", "fdatasync"}:
            self._keep(step.paths[0], self.now.get(step.paths[0]))
        elif step.name in {"write", "pwrite64", "ftruncate"}:
            self._change(step, self.now.get(step.paths[0]))
        else:
            self._name(step, step.paths[0])

    def _name(self, step: Step, path: str) -> None:
        if step.name == "mkdir":
            self.now[path] = None
        elif step.name == "rename":
            self.now[step.paths[1]] = self.now.pop(path)
        elif step.name in {"unlink", "rmdir"}:
            self.now.pop(path, None)
        elif "O_CREAT" in step.flags and path not in self.now:
            self.now[path] = File()
        elif "O_TRUNC" in step.flags and (file := self.now[path]):
            file.now.clear()

    @staticmethod
    def _change(step: Step, file: File | None) -> None:
        if file is None:
            return
        start = len(file.now) if step.name == "write" else step.numbers[-1]
        file.now.extend(bytes(max(0, start - len(file.now))))
        if step.name == "ftruncate":
            del file.now[start:]
        file.now[start : start + len(step.data)] = step.data

    def _keep(self, path: str, file: File | None) -> None:
        if file is not None:
            file.kept = bytes(file.now)
            return
        inside = {name for name in {*self.now, *self.kept} if name.rpartition("/")[0] == path}
        for name in inside:
            if name in self.now:
                self.kept[name] = self.now[name]
            else:
                self.kept.pop(name, None)

    def write(self, target: Path, dice: random.Random, lucky: float) -> None:
        """What a power cut now leaves; `lucky` is the chance of each thing that is not certain."""
        target.mkdir(mode=0o700)
        names: dict[str, File | None] = {}
        for name in {*self.now, *self.kept}:
            late = dice.random() < lucky
            source = self.now if late and name in self.now else self.kept
            if late and name in self.kept and name not in self.now:
                continue
            if name in source:
                names[name] = source[name]
        for name in sorted(names):
            place = target / name.removeprefix(self._root).lstrip("/")
            file = names[name]
            if not place.parent.is_dir():
                continue  # its directory was lost
            if file is None:
                place.mkdir(mode=0o700, exist_ok=True)
            else:
                place.write_bytes(bytes(file.now) if dice.random() < lucky else file.kept)
                place.chmod(0o600)
