"""How long until a CT study has come by WADO-RS into the sealed cache, beside curl and DCMTK's getscu.

500 slices of 512 x 512 with 16 bits (263 MB) from an Orthanc on the same machine, at once and through a proxy that
adds 10 ms each way. Ours counts everything: the lists of series and instances, the check on arrival, encryption,
fsync and index. curl takes the same stream into one file; getscu, tuned as it can be, writes plain files.

Nothing is removed before the end, as in `fetch`.
"""

import argparse
import shutil
from itertools import count
from pathlib import Path

from _common import Sample, Way, paired_ratio, private_place, save, show, take_turns
from _memory import memory_in_use
from _orthanc import WEB_PLUGIN, Made, free_port, orthanc, write_study
from _ours import Ours, web_settings_for
from _slow_proxy import EACH_WAY, slow_proxy
from _theirs import Place, curl, getscu

SLICES, ROUNDS, BAR = 500, 5, 0.1
STUDY = Made(SLICES)
OURS, OURS_SLOW, CURL, CURL_SLOW = "StudyFetch", "StudyFetch, delayed", "curl", "curl, delayed"
GETSCU_SLOW = "getscu tuned, delayed"


def measure(place: Path, rounds: int) -> dict[str, Sample]:
    """Each way in turn."""
    web, numbers = free_port(), count(1)
    folders = {name: place / name for name in ("source", "orthanc", "runs", "state")}
    for folder in folders.values():
        folder.mkdir()

    def fresh() -> Path:
        return folders["runs"] / str(next(numbers))

    def ours(port: int) -> dict[str, float]:
        return Ours(web_settings_for(port, place / "cache"), folders["state"]).fetch(STUDY, fresh())

    files = write_study(folders["source"], STUDY)
    with (
        orthanc(folders["orthanc"], files, HttpPort=web, Plugins=[WEB_PLUGIN]) as dicom,
        slow_proxy(web) as slow_web,
        slow_proxy(dicom) as slow_dicom,
    ):
        ways: dict[str, Way] = {
            OURS_SLOW: lambda: ours(slow_web),
            GETSCU_SLOW: lambda: getscu(Place(slow_dicom, STUDY), fresh(), tuned=True),
            CURL_SLOW: lambda: curl(Place(dicom, STUDY, slow_web), fresh()),
            OURS: lambda: ours(web),
            CURL: lambda: curl(Place(dicom, STUDY, web), fresh()),
        }
        for way in ways.values():  # first-use costs of every side, Orthanc's too, outside the measurement
            way()
        return take_turns(ways, rounds)


def report(samples: dict[str, Sample], rounds: int) -> None:
    """The tables and the file."""
    rows = []
    for name, sample in samples.items():
        values = sample.figures["seconds"]
        more = [f"{sample.median(one):.2f} s" if one in sample.figures else "" for one in ("cpu", "first instance")]
        rows.append((name, f"{sample.median():.2f} s", f"{min(values):.2f} to {max(values):.2f} s", *more))
    title = f"{SLICES} slices by WADO-RS, medians of {rounds} rounds; delayed by {EACH_WAY:g} ms each way"
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = parser.parse_args()
    missing = [name for name in ("curl", "getscu", "dcmsend") if not shutil.which(name)]
    if missing:
        raise SystemExit(f"bench: this needs {', '.join(missing)} (Debian: curl, dcmtk, orthanc, orthanc-dicomweb)")
    with private_place() as place, memory_in_use():
        samples = measure(place, chosen.rounds)
    report(samples, chosen.rounds)


if __name__ == "__main__":
    main()
