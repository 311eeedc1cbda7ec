"""Cleaning: plan what goes, then let it go; the decision itself is `domain.retention`."""

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime

from priorline.cache.index import faults
from priorline.cache.model import StoredStudy
from priorline.cache.store import Store
from priorline.domain.retention import CleanPlan, Limits, plan_cleaning

OPEN = "open in a window"


@dataclass(frozen=True, slots=True)
class CleanReport:
    """What a cleaning did; `removed` and `kept` as in the plan, but as it went."""

    removed: tuple[tuple[StoredStudy, str], ...]
    kept: tuple[tuple[StoredStudy, str], ...]

    @property
    def freed_bytes(self) -> int:
        """Bytes of the instances that went."""
        return sum(study.bytes for study, _reason in self.removed)


def plan(store: Store, limits: Limits, now: datetime | None = None) -> CleanPlan[StoredStudy]:
    """The plan for a store as it is now: its studies, its disk, and what living windows have open."""
    spared = store.leases.open_studies()
    with faults():
        free = shutil.disk_usage(store.files.root).free
    return plan_cleaning(store.studies(), now or datetime.now(UTC), limits, free, spared)


def run(store: Store, planned: CleanPlan[StoredStudy]) -> CleanReport:
    """Do what the plan says, except for a study that was opened in a window since."""
    store.settle_clock()
    removed: list[tuple[StoredStudy, str]] = []
    kept = list(planned.kept)
    for study, reason in planned.removed:
        if store.remove_unless_open(study.study_uid):
            removed.append((study, reason))
        elif study.study_uid in store.leases.open_studies():
            kept.append((study, OPEN))
    return CleanReport(tuple(removed), tuple(kept))
