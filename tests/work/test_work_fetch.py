"""One study from an archive into a real cache, where the archive and the disk do all that they may do."""

import errno
import itertools
import os
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from priorline.archives.base import ByName, FindSummary, RetrieveSummary
from priorline.archives.incoming import Received, Receiver, take
from priorline.audit.trail import AuditTrail
from priorline.cache.keys import load_master_key
from priorline.cache.store import Store
from priorline.domain.fetch_order import Batch
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import FetchReport, FetchState, FirstListed, SeriesAnswer, StudyAnswer, StudyListing
from priorline.errors import ArchiveBroken, ArchiveError, ArchiveRefused, CacheFull, PriorlineError
from priorline.work.fetch import Arrived, StudyFetch

STUDY = "1.2.826.0.1.3680043.8.498.1"
ROW = StudyAnswer("North", STUDY, Patient(Identifier("PL-0042"), "Jansen^Piet", date(1961, 4, 5), "M"))
IMAGES = 40
PER_SERIES = 20
SUCCESS, WARNING = 0x0000, 0xB000


def series_of(number: int) -> str:
    return f"{STUDY}.{1 + number // PER_SERIES}"


def sop_uid(number: int) -> str:
    return f"{series_of(number)}.{number}"


def instance(number: int, **tags: str) -> Received:
    """Image `number` of the study, as an archive sends it; `tags` make it another one."""
    dataset = dcmread(get_testdata_file("MR_small.dcm"))
    values = {
        "PatientID": "PL-0042",
        "PatientName": "Jansen^Piet",
        "PatientBirthDate": "19610405",
        "PatientSex": "M",
        "StudyInstanceUID": STUDY,
        "SeriesInstanceUID": series_of(number),
        "SOPInstanceUID": sop_uid(number),
        **tags,
    }
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    encoded = BytesIO()
    dataset.save_as(encoded, enforce_file_format=False)
    whole = encoded.getvalue()
    body = 132 + 12 + dataset.file_meta.FileMetaInformationGroupLength
    return Received(str(dataset.SOPClassUID), sop_uid(number), str(dataset.file_meta.TransferSyntaxUID), whole[body:])


ALL = [instance(number) for number in range(IMAGES)]


@dataclass
class Script:
    """An archive that does as it is told.

    `sends` are the instances that it has; `breaks_after` that many of one request it breaks off. `lists` is false for
    one that does not answer at IMAGE level. `asked` keeps the series that were asked for (None: the study).
    """

    sends: list[Received] = field(default_factory=lambda: list(ALL))
    knows: int = IMAGES
    breaks_after: int | None = None
    lists: bool = True
    status: int = SUCCESS
    failed: int = 0
    refuses: ArchiveError | None = None
    asked: list[str | None] = field(default_factory=list)
    sent: int = 0
    streams: bool = False

    @property
    def name(self) -> str:
        return "North"

    @property
    def by_name(self) -> ByName | None:
        return None

    @property
    def streams_studies(self) -> bool:
        return self.streams

    def echo(self) -> float:
        return 1.0

    def accepts_get(self) -> bool:
        return True

    def find_studies(
        self, patient: Patient, on_rows: Callable[[list[StudyAnswer]], None], cancelled: Callable[[], bool]
    ) -> FindSummary:
        on_rows([ROW])
        return FindSummary(1)

    def find_study(self, study_uid: str) -> StudyAnswer | None:
        return ROW if study_uid == STUDY else None

    def list_study(
        self, study_uid: str, on_first: Callable[[FirstListed], None], cancelled: Callable[[], bool]
    ) -> StudyListing:
        if self.refuses:
            raise self.refuses
        listed: dict[str, list[str]] = {}
        for number in range(self.knows):
            listed.setdefault(series_of(number), []).append(sop_uid(number))
        series = tuple(SeriesAnswer(uid, "MR", images=len(uids)) for uid, uids in listed.items())
        return StudyListing(series, listed if self.lists else None)

    def retrieve(
        self,
        study_uid: str,
        series_uid: str | None,
        sop_classes: Collection[str],
        receiver: Receiver,
        cancelled: Callable[[], bool],
    ) -> RetrieveSummary:
        self.asked.append(series_uid)
        done = 0
        for received in self.sends:
            if series_uid is not None and not received.sop_instance_uid.startswith(f"{series_uid}."):
                continue
            if cancelled():
                return RetrieveSummary(done, 0, 0, 0, 0xFE00, done, cancelled=True)
            if done == self.breaks_after:
                raise ArchiveBroken("North broke off the connection.")
            take(receiver, received)
            done += 1
            self.sent += 1
        return RetrieveSummary(done, self.failed, 0, 0, self.status, done)


