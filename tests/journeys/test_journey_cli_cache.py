"""Fetching from Orthanc and dcmqrscp into the cache, and all that IT does with it, from the command line."""

import contextlib
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from journey_tools import (
    BULKY,
    BULKY_IMAGES,
    COLOUR,
    CT,
    CT_SLICES,
    FILM,
    NAMED,
    NORTH,
    SHARED,
    SOUTH,
    STOPPED,
    STRANGER_NORTH,
    Program,
    Town,
    assert_same_objects,
    priorline,
    running_town,
)
from PIL import Image
from pydicom import dcmread

REPORT_KEYS = {
    "study_uid",
    "hospital",
    "expected",
    "received",
    "already_cached",
    "failed",
    "quarantined",
    "bytes",
    "seconds",
    "state",
    "message",
}


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with running_town(tmp_path_factory.mktemp("town")) as found:
        yield found


@pytest.fixture
def program(town: Town, tmp_path: Path) -> Program:
    return town.program(tmp_path, NORTH, SOUTH)


@pytest.mark.parametrize(("study", "holder"), [(CT, NORTH), (FILM, SOUTH), (COLOUR, NORTH), (SHARED, NORTH)])
def test_what_is_fetched_and_exported_is_what_was_stored(
    town: Town, program: Program, tmp_path: Path, study: str, holder: str
) -> None:
    stored = town.files[study]
    answer = program("fetch", study, "--json")
    assert answer.code == 0
    (report,) = answer.json["studies"]
    assert report.keys() >= REPORT_KEYS
    assert (report["study_uid"], report["hospital"], report["state"]) == (study, holder, "complete")
    assert (report["expected"], report["received"], report["already_cached"]) == (len(stored), len(stored), 0)
    assert (report["failed"], report["quarantined"], report["message"]) == (0, 0, "")
    assert report["bytes"] >= sum(len(dcmread(file).PixelData) for file in stored.values())
    exported = program("cache", "export", study, tmp_path / "out")
    assert exported.code == 0
    assert_same_objects(tmp_path / "out", stored)


def test_the_shared_study_is_the_same_from_the_other_hospital(town: Town, program: Program, tmp_path: Path) -> None:
    answer = program("fetch", SHARED, "--from", SOUTH, "--json")
    assert answer.code == 0
    assert answer.json["studies"][0]["hospital"] == SOUTH
    program("cache", "export", SHARED, tmp_path / "out")
    assert_same_objects(tmp_path / "out", town.files[SHARED])


def test_a_second_fetch_brings_nothing_again(program: Program) -> None:
    first = program("fetch", CT, FILM, "--json")
    assert [one["state"] for one in first.json["studies"]] == ["complete", "complete"]
    again = program("fetch", CT, FILM, "--json")
    assert again.code == 0
    for one in again.json["studies"]:
        assert (one["state"], one["bytes"]) == ("complete", 0)
        assert one["already_cached"] == one["received"] == one["expected"] > 0


def test_the_timeline_knows_what_is_cached(program: Program) -> None:
    program("fetch", FILM)
    studies = program("timeline", *NAMED, "--json").json["studies"]
    cached = {one["study_uid"]: (one["cached"], one["cached_images"]) for one in studies}
    assert cached[FILM] == ("complete", 1)
    assert cached[CT] == ("no", 0)


def test_the_suggested_prior_is_fetched_by_its_relation(program: Program) -> None:
    answer = program("fetch", "--relevant-to", CT, "--json")
    assert answer.code == 0
    assert [one["study_uid"] for one in answer.json["studies"]] == [FILM]


def test_one_series_is_a_part_that_never_spoils_the_whole(program: Program) -> None:
    program("fetch", CT)
    answer = program("fetch", CT, "--series", f"{CT}.1", "--json")
    assert answer.code == 0
    assert (answer.json["studies"][0]["bytes"], answer.json["studies"][0]["already_cached"]) == (0, CT_SLICES)
    (listed,) = program("cache", "list", "--json").json["studies"]
    assert listed["complete"] is True


def test_a_series_that_is_not_there_is_no_success(program: Program) -> None:
    answer = program("fetch", CT, "--series", "1.2.3", "--json")
    assert answer.code == 1
    assert answer.json["studies"][0]["state"] == "failed"
    assert answer.json["studies"][0]["message"]


def test_in_part_is_said_in_part(town: Town, program: Program) -> None:
    answer = program("fetch", FILM, "1.2.3.4", "--json")
    assert answer.code == 3
    assert [one["state"] for one in answer.json["studies"]] == ["complete", "failed"]
    assert "No hospital has this study" in answer.json["studies"][1]["message"]


def test_a_study_behind_a_stopped_archive_is_not_said_to_be_nowhere(town: Town, tmp_path: Path) -> None:
    answer = town.program(tmp_path)("fetch", "1.2.3.4", "--json")
    assert answer.code == 1
    message = answer.json["studies"][0]["message"]
    assert STOPPED in message
    assert "No hospital has this study" not in message


