"""What the page about the cache is told, from a real cache: shares, order, and a cleaning with receipts."""

from datetime import timedelta
from pathlib import Path

from cache_tools import KEY, fill
from priorline.audit.trail import AuditTrail
from priorline.cache.store import Store
from priorline.config import CacheSettings
from priorline.work.cache_page import tell_of_cache
from priorline.work.messages import AskCache

SETTINGS = CacheSettings(max_age="30 d", max_size="1 GB", min_free="0 GB")


def test_it_tells_what_is_due_and_a_cleaning_lets_it_go(tmp_path: Path) -> None:
    trail = AuditTrail(tmp_path / "audit.jsonl")
    with Store.open(tmp_path / "cache", KEY) as store:
        fill(store, "1.2.3", age=timedelta(days=40), images=3)
        fill(store, "4.5.6", age=timedelta(days=35))
        store.pin("4.5.6", "teaching")
        fill(store, "7.8.9", age=timedelta(days=2))
        told = tell_of_cache(store, SETTINGS, trail, AskCache(1))
        assert (told.number, told.studies, told.limit, told.key) == (1, 3, 10**9, "file")
        assert [(share.hospital, share.studies, share.bytes) for share in told.hospitals] == [("A", 3, told.bytes)]
        assert [(one.images, one.why) for one in told.leaving] == [(3, "older than 30 d"), (2, "pinned"), (2, "")]
        assert store.presence(["1.2.3"])["1.2.3"].images == 3  # looking removes nothing
        told = tell_of_cache(store, SETTINGS, trail, AskCache(2, clean=True))
        assert (told.removed, told.studies) == (1, 2)
        assert told.freed > 3000
        assert store.presence(["1.2.3", "4.5.6"])["1.2.3"].images == 0
    (receipt,) = trail.records()
    assert receipt["study"] == "1.2.3"
    assert receipt["key_destroyed"] is True
