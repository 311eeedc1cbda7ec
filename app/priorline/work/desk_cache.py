"""What the window may know of the cache: headers and tickets, as messages."""

from priorline.cache.model import StoredInstance
from priorline.cache.store import Store
from priorline.errors import CacheDamaged
from priorline.imaging.instance import InstanceHeader
from priorline.work.fetch import decode_header
from priorline.work.messages import CachedInstance, OpenStudy, StudyContents, Ticket


def cached_instance(stored: StoredInstance, header: InstanceHeader) -> CachedInstance:
    """One stored instance as the window sees it."""
    return CachedInstance(header, Ticket(stored.path, stored.handle, stored.key))


def contents(store: Store, request: OpenStudy) -> StudyContents:
    """All whole instances of a study; viewing it counts for its age in the cache."""
    stored = store.instances(request.study_uid)
    if stored:
        store.touch_viewed(request.study_uid)
    instances = tuple(known for one in stored if (known := _known(store, one)) is not None)
    # Asked last: what was found damaged is not counted any more.
    here = store.presence((request.study_uid,))[request.study_uid]
    return StudyContents(request.number, request.study_uid, instances, here.expected, here.complete)


def _known(store: Store, stored: StoredInstance) -> CachedInstance | None:
    """An instance with its header, None where its file is damaged."""
    try:
        return cached_instance(stored, decode_header(store.header(stored)))
    except CacheDamaged:
        return None