@dataclass
class Bench:
    """A cache, an audit trail and what was told of arrivals."""

    store: Store
    trail: AuditTrail
    told: list[Arrived] = field(default_factory=list)

    def fetch(
        self, archive: Script, series: str = "", row: StudyAnswer = ROW, cancelled: Callable[[], bool] = lambda: False
    ) -> FetchReport:
        self.told.clear()
        return StudyFetch(archive, self.store, row, self.told.append, cancelled).run(self.trail, series)

    @property
    def complete(self) -> bool:
        return self.store.presence([STUDY])[STUDY].complete

    def assert_honest(self, report: FetchReport) -> None:
        """What was told is in the cache and can be read; nothing more is counted than is there."""
        held = self.store.sop_uids(STUDY)
        assert {arrived.header.sop_uid for arrived in self.told} <= held
        assert report.received == len(held)
        for stored in self.store.instances(STUDY):
            assert self.store.read(stored)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Store.open(tmp_path / "cache", load_master_key("session", tmp_path / "no.key")) as store:
        yield Bench(store, AuditTrail(tmp_path / "audit.jsonl"))


@pytest.mark.parametrize("lists", [True, False], ids=["listed", "counted"])
def test_a_whole_study_is_complete(bench: Bench, lists: bool) -> None:
    report = bench.fetch(Script(lists=lists))
    assert (report.state, report.expected, report.received) == (FetchState.COMPLETE, IMAGES, IMAGES)
    assert (report.already_cached, report.failed, report.quarantined, report.message) == (0, 0, 0, "")
    assert [arrived.received for arrived in bench.told] == list(range(1, IMAGES + 1))
    assert {arrived.expected for arrived in bench.told} == {IMAGES}
    assert bench.complete
    bench.assert_honest(report)


@pytest.mark.parametrize("cut", [0, 1, 15, 16, 17, 39])
@pytest.mark.parametrize("lists", [True, False], ids=["listed", "counted"])
def test_a_cut_keeps_what_came_and_is_partial(bench: Bench, cut: int, lists: bool) -> None:
    report = bench.fetch(Script(breaks_after=cut, lists=lists))
    assert report.state is (FetchState.PARTIAL if cut else FetchState.FAILED)
    assert (report.expected, report.received, report.failed) == (IMAGES, cut, IMAGES - cut)
    assert "broke off" in report.message
    assert not bench.complete
    bench.assert_honest(report)


def test_what_is_missing_and_only_that_is_fetched_later(bench: Bench) -> None:
    bench.fetch(Script(breaks_after=PER_SERIES + 3))
    again = Script()
    report = bench.fetch(again)
    assert again.asked == [series_of(IMAGES - 1)]
    assert again.sent == PER_SERIES
    assert (report.state, report.already_cached, report.received) == (FetchState.COMPLETE, PER_SERIES + 3, IMAGES)
    assert len(bench.told) == IMAGES - PER_SERIES - 3
    assert bench.complete
    bench.assert_honest(report)


def test_a_complete_study_is_not_asked_for_again(bench: Bench) -> None:
    bench.fetch(Script())
    again = Script()
    report = bench.fetch(again)
    assert again.asked == []
    assert (report.state, report.bytes, report.already_cached) == (FetchState.COMPLETE, 0, IMAGES)
    assert bench.complete


