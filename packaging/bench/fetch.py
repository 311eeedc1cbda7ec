"""How long until a CT study is in the sealed cache, beside DCMTK's getscu, movescu and curl that write plain files.

500 slices of 512 x 512 with 16 bits (262 MB) from Orthanc and from dcmqrscp on the same machine, and from both behind
a proxy that adds 10 ms each way. Ours counts everything: the lists of series and instances, the check on arrival,
encryption, fsync and index. getscu is measured as it is, and with TCP_NODELAY, a large buffer and its largest PDU,
which is the fair one. Then the first image, and a window that is scrolled while all that comes.

Every run writes into a folder of its own and nothing is removed before the end: ext4 does not use what was freed
lately, and looking for what is free would cost both sides more than writing.
"""

import argparse
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import _fetch_window
from _common import Sample, Way, note, paired_ratio, private_place, save, show, take_turns
from _dcmqrscp import dcmqrscp
from _memory import memory_in_use
from _orthanc import CALLING, WEB_PLUGIN, Made, free_port, orthanc, write_study
from _ours import ASSOCIATIONS, Ours
from _slow_proxy import EACH_WAY, slow_proxy
from _theirs import STORER, Place, curl, getscu, movescu

SLICES, ROUNDS, PLAIN_RUNS = 500, 7, 2
STUDY, SINGLE, STACK = Made(SLICES, 1), Made(1, 2), Made(150, 3, "20261124")
OURS, COMMAND, BY_MOVE = "StudyFetch", "command fetch", "StudyFetch by C-MOVE"
TUNED, PLAIN, MOVESCU, CURL = "getscu, tuned", "getscu as it is", "movescu and storescp, tuned", "curl, WADO-RS"
FIRST, ALONE = "first of 500", "the only one"
BARS = {(OURS, TUNED): 1.0, (OURS, PLAIN): 0.15, (COMMAND, TUNED): None, (BY_MOVE, MOVESCU): None, (OURS, CURL): None}
FAR_BAR, FIRST_BAR_SECONDS, FIRST_BAR_SHARE = 0.33, 0.150, 0.02
PARTS, PEERS = ("near", "far", "first", "window"), ("Orthanc", "dcmqrscp")


@dataclass(frozen=True, slots=True)
class Peer:
    """One archive as both sides reach it; `fresh` gives a folder that nobody used."""

    name: str
    place: Place
    own_port: int
    state: Path
    fresh: Callable[[], Path]

    def ours(self, port: int = 0) -> Ours:
        """We, by C-GET."""
        return Ours.at(port or self.place.port, self.state)

    def ways(self) -> dict[str, Way]:
        """All that can be measured with a short wait."""
        by_move = Ours.at(self.place.port, self.state, "c-move", self.own_port)
        ways: dict[str, Way] = {
            OURS: lambda: self.ours().fetch(STUDY, self.fresh()),
            TUNED: lambda: getscu(self.place, self.fresh(), tuned=True),
            COMMAND: lambda: self.ours().command(STUDY, self.fresh()),
            BY_MOVE: lambda: by_move.fetch(STUDY, self.fresh()),
            MOVESCU: lambda: movescu(self.place, self.fresh()),
        }
        return {**ways, CURL: lambda: curl(self.place, self.fresh())} if self.place.web else ways


@contextmanager
def peers(place: Path) -> Iterator[tuple[Peer, Peer]]:
    """Orthanc and dcmqrscp, both with all studies."""
    source, numbers = place / "source", count(1)
    folders = {name: place / name for name in ("orthanc", "dcmqrscp", "runs", "state")}
    for folder in (source, *folders.values()):
        folder.mkdir()
    note("making the studies")
    files = [file for made in (STUDY, SINGLE, STACK) for file in write_study(source, made)]
    web, own, storer = free_port(), free_port(), free_port()
    modalities = {"priorline": [CALLING, "127.0.0.1", own], "storescp": [STORER, "127.0.0.1", storer]}
    plugins = [WEB_PLUGIN] if Path(WEB_PLUGIN).exists() else []
    options: dict[str, Any] = {"HttpPort": web, "DicomModalities": modalities, "Plugins": plugins}

    def fresh() -> Path:
        return folders["runs"] / str(next(numbers))

    def peer(name: str, port: int, web_port: int) -> Peer:
        return Peer(name, Place(port, STUDY, web_port, storer), own, folders["state"], fresh)

    with (
        orthanc(folders["orthanc"], files, **options) as first,
        dcmqrscp(folders["dcmqrscp"], files, {CALLING: own, STORER: storer}) as second,
    ):
        yield peer(PEERS[0], first, web if plugins else 0), peer(PEERS[1], second, 0)


