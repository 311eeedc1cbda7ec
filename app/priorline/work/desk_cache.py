"""What the window may know of the cache: headers and tickets, as messages."""

from priorline.cache.model import StoredInstance
from priorline.cache.store import Store
from priorline.imaging.instance import InstanceHeader
from priorline.work.fetch import decode_header
from priorline.work.messages import CachedInstance, OpenStudy, StudyContents, Ticket


def cached_instance(stored: StoredInstance, header: InstanceHeader) -> CachedInstance:
    """One stored instance as the window sees it."""
    return CachedInstance(header, Ticket(stored.path, stored.handle, stored.key))


def contents(store: Store, request: OpenStudy) -> StudyContents:
    """All whole instances of a study; viewing it counts for its age in the cache and keeps it there."""
    stored = store.instances(request.study_uid)
    here = store.presence((request.study_uid,)).get(request.study_uid)
    if stored:
        store.touch_viewed(request.study_uid)
        store.leases.take(request.study_uid)
    instances = tuple(cached_instance(one, decode_header(one.header)) for one in stored)
    expected = here.expected if here else 0
    return StudyContents(request.number, request.study_uid, instances, expected, bool(here and here.complete))
