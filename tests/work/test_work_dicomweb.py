"""A hospital that speaks DICOMweb: from the configuration to its archive, and a study into the cache."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import peers
from priorline.archives.base import Timeouts
from priorline.archives.dicomweb import DicomWebArchive
from priorline.archives.dicomweb_peer import DicomWebPeer
from priorline.audit.trail import AuditTrail
from priorline.cache.keys import load_master_key
from priorline.cache.store import Store
from priorline.config import Settings, parse
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import FetchReport, FetchState, StudyAnswer
from priorline.errors import ConfigError
from priorline.work import companion
from priorline.work.fetch import Arrived, StudyFetch
from priorline.work.hospitals import build_hospitals
from web_hospital import (
    RELATED,
    STUDY,
    Request,
    as_json,
    attribute,
    instance_file,
    multipart,
    response,
    scripted,
    sop_uid,
    token_file,
    wait_for_the_other_side,
)

HOSPITAL = '[[hospital]]\nname = "West"\nprotocol = "dicomweb"\n'
ROW = StudyAnswer("West", STUDY, Patient(Identifier("PL-0042"), "Jansen^Piet"))
SERIES, PER_SERIES = 3, 4
SECONDS = 20.0


def parsed(*lines: str) -> Settings:
    return parse(HOSPITAL + "\n".join(lines), "test")


def peer_of(settings: Settings) -> DicomWebPeer:
    (hospital,) = build_hospitals(settings)
    assert isinstance(hospital.archive, DicomWebArchive)
    return hospital.archive.peer


def test_the_configuration_becomes_a_door(tmp_path: Path) -> None:
    lines = ('url = "https://pacs.example:8443/dicom-web/"', f'token_file = "{tmp_path}/t"', "timeout = 7")
    peer = peer_of(parsed(*lines, 'patient_id_issuer = "WEST"'))
    assert (peer.name, peer.host, peer.port, peer.path) == ("West", "pacs.example", 8443, "/dicom-web")
    assert (peer.patient_id_issuer, peer.token_file) == ("WEST", tmp_path / "t")
    assert peer.timeouts == Timeouts(connect=5, acse=7, progress=7, query=30)
    assert peer.is_encrypted
    assert peer.tls is not None


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("https://pacs.example", "pacs.example", 443, ""),
        ("http://pacs.example/", "pacs.example", 80, ""),
        ("http://[::1]:8042/a/b", "::1", 8042, "/a/b"),
    ],
)
def test_addresses(url: str, host: str, port: int, path: str) -> None:
    peer = peer_of(parsed(f'url = "{url}"'))
    assert (peer.host, peer.port, peer.path, peer.is_encrypted) == (host, port, path, url.startswith("https"))


@pytest.mark.parametrize(
    "url",
    [
        "https://",
        "https:///dicom-web",
        "https://pacs.example:0/",
        "https://pacs.example:99999/",
        "https://user:password@pacs.example/",
        "https://pacs.example/?x=1",
        "https://pacs.example/#x",
        "https://pacs.example/ x",
        "https://pacs.example/é",
        "https://[::1/",
        "https://pacs.example/\\\\r\\\\nX: y",
    ],
)
def test_an_address_that_cannot_be_asked_is_an_error_of_the_configuration(url: str) -> None:
    with pytest.raises(ConfigError, match=r'hospital "West"\.url: has to be like') as problem:
        parsed(f'url = "{url}"')
    assert "password@" not in str(problem.value)


@pytest.mark.parametrize("url", ["http://pacs.example/", "http://127.0.0.1.example/"])
def test_a_token_is_not_sent_in_clear_over_a_network(url: str) -> None:
    with pytest.raises(ConfigError, match="https://"):
        parsed(f'url = "{url}"', 'token_file = "/t"')
    assert parsed('url = "http://127.0.0.1:8042/"', 'token_file = "/t"').hospital[0].token_file == "/t"


def test_a_token_is_for_dicomweb_only() -> None:
    with pytest.raises(ConfigError, match="token_file"):
        parse('[[hospital]]\nname = "A"\nprotocol = "folder"\ndirectory = "/cd"\ntoken_file = "/t"', "test")


# --- into the cache


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "cache", load_master_key("session", tmp_path / "no.key")) as opened:
        yield opened


class Archive:
    """A hospital with three series; `tokens` are valid; part `broken` is no image; `cuts` a response is cut.

    A cut response ends in image `cut_in`. One by one it does not give the images in `withheld`; all of them if None.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.valid = {"first"}
        self.renews = True
        self.broken: int | None = None
        self.cuts, self.cut_in = False, PER_SERIES
        self.withheld: set[int] | None = set()
        # What is answered by name instead, by the number of the request; and images that are not listed.
        self.instead: dict[int, bytes] = {}
        self.unlisted: set[int] = set()
        # What is written into an image that is not what was asked for.
        self.odd: dict[int, dict[str, str]] = {}
        self.sent: list[int] = []
        self.asked: list[str] = []

    def script(self, connection: Any, request: Request) -> None:
        if request.headers["authorization"].removeprefix("Bearer ") not in self.valid:
            if self.renews:
                token_file(self.folder, "second")
                self.valid = {"second"}
            connection.sendall(response(status="401 Unauthorized"))
        elif request.path.endswith(("/series", "/instances")):
            connection.sendall(as_json(self._rows(request.path.endswith("/instances"))))
        elif "/instances/" in request.path:
            self._send_named(connection, request)
        else:
            self._send(connection, request)

    def _send_named(self, connection: Any, request: Request) -> None:
        self.asked.append(request.path)
        if len(self.asked) in self.instead:
            connection.sendall(self.instead[len(self.asked)])
            wait_for_the_other_side(connection)
            return
        number = next(n for n in range(SERIES * PER_SERIES) if request.path.endswith(f"/instances/{sop_uid(n)}"))
        if self.withheld is None or number in self.withheld:
            status = "406 Not Acceptable" if self.withheld is None else "404 Not Found"
            connection.sendall(response(status=status))
            return
        connection.sendall(response(multipart([self._file(number)]), RELATED))
        self.sent.append(number)

    def _rows(self, instances: bool) -> list[dict[str, Any]]:
        numbers = range(SERIES * PER_SERIES) if instances else range(0, SERIES * PER_SERIES, PER_SERIES)
        rows = [attribute("SeriesInstanceUID", series_of(number)) for number in numbers]
        if instances:
            rows = [row | attribute("SOPInstanceUID", sop_uid(n)) for n, row in zip(numbers, rows, strict=True)]
            return [row for n, row in zip(numbers, rows, strict=True) if n not in self.unlisted]
        return [row | attribute("NumberOfSeriesRelatedInstances", PER_SERIES) for row in rows]

    def _send(self, connection: Any, request: Request) -> None:
        wanted = [n for n in range(SERIES * PER_SERIES) if request.path.endswith((STUDY, f"/series/{series_of(n)}"))]
        files = [self._file(number) for number in wanted]
        if self.cuts:
            self.cuts, self.valid = False, {"second"}
            head = response(multipart(files), RELATED)
            connection.sendall(head[: head.index(files[self.cut_in]) + 1000])
            self.sent += wanted[: self.cut_in]
            return
        connection.sendall(response(multipart(files), RELATED))
        self.sent += wanted

    def _file(self, number: int) -> bytes:
        odd = self.odd.get(number, {})
        return b"broken" if number == self.broken else instance_file(number, series_of(number), **odd)


