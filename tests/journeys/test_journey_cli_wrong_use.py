"""Wrong use, wrong configuration and a cache that cannot be used: one clear line, and the promised exit code."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from journey_tools import NAMED, Program, hospital, priorline, write_config

import peers


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """A program with one hospital that nobody answers for; nothing here gets as far as asking it."""
    return write_config(tmp_path / "priorline.toml", hospital("North", peers.peer(peers.free_port())))


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield int(other.getsockname()[1])


def config_with(folder: Path, text: str) -> Program:
    file = folder / "priorline.toml"
    file.write_text(text)
    return Program(file)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[cache]\nmaxsize = 3\n", ("cache.maxsize", "max_size")),
        ('[cache]\nmax_size = "much"\n', ("max_size", "20 GB")),
        ("[workstation]\nport = 70000\n", ("workstation.port", "65535")),
        ("[workstation\n", ("TOML",)),
        (
            '[[hospital]]\nname = "A"\nae_title = "A"\nhost = "a"\nport = 104\n' * 2,
            ('"A"', "twice", "unique"),
        ),
        ('[[hospital]]\nname = "A"\nprotocol = "fax"\n', ('hospital "A".protocol', "dicomweb")),
        ('[[hospital]]\nname = "A"\n', ('hospital "A"', "needs ae_title and host and port")),
    ],
    ids=["unknown key", "wrong size", "wrong port", "no TOML", "name twice", "unknown protocol", "missing keys"],
)
def test_a_wrong_configuration_names_file_key_and_choice(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    program = config_with(tmp_path, text)
    answer = program("config", "check")
    assert answer.code == 2
    for word in (str(program.config), *words):
        assert word in answer.complaint


def test_a_configuration_that_is_not_there_is_named(tmp_path: Path) -> None:
    answer = Program(tmp_path / "nowhere.toml")("timeline", *NAMED)
    assert answer.code == 2
    assert str(tmp_path / "nowhere.toml") in answer.complaint


def test_without_any_hospital_the_way_out_is_shown() -> None:
    for command in (("timeline", *NAMED), ("hospitals", "check"), ("fetch", "1.2.3")):
        answer = priorline(*command)
        assert answer.code == 2
        assert "No hospital is configured" in answer.complaint


@pytest.mark.parametrize("command", [("config", "check"), ("hospitals", "check")], ids=" ".join)
def test_a_port_that_is_taken_is_named(tmp_path: Path, taken_port: int, command: tuple[str, ...]) -> None:
    nobody = hospital("North", peers.peer(peers.free_port()))
    top = f"[workstation]\nport = {taken_port}"
    answer = write_config(tmp_path / "priorline.toml", nobody, top=top)(*command)
    assert answer.code == 2
    assert f"workstation.port {taken_port}" in answer.complaint
    assert "0 for no listening" in answer.complaint


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("timeline",), "--patient-id"),
        (("timeline", "--patient-id", "PL*"), "no *, ? or"),
        (("timeline", "--patient-id", "PL?2"), "no *, ? or"),
        (("timeline", "--patient-id", "A\\B"), "no *, ? or"),
        (("timeline", "--study", "1.2.x"), "Study Instance UID"),
        (("timeline", "--study", "1" * 65), "Study Instance UID"),
        (("timeline", "--patient-id", "1", "--birth-date", "31.12.1960"), "YYYYMMDD"),
        (("timeline", "--patient-id", "1", "--sex", "X"), "M, F"),
        (("timeline", "--patient-id", "1", "--colour"), "--colour"),
        (("timeline", "--request", "nowhere.json"), "nowhere.json"),
        (("timeline", "--folder", "nowhere"), "not a folder"),
        (("fetch",), "STUDY_UID"),
        (("fetch", "1.2.*"), "Study Instance UID"),
        (("fetch", "1.2.3", "--series", "*"), "Series Instance UID"),
        (("fetch", "1.2.3", "--from", "Elsewhere"), "Elsewhere"),
        (("render", "-o", "x.png"), "--instance"),
        (("render", "a.dcm", "-o", "x.png", "--size", "huge"), "WIDTHxHEIGHT"),
        (("render", "a.dcm", "-o", "x.png", "--frame", "0"), "--frame"),
        (("render", "a.dcm"), "--out"),
        (("cache", "purge"), "--all"),
        (("cache", "purge", "--all", "--study", "1.2.3"), "--all"),
        (("cache", "clean", "--max-size", "much"), "20 GB"),
        (("cache", "clean", "--max-age", "soon"), "30 d"),
        (("cache", "pin", "1.2.3"), "--reason"),
        (("audit", "show", "--since", "yesterday"), "YYYY"),
        (("teleport",), "teleport"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, tuple) else "",
)
def test_wrong_use_is_one_line_and_ends_in_2(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.dcm").write_bytes(b"")
    answer = program(*arguments)
    assert answer.code == 2
    assert words in answer.complaint


@pytest.mark.parametrize(
    ("request_text", "words"),
    [
        ("{", "JSON"),
        ("[]", "JSON"),
        ('{"patientID": "1", "shoeSize": "43"}', "shoeSize"),
        ('{"patientID": "1*"}', "no *, ? or"),
        ("{}", "No patient given"),
        ("priorline://patient?patientID=*", "no *, ? or"),
    ],
)
def test_a_wrong_request_is_one_line_too(program: Program, request_text: str, words: str) -> None:
    answer = program("timeline", "--request", "-", stdin=request_text)
    assert answer.code == 2
    assert words in answer.complaint


def test_a_cache_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("not a folder")
    program = write_config(tmp_path / "priorline.toml", hospital("North", peers.peer(peers.free_port())))
    for command in (("cache", "stats"), ("cache", "list"), ("cache", "verify"), ("fetch", "1.2.3")):
        answer = program(*command)
        assert answer.code == 1
        assert str(tmp_path / "cache") in answer.complaint
    assert (tmp_path / "cache").read_text() == "not a folder"


def test_a_folder_with_other_things_is_never_taken_for_a_cache(tmp_path: Path) -> None:
    thesis = tmp_path / "cache" / "thesis.txt"
    thesis.parent.mkdir()
    thesis.write_text("ten years of work")
    program = write_config(tmp_path / "priorline.toml", hospital("North", peers.peer(peers.free_port())))
    for command in (("cache", "stats"), ("cache", "clean"), ("cache", "purge", "--study", "1.2")):
        answer = program(*command)
        assert answer.code == 1
        assert "other things than a cache" in answer.complaint
    assert program("cache", "purge", "--all", "--yes").code == 1
    assert thesis.read_text() == "ten years of work"


def test_the_folder_in_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: Program
) -> None:
    monkeypatch.setenv("PRIORLINE_CACHE_DIR", str(tmp_path / "elsewhere"))
    assert program("cache", "stats", "--json").json["directory"] == str(tmp_path / "elsewhere")
    assert not (tmp_path / "cache").exists()
