"""What hospitals that stall, drip, lie and flood cost, each asked through the courier, and how soon it is over.

The hospital's deadlines are 2 s for each step and 8 s in all, so that the bars are short: what is measured is how far
beyond its deadline each fault goes.
"""

import itertools
import json
import os
import queue
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import psutil
from _callers import STALLED, stalled_handshakes
from _common import Sample, note, private_place, save, show
from _hospitals import PATIENT_ID, TITLE
from _light_hospitals import FOREIGN_ROWS

from priorline.config import CacheSettings, Deadlines, HospitalSettings, Settings
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import HospitalReport, HospitalState
from priorline.work.helper import Helper
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

ROUNDS = 3
STEP_SECONDS, QUERY_SECONDS = 2.0, 8.0
CONNECT_SECONDS = 5.0
PATIENT = Patient(Identifier(PATIENT_ID), "BENCH^Patient", date(1968, 4, 1), "M")
MEGABYTE = 1 << 20
FILLERS = 4
MIXED = 20
MUTE = 5


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of the table: what is looked at, how much it may be, and in what unit."""

    row: str
    what: str
    figure: str
    most: float
    unit: str = "s"


@dataclass
class Heard:
    """What one search told, with the seconds at which it was told."""

    reports: dict[str, HospitalReport] = field(default_factory=dict)
    rows: list[float] = field(default_factory=list)
    seconds: float = 0.0


class Courier:
    """The courier process with some hospitals."""

    def __init__(self, ports: list[int], place: Path, connect: float = STEP_SECONDS) -> None:
        deadlines = Deadlines(connect=connect, association=STEP_SECONDS, progress=STEP_SECONDS, query=QUERY_SECONDS)
        hospitals = tuple(
            HospitalSettings(name=f"H{at}", ae_title=TITLE, host="127.0.0.1", port=port, deadlines=deadlines)
            for at, port in enumerate(ports)
        )
        settings = Settings(cache=CacheSettings(directory=str(place / "cache"), key="file"), hospital=hospitals)
        greeting = Configure(0, settings, str(place / "cache"), str(place / "state"))
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._numbers = itertools.count(1)
        self._helper = Helper("priorline.work.courier", decode_courier_event, self._events.put, greeting)
        self._helper.send(AskPresence(next(self._numbers), ()))
        while not isinstance(self._next(), PresenceKnown):
            pass
        self._process = psutil.Process(self._helper.pid)

    def search(self) -> Heard:
        """Ask everywhere and listen to the end."""
        began, heard = self.begin(), Heard()
        while not isinstance(event := self._next(), SearchEnded):
            assert not isinstance(event, RequestFailed), event.message
            if isinstance(event, StudiesFound):
                heard.rows += [time.perf_counter() - began] * len(event.answers)
            elif isinstance(event, HospitalEnded):
                heard.reports[event.report.hospital] = event.report
        heard.seconds = time.perf_counter() - began
        return heard

    def begin(self) -> float:
        """Ask everywhere; the moment of asking."""
        began = time.perf_counter()
        self._helper.send(Search(next(self._numbers), PATIENT))
        return began

    def memory(self) -> float:
        """Megabytes that the process holds."""
        return float(self._process.memory_info().rss) / MEGABYTE

    def close(self) -> float:
        """End the process; seconds until it is gone."""
        began = time.perf_counter()
        self._helper.close()
        return time.perf_counter() - began

    def _next(self) -> Event:
        return self._events.get(timeout=60.0)


@contextmanager
def running(*plans: str) -> Iterator[list[int]]:
    """Hospitals with these plans in a process of their own; their ports."""
    command = [sys.executable, str(Path(__file__).with_name("_light_hospitals.py")), *plans]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.communicate("")


@contextmanager
def full_backlog() -> Iterator[list[int]]:
    """A port whose queue is full, so that a connection gets no answer at all."""
    fillers = [socket.socket() for _ in range(FILLERS)]
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
            yield [listener.getsockname()[1]]
        finally:
            for filler in fillers:
                filler.close()


def silent(plan: str) -> Callable[[Path], dict[str, float]]:
    """Seconds until the hospital is given up."""

    def measure(place: Path) -> dict[str, float]:
        with running(plan) as ports:
            return given_up(ports, place)

    return measure


def given_up(ports: list[int], place: Path, connect: float = STEP_SECONDS) -> dict[str, float]:
    """Seconds until the one hospital has timed out."""
    courier = Courier(ports, place, connect)
    heard = courier.search()
    courier.close()
    assert heard.reports["H0"].state is HospitalState.TIMED_OUT, heard.reports["H0"]
    return {"seconds": heard.seconds}


def unanswered(place: Path) -> dict[str, float]:
    """Seconds until a connection without an answer is given up, with the usual 5 s."""
    with full_backlog() as ports:
        return given_up(ports, place, CONNECT_SECONDS)


def some_mute(place: Path) -> dict[str, float]:
    """First row, last row and end where five of twenty accept connections and say nothing."""
    dice = random.Random(5)
    plans = ["deaf"] * MUTE + [str(dice.randint(20, 800)) for _ in range(MIXED - MUTE)]
    dice.shuffle(plans)
    with running(*plans) as ports:
        courier = Courier(ports, place)
        heard = courier.search()
        courier.close()
    states = [report.state for report in heard.reports.values()]
    assert states.count(HospitalState.TIMED_OUT) == MUTE
    assert states.count(HospitalState.ANSWERED) == MIXED - MUTE
    return {"first row": heard.rows[0], "last row": heard.rows[-1], "seconds": heard.seconds}


def endless(place: Path) -> dict[str, float]:
    """How soon after the cap a flood is over, and what it costs in memory."""
    with running("endless") as ports:
        courier = Courier(ports, place)
        before = courier.memory()
        heard = courier.search()
        grown = courier.memory() - before
        courier.close()
    assert heard.reports["H0"].cut
    return {"after the cap": heard.seconds - heard.rows[-1], "memory": grown, "rows": len(heard.rows)}


def leaving(plan: str) -> Callable[[Path], dict[str, float]]:
    """Seconds until the courier is gone when the window closes in the middle of it."""

    def measure(place: Path) -> dict[str, float]:
        with running(plan) as ports:
            courier = Courier(ports, place)
            courier.begin()
            time.sleep(STEP_SECONDS / 4)  # well inside the stall
            return {"seconds": courier.close()}

    return measure


def window_told_to_end(place: Path) -> dict[str, float]:
    """Seconds until a window and all its helpers are gone after SIGTERM, in the middle of half a PDU."""
    config = place / "priorline.toml"
    with running("half") as ports:
        config.write_text(
            f'[cache]\ndirectory = "{place / "cache"}"\nkey = "file"\n'
            f'[[hospital]]\nname = "H0"\nae_title = "{TITLE}"\nhost = "127.0.0.1"\nport = {ports[0]}\ntimeout = 600\n'
        )
        line = [sys.executable, "-m", "priorline", "--config", str(config), "open", "--patient-id", PATIENT_ID]
        environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "XDG_DATA_HOME": str(place)}
        with subprocess.Popen(line, env=environment) as window:
            wait_for(lambda: is_connected(window.pid, ports[0]))
            helpers = psutil.Process(window.pid).children(recursive=True)
            began = time.perf_counter()
            window.terminate()
            window.wait()
            psutil.wait_procs(helpers)
            return {"seconds": time.perf_counter() - began}


def is_connected(pid: int, port: int) -> bool:
    """Whether a helper of this process has an open connection to the port."""
    children = psutil.Process(pid).children(recursive=True)
    links = [link for child in children for link in child.net_connections("tcp")]
    return any(link.raddr and link.raddr.port == port and link.status == psutil.CONN_ESTABLISHED for link in links)


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Return once it holds; raises TimeoutError."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError("what the measurement waits for did not come")
        time.sleep(0.02)


def foreign(place: Path) -> dict[str, float]:
    """Rows that came through from a hospital that does not look at the number."""
    with running("foreign") as ports:
        courier = Courier(ports, place)
        heard = courier.search()
        courier.close()
    assert heard.reports["H0"].dropped == FOREIGN_ROWS
    return {"rows": len(heard.rows)}


WAYS: dict[str, Callable[[Path], dict[str, float]]] = {
    "half": silent("half"),
    "torn": silent("torn"),
    "drip": silent("drip"),
    "deaf": silent("deaf"),
    "full backlog": unanswered,
    "5 of 20 mute": some_mute,
    "endless": endless,
    "leaving half": leaving("half"),
    "leaving drip": leaving("drip"),
    "window told to end": window_told_to_end,
    "foreign": foreign,
    "stalled handshakes": stalled_handshakes,
}
BARS = {
    "half": [Bar("N1", "2 bytes, then silence: given up after", "seconds", STEP_SECONDS + 2)],
    "torn": [Bar("N1", "header and 3 bytes: given up after", "seconds", STEP_SECONDS + 2)],
    "drip": [Bar("N2", "a byte a second: given up after", "seconds", 2 * STEP_SECONDS)],
    "deaf": [Bar("N3", "no answer to the association: given up after", "seconds", STEP_SECONDS + 1)],
    "full backlog": [Bar("N4", "unanswered connection (5 s): given up after", "seconds", 6)],
    "5 of 20 mute": [
        Bar("N5", "5 of 20 mute: first row", "first row", 1),
        Bar("N5", "5 of 20 mute: last row", "last row", 1),
        Bar("N5", "5 of 20 mute: all ended", "seconds", STEP_SECONDS + 1),
    ],
    "endless": [
        Bar("N6", "rows without end: over after the cap", "after the cap", 1),
        Bar("N6", "rows without end: memory", "memory", 50, "MB"),
    ],
    "leaving half": [Bar("N11", "closed during N1: gone after", "seconds", 5)],
    "leaving drip": [Bar("N11", "closed during N2: gone after", "seconds", 5)],
    "window told to end": [Bar("N11", "window, SIGTERM during N1: all gone after", "seconds", 5)],
    "foreign": [Bar("W1", f"{FOREIGN_ROWS} studies of others sent: on the line", "rows", 0, "")],
    "stalled handshakes": [
        Bar("S5", f"{STALLED} stalled TLS handshakes: the hospital's mTLS echo", "seconds", 1),
    ],
}


def main() -> None:
    """Measure, print, write; the worst of the rounds counts."""
    samples = {name: Sample({}) for name in WAYS}
    for number, (name, way) in itertools.product(range(ROUNDS), WAYS.items()):
        note(f"round {number + 1} of {ROUNDS}: {name}")
        with private_place() as place:
            for figure, value in way(place).items():
                samples[name].figures.setdefault(figure, []).append(value)
    rows = []
    for name, bars in BARS.items():
        for bar in bars:
            worst = max(samples[name].figures[bar.figure])
            rows.append(
                (f"{bar.row} {bar.what}", f"{worst:.2f} {bar.unit}", f"{bar.most:g} {bar.unit}", worst <= bar.most)
            )
    title = f"Deadlines of {STEP_SECONDS:g} s a step and {QUERY_SECONDS:g} s in all; worst of {ROUNDS} rounds"
    show(title, ("", "measured", "bar", "held"), rows)
    save("hostile", samples, rows=rows)


if __name__ == "__main__":
    main()
