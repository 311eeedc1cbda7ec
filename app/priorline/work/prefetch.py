"""Which studies are fetched before anybody asks for them, and from whom."""

from collections.abc import Iterable, Mapping
from datetime import time
from itertools import islice

from priorline.config import Prefetch
from priorline.domain.study import StudyAnswer
from priorline.domain.timeline import TimelineStudy

Plan = dict[str, tuple[StudyAnswer, ...]]


def plan(priors: Iterable[TimelineStudy], settings: Mapping[str, Prefetch], at: time) -> Plan:
    """The holders to ask for each study, by UID; both in the order in which they are to be asked.

    `priors` come with the most relevant first, and certainly of the patient. `settings` are those of each hospital;
    `at` is the time of the day here.
    """
    most = max((one.studies for one in settings.values()), default=0)
    planned: Plan = {}
    for place, study in enumerate(islice(priors, most)):
        holders = tuple(copy for copy in study.answers if _may(settings.get(copy.hospital), place, at))
        if holders:
            planned[study.study_uid] = holders
    return planned


def _may(settings: Prefetch | None, place: int, at: time) -> bool:
    return settings is not None and place < settings.studies and settings.is_open(at)
