"""Threads that run one at a time: at every step of a cache to the outside the seed says who goes on.

A step is a transaction's begin and end, a question to the index, and whatever is done to a file or a lock; each party
opens the cache by itself, so that index, locks and leases take it for a process of its own.
"""

import fcntl
import os
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from sqlite3 import Connection
from typing import Any

import pytest

from priorline.cache import index
from priorline.cache.index import Index

PATIENCE = 60.0
FILE_STEPS = ("open", "close", "unlink", "rmdir", "mkdir", "replace", "scandir")


def _closed() -> threading.Lock:
    """A lock that somebody else has to release."""
    lock = threading.Lock()
    lock.acquire()
    return lock


class Party:
    """One of those who take turns; `patient`: it waits for the index, else it is told that somebody holds it."""

    def __init__(self, name: str, act: Callable[[], None], patient: bool) -> None:
        self.name, self.act, self.patient = name, act, patient
        self.turn = _closed()
        self.waits = False
        self.error: BaseException | None = None


class Turns:
    """One round; `order` is who made each step, `within` how many were made while another was in a transaction."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        # Few switches find what takes a long lead, many what takes a close chase.
        self._often = self.dice.choice((0.03, 0.1, 0.3, 1.0))
        self._parties: dict[int, Party] = {}
        self._left: list[Party] = []
        self._done = _closed()
        self._holder: Party | None = None
        self.order: list[str] = []
        self.within = 0

    def run(self, acts: Mapping[str, Callable[[], None]], impatient: str = "") -> dict[str, BaseException]:
        """Let all act to their end, and say whose end was an error."""
        parties = [Party(name, act, name != impatient) for name, act in acts.items()]
        threads = [threading.Thread(target=self._live, args=(party,)) for party in parties]
        self._left = list(parties)
        for thread in threads:
            thread.start()
        self._choose().turn.release()
        ended = self._done.acquire(timeout=PATIENCE)
        assert ended, f"nobody goes on after {self.order[-20:]}"
        for thread in threads:
            thread.join()
        return {party.name: party.error for party in parties if party.error is not None}

    def _live(self, party: Party) -> None:
        self._parties[threading.get_ident()] = party
        assert party.turn.acquire(timeout=PATIENCE)
        try:
            party.act()
        except BaseException as error:  # noqa: BLE001 - told to the test
            party.error = error
        self._left.remove(party)
        (self._choose().turn if self._left else self._done).release()

    def _choose(self) -> Party:
        return self.dice.choice([party for party in self._left if not party.waits])

    def me(self) -> Party | None:
        """The party of this thread, None for the test's own."""
        return self._parties.get(threading.get_ident())

    def step(self) -> None:
        """This party's step comes next; another may go first."""
        me = self.me()
        if me is None:
            return
        if me.waits or self.dice.random() < self._often:
            other = self._choose()
            if other is not me:
                other.turn.release()
                assert me.turn.acquire(timeout=PATIENCE)
        self.order.append(me.name)
        self.within += self._holder not in {None, me}

    @contextmanager
    def alone(self) -> Iterator[None]:
        """This party's transaction; who is patient comes back when nobody else is in one."""
        me = self.me()
        self.step()
        while me and me.patient and self._holder is not None:
            me.waits = True
            self.step()
        was, self._holder = self._holder, me or self._holder
        try:
            yield
        finally:
            self._holder = was
            for party in self._left:
                party.waits = False


def take_turns(monkeypatch: pytest.MonkeyPatch, current: Callable[[], Turns | None]) -> None:
    """Make every step of a cache one of the round that is `current`.

    Nothing is brought to the disk: who sees what when does not hang on it, and a thousand rounds do.
    """
    real, prepare = Index.transaction, Index._prepare

    @contextmanager
    def transaction(self: Index) -> Iterator[Connection]:
        turns = current()
        if turns is None:
            with real(self) as db:
                yield db
            return
        with turns.alone(), real(self) as db:
            yield db
            turns.step()

    def unsynced(self: Index) -> None:
        prepare(self)
        self._db.execute("PRAGMA synchronous = OFF")

    def stepping(action: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*values: Any, **named: Any) -> Any:
            turns = current()
            if turns is not None:
                turns.step()
            return action(*values, **named)

        return stepped

    monkeypatch.setattr(Index, "transaction", transaction)
    monkeypatch.setattr(Index, "_prepare", unsynced)
    monkeypatch.setattr(Index, "rows", stepping(Index.rows))
    monkeypatch.setattr(index, "BUSY_SECONDS", 0.0)
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    monkeypatch.setattr(fcntl, "flock", stepping(fcntl.flock))
    for name in FILE_STEPS:
        monkeypatch.setattr(os, name, stepping(getattr(os, name)))
