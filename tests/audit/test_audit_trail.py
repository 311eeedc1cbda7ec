"""The audit trail: written before the act, readable by its owner only, and any later change is noticed."""

import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from priorline.audit.trail import AuditEvent, AuditTrail, ChainBreak
from priorline.errors import AuditError


@pytest.fixture
def trail(tmp_path: Path) -> AuditTrail:
    return AuditTrail(tmp_path / "state" / "audit.jsonl")


def fill(trail: AuditTrail, count: int = 5) -> None:
    for number in range(count):
        trail.record(AuditEvent.QUERY, reason="trauma", hospital="A", patient_id=f"99999000{number}", issuer="X")


def lines(trail: AuditTrail) -> list[bytes]:
    return trail.path.read_bytes().splitlines(keepends=True)


def test_a_record_says_who_what_when_and_why(trail: AuditTrail) -> None:
    trail.record(AuditEvent.TRANSFERRED, reason="trauma", hospital="Zürich", study="1.2.3", images=7)
    (record,) = trail.records()
    assert (record["event"], record["code"], record["reason"]) == ("transferred", "110104", "trauma")
    assert (record["hospital"], record["study"], record["images"]) == ("Zürich", "1.2.3", 7)
    assert record["user"]
    assert record["process"] == os.getpid()
    assert record["time"].endswith("+00:00")


def test_what_was_written_verifies(trail: AuditTrail) -> None:
    assert trail.verify() is None
    assert list(trail.records()) == []
    fill(trail)
    assert trail.verify() is None
    assert [record["patient_id"][-1] for record in trail.records()] == list("01234")


def edited(found: list[bytes]) -> list[bytes]:
    return [*found[:2], found[2].replace(b"999990002", b"999990009"), *found[3:]]


def resealed(found: list[bytes]) -> list[bytes]:
    """An edit by somebody who knows how links are made; the next record still tells."""
    record = json.loads(found[2]) | {"reason": "none"}
    return [*found[:2], json.dumps(record).encode() + b"\n", *found[3:]]


def said_twice(found: list[bytes]) -> list[bytes]:
    return [*found[:2], found[2].replace(b'"reason"', b'"patient_id": "1", "reason"', 1), *found[3:]]


CHANGES: list[tuple[Callable[[list[bytes]], list[bytes]], ChainBreak]] = [
    (edited, ChainBreak(3, "this record was changed")),
    (resealed, ChainBreak(3, "this record was changed")),
    (said_twice, ChainBreak(3, "this record was changed")),
    (lambda found: found[:2] + found[3:], ChainBreak(3, "a record before this one is missing or was changed")),
    (lambda found: found[1:], ChainBreak(1, "a record before this one is missing or was changed")),
    (
        lambda found: [found[0], found[2], found[1], *found[3:]],
        ChainBreak(2, "a record before this one is missing or was changed"),
    ),
    (
        lambda found: [*found[:3], found[2], *found[3:]],
        ChainBreak(4, "a record before this one is missing or was changed"),
    ),
    (lambda found: [*found[:2], found[2][:40] + b"\n", *found[3:]], ChainBreak(3, "this line is not a record")),
    (lambda found: [*found[:4], found[4][:40]], ChainBreak(5, "this line is not a record")),
    (lambda found: found[:4], ChainBreak(5, "records at the end are missing")),
    (lambda _found: [], ChainBreak(1, "records at the end are missing")),
    (lambda found: [b"{}\n", *found], ChainBreak(1, "this line is not a record")),
    (lambda found: [b"[" * 100_000 + b"\n", *found], ChainBreak(1, "this line is not a record")),
    (lambda found: [b"5\n", *found], ChainBreak(1, "this line is not a record")),
    (lambda found: [b"\xff\n", *found], ChainBreak(1, "this line is not a record")),
    (lambda found: [b"\n", *found], ChainBreak(1, "this line is not a record")),
]


@pytest.mark.parametrize(("change", "broken"), CHANGES)
def test_a_change_is_found_where_it_is(
    trail: AuditTrail, change: Callable[[list[bytes]], list[bytes]], broken: ChainBreak
) -> None:
    fill(trail)
    trail.path.write_bytes(b"".join(change(lines(trail))))
    assert trail.verify() == broken
    # What comes later does not hide it.
    fill(trail, 1)
    later = trail.verify()
    assert later is not None
    assert later.line <= max(broken.line, 1)


def test_several_records_are_one_chain_and_one_wait_for_the_disk(
    trail: AuditTrail, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[int] = []
    force = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (waits.append(file), force(file)))
    fill(trail, 1)
    trail.record_all(AuditEvent.QUERY, [{"hospital": name} for name in "ABC"], reason="trauma")
    fill(trail, 1)
    assert len(waits) == 3
    assert trail.verify() is None
    records = list(trail.records())
    assert [record["hospital"] for record in records] == list("AABCA")
    assert {(record["event"], record["reason"]) for record in records} == {("query", "trauma")}


def test_no_acts_are_no_records(trail: AuditTrail) -> None:
    trail.record_all(AuditEvent.QUERY, [])
    assert list(trail.records()) == []


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_a_crash_while_several_are_written_leaves_a_valid_beginning(trail: AuditTrail, kept: int) -> None:
    fill(trail, 1)
    note = trail.path.with_name("audit.jsonl.head")
    before = note.read_bytes()
    trail.record_all(AuditEvent.QUERY, [{"hospital": name} for name in "ABC"])
    written = lines(trail)
    # The note is written last; of the records a part is there.
    note.write_bytes(before)
    trail.path.write_bytes(b"".join(written[: 1 + kept]))
    assert trail.verify() is None
    trail.path.write_bytes(b"".join(written[:kept]) + written[kept][:50])
    assert trail.verify() == ChainBreak(kept + 1, "this line is not a record")


