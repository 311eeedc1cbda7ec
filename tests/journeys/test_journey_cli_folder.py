"""A disc as one more hospital beside one that speaks DICOM, from the command line."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from journey_tools import (
    CT,
    CT_SLICES,
    FILM,
    NAMED,
    PATIENT,
    SHARED,
    Answer,
    Files,
    Program,
    assert_same_objects,
    hospital,
    made_studies,
    write_config,
)
from pydicom import dcmread

import peers
from folders import save, study, write_disc
from priorline.archives.base import DicomPeer

SOUTH, DISC = "South Clinic", "Disc"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return made_studies(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def south(tmp_path_factory: pytest.TempPathFactory, files: Files) -> Iterator[DicomPeer]:
    with peers.dcmqrscp(tmp_path_factory.mktemp("south")) as peer:
        peers.store(peer, [file for uid in (FILM, SHARED) for file in files[uid].values()])
        yield peer


@pytest.fixture
def disc(tmp_path: Path, files: Files) -> Path:
    """The CT with a DICOMDIR, and the MR, which the other hospital has too, loose beside it."""
    ct = [dcmread(file) for file in files[CT].values()]
    for dataset in ct:
        dataset.StudyID = "1"
    write_disc(tmp_path / "cd", ct)
    (tmp_path / "cd" / "later").mkdir()
    for number, file in enumerate(files[SHARED].values()):
        shutil.copy(file, tmp_path / "cd" / "later" / f"mr{number}.dcm")
    return tmp_path / "cd"


def both(folder: Path, south: DicomPeer, disc: Path) -> Program:
    """The program with the disc and the other hospital."""
    on_disc = {"name": DISC, "protocol": "folder", "directory": str(disc)}
    return write_config(folder / "priorline.toml", hospital(SOUTH, south), on_disc)


def states(answer: Answer) -> dict[str, str]:
    return {one["name"]: one["state"] for one in answer.json["hospitals"]}


def test_it_is_checked(south: DicomPeer, disc: Path, tmp_path: Path) -> None:
    program = both(tmp_path, south, disc)
    answer = program("hospitals", "check", "--json")
    checks = {one["name"]: one for one in answer.json["hospitals"]}
    assert (answer.code, checks[DISC]["ok"], checks[DISC]["findings"]) == (0, True, [])
    assert (checks[DISC]["find"], checks[DISC]["get"], checks[DISC]["move"]) == (True, True, False)
    shutil.rmtree(disc)
    answer = program("hospitals", "check")
    assert answer.code == 3
    assert "put the disc or stick in" in " ".join(answer.out.split())


def test_one_line_over_both(south: DicomPeer, disc: Path, tmp_path: Path) -> None:
    answer = both(tmp_path, south, disc)("timeline", *NAMED, "--json")
    assert (answer.code, answer.json["complete"]) == (0, True)
    assert states(answer) == {SOUTH: "answered", DISC: "answered"}
    studies = {one["study_uid"]: one for one in answer.json["studies"]}
    assert studies.keys() == {CT, FILM, SHARED}
    assert (studies[CT]["hospitals"], sorted(studies[SHARED]["hospitals"])) == ([DISC], [DISC, SOUTH])
    ct = studies[CT]
    assert (ct["identity"], ct["images"], ct["region"], ct["birth_date"]) == (
        "same",
        CT_SLICES,
        "chest",
        "1961-04-05",
    )


def test_a_study_is_fetched_and_given_back_as_it_was_without_what_hides_in_preambles(
    south: DicomPeer, disc: Path, tmp_path: Path, files: Files
) -> None:
    for file in disc.rglob("IM*"):
        if file.is_file():
            file.write_bytes(b"MZ" + b"\xcc" * 126 + file.read_bytes()[128:])
    program = both(tmp_path, south, disc)
    answer = program("fetch", CT, "--json")
    (fetched,) = answer.json["studies"]
    assert (answer.code, fetched["state"], fetched["hospital"]) == (0, "complete", DISC)
    assert (fetched["expected"], fetched["received"], fetched["failed"]) == (CT_SLICES, CT_SLICES, 0)
    assert program("cache", "export", CT, tmp_path / "out").code == 0
    stored = {str(dcmread(file).SOPInstanceUID): file for file in disc.rglob("IM*") if file.is_file()}
    assert_same_objects(tmp_path / "out", stored)
    assert stored.keys() == files[CT].keys()
    assert [file.read_bytes()[:128] for file in (tmp_path / "out").iterdir()] == [bytes(128)] * CT_SLICES


def test_without_the_disc_the_line_is_not_complete(south: DicomPeer, disc: Path, tmp_path: Path) -> None:
    program = both(tmp_path, south, disc)
    shutil.rmtree(disc)
    answer = program("timeline", *NAMED, "--json")
    assert (answer.code, answer.json["complete"]) == (3, False)
    assert states(answer) == {SOUTH: "answered", DISC: "failed"}
    (message,) = [one["message"] for one in answer.json["hospitals"] if one["name"] == DISC]
    assert message == "Disc is not there: put the disc or stick in and ask again, or check which directory is named."
    answer = program("fetch", CT, "--json")
    assert (answer.code, answer.json["studies"][0]["state"]) == (1, "failed")
    assert "put the disc or stick in" in answer.json["studies"][0]["message"]


def test_a_file_that_is_missing_and_one_that_is_cut_are_named(south: DicomPeer, disc: Path, tmp_path: Path) -> None:
    images = sorted(file for file in disc.rglob("IM*") if file.is_file())
    images[0].unlink()
    images[1].write_bytes(images[1].read_bytes()[:-2000])
    answer = both(tmp_path, south, disc)("fetch", CT, "--json")
    (fetched,) = answer.json["studies"]
    assert (answer.code, fetched["state"], fetched["received"], fetched["failed"]) == (3, "partial", CT_SLICES - 2, 2)
    assert "Named by the DICOMDIR, but not there" in fetched["message"]
    assert "ends too early" in fetched["message"]


def test_a_current_study_that_is_cut_is_said(south: DicomPeer, disc: Path, tmp_path: Path) -> None:
    program = both(tmp_path, south, disc)
    files = save(tmp_path / "stick", study("1.2.826.0.1.3680043.8.498.77", who=PATIENT))
    files[2].write_bytes(files[2].read_bytes()[:-2000])
    answer = program("timeline", "--folder", tmp_path / "stick", "--json")
    (current,) = [one for one in answer.json["studies"] if one["current"]]
    assert (answer.code, answer.json["complete"]) == (3, True)
    assert (current["cached"], current["cached_images"], current["images"]) == ("partial", 3, 4)
    answer = program("timeline", "--folder", tmp_path / "stick")
    assert answer.code == 3
    assert "Folder: The file ends too early; fetch or copy it again." in answer.err