def series_of(number: int) -> str:
    return f"{STUDY}.{1 + number // PER_SERIES}"


def fetch(
    archive: Archive, store: Store, images: int | None = None, timeouts: Timeouts = peers.PATIENT_WAIT
) -> FetchReport:
    with scripted(archive.script) as hospital:
        file = archive.folder / "token"
        door = DicomWebArchive(hospital.peer(timeouts, token_file=file))
        trail = AuditTrail(archive.folder / "audit.jsonl")
        return StudyFetch(door, store, replace(ROW, images=images), lambda _arrived: None).run(trail)


# With a count of images the study is asked for before it is listed.
@pytest.mark.parametrize("images", [None, 12])
def test_a_study_is_whole_in_the_cache(tmp_path: Path, store: Store, images: int | None) -> None:
    token_file(tmp_path, "first")
    archive = Archive(tmp_path)
    report = fetch(archive, store, images)
    assert (report.state, report.received, report.expected) == (FetchState.COMPLETE, 12, 12)
    assert store.sop_uids(STUDY) == {sop_uid(number) for number in range(12)}


@pytest.mark.parametrize("images", [None, 12])
def test_a_study_that_is_cut_goes_on_with_another_token_and_nothing_comes_twice(
    tmp_path: Path, store: Store, images: int | None
) -> None:
    token_file(tmp_path, "first")
    archive = Archive(tmp_path)
    archive.cuts = True
    first = fetch(archive, store, images)
    assert (first.state, first.received) == (FetchState.PARTIAL, PER_SERIES)
    second = fetch(archive, store, images)
    assert (second.state, second.received, second.already_cached) == (FetchState.COMPLETE, 12, PER_SERIES)
    assert sorted(archive.sent) == list(range(12))
    audit = (tmp_path / "audit.jsonl").read_text()
    assert '"first"' not in audit
    assert '"second"' not in audit


