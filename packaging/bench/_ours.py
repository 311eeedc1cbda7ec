"""StudyFetch and the command as a measurement starts them: into a sealed cache that is new each time."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from _memory import settle
from _meter import timed
from _orthanc import CALLING, TITLE, Made

from priorline.archives.base import Archive
from priorline.archives.incoming import Announced, Incoming, Receiver
from priorline.audit.trail import AuditTrail
from priorline.config import CacheSettings, HospitalSettings, Prefetch, Settings, Workstation
from priorline.domain.study import FetchState
from priorline.work.fetch import Arrived, StudyFetch
from priorline.work.hospitals import build_hospitals
from priorline.work.own_process import leave_what_stays
from priorline.work.session import open_store, open_trail

ASSOCIATIONS = 4
Way = Literal["c-get", "c-move"]
Run = Callable[..., None]


def settings_for(port: int, cache: Path, retrieve: Way = "c-get", own_port: int = 11112) -> Settings:
    """One hospital and an encrypted cache that does not make room."""
    hospital = HospitalSettings(
        name="Archive",
        ae_title=TITLE,
        host="127.0.0.1",
        port=port,
        retrieve=retrieve,
        associations=ASSOCIATIONS,
        timeout=60,
        prefetch=Prefetch(studies=0),
    )
    ours = Workstation(ae_title=CALLING, port=own_port, address="127.0.0.1")
    return Settings(workstation=ours, cache=CacheSettings(directory=str(cache), key="file"), hospital=(hospital,))


def web_settings_for(port: int, cache: Path) -> Settings:
    """The same for a DICOMweb service."""
    url = f"http://127.0.0.1:{port}/dicom-web"
    hospital = HospitalSettings(name="Archive", protocol="dicomweb", url=url, prefetch=Prefetch(studies=0))
    return Settings(cache=CacheSettings(directory=str(cache), key="file"), hospital=(hospital,))


class Metered:
    """An archive that counts the bytes of datasets as they come, whole or not."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self.bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._archive, name)

    @property
    def by_name(self) -> "Metered | None":
        """As the archive."""
        return self if self._archive.by_name else None

    def retrieve(self, *arguments: Any) -> Any:
        """As the archive."""
        *others, receiver, cancelled = arguments
        return self._archive.retrieve(*others, self._counting(receiver), cancelled)

    def retrieve_listed(self, *arguments: Any) -> Any:
        """As the archive."""
        *others, receiver, cancelled = arguments
        assert self._archive.by_name is not None
        return self._archive.by_name.retrieve_listed(*others, self._counting(receiver), cancelled)

    def _counting(self, receiver: Receiver) -> Receiver:
        def begin(announced: Announced) -> Incoming:
            return _Counted(receiver(announced), self)

        return begin


class _Counted:
    def __init__(self, incoming: Incoming, meter: Metered) -> None:
        self._incoming, self._meter = incoming, meter
        self.room, self.finish, self.drop = incoming.room, incoming.finish, incoming.drop

    def filled(self, length: int) -> None:
        self._meter.bytes += length
        self._incoming.filled(length)


@dataclass(frozen=True, slots=True)
class Ours:
    """One hospital as configured, and where the state goes; each cache is a folder below `place`."""

    settings: Settings
    place: Path

    @classmethod
    def at(cls, port: int, place: Path, retrieve: Way = "c-get", own_port: int = 11112) -> "Ours":
        """A hospital on this machine."""
        return cls(settings_for(port, place / "cache", retrieve, own_port), place)

    def fetch(self, study: Made, folder: Path) -> dict[str, float]:
        """StudyFetch of a whole study whose row is known; how long the cache takes to open is left out."""
        told: list[float] = []

        def timed_run(run: Run) -> None:
            told.append(time.perf_counter())
            run(lambda _: told.append(time.perf_counter()))

        figures = self._in_cache(study, folder, lambda run, _: timed(lambda: timed_run(run), resource.RUSAGE_SELF))
        return {**figures, "first instance": told[1] - told[0]}

    def first(self, study: Made, folder: Path) -> dict[str, float]:
        """Seconds until StudyFetch has told of its first instance, and MB of datasets that had come by then."""
        told: list[tuple[float, int]] = []

        def act(run: Run, archive: Metered) -> dict[str, float]:
            began = time.perf_counter()
            run(lambda _: told.append((time.perf_counter(), archive.bytes)))
            when, arrived = told[0]
            return {"seconds": when - began, "MB": arrived / 1e6, "load": os.getloadavg()[0]}

        return self._in_cache(study, folder, act)

    def command(self, study: Made, folder: Path) -> dict[str, float]:
        """`priorline fetch` as a process: interpreter, imports and all."""
        (one,) = self.settings.hospital
        file = self.place / "priorline.toml"
        file.write_text(
            f'[cache]\ndirectory = "{folder}"\nkey = "file"\n[[hospital]]\nname = "{one.name}"\n'
            f'ae_title = "{one.ae_title}"\nhost = "{one.host}"\nport = {one.port}\n',
            encoding="utf-8",
        )
        line = [sys.executable, "-m", "priorline", "--config", str(file), "fetch", study.uid, "--json"]
        told: list[bytes] = []
        figures = timed(lambda: told.append(subprocess.run(line, check=True, stdout=subprocess.PIPE).stdout))
        assert json.loads(told[0])["studies"][0]["received"] == study.slices
        return figures

    def _in_cache(
        self, study: Made, folder: Path, act: Callable[[Run, Metered], dict[str, float]]
    ) -> dict[str, float]:
        leave_what_stays()  # as in the process that fetches
        (hospital,) = build_hospitals(self.settings, self._trail())
        assert hospital.archive is not None
        found = hospital.archive.find_study(study.uid)
        assert found is not None
        archive = Metered(hospital.archive)
        with open_store(self.settings, folder, self.settings.state_directory) as store:

            def run(tell: Callable[[Arrived], None] = lambda _: None) -> None:
                report = StudyFetch(cast("Archive", archive), store, found, tell).run(self._trail())
                assert report.state is FetchState.COMPLETE, report.message
                assert report.received == len(store.instances(study.uid)) == study.slices

            settle()
            return act(run, archive)

    def _trail(self) -> AuditTrail:
        return open_trail(self.settings.state_directory)
