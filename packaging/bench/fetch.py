"""How long until a CT study is in the sealed cache, beside DCMTK's getscu that writes plain files.

133 slices of 512 x 512 with 16 bits (70 MB) from an Orthanc on the same machine. Ours counts everything: the lists of
series and instances, the check on arrival, encryption, fsync and index. getscu is measured as it is and with
TCP_NODELAY and its largest PDU, which is the fair one: as it is it may wait 40 ms for each instance.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from _common import Sample, Way, paired_ratio, private_place, save, show, take_turns
from _orthanc import CALLING, SLICES, STUDY, TITLE, orthanc_with_study

from priorline.archives.base import Archive
from priorline.cache.store import Store
from priorline.config import CacheSettings, HospitalSettings, Settings
from priorline.domain.study import FetchState, StudyAnswer
from priorline.work.fetch import Arrived, StudyFetch
from priorline.work.hospitals import build_hospitals
from priorline.work.session import open_store, open_trail

ROUNDS = 5
PLAIN_RUNS = 2
OURS, COMMAND, TUNED, PLAIN = "StudyFetch", "command fetch", "getscu, tuned", "getscu as it is"
BAR = 2.0


def settings_for(port: int, place: Path) -> Settings:
    """One hospital and an encrypted cache."""
    hospital = HospitalSettings(name="Orthanc", ae_title=TITLE, host="127.0.0.1", port=port)
    return Settings(cache=CacheSettings(directory=str(place / "cache"), key="file"), hospital=(hospital,))


def cpu_of(who: int) -> float:
    """CPU seconds so far of this process or of its ended children."""
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def timed(act: Callable[[], object], who: int = resource.RUSAGE_CHILDREN) -> dict[str, float]:
    """Wall and CPU seconds of an act."""
    cpu, began = cpu_of(who), time.perf_counter()
    act()
    return {"seconds": time.perf_counter() - began, "cpu": cpu_of(who) - cpu}


def run(line: list[str], environment: dict[str, str]) -> bytes:
    """A program's standard output; its failure ends the measurement."""
    return subprocess.run(line, check=True, stdout=subprocess.PIPE, env=environment).stdout


def fetch(settings: Settings, archive: Archive, study: StudyAnswer) -> dict[str, float]:
    """StudyFetch into a cache that is made for it and thrown away."""
    arrived: list[float] = []

    def tell(_: Arrived) -> None:
        arrived.append(time.perf_counter())

    def act(store: Store) -> None:
        trail = open_trail(settings.state_directory)
        report = StudyFetch(archive, store, study, tell).run(trail)
        assert report.state is FetchState.COMPLETE, report.message
        assert report.received == len(store.instances(study.study_uid)) == SLICES

    with open_store(settings, settings.cache_directory, settings.state_directory) as store:
        began = time.perf_counter()
        figures = timed(lambda: act(store), resource.RUSAGE_SELF)
    shutil.rmtree(settings.cache_directory)
    return {**figures, "first instance": arrived[0] - began}


def command(settings: Settings, place: Path) -> dict[str, float]:
    """`priorline fetch` as a process: interpreter, imports and all."""
    (one,) = settings.hospital
    file = place / "priorline.toml"
    file.write_text(
        f'[cache]\ndirectory = "{settings.cache.directory}"\nkey = "file"\n[[hospital]]\nname = "{one.name}"\n'
        f'ae_title = "{one.ae_title}"\nhost = "{one.host}"\nport = {one.port}\n',
        encoding="utf-8",
    )
    line = [sys.executable, "-m", "priorline", "--config", str(file), "fetch", STUDY, "--json"]
    told: list[bytes] = []
    figures = timed(lambda: told.append(run(line, dict(os.environ))))
    assert json.loads(told[0])["studies"][0]["received"] == SLICES
    shutil.rmtree(settings.cache_directory)
    return figures


def getscu(port: int, place: Path, *, tuned: bool) -> dict[str, float]:
    """DCMTK's getscu into plain files."""
    chosen = ["-pdu", "131072"] if tuned else []
    environment = {name: value for name, value in os.environ.items() if name != "TCP_NODELAY"}
    if tuned:
        environment["TCP_NODELAY"] = "1"
    keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={STUDY}"]
    with tempfile.TemporaryDirectory(dir=place) as folder:
        line = ["getscu", "-q", "-S", *chosen, "-aec", TITLE, "-aet", CALLING, *keys, "-od", folder]
        figures = timed(lambda: run([*line, "127.0.0.1", str(port)], environment))
        assert len(list(Path(folder).iterdir())) == SLICES
    return figures


def measure(place: Path, port: int) -> dict[str, Sample]:
    """Ours and theirs in turn."""
    settings = settings_for(port, place)
    archive = build_hospitals(settings)[0].archive
    assert archive is not None
    study = archive.find_study(STUDY)
    assert study is not None
    ways: dict[str, Way] = {
        OURS: lambda: fetch(settings, archive, study),
        TUNED: lambda: getscu(port, place, tuned=True),
        COMMAND: lambda: command(settings, place),
    }
    for way in ways.values():  # first-use costs of every side, Orthanc's too, outside the measurement
        way()
    samples = take_turns(ways, ROUNDS)
    return samples | take_turns({PLAIN: lambda: getscu(port, place, tuned=False)}, PLAIN_RUNS)


def report(samples: dict[str, Sample]) -> None:
    """The tables and the file."""
    rows = []
    for name, sample in samples.items():
        first = f"{sample.median('first instance'):.2f} s" if "first instance" in sample.figures else ""
        values = sample.figures["seconds"]
        spread = f"{min(values):.2f} to {max(values):.2f} s"
        rows.append((name, f"{sample.median():.2f} s", spread, f"{sample.median('cpu'):.2f} s", first))
    title = f"{SLICES} slices of 512 x 512 x 16 bits from Orthanc, medians of {ROUNDS} rounds"
    show(title, ("", "wall", "from to", "CPU", "first instance"), rows)
    tuned = samples[TUNED].figures["seconds"]
    ratios = {name: paired_ratio(samples[name].figures["seconds"], tuned) for name in (OURS, COMMAND)}
    told = [(f"{name} / {TUNED}", f"{ratio:.2f}", f"{BAR:.1f}") for name, ratio in ratios.items()]
    show("Median of the ratios of each round", ("compared", "ratio", "bar"), told)
    save("fetch", samples, slices=SLICES, ratios=ratios, bar=BAR)


def main() -> None:
    """Measure, print, write."""
    missing = [name for name in ("getscu", "dcmsend") if not shutil.which(name)]
    if missing:
        raise SystemExit(f"bench: this needs {', '.join(missing)} of DCMTK and Orthanc (Debian: dcmtk, orthanc)")
    with private_place() as place, orthanc_with_study(place) as port:
        samples = measure(place, port)
    report(samples)


if __name__ == "__main__":
    main()
