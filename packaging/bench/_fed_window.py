"""Stands where the courier is and tells a window what hospitals would, each at its time."""

import itertools
import threading
import time
from collections.abc import Callable
from datetime import date

from PySide6.QtCore import QObject, Signal

from priorline.domain.patient import Patient
from priorline.domain.study import HospitalReport, HospitalState, StudyAnswer
from priorline.work.messages import (
    AskPresence,
    Event,
    HospitalEnded,
    PatientKnown,
    PresenceItem,
    PresenceKnown,
    Request,
    Search,
    StudiesFound,
    decode_courier_event,
    encode,
)

STUDIES = 8
KINDS = (("CT", "CT Abdomen"), ("DX", "Thorax"), ("MR", "MR Knee left"), ("US", "US Abdomen"))
SECONDS_TO_KNOW = 0.02


class FedBridge(QObject):
    """A bridge without processes; `plans` as in `scale.drawn`, a delay in ms or "mute" for each hospital in turn.

    Messages are encoded and then decoded in a thread of their own, as those of a courier are.
    """

    heard = Signal(object)
    frame = Signal(int, object)

    def __init__(self, plans: dict[str, str]) -> None:
        super().__init__()
        self._plans = plans
        self._numbers = itertools.count(1)
        self._due: list[tuple[float, bytes]] = []
        self._change = threading.Condition()
        self._over = False
        self._teller = threading.Thread(target=self._tell)
        self._teller.start()

    def next_number(self) -> int:
        """As the bridge."""
        return next(self._numbers)

    def send(self, request: Request) -> None:
        """As the bridge; hospitals answer at their times, the cache holds nothing."""
        match request:
            case Search(patient=Patient() as patient):
                self._say(SECONDS_TO_KNOW, PatientKnown(request.number, patient, {}))
                for place, (name, plan) in enumerate(self._plans.items()):
                    if plan != "mute":
                        seconds = float(plan) / 1000
                        self._say(seconds, StudiesFound(request.number, answers(name, place, patient)))
                        report = HospitalReport(name, HospitalState.ANSWERED, STUDIES, seconds=seconds)
                        self._say(seconds, HospitalEnded(request.number, report))
            case AskPresence():
                nothing = dict.fromkeys(request.study_uids, PresenceItem(0, complete=False))
                self._say(0, PresenceKnown(request.number, nothing))

    def close(self) -> None:
        """As the bridge."""
        with self._change:
            self._over = True
            self._change.notify()
        self._teller.join()

    def __getattr__(self, _name: str) -> Callable[..., int]:
        return lambda *_arguments: 0

    def _say(self, seconds: float, event: Event) -> None:
        with self._change:
            self._due.append((time.perf_counter() + seconds, encode(event)))
            self._due.sort(key=lambda one: one[0])
            self._change.notify()

    def _tell(self) -> None:
        while (message := self._next()) is not None:
            self.heard.emit(decode_courier_event(message))

    def _next(self) -> bytes | None:
        with self._change:
            while not self._over:
                wait = self._due[0][0] - time.perf_counter() if self._due else None
                if wait is not None and wait <= 0:
                    return self._due.pop(0)[1]
                self._change.wait(wait)
        return None


def answers(hospital: str, place: int, patient: Patient) -> tuple[StudyAnswer, ...]:
    """The rows of one hospital; the first is the same everywhere."""
    made = []
    for number in range(STUDIES):
        modality, description = KINDS[number % len(KINDS)]
        uid = f"2.25.{place + 1 if number else 0}.{number}"
        when = date(2010 + number, place % 12 + 1, 12)
        made.append(StudyAnswer(hospital, uid, patient, when, None, (modality,), description, images=2))
    return tuple(made)
