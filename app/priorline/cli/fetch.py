"""`priorline fetch`: retrieves studies into the cache, with a progress bar on a terminal."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
from rich.console import Console

from priorline.cli.fetch_progress import ShownProgress
from priorline.cli.output import NOTHING, OK, PARTLY, print_json, say, show_table
from priorline.cli.timeline import find_timeline
from priorline.config import Settings
from priorline.domain.retention import size_words
from priorline.domain.study import FetchReport, FetchState, is_uid, measured_by
from priorline.errors import EnvironmentFault, UsageError
from priorline.work.department import Filled, fill
from priorline.work.fetch import Arrived, StudyFetch
from priorline.work.hospitals import Hospital, build_hospitals
from priorline.work.launch import Launch
from priorline.work.messages import Configure
from priorline.work.search import find_holders
from priorline.work.session import Session, open_session, open_trail


def run_fetch(settings: Settings, study_uids: list[str], hospital: str, series: str, *, as_json: bool) -> int:
    """Fetch the studies one after another; 0 all complete, 3 in part, 1 nothing."""
    if series and not is_uid(series):
        raise UsageError("A series is named by its Series Instance UID: digits and dots, at most 64.")
    hospitals = _chosen(settings, hospital)
    session = open_session(Configure(0, settings, str(settings.cache_directory), str(settings.state_directory)))
    with session.store:
        reports = _fetch_all(replace(session, hospitals=hospitals), study_uids, series)
        filled = fill(session, reports)
    if as_json:
        print_json({"studies": [_document(report, filled) for report in reports]})
    else:
        _show(reports)
        for one in filter(None, (one.message for one in filled)):
            say(one)
    states = {report.state for report in reports}
    if states == {FetchState.COMPLETE}:
        return OK
    return NOTHING if states == {FetchState.FAILED} else PARTLY


def wanted_studies(settings: Settings, named: list[str], launch: Launch | None) -> list[str]:
    """The studies to fetch: those named, and the suggested prior of the launch's current study.

    Raises EnvironmentFault where there is nothing but a current study without a prior.
    """
    for uid in named:
        if not is_uid(uid):
            raise UsageError("A study is named by its Study Instance UID: digits and dots, at most 64.")
    wanted = list(named)
    if launch is not None and launch.study:
        suggestion = find_timeline(settings, launch).suggestion()
        wanted += [suggestion.study_uid] if suggestion else []
        if not wanted:
            raise EnvironmentFault("No prior was found for that study; see `priorline timeline`.")
    if not wanted:
        raise UsageError("No study to fetch: name a STUDY_UID, or --relevant-to a study that has priors.")
    return list(dict.fromkeys(wanted))


def _chosen(settings: Settings, name: str) -> tuple[Hospital, ...]:
    hospitals = build_hospitals(settings, open_trail(settings.state_directory))
    if not hospitals:
        raise UsageError("No hospital is configured; see `priorline config path`.")
    chosen = tuple(one for one in hospitals if not name or one.name == name)
    if not chosen:
        names = ", ".join(f'"{one.name}"' for one in hospitals)
        raise UsageError(f'There is no hospital "{name}"; configured are {names}.')
    return chosen


def _fetch_all(session: Session, study_uids: list[str], series: str) -> list[FetchReport]:
    reports = []
    with ShownProgress(len(study_uids), Console(stderr=True)) as shown:
        for number, uid in enumerate(study_uids, 1):
            shown.begin(number)
            reports.append(_fetch(session, uid, series, shown.tell))
    return reports


def _fetch(session: Session, uid: str, series: str, tell: Callable[[Arrived], None]) -> FetchReport:
    """From the first hospital that has it and gives all of it; the best attempt is reported."""
    attempts: list[FetchReport] = []
    holders = find_holders(session.hospitals, uid, session.trail)
    for hospital, study in holders.found:
        assert hospital.archive is not None  # noqa: S101 - `find_holders` asked it
        title = session.settings.workstation.ae_title
        fetch = StudyFetch(hospital.archive, session.store, study, tell, own_title=title)
        report = fetch.run(session.trail, series)
        others = () if series else (row for _, row in holders.found[len(attempts) + 1 :])
        attempts.append(measured_by(report, others))
        if attempts[-1].state is FetchState.COMPLETE:
            break
    if not attempts:
        return _without_holder(session, uid, " ".join(holders.problems) or "No hospital has this study.")
    return max(attempts, key=lambda report: (report.state is FetchState.COMPLETE, report.received))


def _without_holder(session: Session, uid: str, message: str) -> FetchReport:
    """Nobody could be asked: what was whole in the cache still is, and so nothing is missing."""
    here = session.store.presence((uid,)).get(uid)
    if here is None or not here.complete:
        return FetchReport(uid, "", FetchState.FAILED, message=message)
    told = f"All in the cache. {message}"
    return FetchReport(uid, "", FetchState.COMPLETE, here.expected, here.images, here.images, message=told)


def _document(report: FetchReport, filled: list[Filled]) -> dict[str, Any]:
    kept: dict[str, Any] = msgspec.to_builtins(report)
    kept.pop("reasons")
    ours = [msgspec.to_builtins(one) for one in filled if one.study_uid == report.study_uid]
    return {**kept, "departments": [{key: one[key] for key in one if key != "study_uid"} for one in ours]}


def _show(reports: list[FetchReport]) -> None:
    rows = [
        (
            one.hospital,
            one.state.value,
            f"{one.received} of {one.expected}",
            size_words(one.bytes),
            f"{one.seconds:.1f} s",
        )
        for one in reports
    ]
    show_table(("hospital", "state", "images", "fetched", "time"), rows)
    for one in reports:
        if one.message:
            say(one.message)
