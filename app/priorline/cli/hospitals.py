"""`priorline hospitals check`: one line per hospital, what works and what it ignores or gets wrong."""

import socket
from dataclasses import dataclass, field
from typing import Any

from priorline.archives.base import Archive
from priorline.archives.tls import server_context
from priorline.cli.output import NOTHING, OK, PARTLY, print_json, show_table
from priorline.config import HospitalSettings, Settings, Tls, Workstation
from priorline.domain.patient import Identifier, Patient
from priorline.errors import ArchiveError, ConfigError, UsageError
from priorline.work.hospitals import Hospital, build_hospitals

# A number that nobody has: an archive that answers rows for it does not search by Patient ID.
NOBODY = Patient(Identifier("PRIORLINE-TEST-NOBODY"))


@dataclass(slots=True)
class Check:
    """What was found out about one hospital."""

    name: str
    ok: bool = False
    echo_ms: float = 0.0
    find: bool = False
    get: bool = False
    move: bool = False
    store: bool | None = None
    findings: list[str] = field(default_factory=list)


def check_port(settings: Settings) -> None:
    """Raise UsageError where the storage port is in use by something else."""
    port, address = settings.workstation.port, settings.workstation.address or "127.0.0.1"
    if not port:
        return
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as problem:
            raise UsageError(
                f"workstation.port {port} cannot be listened at ({problem.strerror}): another program uses it, or "
                "workstation.address is not this computer's; choose another, or port 0 for no listening."
            ) from problem


def run_check(settings: Settings, *, as_json: bool) -> int:
    """Check all hospitals; 0 all are in order, 3 some, 1 none."""
    hospitals = build_hospitals(settings)
    if not hospitals:
        raise UsageError("No hospital is configured; see `priorline config path`.")
    check_port(settings)
    checks = [_check(hospital, settings.workstation) for hospital in hospitals]
    if as_json:
        print_json(
            {"hospitals": [_document(check, hospital) for check, hospital in zip(checks, hospitals, strict=True)]}
        )
    else:
        _show(checks)
    good = sum(check.ok for check in checks)
    return OK if good == len(checks) else PARTLY if good else NOTHING


def _check(hospital: Hospital, ours: Workstation) -> Check:
    check = Check(hospital.name)
    if hospital.archive is None:
        check.findings.append(hospital.why_not)
        return check
    try:
        check.echo_ms = round(hospital.archive.echo(), 1)
        _check_find(hospital.archive, check)
        check.get, check.move = hospital.archive.accepts_get(), hospital.archive.accepts_move()
        if hospital.is_department:
            _check_storage(hospital, check)
    except ArchiveError as problem:
        check.findings.append(str(problem))
        return check
    check.ok = check.find and _can_retrieve(check, hospital.settings, ours) and check.store is not False
    return check


def _check_storage(hospital: Hospital, check: Check) -> None:
    """Only our own department's archive is asked whether it may be written to."""
    check.store = hospital.storage is not None and hospital.storage.accepts_storage()
    if hospital.storage is None:
        check.findings.append('It is a department archive and is not filled: that takes protocol "dicom".')
    elif not check.store:
        check.findings.append("It does not accept storage (C-STORE) from us, so it is asked first but not filled.")


def _can_retrieve(check: Check, settings: HospitalSettings, ours: Workstation) -> bool:
    """Whether studies can be fetched in the configured way, with what has to be done for it."""
    retrieve = settings.retrieve
    if retrieve != "c-move" and check.get:
        return True
    if retrieve == "c-get" or not check.move:
        wanted = {"c-get": "C-GET", "c-move": "C-MOVE", "auto": "C-GET nor C-MOVE"}[retrieve]
        check.findings.append(f"It does not offer {wanted}; studies cannot be fetched.")
        return False
    if not ours.port:
        check.findings.append("It sends by C-MOVE only, and we do not listen: set workstation.port.")
        return False
    by_tls = ", by TLS" if settings.encrypted else ""
    check.findings.append(
        f"It sends by C-MOVE: it has to know {ours.ae_title} at this computer, port {ours.port}{by_tls}."
    )
    return not settings.encrypted or _can_prove(check, settings.tls)


def _can_prove(check: Check, tls: Tls) -> bool:
    """Whether a hospital that sends by TLS and we can prove to each other who we are."""
    try:
        server_context(tls)
    except ConfigError as problem:
        check.findings.append(str(problem))
        return False
    return True


def _check_find(archive: Archive, check: Check) -> None:
    summary = archive.find_studies(NOBODY, lambda _rows: None, lambda: False)
    check.find = True
    if summary.dropped:
        check.findings.append(f"It ignores the patient number: {summary.dropped} rows for a number that nobody has.")


def _document(check: Check, hospital: Hospital) -> dict[str, Any]:
    return {
        "name": check.name,
        "ok": check.ok,
        "echo_ms": check.echo_ms,
        "find": check.find,
        "get": check.get,
        "move": check.move,
        "store": check.store,
        "role": hospital.settings.role,
        "tls": hospital.encrypted,
        "findings": check.findings,
    }


def _show(checks: list[Check]) -> None:
    rows = []
    for check in checks:
        marks = ["yes" if offered else "no" for offered in (check.find, check.get, check.move)]
        marks.append("-" if check.store is None else "yes" if check.store else "no")
        echo = f"{check.echo_ms:.1f} ms" if check.echo_ms else "-"
        rows.append((check.name, "ok" if check.ok else "NOT OK", echo, *marks, " ".join(check.findings)))
    show_table(("hospital", "state", "echo", "find", "get", "move", "store", "findings"), rows)
