"""WADO-RS: instances one by one as they come, the bytes untouched; one that does not hold costs that one."""

import logging
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from peers import nothing_left_running  # noqa: F401 - a fixture for every test here
from priorline.archives.base import RetrieveSummary, part10_head
from priorline.archives.dicomweb import DicomWebArchive
from priorline.archives.dicomweb_peer import DicomWebPeer
from priorline.archives.dicomweb_retrieve import FAILED_MAX, announced_in
from priorline.archives.incoming import Announced, Growing, Incoming, Received, whole
from priorline.domain.fetch_order import Batch
from priorline.errors import ArchiveBroken, ArchiveRefused, CacheFull, UsageError
from web_hospital import (
    BOUNDARY,
    RELATED,
    STUDY,
    Request,
    answers,
    as_json,
    dataset_of,
    images,
    instance_file,
    multipart,
    response,
    scripted,
    sop_uid,
    study_row,
    token_file,
)

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"


def retrieve(peer: DicomWebPeer, series: str | None = None) -> tuple[RetrieveSummary, list[Received]]:
    got: list[Received] = []
    return DicomWebArchive(peer).retrieve(STUDY, series, (), whole(got.append), lambda: False), got


def test_a_study_comes_as_it_is_stored_in_one_request() -> None:
    with scripted(answers(images(range(5)))) as hospital:
        summary, got = retrieve(hospital.peer())
    assert summary == RetrieveSummary(completed=5, failed=0, warned=0, remaining=0, status=0, received=5)
    assert [one.sop_instance_uid for one in got] == [sop_uid(number) for number in range(5)]
    assert [one.dataset for one in got] == [dataset_of(instance_file(number)) for number in range(5)]
    (asked,) = hospital.requests
    assert asked.path == f"/dicom-web/studies/{STUDY}"
    assert asked.headers["accept"] == 'multipart/related; type="application/dicom"; transfer-syntax=*'
    assert asked.headers["accept-encoding"] == "identity"


def test_a_series_is_asked_for_by_its_uid() -> None:
    with scripted(answers(images([1]))) as hospital:
        retrieve(hospital.peer(), "1.2.9")
        with pytest.raises(UsageError):
            retrieve(hospital.peer(), "../1.2.9")
    assert [request.path for request in hospital.requests] == [f"/dicom-web/studies/{STUDY}/series/1.2.9"]


def named(peer: DicomWebPeer, *numbers: int) -> tuple[RetrieveSummary | None, list[Received]]:
    got: list[Received] = []
    batches = iter([Batch("1.2.9", tuple(map(sop_uid, numbers)))])
    door = DicomWebArchive(peer)
    return door.retrieve_listed(STUDY, lambda: next(batches, None), (), whole(got.append), lambda: False), got


def test_images_are_asked_for_by_their_names_in_the_order_of_who_asks() -> None:
    with scripted(answers(images([3]), images([1]))) as hospital:
        summary, got = named(hospital.peer(), 3, 1)
    assert summary == RetrieveSummary(completed=2, failed=0, warned=0, remaining=0, status=0, received=2)
    assert [one.dataset for one in got] == [dataset_of(instance_file(number)) for number in (3, 1)]
    path = f"/dicom-web/studies/{STUDY}/series/1.2.9/instances"
    assert [request.path for request in hospital.requests] == [f"{path}/{sop_uid(number)}" for number in (3, 1)]


def test_one_that_is_not_there_costs_that_one() -> None:
    with scripted(answers(response(status="404 Not Found"), images([1]))) as hospital:
        summary, got = named(hospital.peer(), 3, 1)
    assert summary is not None
    assert (summary.received, summary.status) == (1, 0xB000)
    assert [one.sop_instance_uid for one in got] == [sop_uid(1)]


@pytest.mark.parametrize("status", ["400 Bad Request", "405 Method Not Allowed", "406 Not Acceptable"])
def test_a_service_that_gives_no_single_images_says_so_at_the_first(status: str) -> None:
    with scripted(answers(response(status=status))) as hospital:
        assert named(hospital.peer(), 3, 1) == (None, [])
    assert len(hospital.requests) == 1
    with scripted(answers(images([3]), response(status=status))) as hospital, pytest.raises(ArchiveRefused):
        named(hospital.peer(), 3, 1)


def test_chunks_are_put_together() -> None:
    body = multipart(map(instance_file, range(3)))
    chunks = [body[at : at + 1000] for at in range(0, len(body), 1000)]
    coded = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\nTrailer: x\r\n\r\n"
    head = response(b"", RELATED, Content_Length="", Transfer_Encoding="chunked")
    with scripted(answers(head + coded)) as hospital:
        _, got = retrieve(hospital.peer())
    assert [one.dataset for one in got] == [dataset_of(instance_file(number)) for number in range(3)]


def test_a_response_without_a_length_ends_with_its_last_boundary() -> None:
    with scripted(answers(response(multipart([instance_file(1)]), RELATED, Content_Length=""))) as hospital:
        assert retrieve(hospital.peer())[0].received == 1