def test_the_cache_in_numbers_and_in_lines(town: Town, program: Program, tmp_path: Path) -> None:
    program("fetch", CT, FILM)
    stats = program("cache", "stats", "--json").json
    expected = {"directory": str(tmp_path / "cache"), "studies": 2, "series": 2, "instances": CT_SLICES + 1}
    assert {key: stats[key] for key in expected} == expected
    assert (stats["encrypted"], stats["quarantined"]) == (True, 0)
    listed = {one["study_uid"]: one for one in program("cache", "list", "--json").json["studies"]}
    assert listed.keys() == {CT, FILM}
    film = {
        "patient_id": "PL-0042",
        "issuer": "",
        "patient_name": "Jansen^Piet",
        "date": "2019-03-02",
        "modalities": ["DX"],
        "description": "X-thorax",
        "hospital": SOUTH,
        "instances": 1,
        "complete": True,
        "pinned": False,
        "keep_reason": "",
    }
    assert {key: listed[FILM][key] for key in film} == film
    assert listed[FILM]["expires_at"] > listed[FILM]["viewed_at"] >= listed[FILM]["fetched_at"]
    assert sum(one["bytes"] for one in listed.values()) == stats["bytes"]


def test_nothing_of_the_patient_stands_in_the_cache_folder(program: Program, tmp_path: Path) -> None:
    program("fetch", CT, FILM)
    program("cache", "pin", FILM, "--reason", "asked by Dr Jansen")
    for file in (tmp_path / "cache").rglob("*"):
        content = str(file).encode() + (file.read_bytes() if file.is_file() else b"")
        for secret in ("PL-0042", "Jansen", CT, FILM, "X-thorax"):
            assert secret.encode() not in content, file.name


def test_a_damaged_file_is_found_taken_out_and_fetched_again(program: Program, tmp_path: Path) -> None:
    program("fetch", CT)
    sound = program("cache", "verify", "--json")
    assert sound.code == 0
    assert sound.json == {"checked": CT_SLICES, "damaged": [], "missing": [], "unknown_files": [], "repaired": []}
    victim = next((tmp_path / "cache" / "objects").rglob("*.obj"))
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    damaged = program("cache", "verify", "--json")
    assert damaged.code == 3
    assert len(damaged.json["damaged"]) == 1
    assert program("cache", "verify", "--repair", "--json").json["repaired"] == damaged.json["damaged"]
    assert program("cache", "verify", "--json").json["checked"] == CT_SLICES - 1
    again = program("fetch", CT, "--json").json["studies"][0]
    assert (again["state"], again["already_cached"], again["received"]) == ("complete", CT_SLICES - 1, CT_SLICES)


def test_a_damaged_image_is_left_out_of_an_export_and_said(town: Town, program: Program, tmp_path: Path) -> None:
    program("fetch", CT)
    victim = next((tmp_path / "cache" / "objects").rglob("*.obj"))
    victim.write_bytes(victim.read_bytes()[:-1])
    answer = program("cache", "export", CT, tmp_path / "out")
    assert answer.code == 3
    assert f"1 of {CT_SLICES} images are damaged" in answer.err
    assert len(list((tmp_path / "out").iterdir())) == CT_SLICES - 1


def let_days_pass(cache: Path, days: int) -> None:
    """Everything in the cache was fetched and viewed so much earlier."""
    with contextlib.closing(sqlite3.connect(cache / "index.sqlite")) as index, index:
        seconds = days * 86400
        index.execute("UPDATE study SET fetched_at = fetched_at - ?, viewed_at = viewed_at - ?", (seconds, seconds))


def test_cleaning_does_what_the_dry_run_said(program: Program, tmp_path: Path) -> None:
    program("fetch", CT, FILM, SHARED)
    assert program("cache", "pin", FILM, "--reason", "teaching").code == 0
    let_days_pass(tmp_path / "cache", 31)
    asked = ("cache", "clean", "--json")
    said = program(*asked, "--dry-run").json
    assert len(program("cache", "list", "--json").json["studies"]) == 3
    done = program(*asked).json
    assert (said.pop("dry_run"), done.pop("dry_run")) == (True, False)
    assert done == said
    assert {one["study_uid"] for one in done["removed"]} == {CT, SHARED}
    assert done["freed_bytes"] == sum(one["bytes"] for one in done["removed"]) > 0
    assert {one["reason"] for one in done["removed"]} == {"older than 30 d"}
    (kept,) = program("cache", "list", "--json").json["studies"]
    assert (kept["study_uid"], kept["pinned"], kept["keep_reason"]) == (FILM, True, "pinned: teaching")
    assert program("cache", "pin", FILM, "--off").code == 0
    assert [one["study_uid"] for one in program(*asked).json["removed"]] == [FILM]


