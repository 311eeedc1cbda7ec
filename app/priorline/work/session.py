"""What one run of the courier or of a command works with: hospitals, cache and audit trail, built once."""

from dataclasses import dataclass
from pathlib import Path

from priorline.audit.trail import AuditTrail
from priorline.cache.keys import load_master_key
from priorline.cache.store import Store
from priorline.config import Settings
from priorline.work.hospitals import Hospital, build_hospitals
from priorline.work.messages import Configure
from priorline.work.upkeep import Upkeep, limits_of

KEY_FILE = "cache.key"
TRAIL_FILE = "audit.jsonl"


@dataclass(frozen=True, slots=True)
class Session:
    """Everything below the command line and the courier; no globals."""

    settings: Settings
    hospitals: tuple[Hospital, ...]
    store: Store
    trail: AuditTrail


def open_store(settings: Settings, cache_directory: Path, state_directory: Path) -> Store:
    """The cache that the settings name, kept within their limits; raises CacheError with what to do."""
    encrypt = settings.cache.encrypt
    key = load_master_key(settings.cache.key, state_directory / KEY_FILE) if encrypt else None
    store = Store.open(cache_directory, key)
    store.keep_within(Upkeep(store, limits_of(settings.cache), open_trail(state_directory)).make_room)
    return store


def open_trail(state_directory: Path) -> AuditTrail:
    """The audit trail of this user."""
    return AuditTrail(state_directory / TRAIL_FILE)


def open_session(configure: Configure) -> Session:
    """Build the graph once; raises CacheError where the cache cannot be used."""
    state = Path(configure.state_directory)
    store = open_store(configure.settings, Path(configure.cache_directory), state)
    return Session(configure.settings, build_hospitals(configure.settings), store, open_trail(state))
