"""Windows, cleaners, a purge and a fetch on one cache at once, in a thousand orders: an open study stays."""

import json
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("only on Linux", allow_module_level=True)

import turns

from cache_tools import KEY, Clock, fill, handles, quick_folder, share
from priorline.audit.trail import AuditTrail
from priorline.cache import cleanup
from priorline.cache.inventory import Inventory
from priorline.cache.model import Holding
from priorline.cache.store import Store
from priorline.cache.verify import verify
from priorline.domain.patient import Identifier, Patient
from priorline.domain.retention import Limits
from priorline.domain.study import StudyAnswer
from priorline.errors import CacheError
from priorline.work import upkeep

ROUNDS, LOT = 1000, 250
LIMITS = Limits(max_age=timedelta(days=30))
OPENED, FETCHED, PURGED, OTHER, NEW = ("1.1", "1.2"), "1.4", "1.5", "1.6", "1.9"
OLD = (*OPENED, FETCHED, PURGED, OTHER)


def answer(uid: str) -> StudyAnswer:
    return StudyAnswer("A", uid, Patient(Identifier("1")))


def is_whole(store: Store, uid: str) -> bool:
    """Whether all that `fill` put there is readable."""
    return [store.read(one) for one in store.instances(uid)] == [bytes(1000)] * 2


class Round:
    """Everybody's act on one cache, and what they say they did."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.turns = root, turns.Turns(seed)
        self.trail = AuditTrail(root.with_name(f"{root.name}.audit") / "audit.jsonl")
        self.removed: list[str] = []
        self.cleanings = 0
        self.spared = 0
        self.finished = False

    def run(self, impatient: str) -> dict[str, BaseException]:
        """The whole round, and whose part ended in an error."""
        acts: dict[str, Callable[[], None]] = {
            "window": self.look,
            "cleaner": self.clean,
            "second": self.clean_unread,
            "purge": self.purge,
            "fetch": self.fetch,
        }
        return self.turns.run(acts, impatient)

    def look(self) -> None:
        """A window: studies are opened and closed; the last one is still open when the window closes."""
        with Store.open(self.root, KEY, Clock()) as store:
            for uid in self.turns.dice.sample(OPENED, len(OPENED)):
                if not store.take_lease(uid):
                    continue
                until = self.cleanings + self.turns.dice.randrange(3)
                for _ in range(20):
                    assert is_whole(store, uid)
                    if self.cleanings >= until:
                        break
                if self.turns.dice.random() < 0.5:
                    store.release_lease(uid)

    def clean(self) -> None:
        """A cleaning with the right to read."""
        with Store.open(self.root, KEY, Clock()) as store:
            self._cleaned(upkeep.clean(store, LIMITS, self.trail))

    def clean_unread(self) -> None:
        """A cleaning without it."""

        def tell(study: Holding, reason: str) -> None:
            upkeep.write_receipt(self.trail, study, None, reason)

        with Inventory.open(self.root, Clock()) as inventory:
            self._cleaned(cleanup.run(inventory, cleanup.plan(inventory, LIMITS), tell))

    def _cleaned(self, done: cleanup.CleanReport) -> None:
        self.cleanings += 1
        self.spared += len(done.kept)
        self.removed += [study.handle for study, _reason in done.removed]

    def purge(self) -> None:
        """A purge of two studies, which the cleaners want, too."""
        with Store.open(self.root, KEY, Clock()) as store:
            chosen = {one.held.handle: one for uid in (PURGED, FETCHED) for one in store.named(uid)}

            def tell(handle: str) -> None:
                upkeep.write_receipt(self.trail, chosen[handle].held, chosen[handle].answer, "purged on request")

            self.removed += store.inventory.remove(list(chosen), before=tell)

    def fetch(self) -> None:
        """A study that is new, and one that was here and is being removed perhaps."""
        with Store.open(self.root, KEY, Clock()) as store:
            for uid in (NEW, FETCHED):
                store.begin_fetch(answer(uid), 2)
                for number in range(2):
                    store.add(answer(uid), f"{uid}.{number}", uid, b"%d" % number, bytes(1000))
                self.finished = store.finish_fetch(uid, complete=True) or uid != NEW

    def receipts(self) -> list[str]:
        """The handles in the audit trail."""
        if not self.trail.path.exists():
            return []
        return [json.loads(line)["handle"] for line in self.trail.path.read_text("utf-8").splitlines()]


def assert_true(done: Round, before: set[str]) -> None:
    """Index and files agree, and everything that is gone was removed once and is on record once."""
    with Store.open(done.root, KEY, Clock()) as store:
        assert verify(store).is_sound
        left = handles(store)
        assert is_whole(store, NEW)
        assert store.presence([NEW])[NEW].complete
        assert [path for path in store.files.incoming.iterdir() if path.name != store.inventory.owner.name] == []
    assert max(Counter(done.removed).values(), default=1) == 1
    assert sorted(done.receipts()) == sorted(done.removed)
    assert before - left.keys() <= set(done.removed)
    assert left.keys().isdisjoint(done.removed)


@pytest.fixture
def template() -> Iterator[Path]:
    """A cache with five studies that are too old."""
    with quick_folder() as folder:
        with Store.open(folder / "template", KEY, Clock()) as store:
            for uid in OLD:
                fill(store, uid, timedelta(days=40))
        yield folder / "template"


@pytest.mark.parametrize("first", range(0, ROUNDS, LOT))
def test_in_a_thousand_orders_an_open_study_stays_and_what_goes_goes_once(
    template: Path, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    with Store.open(template, KEY, Clock()) as store:
        before = set(handles(store))
    current: list[Round] = []
    turns.take_turns(monkeypatch, lambda: current[0].turns if current else None)
    orders, busy, spared, within = set[tuple[str, ...]](), 0, 0, 0
    for seed in range(first, first + LOT):
        done = Round(template.with_name(f"cache{seed}"), seed)
        shutil.copytree(template, done.root, copy_function=share)
        # One in four times the second cleaner does not wait for the index.
        impatient = "second" if seed % 4 == 0 else ""
        current.append(done)
        errors = done.run(impatient)
        current.clear()
        busy += was_told_so(errors.pop(impatient, None))
        assert errors == {}, seed
        assert_true(done, before)
        orders.add(tuple(done.turns.order))
        spared += done.spared
        within += done.turns.within
        shutil.rmtree(done.root)
    assert len(orders) == LOT
    assert min(busy, spared) > LOT // 20
    assert within > 10 * LOT


def was_told_so(error: BaseException | None) -> bool:
    """Whether somebody was told that the index is held; nothing else may go wrong."""
    if error is not None:
        assert isinstance(error, CacheError)
        assert "Another program holds the cache" in str(error)
    return error is not None