def near(peer: Peer, rounds: int) -> dict[str, Sample]:
    """Ours and theirs in turn, on the same machine."""
    ways = peer.ways()
    for name, way in ways.items():  # first-use costs of every side, the archive's too, outside the measurement
        note(f"before the clock starts: {name}")
        way()
    samples = take_turns(ways, rounds)
    plain = {PLAIN: lambda: getscu(peer.place, peer.fresh(), tuned=False)}
    samples |= take_turns(plain, PLAIN_RUNS)
    table(f"{SLICES} slices from {peer.name}", samples)
    ratios = []
    for (one, other), bar in BARS.items():
        if one in samples and other in samples:
            shortest = min(len(samples[name].figures["seconds"]) for name in (one, other))
            ratio = paired_ratio(*(samples[name].figures["seconds"][:shortest] for name in (one, other)))
            ratios.append((f"{one} / {other}", f"{ratio:.2f}", "" if bar is None else f"{bar:.2f}"))
    show("Median of the ratios of each round", ("compared", "ratio", "bar"), ratios)
    return samples


def far(peer: Peer, rounds: int) -> dict[str, Sample]:
    """The same where each way takes 10 ms more."""
    with slow_proxy(peer.place.port) as port:
        place = replace(peer.place, port=port)
        ways: dict[str, Way] = {
            OURS: lambda: peer.ours(port).fetch(STUDY, peer.fresh()),
            TUNED: lambda: getscu(place, peer.fresh(), tuned=True),
        }
        samples = take_turns(ways, rounds)
    table(f"{SLICES} slices from {peer.name}, {EACH_WAY:.0f} ms each way, {ASSOCIATIONS} associations", samples)
    ratio = paired_ratio(*(samples[name].figures["seconds"] for name in ways))
    show("Median of the ratios of each round", ("compared", "ratio", "bar"), [
        (f"{OURS} / {TUNED}", f"{ratio:.2f}", f"{FAR_BAR:.2f}")
    ])  # fmt: skip
    return samples


def first(peer: Peer, rounds: int, delay: str, port: int) -> dict[str, Sample]:
    """Until the first instance is durable and told of: of a large study, and of a study that is nothing else."""
    ours = peer.ours(port)
    ways: dict[str, Way] = {
        FIRST: lambda: ours.first(STUDY, peer.fresh()),
        ALONE: lambda: ours.first(SINGLE, peer.fresh()),
    }
    for way in ways.values():
        way()
    samples = take_turns(ways, rounds)
    more = Sample({"seconds": [
        one - other
        for one, other in zip(samples[FIRST].figures["seconds"], samples[ALONE].figures["seconds"], strict=True)
    ]}).median()  # fmt: skip
    share = samples[FIRST].median("MB") * 1e6 / (SLICES * 512 * 512 * 2)
    rows = [
        (name, f"{sample.median() * 1000:.0f} ms", f"{sample.median('MB'):.1f} MB")
        for name, sample in samples.items()
    ]
    show(f"The first image from {peer.name}, {delay}: durable and told of", ("", "after", "come by then"), rows)
    bars = [
        ("later than alone", f"{more * 1000:.0f} ms", f"{FIRST_BAR_SECONDS * 1000:.0f} ms"),
        ("come by then", f"{share:.1%}", f"{FIRST_BAR_SHARE:.0%}"),
    ]
    show("Median of the differences of each round", ("", "measured", "bar"), bars)
    return samples


def table(title: str, samples: dict[str, Sample]) -> None:
    """Wall and CPU of each way."""
    rows = []
    for name, sample in samples.items():
        values = sample.figures["seconds"]
        spread = f"{min(values):.2f} to {max(values):.2f} s"
        load = f"{sample.median('load'):.1f}"
        rows.append((name, f"{sample.median():.2f} s", spread, f"{sample.median('cpu'):.2f} s", load, len(values)))
    show(title, ("", "wall", "from to", "CPU", "load", "runs"), rows)


def measure(place: Path, parts: Sequence[str], names: Sequence[str], rounds: int) -> dict[str, Sample]:
    """All parts, each with its tables; figures by part, archive and way."""
    found: dict[str, Sample] = {}

    def keep(part: str, samples: dict[str, Sample]) -> None:
        found.update({f"{part}: {name}": sample for name, sample in samples.items()})

    with peers(place) as both:
        for peer in (peer for peer in both if peer.name in names):
            if "near" in parts:
                keep(f"near, {peer.name}", near(peer, rounds))
            if "far" in parts:
                keep(f"far, {peer.name}", far(peer, rounds))
            if "first" in parts:
                keep(f"first, {peer.name}", first(peer, rounds, "near", peer.place.port))
                with slow_proxy(peer.place.port) as port:
                    keep(f"first and far, {peer.name}", first(peer, rounds, f"{EACH_WAY:.0f} ms each way", port))
        if "window" in parts:
            keep("window", _fetch_window.measure(both[0].place.port, STACK, STUDY, both[0].fresh, rounds))
    return found


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = parser.parse_args()
    missing = [name for name in ("getscu", "movescu", "storescp", "dcmqrscp", "curl") if not shutil.which(name)]
    if missing:
        raise SystemExit(f"bench: {', '.join(missing)} missing; this needs Debian's dcmtk, curl and orthanc")
    with private_place() as place, memory_in_use():
        samples = measure(place, chosen.parts, chosen.peers, chosen.rounds)
    save("fetch", samples, slices=SLICES, rounds=chosen.rounds)


if __name__ == "__main__":
    main()
