"""What is wrong in the place where the patient stands is said without repeating it."""

import io
import sys
from pathlib import Path

import pytest
from canary_hospitals import CURRENT, NAME
from canary_tools import BIRTH_DATE, FAMILY, NUMBER, canaries_in
from journey_tools import hospital, write_config

import peers
from priorline.__main__ import load_desk
from priorline.cli.app import main

ONE, TWO = f"priorlin://open?patientID={NUMBER}", f"priorline://open?patientID={NUMBER}&patientID={NAME}"
WRONG = [
    f'{{"patientID": "{NUMBER}", "patient_id": "{NUMBER}0"}}',
    f'{{"patientID": ["{NUMBER}"]}}',
    f'{{"patientID": "{NUMBER}", "birthDate": "{BIRTH_DATE}7"}}',
    f'{{"patientID": "{NUMBER}*"}}',
    f'{{"patientID": "{NUMBER}", "sex": "{NAME}"}}',
    f'{{"patientID": "{NUMBER}", "name": "{NAME}"',
    f'{{"study": "{CURRENT}x"}}',
    ONE,
    TWO,
]


def complaint(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(arguments, load_desk) == 2
    return "".join(capsys.readouterr())


@pytest.mark.parametrize("asked", WRONG)
@pytest.mark.parametrize("given", [True, False], ids=["argument", "standard input"])
def test_a_wrong_request_is_not_repeated(
    asked: str, given: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(asked))
    told = complaint(["timeline", "--request", asked if given else "-"], capsys)
    assert canaries_in(told.encode()) == set()


@pytest.mark.parametrize(
    "given",
    [
        ("--patient-id", f"{NUMBER}*"),
        ("--patient-id", "1", "--birth-date", f"{BIRTH_DATE}7"),
        ("--patient-id", "1", "--name", "de", FAMILY),
        ("--study", f"{CURRENT}x"),
    ],
)
def test_a_wrong_argument_that_names_somebody_is_not_repeated(
    given: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert canaries_in(complaint(["timeline", *given], capsys).encode()) == set()


@pytest.mark.parametrize(
    "numbers", [f'"{NUMBER}" = "1", "{NUMBER}" = "2"', f'"{NUMBER}" = 1', f'"{NUMBER}" = "{NUMBER}', f'"{NUMBER}"']
)
def test_a_wrong_table_of_numbers_is_not_repeated(
    tmp_path: Path, numbers: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "numbers.toml"
    write_config(file, hospital("North", peers.peer(peers.free_port())))
    file.write_text(file.read_text() + f"patient_id = {{ {numbers} }}\n")
    told = complaint(["--config", str(file), "config", "check"], capsys)
    assert "numbers.toml" in told
    assert canaries_in(told.encode()) == set()
