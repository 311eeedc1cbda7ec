"""A department's own archive beside hospitals, from the command line: asked first, filled, never taken for one."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from journey_tools import (
    CT,
    CT_SLICES,
    NAMED,
    NORTH,
    SHARED,
    SOUTH,
    Files,
    Program,
    assert_same_objects,
    dataset_bytes,
    hospital,
    made_studies,
    write_config,
)
from pynetdicom import evt

import peers
from priorline.archives.base import DicomPeer
from priorline.archives.dicom import DicomArchive
from priorline.archives.incoming import Received, whole
from tls_peers import recorded

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs a peer that is packaged for Linux")

SCALE = Path(__file__).resolve().parents[2] / "docs" / "scale.md"
# Command Field (0000,0100) of a C-STORE-RQ (PS3.7 9.3.1.1).
STORE_REQUEST = bytes.fromhex("00000001020000000100")
OURS, SECOND = "Our archive", "Second archive"


class City:
    """Two hospitals, and whatever department's archives a test starts beside them."""

    def __init__(self, north: DicomPeer, south: DicomPeer, files: Files) -> None:
        self.north, self.south, self.files = north, south, files

    def program(self, folder: Path, *departments: dict[str, Any], **more: Any) -> Program:
        places = (hospital(NORTH, self.north, **more), hospital(SOUTH, self.south))
        return write_config(folder / "priorline.toml", *places, *departments)


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    folder = tmp_path_factory.mktemp("city")
    for name in ("files", "north", "south"):
        (folder / name).mkdir()
    files = made_studies(folder / "files")
    with peers.orthanc(folder / "north") as north, peers.dcmqrscp(folder / "south") as south:
        peers.store(north, [*files[CT].values(), *files[SHARED].values()])
        peers.store(south, list(files[SHARED].values()))
        yield City(north, south, files)


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[DicomPeer]:
    """The department's archive, empty: a plain Orthanc of Debian, configured as the document says."""
    (tmp_path / "ours").mkdir()
    told = json.loads(re.findall(r"```json\n(.*?)```", SCALE.read_text("utf-8"), re.DOTALL)[0])
    told["DicomModalities"]["desk-1"]["Host"] = "127.0.0.1"
    told |= {"DicomAet": peers.CALLED, "DicomPort": peers.free_port(), "DicomAlwaysAllowEcho": False}
    with peers.orthanc(tmp_path / "ours", **told) as peer:
        yield peer


def department(peer: DicomPeer, name: str = OURS, **more: Any) -> dict[str, Any]:
    return hospital(name, peer, role="department", **more)


def objects(peer: DicomPeer, study: str) -> dict[str, Received]:
    found: dict[str, Received] = {}
    DicomArchive(peer).retrieve(study, None, (), whole(lambda one: found.update({one.sop_instance_uid: one})), bool)
    return found


def trail() -> list[dict[str, Any]]:
    file = next(Path.home().rglob("audit.jsonl"))
    return [json.loads(line) for line in file.read_text().splitlines()]


def transfers() -> list[tuple[str, str]]:
    """Where studies were fetched from and sent to, in the order on record."""
    return [(one.get("action", "fetched"), one["hospital"]) for one in trail() if one["event"] == "transferred"]


def test_it_is_filled_after_a_fetch_and_the_next_fetch_is_from_there(
    city: City, ours: DicomPeer, tmp_path: Path
) -> None:
    run = city.program(tmp_path, department(ours))
    first = run("fetch", CT, "--json")
    assert first.code == 0
    told = first.json["studies"][0]
    assert (told["hospital"], told["received"]) == (NORTH, CT_SLICES)
    assert told["departments"] == [{"department": OURS, "sent": CT_SLICES, "already": 0, "refused": 0, "message": ""}]
    assert run("cache", "export", CT, tmp_path / "out").code == 0
    kept = objects(ours, CT)
    exported = {file.read_bytes(): dataset_bytes(file) for file in (tmp_path / "out").iterdir()}
    # Byte for byte what the hospital sent.
    assert sorted(one.dataset for one in kept.values()) == sorted(exported.values())
    assert {one.dataset for one in kept.values()} == {one.dataset for one in objects(city.north, CT).values()}
    assert run("cache", "purge", "--study", CT, "--yes").code == 0
    again = run("fetch", CT, "--json").json["studies"][0]
    assert (again["hospital"], again["state"], again["received"]) == (OURS, "complete", CT_SLICES)
    assert again["departments"] == []
    assert run("cache", "export", CT, tmp_path / "again").code == 0
    assert_same_objects(tmp_path / "again", city.files[CT], verbatim=False)
    assert transfers() == [("fetched", NORTH), ("stored", OURS), ("fetched", OURS)]
    stored = next(one for one in trail() if one.get("action") == "stored")
    assert (stored["patient_id"], stored["study"], stored["instances"]) == ("PL-0042", CT, CT_SLICES)


def test_a_part_there_is_completed_by_a_hospital_and_filled_up(city: City, ours: DicomPeer, tmp_path: Path) -> None:
    peers.store(ours, list(city.files[CT].values())[:2])
    run = city.program(tmp_path, department(ours))
    told = run("fetch", CT, "--json").json["studies"][0]
    assert (told["hospital"], told["state"], told["received"]) == (NORTH, "complete", CT_SLICES)
    assert told["already_cached"] == 2
    assert [(one["sent"], one["already"]) for one in told["departments"]] == [(CT_SLICES - 2, 2)]
    assert len(objects(ours, CT)) == CT_SLICES
    assert transfers() == [("fetched", OURS), ("fetched", NORTH), ("stored", OURS)]


