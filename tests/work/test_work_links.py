"""Confirmed identities on the disk: encrypted, audited first, and never in force once somebody revoked them."""

import os
import stat
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from priorline.audit.trail import AuditTrail
from priorline.cache.keys import MasterKey
from priorline.domain.links import PersonLink
from priorline.domain.patient import Identifier
from priorline.errors import AuditError, CacheError, UsageError
from priorline.work.links import LinkStore

KEY = MasterKey(b"k" * 32, "session")
BSN = Identifier("999990007", "NLMINBIZA")
AT = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
LINK = PersonLink(
    BSN, Identifier("A-77", "B"), "Noord", "BAKKER^Piet", date(1970, 3, 14), "M", "in the letter", "a.smit", AT
)
OTHER = replace(LINK, hospital="Zuid", at=AT.replace(hour=10))


def store(folder: Path, key: MasterKey = KEY) -> LinkStore:
    return LinkStore(folder / "links.sealed", key, AuditTrail(folder / "audit.jsonl"))


def test_what_was_confirmed_is_there_for_the_next_process(tmp_path: Path) -> None:
    assert store(tmp_path).links_of(BSN) == ()
    store(tmp_path).add(LINK)
    store(tmp_path).add(OTHER)
    store(tmp_path).add(replace(LINK, context=Identifier("5", "X")))
    assert store(tmp_path).links_of(BSN) == (LINK, OTHER)
    assert store(tmp_path).links_of(Identifier(BSN.value, "X")) == ()
    assert store(tmp_path).links_of(Identifier(BSN.value)) == ()


def test_revoking_ends_it_whoever_confirmed_it_and_it_can_be_confirmed_again(tmp_path: Path) -> None:
    links = store(tmp_path)
    links.add(LINK)
    links.add(OTHER)
    links.add(replace(LINK, user="b.vos", reason="asked him"))
    links.revoke(LINK, "another man after all")
    assert links.links_of(BSN) == (OTHER,)
    links.add(LINK)
    assert set(links.links_of(BSN)) == {LINK, OTHER}


def test_both_are_in_the_audit_trail_with_their_reasons(tmp_path: Path) -> None:
    links = store(tmp_path)
    links.add(LINK)
    links.revoke(LINK, "another man after all")
    trail = AuditTrail(tmp_path / "audit.jsonl")
    first, second = trail.records()
    assert (first["code"], first["action"], first["reason"]) == ("110110", "linked", "in the letter")
    assert (first["patient_id"], first["other_id"], first["hospital"]) == ("999990007", "A-77", "Noord")
    assert (second["action"], second["reason"]) == ("unlinked", "another man after all")
    assert trail.verify() is None


def test_without_a_record_in_the_trail_nothing_is_confirmed(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").mkdir()
    with pytest.raises(AuditError):
        store(tmp_path).add(LINK)
    assert not (tmp_path / "links.sealed").exists()


def test_the_record_comes_before_the_act(tmp_path: Path) -> None:
    (tmp_path / "links.sealed").mkdir()
    with pytest.raises(CacheError) as caught:
        store(tmp_path).add(LINK)
    assert "A-77" not in str(caught.value)
    assert [one["action"] for one in AuditTrail(tmp_path / "audit.jsonl").records()] == ["linked"]


@pytest.mark.parametrize("reason", ["", "  "])
def test_no_decision_without_a_reason(tmp_path: Path, reason: str) -> None:
    links = store(tmp_path)
    with pytest.raises(UsageError):
        links.add(replace(LINK, reason=reason))
    links.add(LINK)
    with pytest.raises(UsageError):
        links.revoke(LINK, reason)
    assert links.links_of(BSN) == (LINK,)


def test_nobody_reads_names_or_numbers_on_the_disk(tmp_path: Path) -> None:
    store(tmp_path).add(LINK)
    content = (tmp_path / "links.sealed").read_bytes()
    assert not any(text in content for text in (b"999990007", b"A-77", b"BAKKER", b"letter", b"1970", b"Noord"))
    assert store(tmp_path, MasterKey(b"x" * 32, "session")).links_of(BSN) == ()


@pytest.mark.skipif(sys.platform == "win32", reason="modes are not kept there")
def test_only_its_owner_may_read_the_file(tmp_path: Path) -> None:
    store(tmp_path).add(LINK)
    file = tmp_path / "links.sealed"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o644)
    store(tmp_path).add(OTHER)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def lines_of(folder: Path) -> list[bytes]:
    links = store(folder)
    links.add(LINK)
    links.add(OTHER)
    links.revoke(LINK, "another man")
    return (folder / "links.sealed").read_bytes().splitlines(keepends=True)


def test_a_confirmation_torn_anywhere_costs_only_itself(tmp_path: Path) -> None:
    first, second, _ = lines_of(tmp_path)
    for length in range(1, len(second) - 1):
        (tmp_path / "links.sealed").write_bytes(first + second[:length])
        assert store(tmp_path).links_of(BSN) == (LINK,)


def test_after_a_torn_line_the_next_one_counts(tmp_path: Path) -> None:
    first, second, _ = lines_of(tmp_path)
    (tmp_path / "links.sealed").write_bytes(first + second[:50])
    store(tmp_path).add(OTHER)
    assert store(tmp_path).links_of(BSN) == (LINK, OTHER)


def test_a_revocation_torn_anywhere_still_revokes(tmp_path: Path) -> None:
    first, second, third = lines_of(tmp_path)
    for length in range(1, len(third)):
        (tmp_path / "links.sealed").write_bytes(first + second + third[:length])
        assert LINK not in store(tmp_path).links_of(BSN)
    (tmp_path / "links.sealed").write_bytes(first + second + third[:40])
    assert store(tmp_path).links_of(BSN) == (OTHER,)


@pytest.mark.parametrize("hole", [b"\0" * 300, b"\xff", b"garbage\n"])
def test_a_line_that_could_have_been_a_revocation_is_taken_for_one(tmp_path: Path, hole: bytes) -> None:
    first, second, _ = lines_of(tmp_path)
    (tmp_path / "links.sealed").write_bytes(first + hole + b"\n" + second)
    assert store(tmp_path).links_of(BSN) == (OTHER,)


def test_an_old_line_copied_to_the_end_does_not_count(tmp_path: Path) -> None:
    first, second, third = lines_of(tmp_path)
    (tmp_path / "links.sealed").write_bytes(first + second + third + first)
    assert store(tmp_path).links_of(BSN) == (OTHER,)


@given(st.integers(0, 2000), st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_no_changed_bit_makes_another_link(tmp_path_factory: pytest.TempPathFactory, at: int, change: int) -> None:
    folder = tmp_path_factory.mktemp("links")
    content = bytearray(b"".join(lines_of(folder)[:2]))
    content[at % len(content)] ^= change
    (folder / "links.sealed").write_bytes(content)
    assert set(store(folder).links_of(BSN)) <= {LINK, OTHER}


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    links = store(tmp_path)
    links.add(LINK)
    before = (tmp_path / "links.sealed").read_bytes()
    synced = os.fsync

    def full(descriptor: int) -> None:
        if os.path.sameopenfile(descriptor, probe):
            raise OSError(28, "No space left on device")
        synced(descriptor)

    with (tmp_path / "links.sealed").open("rb") as file:
        probe = file.fileno()
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(CacheError, match="No space left"):
            links.add(OTHER)
    assert (tmp_path / "links.sealed").read_bytes() == before
    assert links.links_of(BSN) == (LINK,)
