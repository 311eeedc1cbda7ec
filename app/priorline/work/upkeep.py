"""Keeping the cache within its limits while it is written, with a receipt for every study that goes."""

import shutil
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from priorline.audit.trail import AuditEvent, AuditTrail
from priorline.cache import cleanup
from priorline.cache.index import faults
from priorline.cache.model import Holding
from priorline.cache.store import Store
from priorline.config import CacheSettings, parse_age, parse_size
from priorline.domain.retention import Limits
from priorline.domain.study import StudyAnswer
from priorline.errors import CacheFull

# How often all limits are looked at while the cache is written, and how often while the disk lacks room.
EVERY = 60.0
EVERY_IN_NEED = 5.0
# So much may be written without counting anew.
ALLOWED_MAX = 64 << 20


def limits_of(cache: CacheSettings, max_age: str = "", max_size: str = "", min_free: str = "") -> Limits:
    """The limits of the settings, or what is given in their place; raises ValueError with what is allowed."""
    return Limits(
        max_age=timedelta(seconds=parse_age(max_age or cache.max_age)),
        max_size=parse_size(max_size or cache.max_size),
        min_free=parse_size(min_free or cache.min_free),
    )


def write_receipt(trail: AuditTrail, study: Holding, answer: StudyAnswer | None, reason: str) -> None:
    """Record that a study goes and its key with it; without the right to read (`answer` None) by its handle."""
    identifier = answer.patient.identifier if answer else None
    trail.record(
        AuditEvent.DELETED,
        reason=reason,
        patient_id=identifier.value if identifier else "",
        issuer=identifier.issuer if identifier else "",
        study=answer.study_uid if answer else "",
        handle=study.handle,
        bytes=study.bytes,
        key_destroyed=True,
    )


class Upkeep:
    """The limits of one store; lanes write at once, and one at a time makes room."""

    def __init__(
        self, store: Store, limits: Limits, trail: AuditTrail, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store, self._limits, self._trail, self._clock = store, limits, trail, clock
        self._lock = threading.Lock()
        self._looked_at = -EVERY
        self._allowed = 0

    def make_room(self, coming: int) -> None:
        """See to it that a file of `coming` bytes fits; raises CacheFull where all that is there must stay."""
        with self._lock:
            is_due = self._is_due()
            if is_due:
                self._looked_at = self._clock()
                self._clean(self._limits)
            most = self._limits.max_size
            if most is None or (self._is_allowed(coming) and not is_due):
                return
            taken = self._taken()
            if taken + coming <= most:
                # Far from the limit it is not counted for every image; other processes may write meanwhile.
                self._allowed = min((most - taken - coming) // 8, ALLOWED_MAX)
                return
            # What is not open, pinned or being fetched yields to what somebody waits for, however new it is.
            self._clean(Limits(max_size=most, grace=timedelta()), coming + self._store.pending_bytes)
            if self._taken() + coming > most:
                raise CacheFull(
                    "The cache is at its limit with studies that are open, pinned or being fetched; close some, or"
                    " raise cache.max_size."
                )

    def _is_allowed(self, coming: int) -> bool:
        self._allowed -= coming
        return self._allowed >= 0

    def _is_due(self) -> bool:
        since = self._clock() - self._looked_at
        if since >= EVERY:
            return True
        if since < EVERY_IN_NEED or self._limits.min_free is None:
            return False
        with faults():
            return shutil.disk_usage(self._store.files.root).free < self._limits.min_free

    def _taken(self) -> int:
        return self._store.inventory.bytes() + self._store.pending_bytes

    def _clean(self, limits: Limits, coming: int = 0) -> None:
        clean(self._store, limits, self._trail, coming)


def clean(store: Store, limits: Limits, trail: AuditTrail, coming: int = 0) -> cleanup.CleanReport:
    """Let go what is over the limits with `coming` bytes more, each study with a receipt."""

    def tell(study: Holding, reason: str) -> None:
        record = store.catalogue.record(study.handle)
        write_receipt(trail, study, record.answer if record else None, reason)

    return cleanup.run(store.inventory, cleanup.plan(store.inventory, limits, coming), tell)
