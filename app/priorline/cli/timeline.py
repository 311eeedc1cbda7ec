"""`priorline timeline`: asks every hospital and prints the one line."""

import threading
from pathlib import Path
from typing import Any

from priorline.cli.output import NOTHING, OK, PARTLY, print_json, say, show_table
from priorline.config import Settings
from priorline.domain.links import PersonLink
from priorline.domain.patient import Patient
from priorline.domain.study import HospitalState, StudyAnswer
from priorline.domain.timeline import Timeline, TimelineStudy
from priorline.errors import EnvironmentFault, UsageError
from priorline.regions import load_region_table
from priorline.work.folder import FOLDER, Imported, read_folder
from priorline.work.hospitals import build_hospitals, local_numbers
from priorline.work.launch import Launch
from priorline.work.search import Listener, find_current, search
from priorline.work.session import open_links, open_store, open_trail


def find_timeline(settings: Settings, launch: Launch, current: StudyAnswer | None = None) -> Timeline:
    """Ask all hospitals; `current` is the current study where it is in a folder.

    Raises UsageError where there is no hospital, EnvironmentFault where nobody knows the study.
    """
    hospitals = build_hospitals(settings)
    if not hospitals:
        raise UsageError("No hospital is configured; see `priorline config path`.")
    trail = open_trail(settings.state_directory)
    if current is None and launch.study and launch.patient() is None:
        current = find_current(hospitals, launch.study, trail)
        if current is None:
            raise EnvironmentFault("No hospital that answered has the current study.")
    patient = current.patient if current else launch.patient()
    assert patient is not None  # noqa: S101 - a checked launch names a patient, a study or a folder
    names = [hospital.name for hospital in hospitals]
    links = _confirmed(settings, patient)
    ours = [hospital.name for hospital in hospitals if hospital.is_department]
    timeline = Timeline(patient, names, load_region_table(), local_numbers(hospitals, patient), links, ours)
    if current is not None:
        timeline.add([current])
    timeline.set_current(current.study_uid if current else launch.study)
    adding = threading.Lock()

    def add(rows: tuple[StudyAnswer, ...]) -> None:
        with adding:
            timeline.add(rows)

    search(hospitals, patient, Listener(add, timeline.report), trail, reason=launch.reason)
    return timeline


def run_timeline(settings: Settings, launch: Launch, *, as_json: bool) -> int:
    """Print the timeline; 0 all answered, 3 some did not or the folder is not whole, 1 nobody did."""
    imported = _imported(settings, launch)
    timeline = find_timeline(settings, launch, imported.study if imported else None)
    coverage = timeline.coverage()
    if as_json:
        print_json(document(settings, timeline))
    else:
        _show(timeline)
        say(coverage.sentence())
        for report in coverage.reports:
            if report.message:
                say(f"{report.place}: {report.message}")
    problem = imported.problem if imported else ""
    if problem:
        say(f"{FOLDER}: {problem}")
    if coverage.complete:
        return PARTLY if problem else OK
    answered = (HospitalState.ANSWERED, HospitalState.NONE)
    return PARTLY if any(report.state in answered for report in coverage.reports) else NOTHING


def document(settings: Settings, timeline: Timeline) -> dict[str, Any]:
    """The answer of `timeline --json`."""
    coverage = timeline.coverage()
    studies = timeline.studies()
    try:
        store = open_store(settings, settings.cache_directory, settings.state_directory)
        with store:
            cached = store.presence(study.study_uid for study in studies)
    except EnvironmentFault as problem:
        say(str(problem))
        cached = {}
    return {
        "patient": _patient(timeline.context),
        "complete": coverage.complete,
        "hospitals": [
            {
                "name": report.hospital,
                "state": report.state.value,
                "studies": report.studies,
                "seconds": report.seconds,
                "message": report.message,
                "dropped": report.dropped,
                "withheld": report.withheld,
                "cut": report.cut,
            }
            for report in coverage.reports
        ],
        "studies": [
            _study(study, cached.get(study.study_uid), timeline.probable_copies(study.study_uid)) for study in studies
        ],
    }


def _patient(patient: Patient) -> dict[str, str]:
    return {
        "id": patient.identifier.value,
        "issuer": patient.identifier.issuer,
        "name": patient.name,
        "birth_date": patient.birth_date.isoformat() if patient.birth_date else "",
        "sex": patient.sex,
    }


def _study(study: TimelineStudy, cached: Any, probable_copies: tuple[str, ...]) -> dict[str, Any]:
    best = study.best
    images = cached.images if cached else 0
    who = _patient(best.patient)
    return {
        "study_uid": study.study_uid,
        "date": best.study_date.isoformat() if best.study_date else "",
        "time": best.study_time.isoformat("seconds") if best.study_time else "",
        "modalities": list(study.modalities),
        "description": best.description,
        "region": study.regions[0].value,
        "regions": [region.value for region in study.regions],
        "region_source": study.region_finding.source.value,
        "region_confidence": study.region_finding.confidence,
        "side": study.side.value,
        "accession": best.accession,
        "patient_id": who["id"],
        "issuer": who["issuer"],
        "patient_name": who["name"],
        "birth_date": who["birth_date"],
        "identity": study.match.outcome.value,
        "identity_card": list(study.match.card()),
        "probable_copies": list(probable_copies),
        "hospitals": list(study.hospitals),
        "series": max((copy.series or 0 for copy in study.answers), default=0),
        "images": study.images or 0,
        "cached": ("complete" if cached.complete else "partial") if images else "no",
        "cached_images": images,
        "relevance": study.relevance.score,
        "reasons": list(study.relevance.reasons),
        "current": study.current,
    }


def _show(timeline: Timeline) -> None:
    suggestion = timeline.suggestion()
    rows = []
    for study in timeline.studies():
        best = study.best
        lit = suggestion is not None and suggestion.study_uid == study.study_uid
        mark = "current" if study.current else ", ".join(study.relevance.reasons) if lit else ""
        if study.match.outcome.value != "same":
            mark = f"{study.match.outcome.value}: confirm that it is this patient"
        date = best.study_date.isoformat() if best.study_date else "date unknown"
        modality = "+".join(study.modalities)
        rows.append((date, modality, best.description, ", ".join(study.places), study.images or "", mark))
    show_table(("date", "kind", "study", "hospital", "images", ""), rows)


def _confirmed(settings: Settings, patient: Patient) -> tuple[PersonLink, ...]:
    """What persons confirmed about this identity; without it more rows are in question, none fewer."""
    try:
        return open_links(settings, settings.state_directory).links_of(patient.identifier)
    except EnvironmentFault as problem:
        say(str(problem))
        return ()


def _imported(settings: Settings, launch: Launch) -> Imported | None:
    if not launch.folder:
        return None
    with open_store(settings, settings.cache_directory, settings.state_directory) as store:
        return read_folder(store, Path(launch.folder), open_trail(settings.state_directory))