def test_a_part_there_is_not_called_complete_where_the_hospital_fails(
    city: City, ours: DicomPeer, tmp_path: Path
) -> None:
    peers.store(ours, list(city.files[CT].values())[:2])
    # It says what it has, and does not hand it over.
    run = city.program(tmp_path, department(ours), retrieve="c-move")
    told = run("fetch", CT, "--json")
    assert told.code == 3
    study = told.json["studies"][0]
    assert (study["state"], study["received"], study["expected"]) == ("partial", 2, CT_SLICES)


def test_on_the_line_the_hospital_goes_before_the_copy(city: City, ours: DicomPeer, tmp_path: Path) -> None:
    peers.store(ours, list(city.files[CT].values()))
    run = city.program(tmp_path, department(ours))
    line = run("timeline", "--json", *NAMED).json
    study = next(one for one in line["studies"] if one["study_uid"] == CT)
    assert study["hospitals"] == [NORTH, OURS]
    table = run("timeline", *NAMED).out
    assert f"{NORTH}, {OURS} (department" in " ".join(table.split())


def test_what_another_number_was_filled_under_is_found_again(city: City, ours: DicomPeer, tmp_path: Path) -> None:
    """The hospital's own number lies in the archive, as it came; ours is never written over it."""
    run = city.program(tmp_path, department(ours))
    written = run.config.read_text()
    known = '[[hospital]]\npatient_id = { "PL-7" = "PL-0042" }'
    run.config.write_text(written.replace("[[hospital]]", known, 1))
    assert run("fetch", CT).code == 0
    named = ("--patient-id", "PL-7", "--name", "Jansen^Piet", "--birth-date", "19610405", "--sex", "M")
    study = next(one for one in run("timeline", "--json", *named).json["studies"] if one["study_uid"] == CT)
    assert (study["hospitals"], study["identity"], study["patient_id"]) == ([NORTH, OURS], "same", "PL-0042")


def test_a_bare_number_there_is_never_enough(city: City, ours: DicomPeer, tmp_path: Path) -> None:
    peers.store(ours, list(city.files[CT].values()))
    run = write_config(tmp_path / "priorline.toml", department(ours))
    line = run("timeline", "--json", "--patient-id", "PL-0042").json
    assert {one["identity"] for one in line["studies"]} == {"proposed"}


def test_one_that_is_down_leaves_a_sentence_and_the_fetch_complete(city: City, tmp_path: Path) -> None:
    closed = peers.peer(peers.free_port())
    run = city.program(tmp_path, department(closed))
    told = run("fetch", CT, "--json")
    assert told.code == 0
    study = told.json["studies"][0]
    assert (study["state"], study["received"]) == ("complete", CT_SLICES)
    (ours,) = study["departments"]
    assert (ours["sent"], ours["message"].count("cannot be reached")) == (0, 1)
    (tmp_path / "late").mkdir()
    with peers.orthanc(tmp_path / "late", DicomPort=closed.port) as peer:
        # All is in the cache, and what is owed is paid by the next fetch.
        again = run("fetch", CT, "--json").json["studies"][0]
        assert [one["sent"] for one in again["departments"]] == [CT_SLICES]
        assert len(objects(peer, CT)) == CT_SLICES


def test_two_departments_are_filled_and_one_that_fails_does_not_hold_up_the_other(
    city: City, ours: DicomPeer, tmp_path: Path
) -> None:
    (tmp_path / "scp").mkdir()
    port, kept = peers.free_port(), tmp_path / "scp"
    with peers.running(["storescp", "-od", str(kept), "-aet", peers.CALLED, str(port)], tmp_path, port):
        closed = department(peers.peer(peers.free_port()), "Third archive")
        run = city.program(tmp_path, closed, department(ours), department(peers.peer(port), SECOND))
        told = run("fetch", CT, "--json").json["studies"][0]
    assert [(one["department"], one["sent"]) for one in told["departments"]] == [
        ("Third archive", 0),
        (OURS, CT_SLICES),
        (SECOND, CT_SLICES),
    ]
    assert told["state"] == "complete"
    assert len(list(kept.iterdir())) == CT_SLICES


def test_no_storage_ever_goes_out_to_a_hospital(city: City, ours: DicomPeer, tmp_path: Path) -> None:
    """All that goes out is recorded, to a hospital and to the department's archive."""
    with recorded(city.north.port) as (north, to_hospital), recorded(ours.port) as (archive, to_department):
        run = write_config(
            tmp_path / "priorline.toml", hospital(NORTH, peers.peer(north)), department(peers.peer(archive))
        )
        assert run("hospitals", "check").code == 0
        assert run("fetch", CT, SHARED, "--json").code == 0
    assert to_hospital
    assert not any(STORE_REQUEST in said for said in to_hospital)
    assert any(STORE_REQUEST in said for said in to_department)
    assert len(objects(ours, CT)) == CT_SLICES


def test_the_check_says_whether_it_accepts_storage(city: City, ours: DicomPeer, tmp_path: Path) -> None:
    with peers.scripted([(evt.EVT_C_FIND, lambda _event: iter([(0x0000, None)]))], storage=()) as shut:
        run = city.program(tmp_path, department(ours), department(shut, SECOND))
        found = {one["name"]: one for one in run("hospitals", "check", "--json").json["hospitals"]}
    assert (found[OURS]["store"], found[OURS]["role"], found[OURS]["ok"]) == (True, "department", True)
    assert (found[NORTH]["store"], found[NORTH]["role"]) == (None, "hospital")
    assert (found[SECOND]["store"], found[SECOND]["ok"]) == (False, False)
