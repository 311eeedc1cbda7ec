"""A hospital that only sends by C-MOVE, from the command line: configured, checked, fetched, given back."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from journey_tools import (
    CT,
    CT_SLICES,
    NORTH,
    Files,
    Program,
    assert_same_objects,
    hospital,
    made_studies,
    write_config,
)

import peers
from priorline.archives.base import DicomPeer

Sender = tuple[DicomPeer, int, Files]


@pytest.fixture(scope="module")
def sender(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sender]:
    """An archive without C-GET, the port to which it sends, and what it holds."""
    folder, port = tmp_path_factory.mktemp("sender"), peers.free_port()
    (folder / "files").mkdir()
    files = made_studies(folder / "files")
    with peers.dcmqrscp(folder, port, "--disable-get") as peer:
        peers.store(peer, list(files[CT].values()))
        yield peer, port, files


def program(sender: Sender, folder: Path, port: int, **more: str) -> Program:
    return write_config(
        folder / "priorline.toml", hospital(NORTH, sender[0], **more), top=f"[workstation]\nport = {port}"
    )


@pytest.mark.parametrize("retrieve", ["auto", "c-move"])
def test_a_study_is_fetched_whole_and_given_back_as_it_was(sender: Sender, tmp_path: Path, retrieve: str) -> None:
    run = program(sender, tmp_path, sender[1], retrieve=retrieve)
    check = run("hospitals", "check", "--json").json["hospitals"][0]
    assert (check["ok"], check["get"], check["move"]) == (True, False, True)
    assert f"port {sender[1]}" in check["findings"][0]
    fetched = run("fetch", CT, "--json")
    assert fetched.code == 0
    report = fetched.json["studies"][0]
    assert (report["state"], report["received"], report["failed"]) == ("complete", CT_SLICES, 0)
    assert run("cache", "export", CT, tmp_path / "out").code == 0
    assert_same_objects(tmp_path / "out", sender[2][CT])


def test_an_archive_that_sends_elsewhere_leaves_a_sentence(sender: Sender, tmp_path: Path) -> None:
    run = program(sender, tmp_path, peers.free_port())
    fetched = run("fetch", CT, "--json")
    assert fetched.code == 1
    assert "could not send to us" in fetched.json["studies"][0]["message"]


def test_get_alone_is_checked_as_that(sender: Sender, tmp_path: Path) -> None:
    check = program(sender, tmp_path, sender[1], retrieve="c-get")("hospitals", "check", "--json")
    assert check.code == 1
    assert "does not offer C-GET" in check.json["hospitals"][0]["findings"][0]
