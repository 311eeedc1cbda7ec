"""The command line: one parser, each command a few lines that hand over to its module."""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException
from typer.main import get_command

from priorline.cli import context as given
from priorline.cli.context import Desk, JsonOption, Setup, needed, read_launch, setup_of
from priorline.cli.groups import audit_app, cache_app, config_app, hospitals_app
from priorline.cli.output import NOTHING, OK, WRONG_USE, say
from priorline.errors import EnvironmentFault, UsageError

EXTRA = "Got unexpected extra argument(s)"

app = typer.Typer(
    name="priorline",
    help="One timeline of all earlier studies of a patient over all hospitals. "
    "A comparison aid, not a diagnostic device.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(hospitals_app, name="hospitals")
app.add_typer(cache_app, name="cache")
app.add_typer(audit_app, name="audit")
app.add_typer(config_app, name="config")


def main(arguments: Sequence[str], load_desk: Callable[[], Desk]) -> int:
    """Run one command line; the exit code."""
    try:
        # Not by calling `app`: its own exception hook would take the place of ours, and tell what a bug quotes.
        command = get_command(app)
        code = command(list(arguments), standalone_mode=False, obj=Setup(load_desk), prog_name="priorline")
    except typer.Exit as ended:
        code = ended.exit_code
    except (typer.Abort, KeyboardInterrupt):
        say("priorline: stopped.")
        code = NOTHING
    except BrokenPipeError:
        # Whoever read the answer has seen enough; nothing more can be written, also not by Python at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = NOTHING
    except (TyperException, UsageError) as problem:
        say(f"priorline: {_sentence(problem)}")
        code = WRONG_USE
    except EnvironmentFault as problem:
        say(f"priorline: {problem}")
        code = NOTHING
    return int(code or OK)


def _sentence(problem: Exception) -> str:
    """The parser keeps the sentence of its own complaints in a method."""
    written = getattr(problem, "format_message", None)
    told = str(written() if written else problem)
    # What is left over is, most of all, the second half of a name that was not put in quotes.
    return f"{EXTRA}; put what has spaces in it in quotes." if told.startswith(EXTRA) else told


@app.callback(invoke_without_command=True)
def begin(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option(help="This configuration file alone.")] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Say more on standard error; never names patients.")
    ] = False,
) -> int:
    """Options before the command; without a command the window opens."""
    setup = setup_of(context)
    setup.config_file = config
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )
    if context.invoked_subcommand is None:
        return setup.load_desk().run_window(setup.settings(), None)
    return OK


@app.command("open")
def open_window(
    context: typer.Context,
    patient_id: given.PatientId = "",
    issuer: given.Issuer = "",
    name: given.Name = "",
    birth_date: given.BirthDate = "",
    sex: given.Sex = "",
    study: given.Study = "",
    folder: given.Folder = "",
    request: given.Request = "",
    reason: given.Reason = "",
    compare: Annotated[str, typer.Option(help="Study Instance UID of the prior to put beside it.")] = "",
    screenshot: Annotated[Path | None, typer.Option(help="Save a picture when all is shown, and end.")] = None,
) -> int:
    """Open the window for a patient, or hand the patient to the window that is open."""
    setup = setup_of(context)
    launch = needed(
        read_launch(
            request,
            patient_id=patient_id,
            issuer=issuer,
            name=name,
            birth_date=birth_date,
            sex=sex,
            study=study,
            folder=folder,
            compare=compare,
            reason=reason,
        )
    )
    return setup.load_desk().run_window(setup.settings(), launch, screenshot)


@app.command()
def demo(
    context: typer.Context,
    screenshots: Annotated[Path | None, typer.Option(help="Folder for the pictures.")] = None,
    headless: Annotated[bool, typer.Option("--headless", help="Play the story without a window, and end.")] = False,
) -> int:
    """Start demo hospitals inside the program and run the whole story on them."""
    return setup_of(context).load_desk().run_demo(screenshots, headless)


@app.command()
def timeline(
    context: typer.Context,
    patient_id: given.PatientId = "",
    issuer: given.Issuer = "",
    name: given.Name = "",
    birth_date: given.BirthDate = "",
    sex: given.Sex = "",
    study: given.Study = "",
    folder: given.Folder = "",
    request: given.Request = "",
    reason: given.Reason = "",
    as_json: JsonOption = False,
) -> int:
    """Ask every hospital and print the merged timeline."""
    from priorline.cli.timeline import run_timeline

    launch = read_launch(
        request,
        patient_id=patient_id,
        issuer=issuer,
        name=name,
        birth_date=birth_date,
        sex=sex,
        study=study,
        folder=folder,
        reason=reason,
    )
    return run_timeline(setup_of(context).settings(), needed(launch), as_json=as_json)


@app.command()
def fetch(
    context: typer.Context,
    study_uids: Annotated[list[str] | None, typer.Argument(metavar="STUDY_UID…", help="Studies to fetch.")] = None,
    hospital: Annotated[str, typer.Option("--from", help="The hospital to fetch from.")] = "",
    series: Annotated[str, typer.Option(help="Only this Series Instance UID.")] = "",
    relevant_to: Annotated[str, typer.Option(help="Fetch the suggested prior of this study.")] = "",
    patient_id: given.PatientId = "",
    issuer: given.Issuer = "",
    name: given.Name = "",
    birth_date: given.BirthDate = "",
    sex: given.Sex = "",
    request: given.Request = "",
    as_json: JsonOption = False,
) -> int:
    """Retrieve studies into the cache, with a progress bar on a terminal."""
    from priorline.cli.fetch import run_fetch, wanted_studies

    settings = setup_of(context).settings()
    launch = read_launch(
        request, patient_id=patient_id, issuer=issuer, name=name, birth_date=birth_date, sex=sex, study=relevant_to
    )
    wanted = wanted_studies(settings, list(study_uids or ()), launch)
    return run_fetch(settings, wanted, hospital, series, as_json=as_json)


@app.command()
def render(
    context: typer.Context,
    out: Annotated[Path, typer.Option("-o", "--out", help="PNG file to write.")],
    file: Annotated[Path | None, typer.Argument(help="DICOM file.")] = None,
    instance: Annotated[str, typer.Option(help="SOP Instance UID of a cached image instead of a file.")] = "",
    frame: Annotated[int, typer.Option(help="Frame, from 1.")] = 1,
    window: Annotated[tuple[float, float] | None, typer.Option(metavar="CENTER WIDTH", help="Window.")] = None,
    preset: Annotated[str, typer.Option(help="Window preset for CT, by name.")] = "",
    voi: Annotated[int | None, typer.Option(help="VOI LUT or window of the file, from 1.")] = None,
    invert: Annotated[bool, typer.Option("--invert", help="Black for white.")] = False,
    size: Annotated[str, typer.Option(metavar="WxH", help="Fit into this size; else one pixel per pixel.")] = "",
) -> int:
    """One image through the viewer's own pixel path into a PNG file, without a window."""
    from priorline.cli.render import read_bytes, read_cached, run_render

    if (file is None) == (not instance):
        raise UsageError("Name a FILE or --instance UID, one of them.")
    data = read_bytes(file) if file else read_cached(setup_of(context).settings(), instance)
    return run_render(data, out, frame, window, preset, voi, invert, size)
