"""What 1, 10 and 120 hospitals cost: the whole line beside the slowest hospital alone, the courier, and the window.

The hospitals wait 20 to 800 ms (drawn with a seed); one in twenty is mute. The search goes through the courier
process with the window's messages. Bars: the whole line within 1.05 times the slowest answering hospital alone at 10
hospitals and 1.15 times at 120; the first row within 100 ms of the fastest; no gap of the window's 10 ms timer beyond
50 ms, fed by a courier that knows the answers ("alone") and with the real one beside it.
"""

import argparse
import itertools
import json
import math
import os
import queue
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import psutil
from _common import Sample, Way, milliseconds, note, paired_ratio, private_place, save, show, take_turns
from _hospitals import PATIENT_ID, STUDIES, TITLE

from priorline.config import CacheSettings, HospitalSettings, Settings
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import HospitalState
from priorline.domain.timeline import Timeline
from priorline.regions import load_region_table
from priorline.work.helper import Helper
from priorline.work.messages import (
    AskPresence,
    Cancel,
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

COUNTS = (1, 10, 120)
BARS = {1: math.inf, 10: 1.05, 120: 1.15}
FIRST_ROW_SECONDS, GAP_SECONDS = 0.1, 0.05
ROUNDS, WINDOW_ROUNDS, SEED = 9, 5, 2026
SHORTEST, LONGEST = 20, 800
MUTE_SHARE = 0.05
PATIENT = Patient(Identifier(PATIENT_ID), "BENCH^Patient", date(1968, 4, 1), "M")
ANSWER_SECONDS, LOOK_SECONDS = 60.0, 0.02
MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Region:
    """Hospitals that run: their delays in ms ("mute" where they never answer) and ports, in the same order."""

    plans: tuple[str, ...]
    ports: tuple[int, ...]

    def answering(self) -> dict[str, float]:
        """Names and delays of those that answer."""
        return {name_of(at): float(plan) for at, plan in enumerate(self.plans) if plan != "mute"}

    @property
    def slowest(self) -> str:
        """Who answers last."""
        return max(self.answering(), key=self.answering().__getitem__)

    @property
    def fastest(self) -> str:
        """Who answers first."""
        return min(self.answering(), key=self.answering().__getitem__)


def name_of(place: int) -> str:
    """The name of the hospital at this place in the configuration, from 0."""
    return f"Hospital {place + 1}"


def drawn(count: int) -> tuple[str, ...]:
    """Delays for so many hospitals; one in twenty, rounded up, is mute, but never the only one."""
    dice = random.Random(SEED + count)
    plans = [str(dice.randint(SHORTEST, LONGEST)) for _ in range(count)]
    for place in dice.sample(range(count), math.ceil(count * MUTE_SHARE) if count > 1 else 0):
        plans[place] = "mute"
    return tuple(plans)


@contextmanager
def running(count: int) -> Iterator[Region]:
    """So many hospitals in a process of their own."""
    plans = drawn(count)
    command = [sys.executable, str(Path(__file__).with_name("_light_hospitals.py")), *plans]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Region(plans, tuple(json.loads(process.stdout.readline())))
        finally:
            process.communicate("")


def settings_for(ports: tuple[int, ...], place: Path) -> Settings:
    """The configuration of that many hospitals."""
    hospitals = tuple(
        HospitalSettings(name=name_of(number), ae_title=TITLE, host="127.0.0.1", port=port)
        for number, port in enumerate(ports)
    )
    return Settings(cache=CacheSettings(directory=str(place / "cache"), key="file"), hospital=hospitals)


class Gauge:
    """Looks at a process now and then: most threads, most memory, and the processor time in between."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._over = threading.Event()
        self._threads, self._memory = 0, 0
        self._cpu = self._cpu_now()
        self._looking = threading.Thread(target=self._look)
        self._looking.start()

    def read(self) -> dict[str, float]:
        """Stop looking; the figures."""
        self._over.set()
        self._looking.join()
        return {"threads": self._threads, "memory": self._memory / MEGABYTE, "cpu": self._cpu_now() - self._cpu}

    def _cpu_now(self) -> float:
        times = self._process.cpu_times()
        return times.user + times.system

    def _look(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self._threads = max(self._threads, self._process.num_threads())
            self._memory = max(self._memory, self._process.memory_info().rss)


class Courier:
    """The window's courier, driven with the window's messages."""

    def __init__(self, region: Region, place: Path) -> None:
        self._region, self._table = region, load_region_table()
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._numbers = itertools.count(1)
        greeting = Configure(0, settings_for(region.ports, place), str(place / "cache"), str(place / "state"))
        self._helper = Helper("priorline.work.courier", decode_courier_event, self._events.put, greeting)

    def wait_until_ready(self) -> None:
        """Return when it has started and opened the cache."""
        self._helper.send(AskPresence(next(self._numbers), ()))
        while not isinstance(self._next(), PresenceKnown):
            pass

    def ask_all(self) -> dict[str, float]:
        """Search everywhere; the line is whole when all that answer have ended, and the mute are then given up."""
        names = set(self._region.answering())
        gauge = Gauge(self._helper.pid)
        figures = self._ask((), names)
        return {**figures, **gauge.read()}

    def ask_one(self, name: str) -> dict[str, float]:
        """Search at one hospital."""
        return self._ask((name,), {name})

    def _ask(self, asked: tuple[str, ...], awaited: set[str]) -> dict[str, float]:
        timeline = Timeline(
            PATIENT, list(asked) or [name_of(at) for at in range(len(self._region.ports))], self._table
        )
        number, awaited, first = next(self._numbers), set(awaited), 0.0
        expected = len(awaited) * (STUDIES - 1) + 1
        began = time.perf_counter()
        self._helper.send(Search(number, PATIENT, hospitals=asked))
        while awaited:
            event = self._next()
            assert not isinstance(event, RequestFailed | SearchEnded), "the search ended early"
            if isinstance(event, StudiesFound):
                timeline.add(event.answers)
                first = first or time.perf_counter() - began
            elif isinstance(event, HospitalEnded):
                assert event.report.state is HospitalState.ANSWERED, event.report
                awaited.remove(event.report.hospital)
        assert len(timeline.studies()) == expected
        whole = time.perf_counter() - began
        self._helper.tell(Cancel(number))
        while not isinstance(self._next(), SearchEnded):
            pass
        return {"first row": first, "seconds": whole, "cancelled": time.perf_counter() - began - whole}

    def close(self) -> None:
        """End the process."""
        self._helper.close()

    def _next(self) -> Event:
        return self._events.get(timeout=ANSWER_SECONDS)


def measure_courier(region: Region, place: Path) -> dict[str, Sample]:
    """Everywhere, the slowest alone and the fastest alone, in turns."""
    courier = Courier(region, place)
    ways: dict[str, Way] = {
        "all": courier.ask_all,
        "slowest alone": lambda: courier.ask_one(region.slowest),
        "fastest alone": lambda: courier.ask_one(region.fastest),
    }
    try:
        courier.wait_until_ready()
        for way in ways.values():
            way()
        return take_turns(ways, ROUNDS)
    finally:
        courier.close()


def measure_window(region: Region, place: Path) -> Sample:
    """A window in a fresh process each round; its figures by name."""
    sample = Sample({})
    command = [sys.executable, __file__, "--window", str(place), *map(str, region.ports)]
    for number in range(WINDOW_ROUNDS):
        note(f"round {number + 1} of {WINDOW_ROUNDS}: window")
        environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment)
        for figure, value in json.loads(done.stdout.splitlines()[-1]).items():
            sample.figures.setdefault(figure, []).append(value)
    return sample


def watch_window(place: Path, ports: tuple[int, ...]) -> None:
    """Open the window, let it come to rest, ask everywhere, and print the worst gap of a 10 ms timer in each part."""
    from _window_gap import worst_gaps

    print(json.dumps(worst_gaps(settings_for(ports, place), place, drawn(len(ports)))))


def verdicts(count: int, samples: dict[str, Sample]) -> list[tuple[object, ...]]:
    """The rows of the table of bars."""
    whole, alone, fastest = (samples[way] for way in ("all", "slowest alone", "fastest alone"))
    ratio = paired_ratio(whole.figures["seconds"], alone.figures["seconds"])
    late = whole.median("first row") - fastest.median("first row")
    return [
        (f"{count}: whole line / slowest alone", f"{ratio:.3f}", f"{BARS[count]:g}", ratio <= BARS[count]),
        (f"{count}: first row after fastest alone", milliseconds(late), "100 ms", late <= FIRST_ROW_SECONDS),
    ]


def report(samples: dict[int, dict[str, Sample]], windows: dict[int, Sample]) -> list[tuple[object, ...]]:
    """Print what was measured; the rows of bars."""
    rows, bars = [], list[tuple[object, ...]]()
    for count, ways in samples.items():
        everywhere, alone, fastest = (ways[way] for way in ("all", "slowest alone", "fastest alone"))
        rows.append((
            count, milliseconds(everywhere.median("first row")), milliseconds(fastest.median("first row")),
            milliseconds(everywhere.median()), milliseconds(alone.median()), milliseconds(everywhere.median("cpu")),
            f"{max(everywhere.figures['threads']):.0f}", f"{max(everywhere.figures['memory']):.0f} MB",
            milliseconds(everywhere.median("cancelled")),
        ))  # fmt: skip
        bars += verdicts(count, ways)
    columns = (
        "hospitals",
        "first row",
        "fastest alone",
        "whole line",
        "slowest alone",
        "CPU",
        "threads",
        "memory",
        "stop",
    )
    show(f"Through the courier, medians of {ROUNDS} rounds (threads and memory: most)", columns, rows)
    gaps = []
    for count, sample in windows.items():
        parts = ("fed: searching", "fed: work", "resting", "searching", "work")
        gaps.append((count, *(_median_and_worst(sample, part) for part in parts)))
        for part, what in (("fed: searching", "the window alone"), ("searching", "the window beside its courier")):
            worst = max(sample.figures[part])
            bars.append((f"{count}: worst gap in {what}", milliseconds(worst), "50 ms", worst <= GAP_SECONDS))
    columns = ("hospitals", "alone", "its work", "at rest", "searching", "its work")
    show(f"Gaps of a timer of 10 ms in {WINDOW_ROUNDS} windows, median and worst", columns, gaps)
    show("Bars", ("", "measured", "bar", "held"), bars)
    return bars


def _median_and_worst(sample: Sample, figure: str) -> str:
    return f"{milliseconds(sample.median(figure))}, {milliseconds(max(sample.figures[figure]))}"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--window", nargs="+", metavar=("PLACE", "PORT"), help=argparse.SUPPRESS)
    parser.add_argument("--counts", type=int, nargs="+", choices=COUNTS, default=COUNTS)
    parser.add_argument("--search-only", action="store_true", help="leave out the window")
    chosen = parser.parse_args()
    if chosen.window:
        watch_window(Path(chosen.window[0]), tuple(map(int, chosen.window[1:])))
        return
    samples, windows = dict[int, dict[str, Sample]](), dict[int, Sample]()
    for count in chosen.counts:
        note(f"{count} hospitals")
        with private_place() as place, running(count) as region:
            samples[count] = measure_courier(region, place)
            if not chosen.search_only:
                windows[count] = measure_window(region, place)
    bars = report(samples, windows)
    flat = {f"{count}, {way}": sample for count, ways in samples.items() for way, sample in ways.items()}
    flat |= {f"{count}, window": sample for count, sample in windows.items()}
    save("scale", flat, seed=SEED, bars=bars, plans={count: drawn(count) for count in chosen.counts})


if __name__ == "__main__":
    main()
