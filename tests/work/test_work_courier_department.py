"""The courier's process hands on to the department what it fetched, and goes on with that when it starts again."""

import queue
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

import peers
from priorline.archives.base import DicomPeer
from priorline.audit.trail import AuditTrail
from priorline.config import HospitalSettings, Settings
from priorline.domain.study import FetchState
from priorline.work.helper import Helper
from priorline.work.messages import (
    Configure,
    Event,
    Fetch,
    FetchEnded,
    Notice,
    PatientKnown,
    Search,
    decode_courier_event,
)
from small_hospitals import CURRENT, SmallHospitals

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="only on Linux")

PATIENCE = 60.0
KINDS = {(peers.CT_IMAGE, "1.2.840.10008.1.2.1")}
OURS = "Our archive"
Kind = TypeVar("Kind", bound=Event)


class Desk:
    """Stands for the window."""

    def __init__(self, courier: Helper, heard: "queue.Queue[Event]") -> None:
        self.courier, self._heard = courier, heard

    def next(self, kind: type[Kind]) -> Kind:
        while not isinstance(event := self._heard.get(timeout=PATIENCE), kind):
            pass
        return event

    def fetch_current(self) -> FetchEnded:
        self.courier.send(Search(1, None, CURRENT.study_uid))
        current = self.next(PatientKnown).current
        assert current is not None
        self.courier.send(Fetch(2, current))
        return self.next(FetchEnded)


@contextmanager
def desk(settings: Settings, peer: DicomPeer, folder: Path) -> Iterator[Desk]:
    """A courier with this archive as the department's."""
    ours = HospitalSettings(name=OURS, ae_title=peer.ae_title, host=peer.host, port=peer.port, role="department")
    known = msgspec.structs.replace(settings, hospital=(*settings.hospital, ours))
    heard: queue.Queue[Event] = queue.Queue()
    configure = Configure(0, known, str(folder / "cache"), str(folder / "state"))
    courier = Helper("priorline.work.courier", decode_courier_event, heard.put, configure)
    try:
        yield Desk(courier, heard)
    finally:
        courier.close()


def until(is_so: Callable[[], bool]) -> None:
    waited = 0.0
    while not is_so():
        threading.Event().wait(0.02)
        waited += 0.02
        assert waited < PATIENCE


def test_what_the_last_start_could_not_hand_on_the_next_one_does(tmp_path: Path) -> None:
    with SmallHospitals(tmp_path) as hospitals:
        settings = hospitals.settings(tmp_path / "cache")
        with peers.storing(lambda _number: 0xA700, KINDS) as (full, taken), desk(settings, full, tmp_path) as here:
            report = here.fetch_current().report
            # It is full, and the fetch is complete all the same.
            assert (report.state, report.received) == (FetchState.COMPLETE, CURRENT.images)
            until(lambda: len(taken) > 0)
        with peers.storing(lambda _number: 0, KINDS) as (there, taken), desk(settings, there, tmp_path):
            until(lambda: len(taken) == CURRENT.images)
    acts = [one for one in AuditTrail(tmp_path / "state" / "audit.jsonl").records() if one.get("action") == "stored"]
    assert {(one["hospital"], one["instances"]) for one in acts} == {(OURS, CURRENT.images)}


def test_what_an_archive_will_not_have_is_told(tmp_path: Path) -> None:
    with SmallHospitals(tmp_path) as hospitals:
        settings = hospitals.settings(tmp_path / "cache")
        with peers.storing(lambda _number: 0xA900, KINDS) as (peer, _), desk(settings, peer, tmp_path) as here:
            assert here.fetch_current().report.state is FetchState.COMPLETE
            told = here.next(Notice)
    assert told.message == f"{OURS} refused {CURRENT.images} images (status A900)."