@pytest.mark.parametrize("images", [None, 12])
def test_a_token_that_nobody_renews_is_a_failure_with_what_to_do(
    tmp_path: Path, store: Store, images: int | None
) -> None:
    token_file(tmp_path, "old")
    archive = Archive(tmp_path)
    archive.renews = False
    report = fetch(archive, store, images)
    assert report.state is FetchState.FAILED
    assert "token_file" in report.message


@pytest.mark.parametrize("images", [None, 12])
def test_a_broken_part_leaves_the_study_partial_and_is_counted(
    tmp_path: Path, store: Store, images: int | None
) -> None:
    token_file(tmp_path, "first")
    archive = Archive(tmp_path)
    archive.broken = 5
    report = fetch(archive, store, images)
    assert (report.state, report.received, report.failed) == (FetchState.PARTIAL, 11, 1)


@pytest.fixture
def begun(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """A hospital whose second series came by half."""
    monkeypatch.setattr(companion, "PATIENCE", SECONDS)
    token_file(tmp_path, "first")
    archive = Archive(tmp_path)
    archive.cuts, archive.cut_in = True, PER_SERIES + 2
    assert fetch(archive, store, 12).received == PER_SERIES + 2
    return archive


def test_of_a_series_that_has_begun_only_what_is_missing_comes(begun: Archive, store: Store) -> None:
    report = fetch(begun, store, 12)
    assert (report.state, report.already_cached) == (FetchState.COMPLETE, PER_SERIES + 2)
    assert sorted(begun.sent) == list(range(12))
    path = f"/dicom-web/studies/{STUDY}/series/{series_of(6)}/instances"
    assert sorted(begun.asked) == [f"{path}/{sop_uid(6)}", f"{path}/{sop_uid(7)}"]


def test_a_hospital_that_gives_no_single_images_is_asked_for_the_series(begun: Archive, store: Store) -> None:
    begun.withheld = None
    report = fetch(begun, store, 12)
    assert (report.state, report.received) == (FetchState.COMPLETE, 12)
    assert sorted(begun.sent) == sorted([*range(12), 4, 5])


def test_an_image_that_is_listed_and_never_given_costs_no_second_series(begun: Archive, store: Store) -> None:
    begun.withheld = {7}
    report = fetch(begun, store, 12)
    assert (report.state, report.received, report.failed) == (FetchState.PARTIAL, 11, 1)
    assert sorted(begun.sent) == [*range(7), *range(8, 12)]


@pytest.mark.parametrize(
    "instead",
    [
        {1: response(status="500 Internal Server Error")},
        {2: response(status="429 Too Many Requests")},
        {2: response(multipart([instance_file(6, series_of(6)), instance_file(7, series_of(7))]), RELATED)},
        {1: b""},
        {2: b"HTTP/1.1 200 OK\r\n"},
    ],
    ids=["fault", "too-many", "whole-series", "silence", "half"],
)
def test_what_ends_it_by_name_does_not_keep_the_rest_from_coming(
    begun: Archive, store: Store, instead: dict[int, bytes]
) -> None:
    begun.instead = instead
    report = fetch(begun, store, 12, peers.QUICK)
    assert (report.state, report.received) == (FetchState.COMPLETE, 12)


ODD = pytest.mark.parametrize(
    "tags",
    [{"PatientID": "PL-0099"}, {"PatientName": "Devries^Anna"}, {"StudyInstanceUID": "1.2.3"}],
    ids=["patient's number", "patient's name", "study"],
)


@ODD
def test_what_is_not_what_was_asked_for_is_set_apart_from_a_stream(
    tmp_path: Path, store: Store, tags: dict[str, str]
) -> None:
    token_file(tmp_path, "first")
    archive = Archive(tmp_path)
    archive.odd = {5: tags}
    report = fetch(archive, store, 12)
    assert_set_apart(report, store, 5)


@ODD
def test_what_is_not_what_was_asked_for_is_set_apart_by_name(
    begun: Archive, store: Store, tags: dict[str, str]
) -> None:
    begun.odd = {7: tags}
    report = fetch(begun, store, 12)
    assert begun.asked
    assert_set_apart(report, store, 7)


def assert_set_apart(report: FetchReport, store: Store, number: int) -> None:
    """All but this image are here, and that one is out of sight, with a reason."""
    assert (report.state, report.received) == (FetchState.PARTIAL, 11)
    assert report.quarantined >= 1
    assert "another" in report.message
    assert store.sop_uids(STUDY) == {sop_uid(one) for one in range(12) if one != number}
    assert store.stats().quarantined >= 1


def test_an_image_of_another_number_does_not_count_for_the_one_that_was_asked_for(
    begun: Archive, store: Store
) -> None:
    """It is of this patient and study, so it is kept; the one that is listed is missing all the same."""
    begun.odd = {7: {"SOPInstanceUID": "1.2.4"}}
    report = fetch(begun, store, 12)
    assert (report.state, report.received, report.expected) == (FetchState.PARTIAL, 11, 12)
    assert store.sop_uids(STUDY) == {"1.2.4", *(sop_uid(one) for one in range(12) if one != 7)}


def test_a_series_of_which_nothing_comes_by_name_comes_as_a_stream(
    tmp_path: Path, begun: Archive, store: Store
) -> None:
    store.discard(STUDY, [one.handle for one in store.instances(STUDY) if one.sop_uid == sop_uid(3)])
    begun.withheld = {6, 7}
    report = fetch(begun, store, 12)
    assert (report.state, report.received) == (FetchState.COMPLETE, 12)
    assert begun.sent.count(3) == 2


def test_a_series_that_lists_fewer_than_it_counts_comes_as_a_stream(begun: Archive, store: Store) -> None:
    begun.unlisted = {7}
    assert fetch(begun, store, 12).state is FetchState.COMPLETE
    assert store.sop_uids(STUDY) == {sop_uid(number) for number in range(12)}
    assert begun.asked == []


class SlowArchive(Archive):
    """Sends the first image of a study, and the rest when image `until` was asked for by name."""

    def __init__(self, folder: Path, until: int) -> None:
        super().__init__(folder)
        self.until = sop_uid(until)
        self.was_asked, self.has_sample = threading.Event(), threading.Event()

    def _send(self, connection: Any, request: Request) -> None:
        files = [instance_file(number, series_of(number)) for number in range(SERIES * PER_SERIES)]
        whole = response(multipart(files), RELATED)
        begun = whole.index(files[1])
        connection.sendall(whole[:begun])
        assert self.was_asked.wait(SECONDS)
        connection.sendall(whole[begun:])

    def _send_named(self, connection: Any, request: Request) -> None:
        super()._send_named(connection, request)
        if request.path.endswith(self.until):
            self.was_asked.set()


def test_what_is_looked_at_comes_by_name_while_a_slow_stream_goes_on(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(companion, "PATIENCE", 0.01)
    token_file(tmp_path, "first")
    # In a series of four, this one is of no sample.
    archive, arrived = SlowArchive(tmp_path, until=9), list[str]()
    with scripted(archive.script) as hospital:
        door = DicomWebArchive(hospital.peer(peers.PATIENT_WAIT, token_file=tmp_path / "token"))

        def tell(one: Arrived) -> None:
            arrived.append(one.instance.sop_uid)
            fetch.prefer(series_of(9), sop_uid(9))

        fetch = StudyFetch(door, store, replace(ROW, images=12), tell)
        report = fetch.run(AuditTrail(tmp_path / "audit.jsonl"))
    assert (report.state, report.received, report.failed, report.message) == (FetchState.COMPLETE, 12, 0, "")
    assert sorted(arrived) == sorted(store.sop_uids(STUDY))
    assert len(arrived) == len(set(arrived)) == 12
    # First, middle and last of the others, then what is looked at, and nothing that nobody wished.
    assert set(archive.sent) >= {2, 3, 4, 6, 7, 9}
    assert set(archive.sent).isdisjoint({1, 5})


class SilentArchive(Archive):
    """Sends the first image of a study and half of one that it is asked for by name; then it `is_silent`."""

    is_silent = False

    def _send(self, connection: Any, request: Request) -> None:
        files = [self._file(number) for number in range(SERIES * PER_SERIES)]
        whole = response(multipart(files), RELATED)
        connection.sendall(whole[: whole.index(files[1])])
        wait_for_the_other_side(connection)

    def _send_named(self, connection: Any, request: Request) -> None:
        whole = response(multipart([self._file(2)]), RELATED)
        connection.sendall(whole[: len(whole) // 2])
        self.is_silent = True
        wait_for_the_other_side(connection)


def test_who_stops_while_an_image_comes_by_name_waits_for_neither(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(companion, "PATIENCE", 0.01)
    token_file(tmp_path, "first")
    wait = replace(peers.PATIENT_WAIT, progress=60.0, query=60.0)
    archive = SilentArchive(tmp_path)
    with scripted(archive.script) as hospital:
        door = DicomWebArchive(hospital.peer(wait, token_file=tmp_path / "token"))
        arrived = list[Arrived]()
        row = replace(ROW, images=12)
        fetch = StudyFetch(door, store, row, arrived.append, lambda: archive.is_silent and bool(arrived))
        report = fetch.run(AuditTrail(tmp_path / "audit.jsonl"))
    # Well before the hospital would be given up.
    assert report.seconds < wait.progress / 2
    assert (report.state, report.received) == (FetchState.PARTIAL, 1)
    assert "Stopped." in report.message
    assert store.sop_uids(STUDY) == {sop_uid(0)}