def test_one_series_is_complete_in_itself_and_the_study_is_not(bench: Bench) -> None:
    archive = Script()
    report = bench.fetch(archive, series_of(0))
    assert archive.asked == [series_of(0)]
    assert (report.state, report.expected, report.received) == (FetchState.COMPLETE, PER_SERIES, PER_SERIES)
    assert not bench.complete
    assert bench.store.presence([STUDY])[STUDY].expected == IMAGES
    assert bench.fetch(Script(), series_of(IMAGES - 1)).state is FetchState.COMPLETE
    assert bench.complete


def test_a_series_of_a_complete_study_leaves_it_complete(bench: Bench) -> None:
    bench.fetch(Script())
    assert bench.fetch(Script(), series_of(0)).state is FetchState.COMPLETE
    assert bench.complete


def test_a_series_that_nobody_has_is_a_failure(bench: Bench) -> None:
    report = bench.fetch(Script(), "1.2.3")
    assert report.state is FetchState.FAILED
    assert report.message


def test_success_with_fewer_images_than_listed_is_partial(bench: Bench) -> None:
    report = bench.fetch(Script(sends=ALL[:-2]))
    assert (report.state, report.received, report.failed) == (FetchState.PARTIAL, IMAGES - 2, 2)
    assert report.message == "2 images did not arrive."
    assert not bench.complete


def test_a_warning_with_nothing_sent_is_a_failure(bench: Bench) -> None:
    report = bench.fetch(Script(sends=[], status=WARNING, failed=IMAGES))
    assert (report.state, report.received, report.failed) == (FetchState.FAILED, 0, IMAGES)
    assert report.message
    assert bench.store.studies() == []


def test_a_warning_with_everything_sent_is_complete(bench: Bench) -> None:
    assert bench.fetch(Script(status=WARNING)).state is FetchState.COMPLETE


def test_a_study_of_which_nobody_knows_the_size_is_never_complete(bench: Bench) -> None:
    archive = Script(lists=False, knows=0)
    report = bench.fetch(archive)
    assert (report.state, report.expected, report.received) == (FetchState.PARTIAL, 0, IMAGES)
    assert not bench.complete


@pytest.mark.parametrize(
    "tags", [{"PatientID": "PL-0099"}, {"StudyInstanceUID": "1.2.3"}, {"SOPInstanceUID": "1.2.3.4"}], ids=str
)
def test_a_foreign_image_is_set_apart_counted_and_never_told(bench: Bench, tags: dict[str, str]) -> None:
    report = bench.fetch(Script(sends=[*ALL[:5], instance(5, **tags), *ALL[6:]]))
    assert (report.state, report.received, report.quarantined) == (FetchState.PARTIAL, IMAGES - 1, 1)
    assert report.message
    assert bench.store.stats().quarantined == 1
    assert not bench.complete
    told = {arrived.header.sop_uid for arrived in bench.told}
    assert told == {sop_uid(number) for number in range(IMAGES) if number != 5}
    bench.assert_honest(report)


def test_the_same_number_with_another_content_is_set_apart(bench: Bench) -> None:
    other = instance(3, StationName="OTHER")
    report = bench.fetch(Script(sends=[*ALL, other]))
    assert (report.received, report.quarantined) == (IMAGES, 1)
    first = next(one for one in bench.store.instances(STUDY) if one.sop_uid == sop_uid(3))
    assert bench.store.read(first).endswith(ALL[3].dataset)


def test_an_unreadable_object_is_counted_as_failed(bench: Bench) -> None:
    cut = Received(ALL[0].sop_class_uid, ALL[0].sop_instance_uid, ALL[0].transfer_syntax, ALL[0].dataset[:500])
    report = bench.fetch(Script(sends=[cut, *ALL[1:]]))
    assert (report.state, report.received, report.failed) == (FetchState.PARTIAL, IMAGES - 1, 1)


