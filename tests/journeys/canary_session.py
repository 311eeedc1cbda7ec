"""The canary run: real archives and hostile ones, private places for the program, and the steps of the session."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from canary_hospitals import BROKEN, DISC, FILM, MAIDEN_FILM, MARRIED, PATIENT, Hospitals, image
from canary_tools import CONFIRMED, LAUNCHED, NUMBER, REVOKED, Watch
from journey_tools import DX_IMAGE, hospital, saved, write_config
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

import peers
import priorline
from priorline.archives.base import DicomPeer
from priorline.config import load
from priorline.domain.links import link_of
from priorline.domain.patient import Identifier, Patient
from priorline.work.helper import Helper
from priorline.work.launch import Launch
from priorline.work.messages import (
    Configure,
    Confirm,
    Event,
    Fetch,
    FetchEnded,
    LookAtPerson,
    OnRecord,
    OpenStudy,
    Request,
    Revoke,
    Search,
    StudiesFound,
    StudyContents,
    decode_courier_event,
)

NORTH, SOUTH, ISSUER = "North Hospital", "South Clinic", "NLMINBIZA"
PATIENCE = 60.0
# As a workstation where developers look into crashes: whatever keeps core dumps away has to be the program's own.
WITH_CORE_DUMPS = ["/bin/sh", "-c", 'ulimit -c "$(ulimit -H -c)"; exec "$@"', "sh"]
LAUNCH = Launch(patient_id=NUMBER, issuer=ISSUER, name=PATIENT["PatientName"], birth_date=PATIENT["PatientBirthDate"])


@dataclass(frozen=True)
class Town:
    """Orthanc, dcmqrscp, and the hospitals that are scripted."""

    north: DicomPeer
    south: DicomPeer
    scripted: Hospitals

    def hospitals(self) -> list[dict[str, Any]]:
        """All of them as they stand in the configuration."""
        own = {"patient_id_issuer": ISSUER}
        scripted = [
            {"name": name, "ae_title": name.split()[0].upper(), "host": "127.0.0.1", "port": port, "timeout": 20}
            for name, port in self.scripted.ports.items()
        ]
        return [
            hospital(NORTH, self.north, **own),
            hospital(SOUTH, self.south, **own),
            *({**one, **own} for one in scripted),
        ]


@contextmanager
def running_town(folder: Path) -> Iterator[Town]:
    """The patient's studies in Latin-1 at Orthanc and in UTF-8 at dcmqrscp, the current ones at a slow hospital."""
    for name in ("files", "north", "south"):
        (folder / name).mkdir()
    film = {"Modality": "DX", "SOPClassUID": DX_IMAGE, "StudyDate": "20190302"}
    broken = image(BROKEN, 1, StudyDate="20180101", SOPClassUID=DX_IMAGE)
    broken.PixelData = encapsulate([b"\xff\xd8" + NUMBER.encode() * 50 + b"\xff\xd9"])
    broken["PixelData"].VR = "OB"
    broken.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    utf8 = {"SpecificCharacterSet": "ISO_IR 192", **film}
    files = saved(folder / "files", [image(FILM, 1, **film), broken, image(MAIDEN_FILM, 1, MARRIED, **utf8)])
    with (
        peers.orthanc(folder / "north") as north,
        peers.dcmqrscp(folder / "south") as south,
        Hospitals(folder) as scripted,
    ):
        peers.store(north, [file for uid in (FILM, BROKEN) for file in files[uid].values()])
        peers.store(south, list(files[MAIDEN_FILM].values()))
        yield Town(north, south, scripted)


