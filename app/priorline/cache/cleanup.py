"""Cleaning: plan what goes, then let it go; the decision itself is `domain.retention`."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass

from priorline.cache.index import faults
from priorline.cache.inventory import Inventory
from priorline.cache.model import Holding
from priorline.domain.retention import OPEN, CleanPlan, Limits, plan_cleaning


@dataclass(frozen=True, slots=True)
class CleanReport:
    """What a cleaning did; `removed` and `kept` as in the plan, but as it went."""

    removed: tuple[tuple[Holding, str], ...]
    kept: tuple[tuple[Holding, str], ...]

    @property
    def freed_bytes(self) -> int:
        """Bytes of the instances that went."""
        return sum(study.bytes for study, _reason in self.removed)


def plan(inventory: Inventory, limits: Limits, coming: int = 0) -> CleanPlan[Holding]:
    """The plan for a cache as it is now, with `coming` bytes more; reads no more studies than it considers."""
    with faults():
        free = shutil.disk_usage(inventory.files.root).free
    reading = inventory.watch.read(inventory.index)
    now = reading.shown(reading.now)
    size = inventory.bytes() + coming
    return plan_cleaning(inventory.oldest(), now, limits, size, free, inventory.leases.open_studies())


def run(
    inventory: Inventory,
    planned: CleanPlan[Holding],
    before: Callable[[Holding, str], None] = lambda _study, _why: None,
) -> CleanReport:
    """Do what the plan says, except for a study that was opened in a window since.

    `before` is told of each study that goes and of the reason, while the study is still there.
    """
    going = {study.handle: (study, reason) for study, reason in planned.removed}
    gone = set(inventory.remove(list(going), spare_open=True, before=lambda handle: before(*going[handle])))
    removed = tuple(pair for pair in planned.removed if pair[0].handle in gone)
    # What is neither gone nor open was removed by another process meanwhile.
    opened = inventory.leases.open_studies() - gone
    spared = tuple((study, OPEN) for study, _reason in planned.removed if study.handle in opened)
    return CleanReport(removed, (*planned.kept, *spared))
