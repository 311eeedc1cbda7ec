"""What others take to bring a study to this machine, as plain files: DCMTK's getscu and movescu, and curl."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from _meter import timed
from _orthanc import CALLING, START_SECONDS, TITLE, Made, wait_until_open

STORER = "STORESCP"
TUNED_PDU = "131072"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an archive listens, and what of it is fetched; `web` is the port of its DICOMweb service, 0 for none."""

    port: int
    study: Made
    web: int = 0
    storer: int = 0


def getscu(place: Place, folder: Path, *, tuned: bool) -> dict[str, float]:
    """DCMTK's getscu into a new folder."""
    folder.mkdir()
    line = ["getscu", "-q", "-S", *_pdu(tuned=tuned), *_titles(), *_keys(place.study), "-od", str(folder)]
    figures = timed(lambda: _run([*line, "127.0.0.1", str(place.port)], tuned=tuned))
    _check(folder, place.study)
    return figures


def movescu(place: Place, folder: Path) -> dict[str, float]:
    """DCMTK's movescu, tuned, and its storescp that takes the files; that one runs already when the clock starts."""
    folder.mkdir()
    line = ["movescu", "-q", "-S", *_pdu(tuned=True), *_titles(), "-aem", STORER, *_keys(place.study)]
    with _storescp(place.storer, folder):
        figures = timed(lambda: _run([*line, "127.0.0.1", str(place.port)], tuned=True))
        _check(folder, place.study)
    return figures


def curl(place: Place, folder: Path) -> dict[str, float]:
    """WADO-RS of the whole study by curl, into one file as it comes."""
    folder.mkdir()
    url = f"http://127.0.0.1:{place.web}/dicom-web/studies/{place.study.uid}"
    accept = 'Accept: multipart/related; type="application/dicom"; transfer-syntax=*'
    line = ["curl", "-s", "-f", "-H", accept, "-o", str(folder / "all"), url]
    figures = timed(lambda: _run(line, tuned=False))
    assert (folder / "all").stat().st_size > place.study.slices * 512 * 512 * 2
    return figures


def _check(folder: Path, study: Made) -> None:
    assert len(list(folder.iterdir())) == study.slices


def _titles() -> list[str]:
    return ["-aec", TITLE, "-aet", CALLING]


def _pdu(*, tuned: bool) -> list[str]:
    return ["-pdu", TUNED_PDU] if tuned else []


def _keys(study: Made) -> list[str]:
    return ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study.uid}"]


def _environment(*, tuned: bool) -> dict[str, str]:
    """DCMTK's own switches, which nobody sets unasked."""
    names = ("TCP_NODELAY", "TCP_BUFFER_LENGTH")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    return {**environment, "TCP_NODELAY": "1", "TCP_BUFFER_LENGTH": "1048576"} if tuned else environment


def _run(line: list[str], *, tuned: bool) -> None:
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL, env=_environment(tuned=tuned))


@contextmanager
def _storescp(port: int, folder: Path) -> Iterator[None]:
    line = ["storescp", "-q", "-pdu", TUNED_PDU, "-aet", STORER, "-od", str(folder), str(port)]
    with subprocess.Popen(line, env=_environment(tuned=True)) as server:
        try:
            wait_until_open(server, port)
            yield
        finally:
            server.terminate()
            server.wait(START_SECONDS)
