"""Calls that must come back, whatever a hospital does."""

import threading
from collections.abc import Callable
from typing import Any

from priorline.errors import ArchiveError

ENOUGH_SECONDS = 60


def ended(work: Callable[[], Any]) -> Any:
    """What `work` returns or raises; fails the test, instead of hanging it, when it does not end."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(work())
        except ArchiveError as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(ENOUGH_SECONDS)
    assert outcome, "the call did not come back"
    if isinstance(outcome[0], ArchiveError):
        raise outcome[0]
    return outcome[0]
