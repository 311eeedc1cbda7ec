"""A study by name from a hospital that breaks off, skips, refuses or misreads lists: the truth, and nothing twice."""

import contextlib
import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

import move_tools
from cache_tools import KEY, quick_folder
from image_hospital import GET, MR_IMAGE, STUDY, Connection, Gone, Hospital, Image, image, pdu, row, sending_to
from peers import free_port
from priorline.archives.dicom import DicomArchive
from priorline.audit.trail import AuditTrail
from priorline.cache.model import AddOutcome
from priorline.cache.spool import Spool
from priorline.cache.store import Store
from priorline.domain import fetch_order
from priorline.domain.study import FetchReport, FetchState
from priorline.errors import CacheFull
from priorline.work.fetch import Arrived, StudyFetch

IMAGES = 20
ALL = [image(number) for number in range(1, IMAGES + 1)]
# Enough for four connections.
MANY = [image(number, 1 + number % 3) for number in range(1, 4 * IMAGES + 1)]
SUBSETS = 200
LARGE = 12 << 20


@dataclass
class Cache:
    """A cache, an audit trail beside it, and what was told of arrivals."""

    store: Store
    trail: AuditTrail
    told: list[Arrived]

    def fetch(self, hospital: Hospital, cancelled: Callable[[], bool] = lambda: False) -> FetchReport:
        self.told.clear()
        archive = DicomArchive(hospital.peer)
        return StudyFetch(archive, self.store, row(), self.told.append, cancelled).run(self.trail)

    @property
    def held(self) -> set[str]:
        return self.store.sop_uids(STUDY)

    @property
    def complete(self) -> bool:
        return self.store.presence([STUDY])[STUDY].complete

    def leftovers(self) -> list[Path]:
        """Files that no instance of the study accounts for."""
        return list(self.store.files.root.rglob("*.part"))

    def assert_true(self, report: FetchReport) -> None:
        """What is told, counted and noted is what can be read; nothing is left over."""
        stored = self.store.instances(STUDY)
        assert len(stored) == len(self.held) == report.received
        assert {one.header.sop_uid for one in self.told} <= self.held
        assert (report.state is FetchState.COMPLETE) == self.complete == (report.received == report.expected)
        assert self.store.pending == 0
        assert self.leftovers() == []


@pytest.fixture
def place() -> Iterator[Path]:
    with quick_folder() as folder:
        yield folder


@pytest.fixture
def cache(place: Path) -> Iterator[Cache]:
    with Store.open(place / "cache", KEY) as store:
        yield Cache(store, AuditTrail(place / "audit.jsonl"), [])


@pytest.fixture
def anew(place: Path) -> Iterator[Callable[[], Cache]]:
    """Empties the cache of the study between rounds."""
    with Store.open(place / "cache", KEY) as store:
        cache = Cache(store, AuditTrail(place / "audit.jsonl"), [])

        def empty() -> Cache:
            store.remove(STUDY)
            return cache

        yield empty


# --- broken off at every image


