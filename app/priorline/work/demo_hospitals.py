"""The demo hospitals as seen by the program: started, read where they listen, ended."""

import subprocess
import sys
from types import TracebackType

import msgspec

from priorline.config import CacheSettings, HospitalSettings, Settings
from priorline.errors import WorkerLost
from priorline.work.launch import Launch

SECONDS_TO_END = 5.0
# They make up each image when it is asked for, which a busy computer takes its time for.
SECONDS_TO_PAINT = 60.0
AT_ONCE = "--at-once"


class _Hospital(msgspec.Struct):
    name: str
    ae_title: str
    host: str
    port: int


class _Patient(msgspec.Struct):
    id: str
    issuer: str
    name: str
    birth_date: str
    sex: str


class _Announcement(msgspec.Struct):
    hospitals: list[_Hospital]
    patient: _Patient
    current_study: str


class DemoPeers:
    """A context: inside it, hospitals with made-up patients listen on loopback.

    Some of them take their time over an answer, like real ones; `at_once` spares tests that.
    """

    def __init__(self, *, at_once: bool = False) -> None:
        self._arguments = [AT_ONCE] if at_once else []

    def __enter__(self) -> "DemoPeers":
        """Start them; raises WorkerLost where they do not come up."""
        command = [sys.executable, "-P", "-m", "priorline.work.demo", *self._arguments]
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        except OSError as problem:
            raise WorkerLost(f"The demo hospitals cannot be started ({problem.strerror}).") from problem
        assert self._process.stdout is not None  # noqa: S101 - PIPE was asked for
        try:
            self._told = msgspec.json.decode(self._process.stdout.readline(), type=_Announcement)
        except msgspec.DecodeError as problem:
            self.__exit__(None, None, None)
            raise WorkerLost("The demo hospitals did not start.") from problem
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End them."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        try:
            self._process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def settings(self, cache_directory: str) -> Settings:
        """A configuration with these hospitals."""
        hospitals = tuple(
            HospitalSettings(
                name=one.name,
                ae_title=one.ae_title,
                host=one.host,
                port=one.port,
                timeout=SECONDS_TO_PAINT,
            )
            for one in self._told.hospitals
        )
        return Settings(cache=CacheSettings(directory=cache_directory, key="file"), hospital=hospitals)

    def launch(self) -> Launch:
        """The trauma patient with today's CT as the current study."""
        who = self._told.patient
        return Launch(
            patient_id=who.id,
            issuer=who.issuer,
            name=who.name,
            birth_date=who.birth_date,
            sex=who.sex,
            study=self._told.current_study,
            reason="demo",
        )
