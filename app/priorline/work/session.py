"""What one run of the courier or of a command works with: hospitals, cache and audit trail, built once."""

from dataclasses import dataclass, field
from pathlib import Path

from priorline.audit.trail import AuditTrail
from priorline.cache.files import was_sealed
from priorline.cache.keys import MasterKey, load_master_key
from priorline.cache.store import Store
from priorline.config import Settings
from priorline.domain.links import PersonLink
from priorline.domain.patient import Patient
from priorline.errors import CacheError
from priorline.work.hospitals import Hospital, build_hospitals
from priorline.work.links import LINKS_FILE, LinkStore
from priorline.work.messages import Configure
from priorline.work.right_of_way import GivingWay
from priorline.work.upkeep import Upkeep, limits_of

KEY_FILE = "cache.key"
LINKS_KEY_FILE, LINKS_ENTRY = "links.key", "identity key"
TRAIL_FILE = "audit.jsonl"


@dataclass(frozen=True, slots=True)
class Session:
    """Everything below the command line and the courier; no globals."""

    settings: Settings
    hospitals: tuple[Hospital, ...]
    store: Store
    trail: AuditTrail
    links: LinkStore
    way: GivingWay = field(default_factory=GivingWay)

    def links_of(self, patient: Patient) -> tuple[PersonLink, ...]:
        """What persons confirmed about a patient; none where that cannot be read, so that more stays in question."""
        try:
            return self.links.links_of(patient.identifier)
        except CacheError:
            return ()  # Whoever confirms anew is told what is wrong.


def open_store(settings: Settings, cache_directory: Path, state_directory: Path) -> Store:
    """The cache that the settings name, kept within their limits; raises CacheError with what to do."""
    return _store(settings, cache_directory, state_directory, _cache_key(settings, cache_directory, state_directory))


def open_trail(state_directory: Path) -> AuditTrail:
    """The audit trail of this user."""
    return AuditTrail(state_directory / TRAIL_FILE)


def open_links(settings: Settings, state_directory: Path) -> LinkStore:
    """What this user confirmed about identities; raises CacheError where its key cannot be had."""
    # Encrypted also where the cache is not, and with a key of their own: a purged cache takes its key with it.
    mode = settings.cache.key if settings.cache.encrypt else "file"
    key = load_master_key(mode, state_directory / LINKS_KEY_FILE, LINKS_ENTRY)
    return LinkStore(state_directory / LINKS_FILE, key, open_trail(state_directory))


def open_session(configure: Configure) -> Session:
    """Build the graph once; raises CacheError where the cache cannot be used."""
    settings, state = configure.settings, Path(configure.state_directory)
    store = open_store(settings, Path(configure.cache_directory), state)
    trail = open_trail(state)
    hospitals, links = build_hospitals(settings, trail), open_links(settings, state)
    return Session(settings, hospitals, store, trail, links, GivingWay(configure.right_of_way))


def _store(settings: Settings, cache_directory: Path, state_directory: Path, key: MasterKey | None) -> Store:
    store = Store.open(cache_directory, key)
    store.keep_within(Upkeep(store, limits_of(settings.cache), open_trail(state_directory)).make_room)
    return store


def _cache_key(settings: Settings, cache_directory: Path, state_directory: Path) -> MasterKey | None:
    if not settings.cache.encrypt:
        return None
    # A new key for a cache that has one would open nothing.
    make = not was_sealed(cache_directory)
    return load_master_key(settings.cache.key, state_directory / KEY_FILE, make=make)