def test_nothing_goes_while_it_is_within_the_limits(program: Program, tmp_path: Path) -> None:
    program("fetch", CT)
    let_days_pass(tmp_path / "cache", 29)
    answer = program("cache", "clean", "--json")
    assert (answer.code, answer.json["removed"], answer.json["freed_bytes"]) == (0, [], 0)
    tighter = program("cache", "clean", "--max-age", "28d", "--dry-run", "--json")
    assert [one["study_uid"] for one in tighter.json["removed"]] == [CT]
    smaller = program("cache", "clean", "--max-size", "1B", "--dry-run", "--json")
    assert [one["study_uid"] for one in smaller.json["removed"]] == [CT]


def test_purging_asks_and_takes_no_for_an_answer(program: Program) -> None:
    program("fetch", CT, STRANGER_NORTH)
    refused = program("cache", "purge", "--patient-id", "PL-0042", stdin="n\n")
    assert refused.code == 1
    assert "Remove 1 studies" in refused.err
    assert program("cache", "stats", "--json").json["studies"] == 2
    assert program("cache", "purge", "--patient-id", "PL-0042", stdin="").code == 1
    assert program("cache", "stats", "--json").json["studies"] == 2
    assert program("cache", "purge", "--patient-id", "PL-0042", stdin="y\n").code == 0
    assert [one["study_uid"] for one in program("cache", "list", "--json").json["studies"]] == [STRANGER_NORTH]
    assert program("cache", "purge", "--all", "--yes").code == 0
    assert program("cache", "stats", "--json").json["instances"] == 0
    assert program("cache", "purge", "--study", CT, "--yes").code == 1


def test_a_cache_without_its_key_can_still_be_purged(program: Program, tmp_path: Path) -> None:
    program("fetch", CT)
    (key,) = Path.home().rglob("cache.key")
    key.unlink()
    refused = program("cache", "list")
    assert refused.code == 1
    assert "key of the cache is not here" in refused.complaint
    assert program("cache", "stats", "--json").json["studies"] == 1
    (listed,) = program("cache", "list", "--anonymous", "--json").json["studies"]
    assert (listed["hospital"], listed["instances"], "patient_id" in listed) == (NORTH, CT_SLICES, False)
    (due,) = program("cache", "clean", "--dry-run", "--max-size", "1B", "--json").json["kept"]
    assert (due["handle"], due["study_uid"]) == (listed["handle"], "")
    assert program("cache", "purge", "--all", stdin="n\n").code == 1
    assert list((tmp_path / "cache" / "objects").rglob("*.obj"))
    assert program("cache", "purge", "--all", "--yes").code == 0
    assert program("cache", "stats", "--json").json["studies"] == 0
    assert program("fetch", CT).code == 0


def test_after_a_purge_of_everything_a_copy_of_the_cache_is_noise(program: Program, tmp_path: Path) -> None:
    program("fetch", CT)
    (key,) = Path.home().rglob("cache.key")
    shutil.copytree(tmp_path / "cache", tmp_path / "copy")
    assert program("cache", "purge", "--all", "--yes").code == 0
    assert not key.exists()
    assert program("cache", "purge", "--all", "--yes").code == 0  # killed half-way and run again ends the same
    assert program("fetch", FILM).code == 0  # with a new key
    shutil.rmtree(tmp_path / "cache")
    shutil.copytree(tmp_path / "copy", tmp_path / "cache")
    refused = program("cache", "list")
    assert refused.code == 1
    assert "another key" in refused.complaint


def test_pinning_is_on_record(program: Program) -> None:
    program("fetch", FILM)
    assert program("cache", "pin", FILM, "--reason", "teaching").code == 0
    assert program("cache", "pin", FILM, "--off").code == 0
    acts = [one for one in program("audit", "show", "--json").json["records"] if "action" in one]
    assert [(one["action"], one["study"]) for one in acts] == [("pinned", FILM), ("unpinned", FILM)]


def test_the_trail_tells_the_question_before_the_act(program: Program, tmp_path: Path) -> None:
    program("timeline", *NAMED, "--reason", "trauma")
    program("fetch", FILM)
    program("cache", "export", FILM, tmp_path / "out")
    program("cache", "purge", "--study", FILM, "--yes")
    shown = program("audit", "show", "--json")
    assert shown.code == 0
    told = [(one["event"], one.get("hospital", "")) for one in shown.json["records"]]
    assert sorted(told[:2]) == [("query", NORTH), ("query", SOUTH)]
    assert sorted(told[2:4]) == [("query", NORTH), ("query", SOUTH)]
    assert told[4:] == [("transferred", SOUTH), ("exported", ""), ("deleted", "")]
    assert [one["reason"] for one in shown.json["records"][:2]] == ["trauma", "trauma"]
    assert [one["patient_id"] for one in shown.json["records"][:2]] == ["PL-0042", "PL-0042"]
    verified = program("audit", "verify", "--json")
    assert (verified.code, verified.json["whole"], verified.json["records"]) == (0, True, len(told))


