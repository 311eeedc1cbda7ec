"""The groups of commands for IT: hospitals, cache, audit, configuration; each command hands over to its module."""

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from priorline.cli import context as given
from priorline.cli.context import JsonOption, setup_of
from priorline.cli.output import OK, print_json, say

hospitals_app = typer.Typer(help="The configured hospitals.", no_args_is_help=True)
cache_app = typer.Typer(help="What is kept of retrieved studies, and how it is cleaned.", no_args_is_help=True)
audit_app = typer.Typer(help="Who asked for what, when, why.", no_args_is_help=True)
config_app = typer.Typer(help="The configuration.", no_args_is_help=True)


@hospitals_app.command("check")
def hospitals_check(context: typer.Context, as_json: JsonOption = False) -> int:
    """One line per hospital: reachable, query, retrieve, what it ignores or gets wrong."""
    from priorline.cli.hospitals import run_check

    return run_check(setup_of(context).settings(), as_json=as_json)


@cache_app.command("list")
def cache_list(
    context: typer.Context,
    limit: Annotated[int, typer.Option(help="At most so many; 0: all.")] = 0,
    anonymous: Annotated[
        bool, typer.Option("--anonymous", help="Without names; works without the key of the cache.")
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """What is in the cache, last viewed first."""
    from priorline.cli.cache import run_list

    return run_list(setup_of(context).settings(), limit, anonymous=anonymous, as_json=as_json)


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
    from priorline.cli.cache_removal import run_clean

    settings = setup_of(context).settings()
    return run_clean(settings, max_age, max_size, min_free, dry_run=dry_run, as_json=as_json)


@cache_app.command("verify")
def cache_verify(
    context: typer.Context,
    repair: Annotated[
        bool, typer.Option("--repair", help="Take out what is damaged, make a damaged index anew.")
    ] = False,
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
    from priorline.cli.cache_removal import run_purge

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
def config_show(context: typer.Context, as_json: JsonOption = False) -> int:
    """The settings in force, as JSON; no secrets and no patient numbers are in it."""
    shown = msgspec.to_builtins(setup_of(context).settings())
    for hospital in shown["hospital"]:
        hospital["patient_id"] = dict.fromkeys(("(not shown)",) * bool(hospital["patient_id"]), "")
    print_json(shown)
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
