"""How fast a department's archive is filled, beside DCMTK's storescu that reads plain files.

133 slices of 512 x 512 with 16 bits (70 MB) to an Orthanc on the same machine, which is empty before each run. Ours
counts everything that `priorline fetch` does after the fetch: the question what is there, the audit trail, reading
and decrypting the cache, and the note that nothing is owed. storescu is measured with its largest PDU, and it and the
Orthanc with TCP_NODELAY: without that in Orthanc each answer waits 40 ms for storescu to acknowledge.
"""

import json
import os
import resource
import shutil
import time
import urllib.request
from pathlib import Path

from _common import Sample, Way, paired_ratio, private_place, save, show, take_turns
from _orthanc import CALLING, SLICES, STUDY, TITLE, free_port, orthanc_with_study
from fetch import cpu_of, run

from priorline.config import CacheSettings, HospitalSettings, Settings
from priorline.domain.study import FetchReport, FetchState
from priorline.work.department import fill
from priorline.work.fetch import StudyFetch
from priorline.work.hospitals import build_hospitals
from priorline.work.messages import Configure
from priorline.work.session import Session, open_session

ROUNDS = 5
OURS, THEIRS = "fill", "storescu, tuned"
MEGABYTE = 1e6


class Archive:
    """The department's archive, and how it is emptied."""

    def __init__(self, port: int, http: int) -> None:
        self.port, self._http = port, http

    def empty(self) -> None:
        """Take the study out again; what it held is asked first, so that a run cannot measure nothing."""
        studies = json.loads(self._ask("GET", "/studies"))
        held = json.loads(self._ask("GET", "/statistics"))["CountInstances"]
        assert held in (0, SLICES), held
        for study in studies:
            self._ask("DELETE", f"/studies/{study}")

    def _ask(self, method: str, path: str) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self._http}{path}", method=method)
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            return bytes(answer.read())


def settings_for(hospital: int, department: int, place: Path) -> Settings:
    """A hospital with the study, our archive, and an encrypted cache."""
    known = {"ae_title": TITLE, "host": "127.0.0.1"}
    return Settings(
        cache=CacheSettings(directory=str(place / "cache"), key="file"),
        hospital=(
            HospitalSettings(name="Hospital", port=hospital, **known),  # type: ignore[arg-type]
            HospitalSettings(name="Ours", port=department, role="department", **known),  # type: ignore[arg-type]
        ),
    )


def fetched(session: Session) -> FetchReport:
    """The study, brought into the cache from the hospital."""
    archive = build_hospitals(session.settings)[0].archive
    assert archive is not None
    study = archive.find_study(STUDY)
    assert study is not None
    report = StudyFetch(archive, session.store, study, lambda _arrived: None).run(session.trail)
    assert report.state is FetchState.COMPLETE, report.message
    return report


def ours(session: Session, report: FetchReport, archive: Archive) -> dict[str, float]:
    """What is done after a fetch."""
    archive.empty()
    cpu, began = cpu_of(resource.RUSAGE_SELF), time.perf_counter()
    (filled,) = fill(session, [report])
    seconds = time.perf_counter() - began
    assert (filled.sent, filled.message) == (SLICES, ""), filled
    return {"seconds": seconds, "cpu": cpu_of(resource.RUSAGE_SELF) - cpu}


def theirs(files: list[str], archive: Archive) -> dict[str, float]:
    """DCMTK, its process and all."""
    archive.empty()
    line = ["storescu", "-pdu", "131072", "-aec", TITLE, "-aet", CALLING, "127.0.0.1", str(archive.port), *files]
    cpu, began = cpu_of(resource.RUSAGE_CHILDREN), time.perf_counter()
    run(line, dict(os.environ))
    return {"seconds": time.perf_counter() - began, "cpu": cpu_of(resource.RUSAGE_CHILDREN) - cpu}


def report_of(samples: dict[str, Sample], size: int) -> None:
    """The table and the file."""
    rows = []
    for name, sample in samples.items():
        values = sample.figures["seconds"]
        spread = f"{min(values):.2f} to {max(values):.2f} s"
        rate = f"{size / MEGABYTE / sample.median():.0f} MB/s"
        rows.append((name, f"{sample.median():.2f} s", spread, rate, f"{sample.median('cpu'):.2f} s"))
    title = f"{SLICES} slices, {size / MEGABYTE:.0f} MB, to Orthanc, medians of {ROUNDS} rounds"
    show(title, ("", "wall", "from to", "rate", "CPU"), rows)
    ratio = paired_ratio(samples[OURS].figures["seconds"], samples[THEIRS].figures["seconds"])
    show("Median of the ratios of each round", ("compared", "ratio"), [(f"{OURS} / {THEIRS}", f"{ratio:.2f}")])
    save("department", samples, slices=SLICES, bytes=size, ratio=ratio)


def main() -> None:
    """Measure, print, write."""
    missing = [name for name in ("storescu", "dcmsend") if not shutil.which(name)]
    if missing:
        raise SystemExit(f"bench: this needs {', '.join(missing)} of DCMTK and Orthanc (Debian: dcmtk, orthanc)")
    with private_place() as place:
        for name in ("hospital", "department"):
            (place / name).mkdir()
        http = free_port()
        os.environ["TCP_NODELAY"] = "1"  # DCMTK's, and so of the Orthanc that is started
        with (
            orthanc_with_study(place / "hospital") as hospital,
            orthanc_with_study(place / "department", http) as department,
        ):
            archive = Archive(department, http)
            files = sorted(map(str, (place / "department" / "source").iterdir()))
            size = sum(Path(file).stat().st_size for file in files)
            settings = settings_for(hospital, department, place)
            session = open_session(
                Configure(0, settings, str(settings.cache_directory), str(settings.state_directory))
            )
            with session.store:
                report = fetched(session)
                ways: dict[str, Way] = {
                    OURS: lambda: ours(session, report, archive),
                    THEIRS: lambda: theirs(files, archive),
                }
                for way in ways.values():  # first-use costs of every side outside the measurement
                    way()
                samples = take_turns(ways, ROUNDS)
    report_of(samples, size)


if __name__ == "__main__":
    main()
