"""How long until the timeline is there: five hospitals at once, beside the slowest of them asked alone.

Measured three ways in turn: the search itself, the window's courier process with its messages, and the whole command
`priorline timeline`. The yardstick from outside is DCMTK's findscu at the slowest hospital, where it is installed.
"""

import itertools
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from _common import Sample, Way, milliseconds, note, paired_ratio, private_place, save, show, take_turns
from _hospitals import PATIENT_ID, STUDIES, TITLE

from priorline.audit.trail import AuditTrail
from priorline.config import CacheSettings, HospitalSettings, Settings
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import StudyAnswer
from priorline.domain.timeline import Timeline
from priorline.regions import load_region_table
from priorline.work.helper import Helper
from priorline.work.hospitals import Hospital, build_hospitals
from priorline.work.messages import (
    AskPresence,
    Configure,
    Event,
    HospitalEnded,
    PresenceKnown,
    RequestFailed,
    Search,
    SearchEnded,
    StudiesFound,
    decode_courier_event,
)
from priorline.work.search import Listener, search

DELAYS = (20, 50, 100, 200, 1500)
ROUNDS = 7
STUDIES_IN_ALL = len(DELAYS) * (STUDIES - 1) + 1
PATIENT = Patient(Identifier(PATIENT_ID), "BENCH^Patient", date(1968, 4, 1), "M")
ANSWER_SECONDS = 60.0


