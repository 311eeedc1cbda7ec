"""What happens when a cache is opened: is the key the right one, and what did dead processes leave."""

import logging
import sqlite3
from pathlib import Path

from priorline.cache.files import CacheFiles
from priorline.cache.inventory import Inventory
from priorline.cache.owners import Owner, dead_owners, live_owners, touched_studies
from priorline.cache.rebuild import Rebuilder
from priorline.cache.vault import Vault
from priorline.errors import CacheError

log = logging.getLogger(__name__)


def check_key(files: CacheFiles, vault: Vault, owner: Owner) -> bool:
    """Raise CacheError where the cache was made with another key; a new or empty cache remembers this one.

    What a session left that has ended is dropped, since its key is gone; then the answer is True. Only while the
    index is held.
    """
    known, code = files.read_key_check(), vault.code("check", "")
    if known is not None and known[1] == code:
        return False
    others = live_owners(files.incoming) - {owner.name}
    left = files.studies()
    if left or others:
        _refuse_unless_dead_session(known[0] if known else None, vault, bool(others))
        for study in left:
            owner.touch(study)
        files.destroy_keys(left)
    files.write_key_check(owner, vault.kept_in, code)
    return bool(left)


def _refuse_unless_dead_session(kept_in: str | None, vault: Vault, in_use: bool) -> None:
    if kept_in is None:
        raise CacheError("The cache has lost its key.check; purge the cache, and fetch anew.")
    if kept_in == "session":
        if in_use:
            raise CacheError("The cache belongs to a session that still runs; close its window first.")
        return
    if not kept_in:
        raise CacheError("The cache is not encrypted; purge it before cache.encrypt is switched on.")
    if not vault.encrypted:
        raise CacheError("The cache is encrypted; purge it before cache.encrypt is switched off.")
    raise CacheError("The cache was sealed with another key; bring that key back, or purge the cache.")


def settle(db: sqlite3.Connection, inventory: Inventory, rebuilder: Rebuilder, *, everything: bool) -> list[Path]:
    """Make true what dead processes worked on, or `everything`; and forget what they had open.

    Only while the index is held: then no living process is between naming an object and entering it. The answer is
    what they left, to be removed once this is committed: who dies before leaves it to the next.
    """
    changed, settled = rebuilder.all(db) if everything else [], list[Path]()
    for directory in dead_owners(inventory.files.incoming):
        for study in () if everything else touched_studies(directory):
            changed += rebuilder.study(db, study)
        settled.append(directory)
    inventory.leases.forget_dead(db)
    if changed:
        log.info("%d entries of the cache were settled", len(changed))
    return settled
