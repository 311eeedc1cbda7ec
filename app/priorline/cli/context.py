"""What every command is given: the configuration, and what it opens of cache and hospitals on demand."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol

import msgspec
import typer

from priorline import config
from priorline.config import Settings
from priorline.errors import UsageError
from priorline.work.launch import Launch, parse_request


class Desk(Protocol):
    """The window, as the commands that open it see it."""

    def run_window(self, settings: Settings, launch: Launch | None, screenshot: Path | None = None) -> int:
        """Open the window, or save its picture; the exit code."""

    def run_demo(self, screenshots: Path | None, headless: bool) -> int:
        """Play the story; the exit code."""


@dataclass(slots=True)
class Setup:
    """Options before the command, and how to get at the window without importing it."""

    load_desk: Callable[[], Desk]
    config_file: Path | None = None

    def settings(self) -> Settings:
        """The configuration; raises ConfigError."""
        return config.load(self.config_file)


def setup_of(context: typer.Context) -> Setup:
    """The setup that `main` made."""
    found = context.find_object(Setup)
    assert found is not None  # noqa: S101 - `main` always gives one
    return found


JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
PatientId = Annotated[str, typer.Option(help="Patient number.")]
Issuer = Annotated[str, typer.Option(help="Who issued the number.")]
Name = Annotated[str, typer.Option(help="Patient name as in DICOM: FAMILY^Given^^prefix.")]
BirthDate = Annotated[str, typer.Option(help="YYYYMMDD or YYYY-MM-DD.")]
Sex = Annotated[str, typer.Option(help="M, F or O.")]
Study = Annotated[str, typer.Option(help="Study Instance UID of the current study; its hospital says who it is.")]
Folder = Annotated[str, typer.Option(help="Folder with the DICOM files of the current study.")]
Request = Annotated[
    str, typer.Option(help="File with the same as JSON or as a priorline:// URL; - reads standard input.")
]
Reason = Annotated[str, typer.Option(help="Why the patient is looked up; kept in the audit trail.")]


def read_launch(request: str, **named: str) -> Launch | None:
    """A launch from options or from a request; None where nothing at all was given."""
    given = {name: value for name, value in named.items() if value}
    if request:
        # Options stand beside a request and go before what it says.
        return msgspec.structs.replace(parse_request(_read_request(request)), **given).checked()
    return Launch(**given).checked() if given else None


def _read_request(request: str) -> str:
    if request.startswith("priorline:"):
        return request
    try:
        return sys.stdin.read() if request == "-" else Path(request).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(_unreadable(request)) from problem


def _unreadable(request: str) -> str:
    """Names a file; what is a request itself, in another spelling than ours, names a patient and is not repeated."""
    if any(mark in request for mark in "?={"):
        return "The request is neither a file nor a priorline:// URL; JSON goes to standard input, with --request -."
    return f"The request {request} cannot be read."


def needed(launch: Launch | None) -> Launch:
    """The launch of a command that is nothing without a patient."""
    if launch is None:
        raise UsageError("No patient given: use --patient-id, --study, --folder or --request.")
    return launch
