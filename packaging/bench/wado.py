"""How long until a CT study has come by WADO-RS into the sealed cache, beside curl and DCMTK's getscu.

500 slices of 512 x 512 with 16 bits (263 MB) from an Orthanc on the same machine, at once and through a proxy that
adds 10 ms each way. Ours counts everything: the lists of series and instances, the check on arrival, encryption,
fsync and index. curl takes the same stream and throws it away; getscu, tuned as it can be, writes plain files.
"""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from _common import Sample, Way, paired_ratio, private_place, save, show, take_turns
from _orthanc import CALLING, STUDY, TITLE, WEB_PLUGIN, Made, free_port, orthanc, write_study
from _slow_proxy import EACH_WAY, slow_proxy

from priorline.archives.dicomweb_retrieve import ACCEPT
from priorline.config import CacheSettings, HospitalSettings, Settings
from priorline.domain.study import FetchState
from priorline.work.fetch import Arrived, StudyFetch
from priorline.work.hospitals import build_hospitals
from priorline.work.session import open_store, open_trail

SLICES, ROUNDS, BAR = 500, 5, 0.1
OURS, OURS_SLOW, CURL, CURL_SLOW = "StudyFetch", "StudyFetch, delayed", "curl", "curl, delayed"
GETSCU_SLOW = "getscu tuned, delayed"
TUNING = {"TCP_NODELAY": "1", "TCP_BUFFER_LENGTH": "1048576"}


def url(port: int) -> str:
    """Where DICOMweb is spoken, or the proxy to it."""
    return f"http://127.0.0.1:{port}/dicom-web"


def fetch(port: int, place: Path) -> dict[str, float]:
    """StudyFetch into a cache that is made for it and thrown away."""
    hospital = HospitalSettings(name="Orthanc", protocol="dicomweb", url=url(port))
    settings = Settings(cache=CacheSettings(directory=str(place / "cache"), key="file"), hospital=(hospital,))
    archive = build_hospitals(settings)[0].archive
    assert archive is not None
    study = archive.find_study(STUDY)
    assert study is not None
    arrived: list[float] = []

    def tell(_: Arrived) -> None:
        arrived.append(time.perf_counter())

    with open_store(settings, settings.cache_directory, settings.state_directory) as store:
        cpu, began = time.process_time(), time.perf_counter()
        report = StudyFetch(archive, store, study, tell).run(open_trail(settings.state_directory))
        figures = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}
    assert report.state is FetchState.COMPLETE, report.message
    assert report.received == len(arrived) == SLICES
    shutil.rmtree(settings.cache_directory)
    return {**figures, "first instance": arrived[0] - began}


def curl(port: int) -> dict[str, float]:
    """The same stream, thrown away."""
    line = ["curl", "-sf", "-o", os.devnull, "-H", f"Accept: {ACCEPT}", f"{url(port)}/studies/{STUDY}"]
    began = time.perf_counter()
    subprocess.run(line, check=True)
    return {"seconds": time.perf_counter() - began}


def getscu(port: int, place: Path) -> dict[str, float]:
    """DCMTK's getscu into plain files."""
    keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={STUDY}"]
    with tempfile.TemporaryDirectory(dir=place) as folder:
        line = ["getscu", "-q", "-S", "-pdu", "131072", "-aec", TITLE, "-aet", CALLING, *keys, "-od", folder]
        began = time.perf_counter()
        subprocess.run([*line, "127.0.0.1", str(port)], check=True, env={**os.environ, **TUNING})
        seconds = time.perf_counter() - began
        assert len(list(Path(folder).iterdir())) == SLICES
    return {"seconds": seconds}


def measure(place: Path) -> dict[str, Sample]:
    """Each way in turn."""
    web, source = free_port(), place / "source"
    source.mkdir()
    with (
        orthanc(place, write_study(source, Made(SLICES)), HttpPort=web, Plugins=[WEB_PLUGIN]) as dicom,
        slow_proxy(web) as slow_web,
        slow_proxy(dicom) as slow_dicom,
    ):
        ways: dict[str, Way] = {
            OURS_SLOW: lambda: fetch(slow_web, place),
            GETSCU_SLOW: lambda: getscu(slow_dicom, place),
            CURL_SLOW: lambda: curl(slow_web),
            OURS: lambda: fetch(web, place),
            CURL: lambda: curl(web),
        }
        for way in ways.values():  # first-use costs of every side, Orthanc's too, outside the measurement
            way()
        return take_turns(ways, ROUNDS)


def report(samples: dict[str, Sample]) -> None:
    """The tables and the file."""
    rows = []
    for name, sample in samples.items():
        values = sample.figures["seconds"]
        more = [f"{sample.median(one):.2f} s" if one in sample.figures else "" for one in ("cpu", "first instance")]
        rows.append((name, f"{sample.median():.2f} s", f"{min(values):.2f} to {max(values):.2f} s", *more))
    title = f"{SLICES} slices by WADO-RS, medians of {ROUNDS} rounds; delayed by {EACH_WAY:g} ms each way"
    show(title, ("", "wall", "from to", "CPU", "first instance"), rows)
    pairs = ((OURS_SLOW, GETSCU_SLOW, f"{BAR:.1f}"), (OURS_SLOW, CURL_SLOW, ""), (OURS, CURL, ""))
    ratios = {
        f"{ours} / {theirs}": paired_ratio(samples[ours].figures["seconds"], samples[theirs].figures["seconds"])
        for ours, theirs, _ in pairs
    }
    told = [(name, f"{ratio:.3f}", bar) for (name, ratio), (_, _, bar) in zip(ratios.items(), pairs, strict=True)]
    show("Median of the ratios of each round", ("compared", "ratio", "bar"), told)
    save("wado", samples, slices=SLICES, each_way=EACH_WAY, ratios=ratios, bar=BAR)


def main() -> None:
    """Measure, print, write."""
    missing = [name for name in ("curl", "getscu", "dcmsend") if not shutil.which(name)]
    if missing:
        raise SystemExit(f"bench: this needs {', '.join(missing)} (Debian: curl, dcmtk, orthanc, orthanc-dicomweb)")
    with private_place() as place:
        samples = measure(place)
    report(samples)


if __name__ == "__main__":
    main()
