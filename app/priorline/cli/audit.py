"""`priorline audit …`: who asked for what, when, why."""

import shutil
from datetime import date
from pathlib import Path
from typing import Any

from priorline.cli.output import OK, PARTLY, print_json, say, show_table
from priorline.config import Settings
from priorline.errors import AuditError, UsageError
from priorline.work.launch import parse_date
from priorline.work.session import open_trail


def run_show(settings: Settings, patient_id: str, since: str, *, as_json: bool) -> int:
    """The records, oldest first."""
    first = parse_date(since)
    records = [
        record for record in open_trail(settings.state_directory).records() if _is_meant(record, patient_id, first)
    ]
    if as_json:
        print_json({"records": records})
        return OK
    names = ("time", "event", "user", "hospital", "patient_id", "reason")
    show_table(names, [[record.get(name, "") for name in names] for record in records])
    return OK


def _is_meant(record: dict[str, Any], patient_id: str, first: date | None) -> bool:
    if patient_id and record.get("patient_id") != patient_id:
        return False
    return first is None or str(record.get("time", ""))[:10] >= first.isoformat()


def run_verify(settings: Settings, *, as_json: bool) -> int:
    """Whether the chain is whole; 3 where it is not."""
    trail = open_trail(settings.state_directory)
    broken = trail.verify()
    count = sum(1 for _ in trail.records())
    if as_json:
        print_json(
            {
                "records": count,
                "whole": broken is None,
                "line": broken.line if broken else 0,
                "problem": broken.problem if broken else "",
            }
        )
    elif broken is None:
        say(f"{count} records, the chain is whole.")
    else:
        say(f"The chain is broken at line {broken.line}: {broken.problem}.")
    return OK if broken is None else PARTLY


def run_export(settings: Settings, target: Path) -> int:
    """A copy of the trail as it is; it names patients."""
    trail = open_trail(settings.state_directory)
    if target.exists():
        raise UsageError(f"{target} is there already; name a new file.")
    try:
        shutil.copyfile(trail.path, target)
        target.chmod(0o600)
    except OSError as problem:
        raise AuditError(f"The audit trail cannot be copied to {target}: {problem.strerror}.") from problem
    say(f"{target} written. It names patients; keep it as safe as the trail.")
    return OK
