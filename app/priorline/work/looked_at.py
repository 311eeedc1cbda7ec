"""Which studies are open in the window, so that none is cleaned away under somebody's eyes."""

import threading
from collections import Counter

from priorline.cache.store import Store


class LookedAt:
    """Counts how often each study is open, as both panes may show the same one; all lanes may use it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()

    def open(self, study_uid: str) -> None:
        """One more pane shows it; raises CacheError."""
        with self._lock:
            if self._count(study_uid, 1) > 0:
                self._store.take_lease(study_uid)

    def arrived(self, study_uid: str) -> None:
        """Something of it is in the cache now, which may not have had it when it was opened; raises CacheError."""
        with self._lock:
            if self._open[study_uid] > 0:
                self._store.take_lease(study_uid)

    def close(self, study_uid: str) -> None:
        """One pane less shows it; raises CacheError."""
        with self._lock:
            if self._count(study_uid, -1) <= 0:
                self._store.release_lease(study_uid)

    def _count(self, study_uid: str, change: int) -> int:
        # Lanes are not in order: a closing that comes first waits here for its opening.
        self._open[study_uid] += change
        count = self._open[study_uid]
        if not count:
            del self._open[study_uid]
        return count
