"""What the window's page about the cache shows; nobody is named on it."""

import shutil
from itertools import islice

from priorline.audit.trail import AuditTrail
from priorline.cache import cleanup
from priorline.cache.index import faults
from priorline.cache.model import Holding
from priorline.cache.store import Store
from priorline.config import CacheSettings
from priorline.domain.retention import PINNED
from priorline.work.messages import AskCache, CacheTold, HospitalShare, Leaving
from priorline.work.upkeep import clean, limits_of

MOST_LEAVING = 50


def tell_of_cache(store: Store, settings: CacheSettings, trail: AuditTrail, request: AskCache) -> CacheTold:
    """How full the cache is, after a cleaning where one is asked for, and what goes next: the longest unviewed."""
    limits, inventory = limits_of(settings), store.inventory
    done = clean(store, limits, trail) if request.clean else None
    due = {study.handle: why for study, why in cleanup.plan(inventory, limits).removed}
    oldest = islice(inventory.oldest(), MOST_LEAVING)
    leaving = [_leaving(study, due.get(study.handle, PINNED if study.pinned else "")) for study in oldest]
    stats = inventory.stats()
    with faults():
        free = shutil.disk_usage(store.files.root).free
    return CacheTold(
        request.number,
        studies=stats.studies,
        bytes=stats.bytes,
        limit=limits.max_size or 0,
        free=free,
        key=stats.key,
        hospitals=tuple(HospitalShare(*share) for share in inventory.by_hospital()),
        leaving=tuple(leaving),
        removed=len(done.removed) if done else 0,
        freed=done.freed_bytes if done else 0,
    )


def _leaving(study: Holding, why: str) -> Leaving:
    return Leaving(study.hospital, study.instances, study.bytes, study.viewed_at, why)
