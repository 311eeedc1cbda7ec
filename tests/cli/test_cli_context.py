"""Options and requests together, and what the configuration shows."""

import json
from pathlib import Path

import pytest

from priorline.cli.app import main
from priorline.cli.context import Desk, read_launch
from priorline.errors import UsageError


def no_desk() -> Desk:
    raise AssertionError("this command opens no window")


def test_options_beside_a_request_go_before_it(tmp_path: Path) -> None:
    request = tmp_path / "request.json"
    request.write_text('{"patientID": "12^^^HOME", "compare": "1.2.3"}')
    launch = read_launch(str(request), compare="1.2.4", reason="trauma", name="")
    assert launch is not None
    assert (launch.patient_id, launch.issuer, launch.compare, launch.reason) == ("12", "HOME", "1.2.4", "trauma")


def test_an_option_beside_a_request_is_checked_like_any_other(tmp_path: Path) -> None:
    request = tmp_path / "request.json"
    request.write_text('{"patientID": "12"}')
    with pytest.raises(UsageError, match="Study Instance UID"):
        read_launch(str(request), compare="../etc")


def test_the_configuration_is_shown_without_patient_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "priorline.toml"
    path.write_text(
        '[[hospital]]\nname = "A"\nae_title = "A"\nhost = "127.0.0.1"\nport = 1\npatient_id = { "12345" = "A-77" }\n'
    )
    assert main(["--config", str(path), "config", "show"], no_desk) == 0
    shown = capsys.readouterr().out
    assert json.loads(shown)["hospital"][0]["name"] == "A"
    assert "12345" not in shown
    assert "A-77" not in shown
