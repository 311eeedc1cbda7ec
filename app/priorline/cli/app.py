"""The command line: one parser, each command a few lines that hand over to its module."""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from priorline.cli import context as given
from priorline.cli.context import Desk, JsonOption, Setup, needed, read_launch, setup_of
from priorline.cli.output import NOTHING, OK, WRONG_USE, print_json, say
from priorline.errors import EnvironmentFault, UsageError

app = typer.Typer(
    name="priorline",
    help="One timeline of all earlier studies of a patient over all hospitals. "
    "A comparison aid, not a diagnostic device.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
hospitals_app = typer.Typer(help="The configured hospitals.", no_args_is_help=True)
cache_app = typer.Typer(help="What is kept of retrieved studies, and how it is cleaned.", no_args_is_help=True)
audit_app = typer.Typer(help="Who asked for what, when, why.", no_args_is_help=True)
config_app = typer.Typer(help="The configuration.", no_args_is_help=True)
app.add_typer(hospitals_app, name="hospitals")
app.add_typer(cache_app, name="cache")
app.add_typer(audit_app, name="audit")
app.add_typer(config_app, name="config")


def main(arguments: Sequence[str], load_desk: Callable[[], Desk]) -> int:
    """Run one command line; the exit code."""
    try:
        code = app(list(arguments), standalone_mode=False, obj=Setup(load_desk), prog_name="priorline")
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
    return str(written() if written else problem)


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


@hospitals_app.command("check")
def hospitals_check(context: typer.Context, as_json: JsonOption = False) -> int:
    """One line per hospital: reachable, query, retrieve, what it ignores or gets wrong."""
    from priorline.cli.hospitals import run_check

    return run_check(setup_of(context).settings(), as_json=as_json)


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


@cache_app.command("list")
def cache_list(
    context: typer.Context,
    limit: Annotated[int, typer.Option(help="At most so many; 0: all.")] = 0,
    as_json: JsonOption = False,
) -> int:
    """What is in the cache, last viewed first."""
    from priorline.cli.cache import run_list

    return run_list(setup_of(context).settings(), limit, as_json=as_json)


@cache_app.command("stats")
def cache_stats(context: typer.Context, as_json: JsonOption = False) -> int:
    """The cache in numbers."""
    from priorline.cli.cache import run_stats

    return run_stats(setup_of(context).settings(), as_json=as_json)


@cache_app.command("clean")
def cache_clean(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    max_age: Annotated[str, typer.Option(help='Since last viewed, for example "30d".')] = "",
    max_size: Annotated[str, typer.Option(help='For example "20GB".')] = "",
    min_free: Annotated[str, typer.Option(help='Space to keep free, for example "5GB".')] = "",
    as_json: JsonOption = False,
) -> int:
    """Let go what is over the limits, whole studies, least recently viewed first."""
    from priorline.cli.cache import run_clean

    settings = setup_of(context).settings()
    return run_clean(settings, max_age, max_size, min_free, dry_run=dry_run, as_json=as_json)


@cache_app.command("verify")
def cache_verify(
    context: typer.Context,
    repair: Annotated[bool, typer.Option("--repair", help="Take out what is damaged.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Every file against its recorded digest, and index against files, both ways."""
    from priorline.cli.cache import run_verify

    return run_verify(setup_of(context).settings(), repair=repair, as_json=as_json)


@cache_app.command("purge")
def cache_purge(
    context: typer.Context,
    patient_id: given.PatientId = "",
    issuer: Annotated[str | None, typer.Option(help="Only numbers of this issuer.")] = None,
    study: Annotated[str, typer.Option(help="Study Instance UID.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Everything.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> int:
    """Remove studies for good; asks before it acts."""
    from priorline.cli.cache import run_purge

    return run_purge(setup_of(context).settings(), patient_id, issuer, study, everything, yes)


@cache_app.command("pin")
def cache_pin(
    context: typer.Context,
    study_uid: Annotated[str, typer.Argument(metavar="STUDY_UID")],
    reason: Annotated[str, typer.Option(help="Why it is kept.")] = "",
    off: Annotated[bool, typer.Option("--off", help="No longer.")] = False,
) -> int:
    """Keep a study whatever the limits say."""
    from priorline.cli.cache import run_pin

    return run_pin(setup_of(context).settings(), study_uid, reason, off=off)


@cache_app.command("export")
def cache_export(
    context: typer.Context,
    study_uid: Annotated[str, typer.Argument(metavar="STUDY_UID")],
    directory: Annotated[Path, typer.Argument(metavar="DIR")],
) -> int:
    """The study as ordinary DICOM files, byte for byte as received from the dataset on."""
    from priorline.cli.cache import run_export

    return run_export(setup_of(context).settings(), study_uid, directory)


@audit_app.command("show")
def audit_show(
    context: typer.Context,
    patient_id: given.PatientId = "",
    since: Annotated[str, typer.Option(help="From this day on, YYYY-MM-DD.")] = "",
    as_json: JsonOption = False,
) -> int:
    """The records, oldest first."""
    from priorline.cli.audit import run_show

    return run_show(setup_of(context).settings(), patient_id, since, as_json=as_json)


@audit_app.command("verify")
def audit_verify(context: typer.Context, as_json: JsonOption = False) -> int:
    """Whether a record is missing or was changed."""
    from priorline.cli.audit import run_verify

    return run_verify(setup_of(context).settings(), as_json=as_json)


@audit_app.command("export")
def audit_export(context: typer.Context, file: Annotated[Path, typer.Argument()]) -> int:
    """A copy of the trail; it names patients."""
    from priorline.cli.audit import run_export

    return run_export(setup_of(context).settings(), file)


@config_app.command("check")
def config_check(context: typer.Context, as_json: JsonOption = False) -> int:
    """Read the configuration and say what is wrong, by key."""
    from priorline import config
    from priorline.cli.hospitals import check_port

    setup = setup_of(context)
    settings = setup.settings()
    check_port(settings)
    files = [str(path) for path in config.sources(setup.config_file)]
    if as_json:
        print_json({"ok": True, "files": files, "hospitals": len(settings.hospital)})
    else:
        say(f"In order: {len(settings.hospital)} hospitals, from {', '.join(files) or 'no file'}.")
    return OK


@config_app.command("show")
def config_show(context: typer.Context) -> int:
    """The settings in force, as JSON; there are no secrets in them."""
    print_json(setup_of(context).settings())
    return OK


@config_app.command("path")
def config_path(context: typer.Context, as_json: JsonOption = False) -> int:
    """Where the configuration is looked for; later ones win."""
    from priorline import config

    sources = config.sources(setup_of(context).config_file)
    usual = (config.site_file(), config.user_file())
    paths = usual if set(sources) <= set(usual) else sources
    if as_json:
        print_json({"files": [{"path": str(path), "exists": path.is_file()} for path in paths]})
    else:
        for path in paths:
            sys.stdout.write(f"{path}{'' if path.is_file() else '  (not there)'}\n")
    return OK
