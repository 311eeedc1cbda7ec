"""The timeline over Orthanc, dcmqrscp and a hospital that does not answer, from the command line."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from journey_tools import (
    COLOUR,
    CT,
    CT_SLICES,
    FILM,
    NAMED,
    NORTH,
    SHARED,
    SOUTH,
    STOPPED,
    STRANGER,
    Town,
    hospital,
    priorline,
    relabelled,
    running_town,
    write_config,
)

import peers
from priorline.config import load
from priorline.domain.links import link_of
from priorline.domain.patient import Identifier, Patient
from priorline.work.session import open_links


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with running_town(tmp_path_factory.mktemp("town")) as found:
        yield found


def states(document: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["state"] for one in document["hospitals"]}


def test_a_stopped_archive_makes_the_timeline_incomplete_and_says_so(town: Town, tmp_path: Path) -> None:
    answer = town.program(tmp_path)("timeline", *NAMED, "--json")
    assert answer.code == 3
    document = answer.json
    assert document["complete"] is False
    assert states(document) == {NORTH: "answered", SOUTH: "answered", STOPPED: "failed"}
    reports = {one["name"]: one for one in document["hospitals"]}
    assert "cannot be reached" in reports[STOPPED]["message"]
    assert (reports[NORTH]["studies"], reports[SOUTH]["studies"], reports[STOPPED]["studies"]) == (3, 2, 0)
    assert document["patient"] == {
        "id": "PL-0042",
        "issuer": "",
        "name": "Jansen^Piet",
        "birth_date": "1961-04-05",
        "sex": "M",
    }
    # Only this patient's studies, newest first, and the shared one once.
    assert [study["study_uid"] for study in document["studies"]] == [CT, SHARED, COLOUR, FILM]
    holders = {study["study_uid"]: study["hospitals"] for study in document["studies"]}
    assert sorted(holders[SHARED]) == [NORTH, SOUTH]
    assert (holders[CT], holders[FILM]) == ([NORTH], [SOUTH])


def test_each_study_is_described_as_promised(town: Town, tmp_path: Path) -> None:
    document = town.program(tmp_path, NORTH, SOUTH)("timeline", *NAMED, "--study", CT, "--json").json
    film = next(study for study in document["studies"] if study["study_uid"] == FILM)
    promised = {
        "date": "2019-03-02",
        "time": "10:15:00",
        # dcmqrscp tells no modalities with a study: they come from its series.
        "modalities": ["DX"],
        "description": "X-thorax",
        "region": "chest",
        "regions": ["chest"],
        "region_source": "description",
        "probable_copies": [],
        "accession": "A102",
        "patient_id": "PL-0042",
        "issuer": "",
        "patient_name": "Jansen^Piet",
        "birth_date": "1961-04-05",
        "identity": "same",
        "hospitals": [SOUTH],
        "cached": "no",
        "cached_images": 0,
    }
    assert {key: film[key] for key in promised} == promised
    assert "same region" in film["reasons"]
    assert "film before the CT" in film["reasons"]
    priors = [study for study in document["studies"] if study["study_uid"] != CT]
    assert max(priors, key=lambda study: study["relevance"])["study_uid"] == FILM
    ct = next(study for study in document["studies"] if study["study_uid"] == CT)
    assert (ct["images"], ct["series"], ct["current"]) == (CT_SLICES, 1, True)


def test_what_a_person_confirmed_counts_here_too_until_it_is_taken_back(town: Town, tmp_path: Path) -> None:
    program = town.program(tmp_path, NORTH, SOUTH)
    married = ("timeline", "--patient-id", "PL-0042", "--name", "Bakker^Anna", "--birth-date", "19610405", "--json")
    film = next(study for study in program(*married).json["studies"] if study["study_uid"] == FILM)
    assert film["identity"] == "proposed"
    assert "Differ: name." in film["identity_card"]
    context = Patient(Identifier("PL-0042"), "Bakker^Anna", date(1961, 4, 5))
    described = Patient(Identifier("PL-0042"), film["patient_name"], date(1961, 4, 5), "M")
    at = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
    link = link_of(context, SOUTH, described, FILM, reason="the letter", user="a.smit", at=at)
    settings = load(tmp_path / "priorline.toml")
    links = open_links(settings, settings.state_directory)
    links.add(link)
    film = next(study for study in program(*married).json["studies"] if study["study_uid"] == FILM)
    assert (film["identity"], film["identity_card"][0]) == ("same", link.sentence())
    links.revoke(link, "another woman")
    film = next(study for study in program(*married).json["studies"] if study["study_uid"] == FILM)
    assert film["identity"] == "proposed"


def test_when_all_answer_the_timeline_is_complete(town: Town, tmp_path: Path) -> None:
    answer = town.program(tmp_path, NORTH, SOUTH)("timeline", *NAMED, "--json")
    assert answer.code == 0
    assert answer.json["complete"] is True
    assert states(answer.json) == {NORTH: "answered", SOUTH: "answered"}


def test_a_patient_whom_nobody_knows_has_no_priors_only_because_all_said_so(town: Town, tmp_path: Path) -> None:
    answer = town.program(tmp_path, NORTH, SOUTH)("timeline", "--patient-id", "NOBODY-1", "--json")
    assert answer.code == 0
    assert answer.json["complete"] is True
    assert answer.json["studies"] == []
    assert states(answer.json) == {NORTH: "none", SOUTH: "none"}


def test_when_nobody_answers_nothing_could_be_done(town: Town, tmp_path: Path) -> None:
    answer = town.program(tmp_path, STOPPED)("timeline", *NAMED, "--json")
    assert answer.code == 1
    assert answer.json["complete"] is False
    assert states(answer.json) == {STOPPED: "failed"}


def test_for_people_the_silent_hospital_is_named_too(town: Town, tmp_path: Path) -> None:
    answer = town.program(tmp_path)("timeline", *NAMED)
    assert answer.code == 3
    assert "X-thorax" in answer.out
    assert "2 answered, 1 not reachable" in answer.err
    assert f"{STOPPED}: " in answer.err


def test_the_same_question_as_json_on_standard_input(town: Town, tmp_path: Path) -> None:
    request = {"requestType": "STUDY", "patientID": "PL-0042", "studyUID": CT, "mostRecentResults": "9"}
    program = town.program(tmp_path, NORTH, SOUTH)
    answer = program("timeline", "--request", "-", "--json", stdin=json.dumps(request))
    assert answer.code == 0
    assert [study["study_uid"] for study in answer.json["studies"]] == [CT, SHARED, COLOUR, FILM]
    url = program("timeline", "--request", f"priorline://study?patientID=PL-0042&studyUID={CT}", "--json")
    assert url.json["studies"] == answer.json["studies"]


def test_a_study_alone_tells_who_the_patient_is(town: Town, tmp_path: Path) -> None:
    answer = town.program(tmp_path)("timeline", "--study", CT, "--json")
    assert answer.code == 3
    assert answer.json["patient"]["id"] == "PL-0042"
    assert answer.json["patient"]["birth_date"] == "1961-04-05"
    assert [study["study_uid"] for study in answer.json["studies"] if study["current"]] == [CT]
    assert FILM in [study["study_uid"] for study in answer.json["studies"]]


def test_a_study_that_nobody_has_is_nothing_to_go_by(town: Town, tmp_path: Path) -> None:
    answer = town.program(tmp_path, NORTH, SOUTH)("timeline", "--study", "1.2.3.4", "--json")
    assert answer.code == 1
    assert "No hospital that answered has the current study" in answer.complaint


def test_a_folder_is_the_current_study(town: Town, tmp_path: Path) -> None:
    folder = tmp_path / "cd"
    folder.mkdir()
    for number, file in enumerate(town.files[CT].values()):
        (folder / f"IM{number}").write_bytes(file.read_bytes())
    (folder / "README.TXT").write_text("images of a CD")
    answer = town.program(tmp_path, SOUTH)("timeline", "--folder", folder, "--json")
    assert answer.code == 0
    current = next(study for study in answer.json["studies"] if study["current"])
    assert current["study_uid"] == CT
    assert (current["hospitals"], current["cached"], current["cached_images"]) == (["Folder"], "complete", CT_SLICES)
    assert FILM in [study["study_uid"] for study in answer.json["studies"]]


def test_a_folder_with_two_patients_under_one_study_is_refused(town: Town, tmp_path: Path) -> None:
    folder = tmp_path / "cd"
    folder.mkdir()
    relabelled("CT_small.dcm", CT, 1).save_as(folder / "1")
    relabelled("CT_small.dcm", CT, 2, STRANGER).save_as(folder / "2")
    answer = town.program(tmp_path, SOUTH)("timeline", "--folder", folder, "--json")
    assert answer.code == 2
    assert "more than one patient" in answer.complaint


def test_the_check_finds_running_archives_good_and_a_stopped_one_not(town: Town, tmp_path: Path) -> None:
    answer = town.program(tmp_path)("hospitals", "check", "--json")
    assert answer.code == 3
    checks = {one["name"]: one for one in answer.json["hospitals"]}
    for name in (NORTH, SOUTH):
        assert (checks[name]["ok"], checks[name]["find"], checks[name]["get"]) == (True, True, True)
        assert checks[name]["echo_ms"] > 0
        assert (checks[name]["move"], checks[name]["tls"], checks[name]["findings"]) == (True, False, [])
    assert (checks[STOPPED]["ok"], checks[STOPPED]["find"], checks[STOPPED]["get"]) == (False, False, False)
    assert "cannot be reached" in checks[STOPPED]["findings"][0]
    assert town.program(tmp_path, NORTH, SOUTH)("hospitals", "check").code == 0
    assert town.program(tmp_path, STOPPED)("hospitals", "check").code == 1


def test_retrieving_by_move_without_a_port_is_said_to_be_impossible(town: Town, tmp_path: Path) -> None:
    program = town.program(tmp_path, NORTH, retrieve="c-move")
    check = program("hospitals", "check", "--json")
    assert check.code == 1
    assert "workstation.port" in check.json["hospitals"][0]["findings"][0]
    fetched = program("fetch", CT, "--json")
    assert fetched.code == 1
    report = fetched.json["studies"][0]
    assert report["state"] == "failed"
    assert report["received"] == 0
    assert "C-MOVE" in report["message"]
    assert program("cache", "list", "--json").json == {"studies": []}


def test_an_archive_that_does_not_know_us_is_refused_and_named(tmp_path: Path) -> None:
    folder = tmp_path / "orthanc"
    folder.mkdir()
    with peers.orthanc(folder, DicomCheckCalledAet=True) as peer:
        strict = {**hospital("Strict", peer), "ae_title": "ELSEWHERE"}
        answer = write_config(tmp_path / "priorline.toml", strict)("timeline", *NAMED, "--json")
    assert answer.code == 1
    assert states(answer.json) == {"Strict": "refused"}
    assert "AE title" in answer.json["hospitals"][0]["message"]


def test_the_configuration_is_told_and_checked(town: Town, tmp_path: Path) -> None:
    program = town.program(tmp_path)
    checked = program("config", "check", "--json")
    assert checked.code == 0
    assert checked.json == {"ok": True, "files": [str(program.config)], "hospitals": 3}
    shown = program("config", "show").json
    assert [one["name"] for one in shown["hospital"]] == [NORTH, SOUTH, STOPPED]
    assert program("config", "path", "--json").json == {"files": [{"path": str(program.config), "exists": True}]}


def test_without_a_named_file_the_usual_places_are_told() -> None:
    answer = priorline("config", "path", "--json")
    assert answer.code == 0
    assert [Path(one["path"]).name for one in answer.json["files"]] == ["priorline.toml", "priorline.toml"]
    assert not any(one["exists"] for one in answer.json["files"])


def test_the_file_in_the_environment_counts_alone(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = town.program(tmp_path)
    monkeypatch.setenv("PRIORLINE_CONFIG", str(program.config))
    assert priorline("config", "path", "--json").json == {"files": [{"path": str(program.config), "exists": True}]}
