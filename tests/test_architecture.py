"""The walls between the layers, checked on what is really loaded; the import contracts check the source."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import priorline

PACKAGE = Path(priorline.__file__).parent

LOAD_ALL = """
import importlib, json, pkgutil, sys
top = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(top.__path__, top.__name__ + "."):
    importlib.import_module(module.name)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules} | set(sys.modules))))
"""

STARTERS = set(
    """Thread Timer Process Popen ThreadPoolExecutor ProcessPoolExecutor fork spawnv posix_spawn start_new_thread
    QThread QThreadPool QProcess QRunnable""".split()
)


def loaded_by(package: str) -> set[str]:
    """The names of all modules that are in memory once every module of a package is imported."""
    command = [sys.executable, "-c", LOAD_ALL, package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def sources(*parts: str) -> Iterator[tuple[Path, ast.Module]]:
    """Every source file below the named parts of the package, parsed."""
    for part in parts:
        place = PACKAGE / part
        for file in [place] if place.is_file() else sorted(place.rglob("*.py")):
            yield file, ast.parse(file.read_text("utf-8"))


def imported(tree: ast.Module) -> set[str]:
    """The top-level names of what a module imports absolutely."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names}


def names_from(tree: ast.Module, module: str) -> list[ast.alias]:
    """What a module imports by name from another one; the other one as a whole counts too."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom | ast.Import)]
    whole = [alias for node in nodes if isinstance(node, ast.Import) for alias in node.names if alias.name == module]
    froms = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    parts = [alias for node in froms if node.module == module for alias in node.names]
    parent, _, last = module.rpartition(".")
    return (
        whole
        + parts
        + [alias for node in froms if node.module == parent for alias in node.names if alias.name == last]
    )


def called(tree: ast.Module) -> set[str]:
    """The last names of what a module calls or derives from."""
    found = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    found += [base for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for base in node.bases]
    return {node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "") for node in found}


def test_the_window_loads_nothing_that_reads_foreign_bytes() -> None:
    loaded = loaded_by("priorline.desk")
    assert "PySide6.QtWidgets" in loaded
    foreign = {"pydicom", "pynetdicom", "sqlite3", "gdcm", "openjpeg", "rle", "jpeg_ls", "pylibjpeg", "PIL"}
    assert not loaded & foreign


def test_the_window_talks_over_no_network() -> None:
    # Handing a launch to the window that is open already goes over a local socket, and that is all.
    names = {alias.name for _, tree in sources("desk") for alias in names_from(tree, "PySide6.QtNetwork")}
    assert names <= {"QLocalServer", "QLocalSocket"}


def test_the_command_line_loads_no_qt() -> None:
    assert not loaded_by("priorline.cli") & {"PySide6", "shiboken6", "pyqtgraph", "priorline.desk"}


@pytest.mark.parametrize("package", ["priorline.work", "priorline.archives", "priorline.cache", "priorline.imaging"])
def test_what_runs_outside_the_window_loads_no_qt(package: str) -> None:
    assert not loaded_by(package) & {"PySide6", "shiboken6", "pyqtgraph"}


def test_domain_and_errors_import_only_the_standard_library() -> None:
    allowed = sys.stdlib_module_names | {"priorline"}
    foreign = {
        str(file): names for file, tree in sources("domain", "errors.py") if (names := imported(tree) - allowed)
    }
    assert not foreign


def test_threads_and_processes_are_started_in_work_only() -> None:
    parts = [path.name for path in PACKAGE.iterdir() if path.name not in {"work", "__pycache__", "py.typed"}]
    starting = {str(file): names for file, tree in sources(*parts) if (names := called(tree) & STARTERS)}
    assert not starting


def test_nobody_pumps_the_event_loop() -> None:
    pumping = [str(file) for file, tree in sources("desk") if "processEvents" in called(tree)]
    assert not pumping


def test_nobody_unpickles() -> None:
    pickling = [str(file) for file, tree in sources(".") if imported(tree) & {"pickle", "shelve", "marshal", "dill"}]
    assert not pickling