@pytest.mark.parametrize("ending", [Connection.abort, Connection.reset], ids=["abort", "reset"])
@pytest.mark.parametrize("connections", [1, 4])
def test_broken_off_at_every_image_it_is_partial_and_only_the_missing_is_fetched_again(
    anew: Callable[[], Cache],
    ending: Callable[[Connection], None],
    connections: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fetch_order, "LANE_LEAST", IMAGES // connections)
    monkeypatch.setattr(fetch_order, "BATCH_LEAST", 4)
    monkeypatch.setattr(fetch_order, "BATCH_MOST", 4)
    for at in range(IMAGES):
        cache = anew()
        hospital = breaking(ALL, at, ending, connections)
        with hospital:
            report = cache.fetch(hospital)
            cache.assert_true(report)
            assert hospital.sent_whole == cache.held
            assert report.state is (FetchState.PARTIAL if at else FetchState.FAILED)
            assert (report.expected, report.received) == (IMAGES, at)
        before = cache.held
        with Hospital(ALL, associations=connections) as healed:
            again = cache.fetch(healed)
        assert sorted(healed.sent) == sorted({one.sop_uid for one in ALL} - before)
        assert (again.state, again.already_cached, again.received) == (FetchState.COMPLETE, len(before), IMAGES)
        cache.assert_true(again)


class Breaking(Hospital):
    """Breaks off all connections from the moment at which so many images went out."""

    sent_whole: set[str]


def breaking(images: list[Image], at: int, ending: Callable[[Connection], None], connections: int) -> Breaking:
    lock, gone = threading.Lock(), [0]
    whole: set[str] = set()

    def before(connection: Connection, _image: Image) -> None:
        with lock:
            gone[0] += 1
            is_over = gone[0] > at
        if is_over:
            ending(connection)

    def store(connection: Connection, one: Image) -> None:
        connection.store(one)
        whole.add(one.sop_uid)

    hospital = Breaking(images, before=before, store=store, associations=connections)
    hospital.sent_whole = whole
    return hospital


@pytest.mark.parametrize("ending", [Connection.abort, Connection.reset], ids=["abort", "reset"])
@pytest.mark.parametrize("at", [0, 1, 9, 15, 16])
def test_one_of_four_connections_dies_and_the_others_bring_the_rest(
    cache: Cache, ending: Callable[[Connection], None], at: int
) -> None:
    def before(connection: Connection, _image: Image) -> None:
        if connection.number == 0 and connection.sent == at:
            ending(connection)

    with Hospital(MANY, before=before) as hospital:
        report = cache.fetch(hospital)
    assert (report.state, report.received) == (FetchState.COMPLETE, len(MANY))
    assert Counter(hospital.sent).most_common(1)[0][1] <= 2
    cache.assert_true(report)


def test_a_connection_that_dies_after_all_others_have_ended_is_made_up_for(cache: Cache) -> None:
    """Its batch is given back when nobody is there to take it."""
    others = threading.Event()
    lock, done = threading.Lock(), set[str]()

    def before(connection: Connection, one: Image) -> None:
        if connection.number == 0 and connection.sent == 2:
            assert others.wait(20)
            connection.reset()

    def store(connection: Connection, one: Image) -> None:
        connection.store(one)
        with lock:
            done.add(one.sop_uid)
            if len(done) >= len(MANY) - 16:
                others.set()

    with Hospital(MANY, before=before, store=store) as hospital:
        report = cache.fetch(hospital)
    assert (report.state, report.received) == (FetchState.COMPLETE, len(MANY))
    cache.assert_true(report)


@pytest.mark.parametrize("refused", [1, 2, 3])
def test_refused_connections_are_made_up_for_by_the_others(cache: Cache, refused: int) -> None:
    def welcome(connection: Connection) -> None:
        if connection.number < refused:
            connection.abort()

    with Hospital(MANY, welcome=welcome) as hospital:
        report = cache.fetch(hospital)
    assert (report.state, report.received) == (FetchState.COMPLETE, len(MANY))
    assert len(hospital.sent) == len(MANY)
    cache.assert_true(report)


# --- hospitals that say success and do not keep it


@pytest.mark.parametrize("status", [0x0000, 0xB000])
def test_skipped_images_are_always_noticed(anew: Callable[[], Cache], status: int) -> None:
    dice = random.Random(status)
    for _ in range(SUBSETS // 2):
        cache = anew()
        skipped = {one.sop_uid for one in dice.sample(ALL, dice.randint(1, IMAGES))}
        hospital = Hospital(
            ALL,
            picks=lambda asked, _by_name, skipped=skipped: [one for one in asked if one.sop_uid not in skipped],
            status=lambda _by_name, _sent: status,
            associations=dice.choice((1, 4)),
        )
        with hospital:
            report = cache.fetch(hospital)
        assert cache.held == {one.sop_uid for one in ALL} - skipped
        assert report.state is (FetchState.PARTIAL if cache.held else FetchState.FAILED)
        assert (report.expected, report.failed) == (IMAGES, len(skipped))
        assert report.message
        assert max(Counter(hospital.sent).values(), default=0) <= 1
        cache.assert_true(report)


def test_a_warning_or_a_refusal_after_everything_came_is_complete(anew: Callable[[], Cache]) -> None:
    for status in (0xB000, 0xA702, 0xC000):
        cache = anew()
        with Hospital(ALL, status=lambda _by_name, _sent, status=status: status) as hospital:
            report = cache.fetch(hospital)
        assert report.state is FetchState.COMPLETE
        cache.assert_true(report)


def test_an_end_without_a_status_is_no_good_end_and_loses_nothing(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_order, "BATCH_MOST", 8)
    with Hospital(ALL, status=lambda _by_name, _sent: None, associations=1) as hospital:
        report = cache.fetch(hospital)
    assert report.state is FetchState.PARTIAL
    assert "broke off" in report.message
    assert report.received == len(hospital.sent)
    cache.assert_true(report)


# --- hospitals that do not understand lists


def refused(status: int) -> Hospital:
    return Hospital(
        MANY,
        picks=lambda asked, by_name: [] if by_name else asked,
        status=lambda by_name, _sent: status if by_name else 0,
    )


def breaks_off_at_lists() -> Hospital:
    def picks(asked: list[Image], by_name: bool) -> list[Image]:
        if by_name:
            raise Gone
        return asked

    return Hospital(MANY, picks=picks)


def whole_series_for_a_list() -> Hospital:
    def picks(asked: list[Image], by_name: bool) -> list[Image]:
        return [one for one in MANY if one.series_uid == asked[0].series_uid] if by_name else asked

    return Hospital(MANY, picks=picks)


@pytest.mark.parametrize(
    ("make", "most"),
    [
        (lambda: refused(0xA900), 1),
        (lambda: refused(0xC000), 1),
        (lambda: refused(0x0000), 1),
        (breaks_off_at_lists, 1),
        (lambda: Hospital(MANY, picks=lambda asked, by_name: asked[:1] if by_name else asked), 1),
        (whole_series_for_a_list, 4),
    ],
    ids=["A900", "C000", "nothing", "breaks off", "the first only", "the whole series"],
)
def test_without_lists_all_images_come_in_the_end(cache: Cache, make: Callable[[], Hospital], most: int) -> None:
    with make() as hospital:
        report = cache.fetch(hospital)
    assert (report.state, report.received, report.quarantined) == (FetchState.COMPLETE, len(MANY), 0)
    assert max(Counter(hospital.sent).values()) <= most
    assert len(cache.told) == len(MANY)
    cache.assert_true(report)


def test_a_hospital_that_refuses_lists_is_not_asked_for_every_image(cache: Cache) -> None:
    with refused(0xA900) as hospital:
        cache.fetch(hospital)
    # Two of each connection, and the first image while the list was on its way.
    assert sum(level == "IMAGE" for level, _ in hospital.asked) <= 2 * hospital.associations + 1
    assert [asked for asked in hospital.asked if asked[0] != "IMAGE"] == [("STUDY", 0)]


# --- what is not what was asked for


@pytest.mark.parametrize("large", [False, True], ids=["small", "spooled"])
@pytest.mark.parametrize(
    ("announced", "tags"),
    [
        ((None, f"{STUDY}.1.99"), {}),
        ((MR_IMAGE, None), {}),
        (None, {"StudyInstanceUID": "1.2.3"}),
        (None, {"PatientID": "PL-0099"}),
        (None, {"SOPInstanceUID": f"{STUDY}.1.99"}),
        (None, {"SOPClassUID": MR_IMAGE}),
    ],
    ids=["announced UID", "announced class", "study", "patient", "UID", "class"],
)
def test_what_is_not_what_was_asked_for_is_set_apart_with_a_reason(
    cache: Cache, announced: tuple[str | None, str | None] | None, tags: dict[str, str], large: bool
) -> None:
    odd = image(3, pixels=LARGE if large else 128, **tags)
    images = [*ALL[:2], odd, *ALL[3:]]

    def store(connection: Connection, one: Image) -> None:
        told = announced if one is odd else None
        connection.store(one, (told[0] or one.sop_class, told[1] or one.sop_uid) if told else None)

    with Hospital(images, store=store) as hospital:
        report = cache.fetch(hospital)
    # Of one that is told under a wrong number it is not known which one came, so it is asked for once more.
    times = 2 if announced and announced[1] else 1
    assert (report.state, report.received, report.quarantined) == (FetchState.PARTIAL, IMAGES - 1, times)
    assert "another" in report.message or "announced" in report.message
    assert ALL[2].sop_uid not in cache.held
    assert 1 <= cache.store.stats().quarantined <= times
    cache.assert_true(report)


# --- the same number twice, also at the same moment


def brought_at_once(store: Store, one: Image, two: Image, large: bool) -> list[AddOutcome]:
    """What becomes of two instances that two threads add at the same moment."""
    meeting, outcomes = threading.Barrier(2, timeout=20), list[AddOutcome]()

    def bring(what: Image) -> None:
        data: bytes | Spool = b"".join(what.pieces())
        if large:
            spool = store.spool(row())
            spool.write(b"".join(what.pieces()))
            spool.close()
            data = spool
        meeting.wait()
        outcomes.append(store.add(row(), what.sop_uid, what.series_uid, b"", data).outcome)

    threads = [threading.Thread(target=bring, args=(what,)) for what in (one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


@pytest.mark.parametrize("large", [False, True], ids=["small", "spooled"])
@pytest.mark.parametrize("same", [True, False], ids=["same bytes", "other bytes"])
def test_one_number_twice_at_the_same_moment_is_one_image_and_the_other_is_set_apart(
    anew: Callable[[], Cache], large: bool, same: bool
) -> None:
    size = LARGE if large else 128
    one = image(1, pixels=size)
    two = one if same else image(1, pixels=size, StationName="OTHER")
    for _ in range(3 if large else 20):
        cache = anew()
        cache.store.begin_fetch(row(), 1)
        outcomes = brought_at_once(cache.store, one, two, large)
        cache.store.commit()
        second = AddOutcome.IDENTICAL if same else AddOutcome.CONFLICTING
        assert sorted(outcomes, key=str) == sorted((AddOutcome.STORED, second), key=str)
        assert len(cache.store.instances(STUDY)) == 1
        assert cache.store.stats().quarantined == (0 if same else 1)
        assert cache.leftovers() == []


@pytest.mark.parametrize("pixels", [128, LARGE], ids=["small", "spooled"])
def test_other_bytes_under_one_number_on_all_connections_at_once_are_kept_apart_and_told(
    cache: Cache, pixels: int
) -> None:
    variants = [image(99, pixels=pixels, StationName=f"S{number}") for number in range(4)]
    meeting, requests = threading.Barrier(4, timeout=20), itertools.count()

    def picks(asked: list[Image], _by_name: bool) -> list[Image]:
        number = next(requests)
        return [variants[number], *asked] if number < len(variants) else asked

    def before(_connection: Connection, one: Image) -> None:
        if one in variants:
            meeting.wait()

    with Hospital(MANY, picks=picks, before=before) as hospital:
        report = cache.fetch(hospital)
    assert report.quarantined == len(variants) - 1
    assert "came twice" in report.message
    (kept,) = (one for one in cache.store.instances(STUDY) if one.sop_uid == variants[0].sop_uid)
    content = cache.store.read(kept)
    assert sum(content.endswith(b"".join(one.pieces())) for one in variants) == 1
    assert cache.store.stats().quarantined == len(variants) - 1
    assert cache.leftovers() == []


# --- no room, no wish, no end: nothing is left behind


@pytest.mark.parametrize("first_full", [1, 2, 5, 9])
def test_no_room_for_large_ones_on_four_connections_is_said_and_leaves_nothing(cache: Cache, first_full: int) -> None:
    asked = itertools.count(1)

    def make_room(_size: int) -> None:
        if next(asked) >= first_full:
            raise CacheFull("There is no room left for the cache.")

    cache.store.keep_within(make_room)
    images = [image(number, 1 + number % 3, LARGE) for number in range(1, 65)]
    descriptors = psutil.Process().num_fds()
    with Hospital(images) as hospital:
        report = cache.fetch(hospital)
    assert report.message == "There is no room left for the cache."
    assert report.state is not FetchState.COMPLETE
    assert psutil.Process().num_fds() <= descriptors
    cache.assert_true(report)


@pytest.mark.parametrize("first_full", [1, 2])
def test_no_room_for_a_large_one_by_move_leaves_nothing(cache: Cache, first_full: int) -> None:
    asked, port = itertools.count(1), free_port()
    large = image(1, pixels=40 << 20)

    def make_room(_size: int) -> None:
        if next(asked) >= first_full:
            raise CacheFull("There is no room left for the cache.")

    def move() -> None:
        connection = sending_to(port)
        with connection.socket, contextlib.suppress(Gone):
            connection.store(large)

    cache.store.keep_within(make_room)
    descriptors = psutil.Process().num_fds()
    with Hospital([large], move=move) as hospital:
        archive = move_tools.archive(hospital.peer, port, "c-move")
        report = StudyFetch(archive, cache.store, row(), cache.told.append).run(cache.trail)
    assert report.message == "There is no room left for the cache."
    assert report.state is FetchState.FAILED
    assert psutil.Process().num_fds() <= descriptors
    cache.assert_true(report)


@pytest.mark.parametrize("after", [0, 1, 20])
def test_stopped_in_the_middle_nothing_half_is_left(cache: Cache, after: int) -> None:
    images = [image(number, 1 + number % 3, LARGE if number % 4 else 128) for number in range(1, 65)]
    going = threading.Event()

    def before(connection: Connection, _image: Image) -> None:
        if len(hospital.sent) > after:
            going.set()

    with Hospital(images, before=before) as hospital:
        report = cache.fetch(hospital, going.is_set)
    assert report.state is not FetchState.COMPLETE
    assert "Stopped." in report.message
    cache.assert_true(report)


def test_a_final_answer_without_end_is_not_taken_into_memory(cache: Cache) -> None:
    """The library collects the list of what failed, which may come with the answer to a retrieval."""
    sent: list[int] = []

    def flood(connection: Connection, _image: Image) -> None:
        context = connection.contexts[GET]
        connection.command({0x0002: GET, 0x0100: 0x8010, 0x0120: 1, 0x0800: 1, 0x0900: 0xB000}, context)
        for number in range(2000):
            connection.socket.sendall(pdu(context, 0, bytes(1 << 16)))
            sent.append(number)

    with Hospital(ALL, store=flood, associations=1) as hospital:
        report = cache.fetch(hospital)
    assert report.state is FetchState.FAILED
    assert "broke off" in report.message
    # What the sockets hold comes on top of the megabyte that is read, on each of two connections.
    assert len(sent) < 400
