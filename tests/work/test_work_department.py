"""A department's archive is filled with what was fetched: all of it, only that, and whatever the archive does."""

import queue
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

import peers
from instances import file_of
from peers import nothing_left_running  # noqa: F401 - a fixture for every test here
from priorline.archives.base import DicomPeer, dataset_of
from priorline.archives.dicom_store import DicomStorage
from priorline.archives.incoming import Received
from priorline.audit.trail import AuditTrail
from priorline.cache.keys import load_master_key
from priorline.cache.store import Store
from priorline.config import HospitalSettings, Settings
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import FetchReport, FetchState, StudyAnswer, in_fetch_order, measured_by
from priorline.errors import AuditError
from priorline.imaging.read import read_header
from priorline.work.department import Turn, fill, pay
from priorline.work.fetch import encode_header
from priorline.work.filling import Filling
from priorline.work.hospitals import Hospital, build_hospitals
from priorline.work.messages import Configure
from priorline.work.session import Session, open_session

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="only on Linux")

STUDY = "1.2.826.0.1.3680043.8.498.9"
ROW = StudyAnswer("North", STUDY, Patient(Identifier("PL-0042"), "Jansen^Piet", date(1961, 4, 5), "M"))
IMAGES = 5
MR_IMAGE, EXPLICIT = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.2.1"
KIND = {(MR_IMAGE, EXPLICIT)}
OURS, SECOND = "Our archive", "Second archive"
SUCCESS, HANG_UP = 0x0000, -1
PATIENCE = 20.0


def received(number: int) -> Received:
    dataset = dcmread(get_testdata_file("MR_small.dcm"))
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY, f"{STUDY}.1"
    dataset.SOPInstanceUID, dataset.PatientID, dataset.PatientName = f"{STUDY}.1.{number}", "PL-0042", "Jansen^Piet"
    file = BytesIO()
    dataset.save_as(file)
    return Received(MR_IMAGE, dataset.SOPInstanceUID, EXPLICIT, dataset_of(file.getvalue()))