def until(condition: Callable[[], Any], what: str) -> None:
    """Wait for a condition."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"still waiting: {what}"
        threading.Event().wait(0.02)


class Session:
    """The program as a user has it, with everything it may write into below one folder."""

    def __init__(self, folder: Path, hospitals: list[dict[str, Any]], watch: Watch) -> None:
        self.searched, self.apart = folder / "all", folder / "apart"
        self.hospitals, self.watch = hospitals, watch
        self.cache, self.state = self.searched / "cache/priorline", self.searched / "data/priorline"
        self.trail = self.state / "audit.jsonl"
        self._told = 0
        for name in ("home", "config/priorline", "cache", "data", "state", "run", "tmp", "told", "work"):
            (self.searched / name).mkdir(mode=0o700, parents=True)
        self.apart.mkdir()
        write_config(self.searched / "config/priorline/priorline.toml", *hospitals, cache=self.cache)

    def environment(self) -> dict[str, str]:
        """Every place where a program may put something."""
        places = {
            "HOME": "home",
            "XDG_CONFIG_HOME": "config",
            "XDG_CACHE_HOME": "cache",
            "XDG_DATA_HOME": "data",
            "XDG_STATE_HOME": "state",
            "XDG_RUNTIME_DIR": "run",
            "TMPDIR": "tmp",
        }
        code = str(Path(priorline.__file__).parents[1])
        return {name: str(self.searched / place) for name, place in places.items()} | {"PYTHONPATH": code}

    def start(self, *arguments: str | Path, stdin: str = "", names: bool = False, **more: str) -> "Running":
        """Start the program; `names`: it is asked to print who the patient is, or told so among its arguments."""
        self._told += 1
        told = f"{self._told:02d}"
        out = (self.apart if names else self.searched / "told") / f"{told}.out"
        err = self.searched / "told" / f"{told}.err"
        with out.open("wb") as out_file, err.open("wb") as err_file:
            process = subprocess.Popen(
                [*WITH_CORE_DUMPS, sys.executable, "-m", "priorline", *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=out_file,
                stderr=err_file,
                cwd=self.searched / "work",
                env={**os.environ, **self.environment(), **more},
            )
        self.watch.add(process.pid, itself=not names)
        assert process.stdin is not None
        process.stdin.write(stdin.encode())
        process.stdin.close()
        return Running(process, out, err)

    def run(self, *arguments: str | Path, stdin: str = "", names: bool = False, **more: str) -> "Running":
        """The same, to its end."""
        running = self.start(*arguments, stdin=stdin, names=names, **more)
        running.process.wait(PATIENCE)
        return running

    def window_listens(self) -> bool:
        """Whether a window waits for a second launch."""
        return any(path.is_socket() for path in self.searched.rglob("priorline-*"))

    def numbers_file(self, numbers: str = f'"{NUMBER}" = "{NUMBER}"') -> Path:
        """A configuration in which a hospital has numbers of its own for patients."""
        file = self.apart / "numbers.toml"
        write_config(file, *self.hospitals[:1])
        file.write_text(file.read_text() + f"patient_id = {{ {numbers} }}\n")
        return file

    def disc(self) -> Path:
        """A folder with a study, as on a disc that somebody brought along."""
        folder = self.apart / "disc"
        folder.mkdir()
        saved(folder, [image(DISC, 1)])
        return folder

    def objects(self) -> set[Path]:
        """The objects that are in the cache now."""
        return set(self.cache.glob("objects/*/*.obj"))

    def request(self, **more: str) -> str:
        """A launch as it comes on standard input."""
        named = {"patientID": LAUNCH.patient_id, "issuer": LAUNCH.issuer, "name": LAUNCH.name}
        return json.dumps({**named, "birthDate": LAUNCH.birth_date, "sex": "F", "reason": LAUNCHED, **more})


@dataclass(frozen=True)
class Running:
    """A program that was started, and what it told."""

    process: "subprocess.Popen[bytes]"
    out_file: Path
    err_file: Path

    @property
    def code(self) -> int | None:
        """How it ended."""
        return self.process.returncode

    @property
    def out(self) -> str:
        """What it printed."""
        return self.out_file.read_text()

    @property
    def err(self) -> str:
        """What it complained about."""
        return self.err_file.read_text()

    def helpers(self, module: str) -> list[psutil.Process]:
        """Those of its processes that run this module, and are past their start."""
        found = []
        for one in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error, OSError):
                if module in one.cmdline() and _catches(one, signal.SIGSEGV):
                    found.append(one)
        return found

    def kill_helper(self, module: str, how: signal.Signals) -> None:
        """End a helper, and wait until it has ended."""
        until(lambda: self.helpers(module), f"{module} runs")
        (helper, *_) = self.helpers(module)
        helper.send_signal(how)
        until(lambda: not helper.is_running() or helper.status() == psutil.STATUS_ZOMBIE, f"{module} ends")


def _catches(process: psutil.Process, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal of its own: the last thing that a helper does when it starts."""
    status = Path("/proc", str(process.pid), "status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) & 1 << number - 1)


class Desk:
    """Stands for a window: asks a courier one thing after another."""

    def __init__(self, session: Session) -> None:
        self._heard: queue.Queue[Event] = queue.Queue()
        settings = load()
        configure = Configure(0, settings, str(settings.cache_directory), str(settings.state_directory))
        self._helper = Helper("priorline.work.courier", decode_courier_event, self._heard.put, configure)
        session.watch.add(self._helper.pid)

    def ask(self, request: Request) -> list[Event]:
        """All events of a request, up to the one that ends it."""
        self._helper.send(request)
        events: list[Event] = []
        while not (events and events[-1].ends):
            event = self._heard.get(timeout=PATIENCE)
            if event.number == request.number:
                events.append(event)
        return events

    def close(self) -> None:
        """End the courier."""
        self._helper.close()


def decide_and_take_back(session: Session) -> None:
    """A person in question is confirmed, looked at, and taken back, as the window would ask for it."""
    patient = Patient(Identifier(NUMBER, ISSUER), LAUNCH.name, None, "F")
    desk = Desk(session)
    try:
        found = [event for event in desk.ask(Search(1, patient, reason=LAUNCHED)) if isinstance(event, StudiesFound)]
        maiden = next(one for event in found for one in event.answers if one.study_uid == MAIDEN_FILM)
        at, uids = datetime.now(UTC), (MAIDEN_FILM,)
        link = link_of(patient, SOUTH, maiden.patient, MAIDEN_FILM, reason=CONFIRMED, user="a", at=at)
        assert desk.ask(LookAtPerson(2, patient.identifier, MAIDEN_FILM, (SOUTH,), CONFIRMED)) == [OnRecord(2)]
        assert desk.ask(Confirm(3, (link,), uids)) == [OnRecord(3)]
        (*_, ended) = desk.ask(Fetch(4, maiden, reason=LAUNCHED))
        assert isinstance(ended, FetchEnded)
        assert ended.report.received == 1
        assert _shown(desk, 5) == 1
        assert desk.ask(Revoke(6, (link,), uids, REVOKED)) == [OnRecord(6)]
        assert _shown(desk, 7) == 0
    finally:
        desk.close()


def _shown(desk: Desk, number: int) -> int:
    (*_, contents) = desk.ask(OpenStudy(number, MAIDEN_FILM))
    assert isinstance(contents, StudyContents)
    return len(contents.instances)