@contextmanager
def running_hospitals() -> Iterator[list[int]]:
    """The hospitals in a process of their own; gives their ports, the slowest last."""
    command = [sys.executable, str(Path(__file__).with_name("_hospitals.py")), *map(str, DELAYS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            # Closing its input ends it; waiting is done by `with`.
            process.communicate("")


def settings_for(ports: list[int], place: Path) -> Settings:
    """Hospitals "Hospital 1" … with a private cache."""
    hospitals = tuple(
        HospitalSettings(name=f"Hospital {number}", ae_title=TITLE, host="127.0.0.1", port=port)
        for number, port in enumerate(ports, 1)
    )
    return Settings(cache=CacheSettings(directory=str(place / "cache"), key="file"), hospital=hospitals)


class Stopwatch:
    """Takes rows as the window does and notes when the first one and the last one are on the line."""

    def __init__(self, names: list[str]) -> None:
        self._timeline = Timeline(PATIENT, names, load_region_table())
        self._adding = threading.Lock()
        self._first = 0.0
        self._began = time.perf_counter()

    def add(self, rows: tuple[StudyAnswer, ...]) -> None:
        """Take rows from any thread."""
        with self._adding:
            self._timeline.add(rows)
            self._timeline.studies()
            self._first = self._first or time.perf_counter() - self._began

    def figures(self, expected: int) -> dict[str, float]:
        """Seconds to the first row and to the whole line, which must hold `expected` studies."""
        found = len(self._timeline.studies())
        assert found == expected, f"{found} studies on the line instead of {expected}"
        return {"first row": self._first, "seconds": time.perf_counter() - self._began}


def directly(hospitals: tuple[Hospital, ...], trail: AuditTrail) -> dict[str, float]:
    """Ask with the search that window and command line use."""
    watch = Stopwatch([hospital.name for hospital in hospitals])
    search(hospitals, PATIENT, Listener(watch.add, lambda _report: None), trail)
    return watch.figures(STUDIES_IN_ALL if len(hospitals) > 1 else STUDIES)


class Courier:
    """The window's courier, driven with the window's messages."""

    def __init__(self, settings: Settings, place: Path) -> None:
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._numbers = itertools.count(1)
        self._names = [hospital.name for hospital in settings.hospital]
        greeting = Configure(0, settings, settings.cache.directory, str(place / "state"))
        self._helper = Helper("priorline.work.courier", decode_courier_event, self._events.put, greeting)

    def wait_until_ready(self) -> None:
        """Return when it has started and opened the cache."""
        self._helper.send(AskPresence(next(self._numbers), ()))
        while not isinstance(self._next(), PresenceKnown):
            pass

    def ask(self, *names: str) -> dict[str, float]:
        """Search at these hospitals, or at all."""
        watch = Stopwatch(list(names) or self._names)
        number, reports = next(self._numbers), 0
        self._helper.send(Search(number, PATIENT, hospitals=names))
        while not isinstance(event := self._next(), SearchEnded):
            assert not isinstance(event, RequestFailed), event.message
            reports += isinstance(event, HospitalEnded)
            if isinstance(event, StudiesFound):
                watch.add(event.answers)
        assert reports == len(names or self._names)
        return watch.figures(STUDIES if names else STUDIES_IN_ALL)

    def close(self) -> None:
        """End the process."""
        self._helper.close()

    def _next(self) -> Event:
        return self._events.get(timeout=ANSWER_SECONDS)


def cold_courier(settings: Settings, place: Path) -> dict[str, float]:
    """From starting the courier to the line, as in a window that is opened for a patient."""
    began = time.perf_counter()
    courier = Courier(settings, place)
    started = time.perf_counter() - began
    try:
        figures = courier.ask()
    finally:
        courier.close()
    return {name: value + started for name, value in figures.items()}


def command(settings: Settings, place: Path) -> dict[str, float]:
    """The whole command, interpreter and all."""
    file = place / "priorline.toml"
    tables = [
        f'[[hospital]]\nname = "{one.name}"\nae_title = "{one.ae_title}"\nhost = "{one.host}"\nport = {one.port}\n'
        for one in settings.hospital
    ]
    cache = f'[cache]\ndirectory = "{settings.cache.directory}"\nkey = "file"\n'
    file.write_text(cache + "".join(tables), encoding="utf-8")
    asked = ["timeline", "--patient-id", PATIENT_ID, "--json"]
    line = [sys.executable, "-m", "priorline", "--config", str(file), *asked]
    began = time.perf_counter()
    done = subprocess.run(line, capture_output=True, check=True)
    seconds = time.perf_counter() - began
    assert len(json.loads(done.stdout)["studies"]) == STUDIES_IN_ALL
    return {"seconds": seconds}


def findscu(port: int) -> dict[str, float]:
    """DCMTK at the slowest hospital alone."""
    keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"PatientID={PATIENT_ID}", "-k", "StudyInstanceUID"]
    asked = ["findscu", "-q", "-S", "-aec", TITLE, *keys, "127.0.0.1", str(port)]
    subprocess.run(asked, check=True, env={**os.environ, "TCP_NODELAY": "1"})
    return {}


def measure(place: Path, ports: list[int]) -> dict[str, Sample]:
    """All ways in turn."""
    settings = settings_for(ports, place)
    hospitals, trail = build_hospitals(settings), AuditTrail(place / "state" / "audit.jsonl")
    slowest = hospitals[-1]
    courier = Courier(settings, place)
    courier.wait_until_ready()
    ways: dict[str, Way] = {
        "search, all": lambda: directly(hospitals, trail),
        "search, slowest alone": lambda: directly((slowest,), trail),
        "courier, all": courier.ask,
        "courier, slowest alone": lambda: courier.ask(slowest.name),
        "courier from its start, all": lambda: cold_courier(settings, place),
        "command, all": lambda: command(settings, place),
    }
    if shutil.which("findscu"):
        ways["findscu, slowest alone"] = lambda: findscu(ports[-1])
    try:
        directly(hospitals, trail)  # imports and first-use costs of both sides, outside the measurement
        return take_turns(ways, ROUNDS)
    finally:
        courier.close()


def ratios(samples: dict[str, Sample]) -> dict[str, float]:
    """The whole timeline against the slowest hospital alone, round by round."""
    pairs = [
        ("search, all", "search, slowest alone"),
        ("courier, all", "courier, slowest alone"),
        ("courier, all", "findscu, slowest alone"),
    ]
    return {
        f"{ours} / {theirs}": paired_ratio(samples[ours].figures["seconds"], samples[theirs].figures["seconds"])
        for ours, theirs in pairs
        if theirs in samples
    }


def main() -> None:
    """Measure, print, write."""
    with private_place() as place, running_hospitals() as ports:
        samples = measure(place, ports)
    rows = []
    for name, sample in samples.items():
        values = sample.figures["seconds"]
        first = milliseconds(sample.median("first row")) if "first row" in sample.figures else ""
        spread = f"{milliseconds(min(values))} to {milliseconds(max(values))}"
        rows.append((name, first, milliseconds(sample.median()), spread))
    title = (
        f"{len(DELAYS)} hospitals that answer after {DELAYS} ms, {STUDIES} studies each, medians of {ROUNDS} rounds"
    )
    show(title, ("asked", "first row", "whole line", "from to"), rows)
    compared = ratios(samples)
    show("Whole line, median of the ratios of each round", ("compared", "ratio"), [
        (name, f"{ratio:.3f}") for name, ratio in compared.items()
    ])  # fmt: skip
    save("timeline", samples, delays_ms=DELAYS, studies_each=STUDIES, ratios=compared)
    if "findscu, slowest alone" not in samples:
        note("findscu of DCMTK is not installed; its row is left out")


if __name__ == "__main__":
    main()