def put(store: Store, number: int, quarantine: str = "") -> None:
    one = received(number)
    data = file_of(one, "PRIORLINE")
    header = read_header(data)
    store.add(ROW, header.sop_uid, header.series_uid, encode_header(header), data, quarantine=quarantine)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A cache with a study of five images from a hospital, and no department yet."""
    opened = open_session(Configure(0, Settings(), str(tmp_path / "cache"), str(tmp_path / "state")))
    with opened.store as store:
        store.begin_fetch(ROW, IMAGES)
        for number in range(IMAGES):
            put(store, number)
        store.finish_fetch(STUDY, complete=True)
        yield opened


def department(peer: DicomPeer, name: str = OURS) -> Hospital:
    settings = HospitalSettings(name=name, ae_title=peer.ae_title, host=peer.host, port=peer.port, role="department")
    return Hospital(settings, None, storage=DicomStorage(replace(peer, name=name)))


def with_departments(session: Session, *departments: Hospital) -> Session:
    north = Hospital(HospitalSettings(name="North", ae_title="N", host="127.0.0.1", port=1), None)
    return replace(session, hospitals=(north, *departments))


def report(session: Session, hospital: str = "North") -> FetchReport:
    count = len(session.store.instances(STUDY))
    return FetchReport(STUDY, hospital, FetchState.COMPLETE, IMAGES, count)


def numbers(taken: list[Any]) -> list[int]:
    return [int(str(event.request.AffectedSOPInstanceUID).rsplit(".", 1)[1]) for event in taken]


def stored(session: Session) -> list[dict[str, Any]]:
    return [one for one in session.trail.records() if one.get("action") == "stored"]


# --- one study to one archive


def test_all_of_it_goes_out_as_it_came_and_is_on_record_before(session: Session) -> None:
    on_record: list[int] = []

    def answer(_number: int) -> int:
        on_record.append(len(stored(session)))
        return SUCCESS

    with peers.storing(answer, KIND) as (peer, taken):
        here = with_departments(session, department(peer))
        (filled,) = fill(here, [report(session)])
    assert (filled.sent, filled.already, filled.refused, filled.message) == (IMAGES, 0, 0, "")
    assert [event.request.DataSet.getvalue() for event in taken] == [received(n).dataset for n in range(IMAGES)]
    assert on_record == [1] * IMAGES
    (act,) = stored(session)
    assert (act["hospital"], act["patient_id"], act["study"], act["instances"]) == (OURS, "PL-0042", STUDY, IMAGES)
    assert act["reason"]
    assert session.store.owed(OURS) == []


@pytest.mark.parametrize("dies_at", range(1, IMAGES + 1))
def test_an_archive_that_dies_at_one_image_is_given_what_is_missing(session: Session, dies_at: int) -> None:
    with peers.storing(lambda number: HANG_UP if number == dies_at else SUCCESS, KIND) as (peer, taken):
        turn = Tries(1)
        filled = pay(session, department(peer), STUDY, turn)
        # What was not answered is sent again, and nothing that was.
        assert numbers(taken) == [*range(dies_at), *range(dies_at - 1, IMAGES)]
    assert (filled.sent, filled.message) == (IMAGES, "")
    # Only where nothing at all was taken it waits.
    assert turn.left == (0 if dies_at == 1 else 1)


def test_an_archive_that_dies_at_every_image_comes_to_its_end(session: Session) -> None:
    with peers.storing(lambda number: SUCCESS if number % 2 else HANG_UP, KIND) as (peer, taken):
        assert pay(session, department(peer), STUDY, Turn()).sent == IMAGES
        assert numbers(taken) == [0, 1, 1, 2, 2, 3, 3, 4, 4][: len(taken)]


def test_an_archive_that_always_dies_is_given_up_with_one_sentence(session: Session) -> None:
    with peers.storing(lambda _number: HANG_UP, KIND) as (peer, taken):
        here = with_departments(session, department(peer))
        session.store.owe(STUDY, [OURS])
        filled = pay(here, here.hospitals[1], STUDY, Tries(2))
        assert len(taken) == 3
    assert filled.sent == 0
    assert filled.message.startswith("Our archive was not filled with all that was fetched.")
    assert session.store.owed(OURS) == [STUDY]


class Tries(Turn):
    """So many tries after the first, without a wait."""

    def __init__(self, left: int) -> None:
        self.left = left

    def pause(self) -> bool:
        self.left -= 1
        return self.left >= 0


def test_one_that_is_full_keeps_what_it_took_and_is_told(session: Session) -> None:
    with peers.storing(lambda number: 0xA700 if number == 3 else SUCCESS, KIND) as (peer, _):
        (filled,) = fill(with_departments(session, department(peer)), [report(session)])
    # It took two, so it is asked once more at once, and takes the rest.
    assert (filled.sent, filled.message) == (IMAGES, "")
    with peers.storing(lambda number: SUCCESS if number < 3 else 0xA700, KIND) as (peer, _):
        (filled,) = fill(with_departments(session, department(peer, SECOND)), [report(session)])
    assert filled.sent == 2
    assert "out of resources" in filled.message
    assert session.store.owed(SECOND) == [STUDY]


def test_what_it_will_never_have_is_told_and_not_owed(session: Session) -> None:
    with peers.storing(lambda number: 0xA900 if number == 2 else SUCCESS, KIND) as (peer, _):
        (filled,) = fill(with_departments(session, department(peer)), [report(session)])
    assert (filled.sent, filled.refused) == (IMAGES - 1, 1)
    assert filled.message == "Our archive refused 1 image (status A900)."
    assert session.store.owed(OURS) == []


def test_one_that_changes_what_it_is_sent_is_told_of(session: Session) -> None:
    with peers.storing(lambda _number: 0xB000, KIND) as (peer, _):
        (filled,) = fill(with_departments(session, department(peer)), [report(session)])
    assert filled.sent == IMAGES
    assert "says that it changed 5 images" in filled.message


# --- what is never sent


def test_what_was_set_apart_is_never_sent(session: Session) -> None:
    put(session.store, 90, quarantine="The object names another patient than the list did (name).")
    session.store.commit()
    with peers.storing(lambda _number: SUCCESS, KIND) as (peer, taken):
        fill(with_departments(session, department(peer)), [report(session)])
        assert numbers(taken) == list(range(IMAGES))


def test_what_is_held_back_is_never_sent(session: Session) -> None:
    session.store.withhold(STUDY)
    with peers.storing(lambda _number: SUCCESS, KIND) as (peer, taken):
        here = with_departments(session, department(peer))
        session.store.owe(STUDY, [OURS])
        assert pay(here, here.hospitals[1], STUDY, Turn()).sent == 0
        assert taken == []
    assert stored(session) == []


def test_what_is_taken_back_meanwhile_stops(session: Session) -> None:
    def answer(number: int) -> int:
        if number == 2:
            session.store.withhold(STUDY)
        return SUCCESS

    with peers.storing(answer, KIND) as (peer, taken):
        fill(with_departments(session, department(peer)), [report(session)])
        assert len(taken) == 2


def test_nothing_is_sent_that_cannot_be_put_on_record(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_facts: object) -> None:
        raise AuditError("The audit trail cannot be written.")

    monkeypatch.setattr(AuditTrail, "record", fail)
    with peers.storing(lambda _number: SUCCESS, KIND) as (peer, taken):
        (filled,) = fill(with_departments(session, department(peer)), [report(session)])
        assert taken == []
    assert "audit trail" in filled.message


def test_a_hospital_has_no_door_to_write_through() -> None:
    known = {"ae_title": "A", "host": "127.0.0.1", "port": 1}
    settings = Settings(
        hospital=(
            HospitalSettings(name="North", **known),  # type: ignore[arg-type]
            HospitalSettings(name=OURS, role="department", patient_id_issuer="X", **known),  # type: ignore[arg-type]
            HospitalSettings(name="Web", role="department", protocol="dicomweb", url="http://localhost/x"),
        )
    )
    north, ours, web = build_hospitals(settings)
    assert (north.storage, web.storage) == (None, None)
    assert ours.storage is not None
    # Numbers of many hospitals lie there, so that none has an issuer unless it says so.
    assert ours.storage.peer.patient_id_issuer == ""


def test_where_it_came_from_it_is_not_sent_to(session: Session) -> None:
    with (
        peers.storing(lambda _number: SUCCESS, KIND) as (peer, taken),
        peers.storing(lambda _number: SUCCESS, KIND) as (other, others),
    ):
        here = with_departments(session, department(peer), department(other, SECOND))
        assert [one.department for one in fill(here, [report(session, OURS)])] == [SECOND]
        assert (len(taken), len(others)) == (0, IMAGES)


def test_a_fetch_that_brought_nothing_owes_nothing(session: Session) -> None:
    with peers.storing(lambda _number: SUCCESS, KIND) as (peer, taken):
        here = with_departments(session, department(peer))
        assert fill(here, [FetchReport(STUDY, "North", FetchState.FAILED)]) == []
        assert taken == []


# --- in the background


@pytest.fixture
def filling() -> Iterator[Callable[..., tuple[Filling, "queue.Queue[str]"]]]:
    made: list[Filling] = []

    def make(session: Session, pauses: tuple[float, ...] = ()) -> tuple[Filling, "queue.Queue[str]"]:
        told: queue.Queue[str] = queue.Queue()
        made.append(Filling(session, told.put, pauses))
        return made[-1], told

    yield make
    for one in made:
        one.close()


def until(is_so: Callable[[], bool]) -> None:
    waited = 0.0
    while not is_so():
        threading.Event().wait(0.02)
        waited += 0.02
        assert waited < PATIENCE


def test_what_a_killed_process_owed_is_paid_by_the_next(session: Session, tmp_path: Path, filling: Any) -> None:
    session.store.owe(STUDY, [OURS])
    key = load_master_key("file", tmp_path / "state" / "cache.key")
    session.store.close()
    with Store.open(tmp_path / "cache", key) as store, peers.storing(lambda _number: SUCCESS, KIND) as (peer, taken):
        assert store.owed(OURS) == [STUDY]
        filling(with_departments(replace(session, store=store), department(peer)))
        until(lambda: store.owed(OURS) == [])
        assert numbers(taken) == list(range(IMAGES))


def test_what_is_owed_names_nobody_in_clear(session: Session, tmp_path: Path) -> None:
    session.store.owe(STUDY, [OURS])
    session.store.commit()
    for file in tmp_path.rglob("*"):
        if file.is_file() and file.name != "audit.jsonl":
            content = file.read_bytes()
            assert not any(word in content for word in (STUDY.encode(), OURS.encode(), b"PL-0042", b"Jansen"))


def test_an_archive_that_is_down_is_told_once_and_holds_up_no_other(session: Session, filling: Any) -> None:
    closed = peers.peer(peers.free_port(), peers.QUICK)
    with peers.storing(lambda _number: SUCCESS, KIND) as (peer, taken):
        here = with_departments(session, department(closed), department(peer, SECOND))
        running, told = filling(here)
        running.fetched(report(session))
        running.fetched(report(session))
        until(lambda: session.store.owed(SECOND) == [])
        assert len(taken) >= IMAGES
        assert "cannot be reached" in told.get(timeout=PATIENCE)
        running.close()
        assert told.empty()
    assert session.store.owed(OURS) == [STUDY]


def test_a_fetch_goes_first(session: Session, filling: Any) -> None:
    with peers.storing(lambda _number: SUCCESS, KIND) as (peer, taken):
        here = with_departments(session, department(peer))
        running, _ = filling(here)
        put(session.store, 50)  # a fetch is writing
        running.fetched(report(session))
        until(lambda: bool(stored(session)))
        assert taken == []
        session.store.commit()
        until(lambda: session.store.owed(OURS) == [])
        assert len(taken) >= IMAGES


def test_closing_ends_a_wait_and_what_is_owed_stays(session: Session, filling: Any) -> None:
    closed = peers.peer(peers.free_port(), peers.QUICK)
    running, told = filling(with_departments(session, department(closed)), (3600.0,))
    running.fetched(report(session))
    running.close()
    assert told.empty()
    assert session.store.owed(OURS) == [STUDY]


# --- whom to ask


def test_the_department_is_asked_first_and_then_who_has_most() -> None:
    north, south = replace(ROW, images=5), replace(ROW, hospital="South", images=9)
    ours = replace(ROW, hospital=OURS, images=2)
    assert in_fetch_order((north, south, ours), [OURS]) == (ours, south, north)


def test_a_part_is_complete_only_where_nobody_says_more() -> None:
    whole = FetchReport(STUDY, OURS, FetchState.COMPLETE, 2, 2)
    assert measured_by(whole, [replace(ROW, images=2), replace(ROW, images=None)]) == whole
    part = measured_by(whole, [replace(ROW, images=5)])
    assert (part.state, part.expected, part.message) == (
        FetchState.PARTIAL,
        5,
        "Our archive holds 2 of 5 images.",
    )
