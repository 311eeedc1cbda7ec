"""Has suggested priors fetched before anybody asks, once every hospital has ended."""

from collections.abc import Mapping
from datetime import datetime

from priorline.config import Prefetch
from priorline.desk.fetches import Fetches
from priorline.domain.timeline import Timeline
from priorline.work.prefetch import plan


class FetchAhead:
    """One patient's; each study is begun once, and stopped where it is not suggested any more."""

    def __init__(self, fetches: Fetches, settings: Mapping[str, Prefetch]) -> None:
        self._fetches, self._settings = fetches, settings
        self._most = max((one.studies for one in settings.values()), default=0)
        self._begun: set[str] = set()

    def look(self, timeline: Timeline) -> None:
        """Begin what is due and stop what is not, as the line is now."""
        if not self._most:
            return
        priors = timeline.priors(self._most)
        self._fetches.stop_ahead({study.study_uid for study in priors})
        if all(study.study_uid in self._begun for study in priors):
            return
        here = datetime.now().time()  # noqa: DTZ005 - the hours of the settings are those of the clock on the wall
        planned = plan(priors, self._settings, here)
        for study in priors:
            uid = study.study_uid
            if uid in planned and uid not in self._begun and self._fetches.start_ahead(study, planned[uid]):
                self._begun.add(uid)