def test_stopping_keeps_what_came(bench: Bench) -> None:
    asked = itertools.count()
    report = bench.fetch(Script(), cancelled=lambda: next(asked) >= 16)
    assert report.state is FetchState.PARTIAL
    assert 0 < report.received < IMAGES
    assert "Stopped." in report.message
    bench.assert_honest(report)


def test_an_archive_that_refuses_leaves_no_trace_in_the_cache(bench: Bench) -> None:
    report = bench.fetch(Script(refuses=ArchiveBroken("North answered nonsense.")))
    assert (report.state, report.message) == (FetchState.FAILED, "North answered nonsense.")
    assert bench.store.studies() == []


def test_without_an_audit_trail_nothing_is_asked(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    bench.trail = AuditTrail(tmp_path / "file" / "audit.jsonl")
    archive = Script()
    report = bench.fetch(archive)
    assert report.state is FetchState.FAILED
    assert "audit trail" in report.message
    assert (archive.asked, archive.sent) == ([], 0)


@pytest.mark.parametrize("at", [1, 10, 16, 17, 35])
def test_a_full_disk_while_writing_keeps_what_came(bench: Bench, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """The disk is full from the write of image number `at` on."""
    writes = [0]
    add = bench.store.add

    def until_full(*arguments: object, **more: object) -> object:
        writes[0] += 1
        if writes[0] >= at:
            raise CacheFull("There is no room left for the cache.")
        return add(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(bench.store, "add", until_full)
    report = bench.fetch(Script())
    assert report.state is (FetchState.PARTIAL if at > 1 else FetchState.FAILED)
    assert report.received == at - 1
    assert "no room left" in report.message
    assert not bench.complete
    bench.assert_honest(report)
    monkeypatch.undo()
    resumed = bench.fetch(Script())
    assert (resumed.state, resumed.already_cached) == (FetchState.COMPLETE, at - 1)


def test_a_group_that_the_disk_refuses_is_neither_told_nor_counted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk takes every write and fails when they are to be made durable, as a full network disk does."""
    syncs = [0]
    fsync = os.fsync

    def full(descriptor: int) -> None:
        syncs[0] += 1
        if syncs[0] > 30:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    report = bench.fetch(Script())
    monkeypatch.undo()
    assert "no room left" in report.message
    assert report.received < IMAGES
    assert not bench.complete
    bench.assert_honest(report)
    assert bench.fetch(Script()).state is FetchState.COMPLETE


def test_reports_name_nobody(bench: Bench) -> None:
    reports = [
        bench.fetch(Script(breaks_after=3)),
        bench.fetch(Script(sends=[instance(0, PatientID="PL-0099"), instance(1, StudyInstanceUID="1.2.3")])),
    ]
    for secret in ("PL-0042", "PL-0099", "Jansen", STUDY, "1.2.3"):
        assert not any(secret in report.message for report in reports)


def test_the_script_is_an_archive() -> None:
    """The twin keeps to the protocol, and its errors are those of the tree."""
    from priorline.archives.base import Archive

    archive: Archive = Script()
    assert archive.name == "North"
    assert issubclass(ArchiveBroken, PriorlineError)


# --- one stream, asked for while the list is on its way

TOLD = replace(ROW, images=IMAGES)


@pytest.mark.parametrize("lists", [True, False], ids=["listed", "counted"])
def test_a_stream_is_taken_before_the_list_is_there(bench: Bench, lists: bool) -> None:
    first = threading.Event()

    class Slow(Script):
        def list_study(
            self, study_uid: str, on_first: Callable[[FirstListed], None], cancelled: Callable[[], bool]
        ) -> StudyListing:
            assert first.wait(30)
            return super().list_study(study_uid, on_first, cancelled)

    archive = Slow(streams=True, lists=lists)
    fetch = StudyFetch(archive, bench.store, TOLD, lambda _arrived: first.set())
    report = fetch.run(bench.trail)
    assert (report.state, report.expected, report.received) == (FetchState.COMPLETE, IMAGES, IMAGES)
    assert archive.asked == [None]
    assert bench.complete


@pytest.mark.parametrize("told", [IMAGES - 1, IMAGES + 1])
def test_the_list_counts_where_the_study_told_another_number(bench: Bench, told: int) -> None:
    report = bench.fetch(Script(streams=True), row=replace(ROW, images=told))
    assert (report.state, report.expected, report.received) == (FetchState.COMPLETE, IMAGES, IMAGES)
    assert bench.store.presence([STUDY])[STUDY].expected == IMAGES
    assert bench.complete


def test_a_stream_that_leaves_something_out_is_partial(bench: Bench) -> None:
    report = bench.fetch(Script(sends=ALL[1:], streams=True), row=TOLD)
    assert (report.state, report.expected, report.received) == (FetchState.PARTIAL, IMAGES, IMAGES - 1)
    assert not bench.complete
    bench.assert_honest(report)


def test_a_stream_that_is_cut_goes_on_by_the_list(bench: Bench) -> None:
    cut = bench.fetch(Script(streams=True, breaks_after=PER_SERIES + 3), row=TOLD)
    assert (cut.state, cut.expected, cut.received) == (FetchState.PARTIAL, IMAGES, PER_SERIES + 3)
    assert "broke off" in cut.message
    again = Script(streams=True)
    assert bench.fetch(again, row=TOLD).state is FetchState.COMPLETE
    assert again.asked == [series_of(IMAGES - 1)]
    assert bench.complete


def test_a_list_that_fails_leaves_what_the_stream_brought(bench: Bench) -> None:
    report = bench.fetch(Script(streams=True, refuses=ArchiveBroken("North does not tell.")), row=TOLD)
    assert (report.state, report.received) == (FetchState.PARTIAL, IMAGES)
    assert "does not tell" in report.message
    assert not bench.complete
    bench.assert_honest(report)


# --- the first image, while the list is on its way


@dataclass
class Named(Script):
    """An archive that goes by names; its list waits for what is done about its first row.

    `names_one`: it breaks off when it is asked for more than one at once.
    """

    names_one: bool = False
    first_faults: list[Exception] = field(default_factory=list)
    names: list[tuple[str, ...]] = field(default_factory=list)
    settled: threading.Event = field(default_factory=threading.Event)

    @property
    def by_name(self) -> ByName | None:
        return self

    @property
    def connections(self) -> int:
        return 2

    def list_study(
        self, study_uid: str, on_first: Callable[[FirstListed], None], cancelled: Callable[[], bool]
    ) -> StudyListing:
        on_first(FirstListed(series_of(0), sop_uid(0), frozenset()))
        assert self.settled.wait(30)
        return super().list_study(study_uid, on_first, cancelled)

    def retrieve_listed(
        self,
        study_uid: str,
        next_batch: Callable[[], Batch | None],
        sop_classes: Collection[str],
        receiver: Receiver,
        cancelled: Callable[[], bool],
    ) -> RetrieveSummary | None:
        done = 0
        try:
            while (batch := next_batch()) is not None:
                if self.names_one and len(batch.sop_uids) > 1:
                    raise ArchiveBroken("North broke off the connection.")
                self.names.append(batch.sop_uids)
                if self.first_faults:
                    raise self.first_faults.pop()
                for received in (one for one in self.sends if one.sop_instance_uid in batch.sop_uids):
                    take(receiver, received)
                    done += 1
        finally:
            self.settled.set()
        return RetrieveSummary(done, 0, 0, 0, 0, done)


def test_the_first_image_comes_before_the_list_is_whole(bench: Bench) -> None:
    archive = Named()
    report = bench.fetch(archive)
    assert archive.names[0] == (sop_uid(0),)
    assert sorted(name for names in archive.names for name in names) == sorted(sop_uid(n) for n in range(IMAGES))
    assert (report.state, report.expected, report.received) == (FetchState.COMPLETE, IMAGES, IMAGES)
    assert bench.complete


@pytest.mark.parametrize("fault", [ArchiveBroken("North broke off."), ArchiveRefused("North is too busy.")])
def test_a_first_image_that_does_not_come_is_asked_for_again_with_the_others(bench: Bench, fault: Exception) -> None:
    archive = Named(first_faults=[fault])
    report = bench.fetch(archive)
    assert sorted(name for names in archive.names[1:] for name in names) == sorted(sop_uid(n) for n in range(IMAGES))
    assert (report.state, report.message) == (FetchState.COMPLETE, "")


def test_a_full_disk_at_the_first_image_ends_the_fetch_with_its_reason(bench: Bench) -> None:
    archive = Named(first_faults=[CacheFull("The disk is full; make room.")])
    report = bench.fetch(archive)
    assert (report.state, report.message) == (FetchState.FAILED, "The disk is full; make room.")
    assert archive.names == [(sop_uid(0),)]


def test_nothing_is_fetched_first_of_another_series_or_where_something_is_here(bench: Bench) -> None:
    other, again = Named(), Named()
    other.settled.set()
    bench.fetch(other, series_of(IMAGES - 1))
    again.settled.set()
    bench.fetch(again)
    for archive in (other, again):
        assert (sop_uid(0),) not in archive.names
    assert bench.complete


def test_a_fetch_that_is_stopped_while_it_lists_says_so(bench: Bench) -> None:
    archive = Named()
    archive.settled.set()
    report = bench.fetch(archive, cancelled=lambda: bool(archive.names))
    assert report.state is FetchState.PARTIAL
    assert report.message == "Stopped."
    assert not bench.complete


@dataclass
class Left(Script):
    """An archive whose list is cancelled by whoever asks."""

    stopped: bool = False

    def list_study(
        self, study_uid: str, on_first: Callable[[FirstListed], None], cancelled: Callable[[], bool]
    ) -> StudyListing:
        self.stopped = True
        return StudyListing(is_cut=True)


@pytest.mark.parametrize("streams", [False, True])
def test_stopped_while_it_lists_nothing_new_is_noted_of_a_study(bench: Bench, streams: bool) -> None:
    """A row that tells an old count, or none, says nothing of what is missing."""
    bench.fetch(Script(breaks_after=3))
    before = bench.store.presence([STUDY])[STUDY]
    for told in (3, None):
        archive = Left(streams=streams)
        report = bench.fetch(
            archive, row=replace(ROW, images=told), cancelled=lambda archive=archive: archive.stopped
        )
        assert (report.state, report.message) == (FetchState.PARTIAL, "Stopped.")
        assert bench.store.presence([STUDY])[STUDY] == before
        assert archive.asked == []


@pytest.mark.parametrize("told", [IMAGES, None])
def test_stopped_while_it_lists_a_whole_study_stays_whole(bench: Bench, told: int | None) -> None:
    bench.fetch(Script())
    archive = Left()
    bench.fetch(archive, row=replace(ROW, images=told), cancelled=lambda: archive.stopped)
    assert bench.complete


def test_a_stream_whose_list_is_stopped_is_never_whole(bench: Bench) -> None:
    """What came stays; that the row's count came as well says nothing."""
    archive = Left(streams=True)
    report = bench.fetch(archive, row=replace(ROW, images=IMAGES))
    assert (report.state, report.message) == (FetchState.PARTIAL, "Stopped.")
    assert len(bench.store.sop_uids(STUDY)) == IMAGES
    assert not bench.complete


def test_who_breaks_off_at_a_list_of_names_is_asked_for_the_study(bench: Bench) -> None:
    archive = Named(names_one=True)
    report = bench.fetch(archive)
    assert archive.names == [(sop_uid(0),)]
    assert archive.asked == [None]
    assert (report.state, report.received) == (FetchState.COMPLETE, IMAGES)