def test_a_changed_trail_is_noticed(program: Program) -> None:
    program("timeline", *NAMED)
    (trail,) = Path.home().rglob("audit.jsonl")
    trail.write_text(trail.read_text().replace("PL-0042", "PL-0043", 1))
    verified = program("audit", "verify", "--json")
    assert (verified.code, verified.json["whole"], verified.json["line"]) == (3, False, 1)


def test_a_trail_that_cannot_be_written_stops_every_question(program: Program) -> None:
    data = Path.home() / ".local" / "share"
    data.mkdir(parents=True, exist_ok=True)
    (data / "priorline").write_text("a file where the folder should be")
    answer = program("timeline", *NAMED, "--json")
    assert answer.code == 1
    assert {one["state"] for one in answer.json["hospitals"]} == {"not-asked"}
    assert all("audit trail" in one["message"] for one in answer.json["hospitals"])


def test_a_grey_image_becomes_an_8_bit_png_of_the_same_size(town: Town, program: Program, tmp_path: Path) -> None:
    file = town.files[CT][f"{CT}.1.1"]
    assert program("render", file, "-o", tmp_path / "file.png").code == 0
    dataset = dcmread(file)
    with Image.open(tmp_path / "file.png") as picture:
        assert (picture.format, picture.mode, picture.size) == ("PNG", "L", (dataset.Columns, dataset.Rows))
        levels = np.asarray(picture)
    # Without a window in the file the whole range of values is shown, the smallest black.
    values = dataset.pixel_array
    assert levels.min() == 0
    assert levels[np.unravel_index(values.argmin(), values.shape)] == 0
    assert levels[np.unravel_index(values.argmax(), values.shape)] == 255
    program("fetch", CT)
    assert program("render", "--instance", f"{CT}.1.1", "-o", tmp_path / "cached.png").code == 0
    with Image.open(tmp_path / "cached.png") as picture:
        assert (np.asarray(picture) == levels).all()


def test_a_colour_image_becomes_rgb(town: Town, program: Program, tmp_path: Path) -> None:
    (file,) = town.files[COLOUR].values()
    assert program("render", file, "-o", tmp_path / "colour.png").code == 0
    with Image.open(tmp_path / "colour.png") as picture:
        assert picture.mode == "RGB"
        assert (np.asarray(picture) == dcmread(file).pixel_array).all()


def test_what_is_no_image_is_said_to_be_none(program: Program, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear colleague, " * 40)
    for file in (tmp_path / "letter.txt", tmp_path / "not-there.dcm"):
        answer = program("render", file, "-o", tmp_path / "out.png")
        assert answer.code == 1
        assert answer.complaint.startswith("priorline: ")
    assert program("render", "--instance", "1.2.3", "-o", tmp_path / "out.png").code == 1
    assert not (tmp_path / "out.png").exists()


def test_a_full_disk_is_said_and_what_came_stays_and_counts(town: Town, program: Program, tmp_path: Path) -> None:
    """No file may grow beyond a limit, which the system reports like a full disk; it needs no rights to set."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))"
    start = ("-c", f"{limit}; from priorline.__main__ import main; main()")
    answer = priorline("--config", program.config, "fetch", BULKY, "--json", start=start)
    (report,) = answer.json["studies"]
    assert "no room left for the cache" in report["message"]
    assert report["expected"] == BULKY_IMAGES
    came = report["received"]
    assert 0 <= came < BULKY_IMAGES
    assert (answer.code, report["state"]) == ((3, "partial") if came else (1, "failed"))
    assert program("cache", "verify", "--json").json["checked"] == came
    whole = program("fetch", BULKY, "--json")
    assert whole.code == 0
    resumed = whole.json["studies"][0]
    assert (resumed["state"], resumed["already_cached"], resumed["received"]) == ("complete", came, BULKY_IMAGES)
    program("cache", "export", BULKY, tmp_path / "out")
    assert_same_objects(tmp_path / "out", town.files[BULKY])


def test_a_reader_that_goes_early_is_no_fault(program: Program) -> None:
    command = f"{sys.executable} -m priorline --config {program.config} timeline --patient-id PL-0042 --json"
    ended = subprocess.run(["sh", "-c", f"{command} | head -c 1"], capture_output=True, text=True, check=False)
    assert ended.stdout == "{"
    assert "Traceback" not in ended.stderr


def test_progress_goes_to_standard_error_only(program: Program) -> None:
    answer = program("fetch", CT, "--json")
    assert json.loads(answer.out)["studies"]
    assert answer.err == ""
