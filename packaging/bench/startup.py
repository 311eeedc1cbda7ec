"""How long the program takes to start: the command line, the window's code, the courier and a window on the screen.

Every way is a fresh process. What the imports of the window cost is listed module by module, each with what is only
its own, from Python's `-X importtime`.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from _common import Sample, Way, milliseconds, private_place, save, show, take_turns

ROUNDS = 5
HEAVIEST = 12
SHOW_WINDOW = """
import sys
from pathlib import Path
from PySide6.QtCore import QTimer
from priorline.config import Settings
from priorline.desk import main
app = main._application(headless=True)
folder = Path(sys.argv[1])
window = main.build_window(Settings(), folder / "cache", folder / "state")
window.show()
QTimer.singleShot(0, app.exit)
app.exec()
print("shown", flush=True)
window.close()
"""


def ran(*arguments: str) -> dict[str, float]:
    """Seconds of a whole Python process."""
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return {}


def shown(place: Path) -> dict[str, float]:
    """Seconds until a window without a patient has been drawn, offscreen; what closes it is not counted."""
    line = [sys.executable, "-c", SHOW_WINDOW, str(place)]
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    began = time.perf_counter()
    with subprocess.Popen(line, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"shown\n"
        return {"seconds": time.perf_counter() - began}


def heaviest(module: str) -> list[tuple[str, float]]:
    """The modules whose own code takes longest on import, in seconds, in one run."""
    line = [sys.executable, "-X", "importtime", "-c", f"import {module}"]
    told = subprocess.run(line, check=True, capture_output=True, text=True).stderr
    rows = [
        row.removeprefix("import time:").split("|") for row in told.splitlines() if row.startswith("import time:")
    ]
    own = [(name.strip(), int(micro) / 1e6) for micro, _, name in rows if micro.strip().isdigit()]
    return sorted(own, key=lambda pair: -pair[1])[:HEAVIEST]


def measure(place: Path) -> dict[str, Sample]:
    """All ways in turn."""
    ways: dict[str, Way] = {
        "an empty Python": lambda: ran("-c", ""),
        "priorline --help": lambda: ran("-m", "priorline", "--help"),
        "import of the courier": lambda: ran("-c", "import priorline.work.courier"),
        "import of the window": lambda: ran("-c", "import priorline.desk.main"),
        "window drawn, offscreen": lambda: shown(place),
    }
    for way in ways.values():
        way()
    return take_turns(ways, ROUNDS)


def main() -> None:
    """Measure, print, write."""
    with private_place() as place:
        samples = measure(place)
    rows = [(name, milliseconds(sample.median())) for name, sample in samples.items()]
    show(f"Fresh processes, medians of {ROUNDS} rounds", ("", "wall"), rows)
    heavy = {module: heaviest(module) for module in ("priorline.work.courier", "priorline.desk.main")}
    for module, found in heavy.items():
        show(f"Heaviest on importing {module}, own time in one run", ("module", "own"), [
            (name, milliseconds(seconds)) for name, seconds in found
        ])  # fmt: skip
    save("startup", samples, heaviest=heavy)


if __name__ == "__main__":
    main()
