"""How much of a study is in the cache, on its way, or why it is not: the marks and words of its row."""

from enum import Enum
from typing import NamedTuple

from priorline.desk import wording
from priorline.domain.study import FetchReport, FetchState
from priorline.work.messages import PresenceItem
from priorline.work.progress import FetchProgress


class Presence(Enum):
    """How much of a study is in the cache; drawn as outline, half filled, filled, hatched."""

    REMOTE = "still at the hospital"
    PARTIAL = "partly here"
    HERE = "here"
    DAMAGED = "here, but not all of it can be shown"


class Held(NamedTuple):
    """All that is known of one study's images: in the cache, being fetched, how that ended, also without asking."""

    here: PresenceItem | None
    fetching: FetchProgress | None
    report: FetchReport | None
    ahead: FetchReport | None

    @property
    def presence(self) -> Presence:
        """The mark of it."""
        here, report = self.here, self.report
        if self.fetching is None and report is not None and report.quarantined:
            return Presence.DAMAGED
        if here is None or not here.images:
            return Presence.REMOTE
        return Presence.HERE if here.complete else Presence.PARTIAL

    @property
    def is_lacking(self) -> bool:
        """Whether somebody wanted this study and did not get all of it."""
        report = self.report
        return self.fetching is None and report is not None and report.state is not FetchState.COMPLETE

    @property
    def why_lacking(self) -> str:
        """Why it is not all here after it was fetched, "" where nothing is wrong."""
        return "" if self.fetching else wording.not_whole(self.report, self.ahead)

    @property
    def share(self) -> float | None:
        """How much of it has come, from 0 to 1; None where it is not being fetched."""
        return self.fetching.share if self.fetching else None

    def status(self, images: int | None) -> str:
        """The count of images that hospitals give, or how far fetching is, or that it is not all here."""
        here, report = self.here, self.report
        if self.fetching is not None:
            return wording.fetching_one(self.fetching)
        if here is not None and here.images and not here.complete:
            total = max(images or 0, report.expected if report else 0)
            return f"partial · {here.images} of {total}" if total else f"partial · {here.images} so far"
        if report is not None and report.state is FetchState.FAILED:
            return "not fetched"
        return wording.images(images)