def test_images_are_handed_over_before_the_next_one_is_there() -> None:
    files = [instance_file(1), instance_file(2)]
    answer = response(multipart(files), RELATED)
    got: list[Received] = []

    def script(connection: Any, request: Request) -> None:
        # Up to a byte behind the boundary that ends the first.
        end = answer.index(files[0]) + len(files[0]) + len(BOUNDARY) + 5
        connection.sendall(answer[:end])
        assert connection.recv(1) == b""

    def full(received: Received) -> None:
        got.append(received)
        raise CacheFull("no room")

    with scripted(script) as hospital, pytest.raises(CacheFull):
        DicomWebArchive(hospital.peer()).retrieve(STUDY, None, (), whole(full), lambda: False)
    assert [one.sop_instance_uid for one in got] == [sop_uid(1)]


def test_a_foreign_preamble_does_not_get_into_the_file() -> None:
    hostile = b"MZ" + b"\x7fELF" + instance_file(1)[6:]
    with scripted(answers(response(multipart([hostile]), RELATED))) as hospital:
        _, (got,) = retrieve(hospital.peer())
    assert part10_head(got, "X")[:132] == bytes(128) + b"DICM"
    assert got.dataset == dataset_of(hostile)


def with_meta(number: int, value: bytes) -> bytes:
    """An image whose file meta has another value at (0002,`number`)."""
    file = instance_file(1)
    at = file.index(struct.pack("<HH2s", 2, number, b"UI"), 132)
    length = struct.unpack_from("<H", file, at + 6)[0]
    changed = file[: at + 6] + struct.pack("<H", len(value)) + value + file[at + 8 + length :]
    return changed[:140] + struct.pack("<L", meta_length(file) + len(value) - length) + changed[144:]


def meta_length(file: bytes) -> int:
    return int(struct.unpack_from("<L", file, 140)[0])


def with_length(change: int) -> bytes:
    file = instance_file(1)
    return file[:140] + struct.pack("<L", (meta_length(file) + change) % 2**32) + file[144:]