def test_a_damaged_line_is_shown_as_damaged(trail: AuditTrail) -> None:
    fill(trail, 2)
    first, second = lines(trail)
    trail.path.write_bytes(first + b"half a rec\n5\n" + second)
    assert [record.get("damaged") for record in trail.records()] == [None, 2, 3, None]


def test_a_torn_end_stays_a_line_of_its_own(trail: AuditTrail) -> None:
    fill(trail, 2)
    trail.path.write_bytes(b"".join(lines(trail)) + b'{"time": "20')
    fill(trail, 1)
    assert [record.get("damaged") for record in trail.records()] == [None, None, 3, None]


def test_a_program_that_ended_before_the_note_of_its_last_record_leaves_a_whole_trail(trail: AuditTrail) -> None:
    fill(trail, 2)
    note = trail.path.with_name("audit.jsonl.head")
    before = note.read_bytes()
    fill(trail, 2)
    note.write_bytes(before)
    assert trail.verify() is None
    fill(trail, 1)
    assert trail.verify() is None
    note.unlink()
    assert trail.verify() is None


@pytest.mark.parametrize("size", [60_000, 65_536 - 400, 70_000, 300_000])
def test_long_records_keep_the_chain(trail: AuditTrail, size: int) -> None:
    fill(trail, 1)
    trail.record(AuditEvent.EXPORTED, studies="x" * size)
    trail.record(AuditEvent.EXPORTED, studies="y" * size)
    fill(trail, 1)
    assert trail.verify() is None
    assert sum(1 for _ in trail.records()) == 4


def test_one_chain_from_two_processes(trail: AuditTrail) -> None:
    program = (
        "import sys; from pathlib import Path; from priorline.audit.trail import AuditEvent, AuditTrail\n"
        "trail = AuditTrail(Path(sys.argv[1])); sys.stdin.readline()\n"
        "for number in range(40): trail.record(AuditEvent.QUERY, patient_id=str(number))\n"
    )
    command = [sys.executable, "-c", program, str(trail.path)]
    writers = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(2)]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"go\n")
        writer.stdin.close()
    # Read while they write: a record that is being written is not taken for a damaged one.
    while any(writer.poll() is None for writer in writers):
        assert trail.verify() is None
    assert [writer.wait() for writer in writers] == [0, 0]
    assert trail.verify() is None
    records = list(trail.records())
    assert len(records) == 80
    assert len({record["process"] for record in records}) == 2


def test_one_chain_from_several_threads(trail: AuditTrail) -> None:
    threads = [threading.Thread(target=fill, args=(trail,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert trail.verify() is None
    assert sum(1 for _ in trail.records()) == 20


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux")
def test_only_its_owner_can_read_it(trail: AuditTrail) -> None:
    before = os.umask(0)
    try:
        fill(trail, 1)
    finally:
        os.umask(before)
    assert [mode(path) for path in (trail.path, trail.path.with_name("audit.jsonl.head"))] == [0o600, 0o600]
    assert mode(trail.path.parent) == 0o700
    trail.path.chmod(0o644)
    fill(trail, 1)
    assert mode(trail.path) == 0o600


def test_the_note_beside_it_names_nobody(trail: AuditTrail) -> None:
    fill(trail, 3)
    assert set(trail.path.parent.iterdir()) == {trail.path, trail.path.with_name("audit.jsonl.head")}
    assert b"99999000" not in trail.path.with_name("audit.jsonl.head").read_bytes()


@pytest.mark.parametrize("spoil", [lambda path: path.parent.write_bytes(b""), lambda path: path.mkdir(parents=True)])
def test_a_trail_that_cannot_be_written_is_an_error_that_names_nobody(
    trail: AuditTrail, spoil: Callable[[Path], object]
) -> None:
    spoil(trail.path)
    with pytest.raises(AuditError, match=r"cannot be written .* nothing was asked") as caught:
        fill(trail, 1)
    assert "99999000" not in str(caught.value)


def test_a_trail_that_cannot_be_read_is_an_error(trail: AuditTrail) -> None:
    trail.path.mkdir(parents=True)
    with pytest.raises(AuditError, match="cannot be read"):
        trail.verify()


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux")
def test_a_full_disk_leaves_no_half_record(trail: AuditTrail) -> None:
    import resource

    fill(trail, 2)
    whole = trail.path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 10_000, hard))
    try:
        with pytest.raises(AuditError, match="cannot be written"):
            trail.record(AuditEvent.QUERY, patient_id="1" * 20_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert trail.path.read_bytes() == whole
    fill(trail, 1)
    assert trail.verify() is None


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux")
def test_a_full_disk_keeps_none_of_several(trail: AuditTrail) -> None:
    import resource
    import signal

    fill(trail, 2)
    whole = trail.path.read_bytes()
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 700, hard))
    try:
        with pytest.raises(AuditError):
            trail.record_all(AuditEvent.QUERY, [{"hospital": name} for name in "ABCDE"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert trail.path.read_bytes() == whole
    assert trail.verify() is None


def test_a_fact_cannot_pose_as_what_the_trail_itself_says(trail: AuditTrail) -> None:
    with pytest.raises(ValueError, match="trail's own: link, user"):
        trail.record(AuditEvent.QUERY, user="somebody else", link="0")
    assert not trail.path.exists()


def test_a_user_without_a_name_is_recorded_too(trail: AuditTrail, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr("getpass.getuser", nobody)
    fill(trail, 1)
    (record,) = trail.records()
    assert record["user"]
