"""A hospital that speaks DICOMweb, from the command line: checked, on the line, fetched and given back."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from journey_tools import (
    CT,
    CT_SLICES,
    NAMED,
    SHARED,
    Files,
    Program,
    assert_same_objects,
    made_studies,
    write_config,
)

import peers

PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
WEST = "Western Hospital"


@dataclass(frozen=True)
class West:
    """Where it is, and what was stored there."""

    url: str
    files: Files

    def program(self, folder: Path, **more: str) -> Program:
        hospital = {"name": WEST, "protocol": "dicomweb", "url": self.url, **more}
        return write_config(folder / "priorline.toml", hospital)


@pytest.fixture(scope="module")
def west(tmp_path_factory: pytest.TempPathFactory) -> Iterator[West]:
    files, http = made_studies(tmp_path_factory.mktemp("files")), peers.free_port()
    options = {"HttpPort": http, "Plugins": [PLUGIN], "DicomWeb": {"Enable": True}}
    with peers.orthanc(tmp_path_factory.mktemp("west"), **options) as peer:
        peers.store(peer, [file for study in files.values() for file in study.values()])
        yield West(f"http://127.0.0.1:{http}/dicom-web", files)


def test_it_is_checked(west: West, tmp_path: Path) -> None:
    answer = west.program(tmp_path)("hospitals", "check", "--json")
    (found,) = answer.json["hospitals"]
    assert answer.code == 0
    assert (found["ok"], found["find"], found["get"], found["findings"]) == (True, True, True, [])
    assert found["echo_ms"] > 0


def test_its_studies_are_on_the_line(west: West, tmp_path: Path) -> None:
    answer = west.program(tmp_path)("timeline", *NAMED, "--json")
    assert answer.code == 0
    document = answer.json
    assert document["complete"] is True
    (report,) = document["hospitals"]
    assert (report["name"], report["state"]) == (WEST, "answered")
    studies = {study["study_uid"]: study for study in document["studies"]}
    assert {CT, SHARED} <= studies.keys()
    assert (studies[CT]["region"], studies[CT]["identity"], studies[CT]["images"]) == ("chest", "same", CT_SLICES)


def test_a_study_is_fetched_and_given_back_as_it_was_stored(west: West, tmp_path: Path) -> None:
    program = west.program(tmp_path)
    fetched = program("fetch", CT, "--json")
    assert fetched.code == 0
    (study,) = fetched.json["studies"]
    assert (study["state"], study["hospital"], study["received"]) == ("complete", WEST, CT_SLICES)
    assert program("cache", "export", CT, tmp_path / "out").code == 0
    assert_same_objects(tmp_path / "out", west.files[CT])


def test_a_wrong_address_is_said_and_is_not_an_empty_line(west: West, tmp_path: Path) -> None:
    program = West(west.url + "x", west.files).program(tmp_path)
    document = program("timeline", *NAMED, "--json").json
    assert document["complete"] is False
    assert document["hospitals"][0]["state"] == "refused"
    assert "check url" in document["hospitals"][0]["message"]


def test_the_token_is_shown_nowhere(west: West, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("very-secret-token")
    program = west.program(tmp_path, token_file=str(file))
    answers = [program(*command) for command in (("config", "show"), ("hospitals", "check"), ("timeline", *NAMED))]
    assert [answer.code for answer in answers] == [0, 0, 0]
    assert not any("very-secret-token" in answer.out + answer.err for answer in answers)
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and path != file]
    assert not any(b"very-secret-token" in path.read_bytes() for path in kept)