BAD = {
    "empty": b"",
    "text": b"not found",
    "dataset only": dataset_of(instance_file(1)),
    "no DICM": instance_file(1)[:128] + b"DICX" + instance_file(1)[132:],
    "cut in the preamble": instance_file(1)[:100],
    "cut in the meta": instance_file(1)[:200],
    "no dataset": instance_file(1)[: 144 + meta_length(instance_file(1))],
    "length too small": with_length(-10),
    "length to an earlier element": with_length(-(meta_length(instance_file(1)) - 14)),
    "length too large": with_length(+2),
    "length beyond the end": with_length(1 << 30),
    "length 0": with_length(-meta_length(instance_file(1))),
    "hostile instance UID": with_meta(3, b"../../etc/x\0"),
    "empty class UID": with_meta(2, b""),
    "no transfer syntax": with_meta(0x10, b""),
    "a nested message": multipart([instance_file(1)], "inner"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_one_that_does_not_hold_costs_that_one(bad: bytes) -> None:
    assert announced_in(bad) is None
    body = multipart([instance_file(1), bad, instance_file(2)])
    with scripted(answers(response(body, RELATED))) as hospital:
        summary, got = retrieve(hospital.peer())
    assert [one.sop_instance_uid for one in got] == [sop_uid(1), sop_uid(2)]
    assert (summary.completed, summary.failed, summary.status) == (2, 1, 0xB000)


def test_a_cut_part_costs_that_one() -> None:
    good = instance_file(1)
    body = multipart([good, instance_file(2)]).replace(good[-1000:], b"", 1)
    with scripted(answers(response(body, RELATED))) as hospital:
        summary, got = retrieve(hospital.peer())
    assert [one.sop_instance_uid for one in got] == [sop_uid(2)]
    assert summary.failed == 1


class Noting:
    """A receiver that notes how each instance ended; `fails` is raised from each `finish`."""

    def __init__(self, fails: Exception | None = None) -> None:
        self.ends: list[str] = []
        self._fails = fails

    def __call__(self, announced: Announced) -> Incoming:
        return NotedIncoming(announced, self.end)

    def end(self, how: str) -> None:
        self.ends.append(how)
        if self._fails is not None and how.endswith("whole"):
            raise self._fails


class NotedIncoming(Growing):
    def __init__(self, announced: Announced, end: Callable[[str], None]) -> None:
        super().__init__()
        self._number, self._end = announced.sop_instance_uid.rpartition(".")[2], end

    def finish(self) -> None:
        self._end(f"{self._number} whole")

    def drop(self) -> None:
        self._end(f"{self._number} dropped")


def test_what_was_begun_and_does_not_become_whole_is_dropped() -> None:
    one, two = instance_file(1), instance_file(2)
    cut_part = multipart([one, two]).replace(one[-1000:], b"", 1)
    receiver = Noting()
    with scripted(answers(response(cut_part, RELATED))) as hospital:
        DicomWebArchive(hospital.peer()).retrieve(STUDY, None, (), receiver, lambda: False)
    assert receiver.ends == ["1 dropped", "2 whole"]
    receiver = Noting()
    with (
        scripted(answers(response(multipart([one, two])[:-1000], RELATED))) as hospital,
        pytest.raises(ArchiveBroken),
    ):
        DicomWebArchive(hospital.peer()).retrieve(STUDY, None, (), receiver, lambda: False)
    assert receiver.ends == ["1 whole", "2 dropped"]


def test_nothing_is_finished_after_one_that_could_not_be() -> None:
    receiver = Noting(CacheFull("no room"))
    with scripted(answers(images(range(40)))) as hospital, pytest.raises(CacheFull):
        DicomWebArchive(hospital.peer()).retrieve(STUDY, None, (), receiver, lambda: False)
    assert [end for end in receiver.ends if end.endswith("whole")] == ["0 whole"]


def test_rubbish_without_end_is_left() -> None:
    rubbish = response(multipart([b"x"] * (FAILED_MAX + 2)), RELATED)
    with scripted(answers(rubbish)) as hospital, pytest.raises(ArchiveBroken, match="no image"):
        retrieve(hospital.peer())


def test_a_part_of_a_study_says_so() -> None:
    partial = response(multipart([instance_file(1)]), RELATED, "206 Partial Content")
    with scripted(answers(partial)) as hospital:
        assert retrieve(hospital.peer())[0].status == 0xB000


def test_a_study_that_is_not_there_is_refused_in_words() -> None:
    missing = response(status="404 Not Found")
    with scripted(answers(missing)) as hospital, pytest.raises(ArchiveRefused, match="does not have this study"):
        retrieve(hospital.peer())


@pytest.mark.parametrize(
    "answer",
    [
        response(instance_file(1), "application/dicom"),
        response(b"<html/>", "text/html"),
        response(multipart([instance_file(1)]), "multipart/related"),
        response(multipart([instance_file(1)]), "multipart/related; boundary=other"),
        response(multipart([instance_file(1)], end=b""), RELATED),
        response(multipart([instance_file(1)])[:-3000], RELATED),
        response(b"", RELATED),
    ],
)
def test_what_is_not_such_a_message_is_a_broken_archive(answer: bytes) -> None:
    with scripted(answers(answer)) as hospital, pytest.raises(ArchiveBroken, match="sent"):
        retrieve(hospital.peer())


# --- who asks


def test_a_token_that_runs_out_is_read_anew_once_and_nothing_comes_twice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = token_file(tmp_path, "old-token")
    valid = {"old-token"}

    def script(connection: Any, request: Request) -> None:
        if request.headers["authorization"].removeprefix("Bearer ") not in valid:
            token_file(tmp_path, "new-token")
            valid.add("new-token")
            connection.sendall(response(status="401 Unauthorized"))
            return
        series = int(request.path.rpartition(".")[2])
        connection.sendall(images([series * 10, series * 10 + 1]))

    with caplog.at_level(logging.DEBUG), scripted(script) as hospital:
        peer = hospital.peer(token_file=file)
        got = retrieve(peer, "1.2.1")[1]
        valid.clear()
        got += retrieve(peer, "1.2.2")[1] + retrieve(peer, "1.2.3")[1]
    sent = [request.headers["authorization"] for request in hospital.requests]
    assert sent == ["Bearer old-token", "Bearer old-token", "Bearer new-token", "Bearer new-token"]
    assert [one.sop_instance_uid for one in got] == [sop_uid(number) for number in (10, 11, 20, 21, 30, 31)]
    assert "token" not in caplog.text


@pytest.mark.parametrize("renewed", ["old-token", "other-token"])
def test_a_token_that_is_not_taken_is_refused_after_one_more(tmp_path: Path, renewed: str) -> None:
    def script(connection: Any, request: Request) -> None:
        token_file(tmp_path, renewed)
        connection.sendall(response(status="401 Unauthorized"))

    with scripted(script) as hospital, pytest.raises(ArchiveRefused, match="renew") as problem:
        retrieve(hospital.peer(token_file=token_file(tmp_path, "old-token")))
    assert len(hospital.requests) == len({"old-token", renewed})
    assert "-token" not in str(problem.value)


@pytest.mark.parametrize("content", [None, "", "two words", "a\r\nX: y", "é", "x" * 20_000])
def test_without_a_usable_token_nothing_is_asked(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content.encode())
    with scripted(answers(images([1]))) as hospital, pytest.raises(ArchiveRefused, match="token_file"):
        retrieve(hospital.peer(token_file=file))
    assert hospital.requests == []


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
@pytest.mark.parametrize("where", ["http://127.0.0.1:{port}/dicom-web", "//127.0.0.1:{port}", "/elsewhere", ""])
def test_nobody_is_followed_anywhere(tmp_path: Path, status: str, where: str) -> None:
    with scripted(answers(as_json([study_row()]))) as other:
        moved = response(status=status, Location=where.format(port=other.port))
        with scripted(answers(moved)) as hospital:
            peer = hospital.peer(token_file=token_file(tmp_path, "secret"))
            with pytest.raises(ArchiveBroken, match="not followed"):
                retrieve(peer)
            with pytest.raises(ArchiveBroken, match="not followed"):
                DicomWebArchive(peer).echo()
        assert len(hospital.requests) == 2
    assert other.requests == []
