from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priorline.domain.retention import CleanPlan, Limits, expires_at, plan_cleaning, size_words

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Kept:
    handle: str
    bytes: int = 100
    fetched_at: datetime = NOW - timedelta(days=2)
    viewed_at: datetime = NOW - timedelta(days=2)
    pinned: bool = False
    complete: bool = True


def viewed(uid: str, days: float, size: int = 100) -> Kept:
    return Kept(uid, size, NOW - timedelta(days=days), NOW - timedelta(days=days))


def planned(studies: list[Kept], limits: Limits, free: int, spared: Collection[str] = ()) -> CleanPlan[Kept]:
    ordered = sorted(studies, key=lambda study: study.viewed_at)
    return plan_cleaning(ordered, NOW, limits, sum(study.bytes for study in studies), free, spared)


def test_without_limits_nothing_goes() -> None:
    plan = planned([viewed("1", 4000)], Limits(), 0)
    assert (plan.removed, plan.kept) == ((), ())


def test_age_counts_since_last_viewed() -> None:
    old = Kept("1", fetched_at=NOW - timedelta(days=90), viewed_at=NOW - timedelta(days=3))
    assert planned([old], Limits(max_age=timedelta(days=30)), 0).removed == ()


def test_the_longest_unviewed_go_first_and_no_more_than_needed() -> None:
    studies = [viewed("new", 1), viewed("old", 9), viewed("middle", 5)]
    plan = planned(studies, Limits(max_size=200), 10**12)
    assert [(study.handle, reason) for study, reason in plan.removed] == [
        ("old", "the cache is larger than 200 bytes")
    ]


def test_room_on_the_disk_is_made() -> None:
    studies = [viewed("1", 1, 3 * 10**9), viewed("2", 2, 3 * 10**9), viewed("3", 3, 3 * 10**9)]
    plan = planned(studies, Limits(min_free=5 * 10**9), 10**9)
    assert [(study.handle, reason) for study, reason in plan.removed] == [
        ("3", "less than 5 GB free on the disk"),
        ("2", "less than 5 GB free on the disk"),
    ]


def test_just_fetched_stays_unless_asked() -> None:
    studies = [viewed("1", 0.01)]
    assert planned(studies, Limits(max_size=0), 0).removed == ()
    assert len(planned(studies, Limits(max_size=0, grace=timedelta(0)), 0).removed) == 1


def test_expiry_is_told() -> None:
    assert expires_at(viewed("1", 1), timedelta(days=30)) == NOW + timedelta(days=29)
    assert expires_at(viewed("1", 1), None) is None
    assert expires_at(Kept("1", pinned=True), timedelta(days=30)) is None


@given(
    st.lists(st.tuples(st.floats(0, 100), st.integers(0, 1000), st.booleans(), st.booleans()), max_size=12),
    st.integers(0, 5000),
)
def test_protected_studies_stay_and_the_limits_are_met(
    rows: list[tuple[float, int, bool, bool]], max_size: int
) -> None:
    studies = [
        Kept(str(n), size, NOW - timedelta(days=days), NOW - timedelta(days=days), pinned)
        for n, (days, size, pinned, _open) in enumerate(rows)
    ]
    spared = {str(n) for n, row in enumerate(rows) if row[3]}
    plan = planned(studies, Limits(timedelta(days=30), max_size), 0, spared)
    removed = {study.handle for study, _reason in plan.removed}
    kept = {study.handle for study, _reason in plan.kept}
    assert not removed & kept
    assert not removed & spared
    assert not any(study.pinned for study, _reason in plan.removed)
    left = [study for study in studies if study.handle not in removed]
    could_go = [
        study
        for study in left
        if not study.pinned and study.handle not in spared and NOW - study.fetched_at >= timedelta(hours=1)
    ]
    assert not could_go or sum(study.bytes for study in left) <= max_size
    assert all(NOW - study.viewed_at <= timedelta(days=30) for study in could_go)
    assert all(reason for _study, reason in plan.removed + plan.kept)


def test_no_more_is_looked_at_than_is_due() -> None:
    looked_at: list[str] = []

    def oldest_first() -> Iterator[Kept]:
        for study in (viewed("1", 60), viewed("2", 50), viewed("3", 2), viewed("4", 1)):
            looked_at.append(study.handle)
            yield study

    plan = plan_cleaning(oldest_first(), NOW, Limits(max_age=timedelta(days=30)), 400, 0)
    assert [study.handle for study, _reason in plan.removed] == ["1", "2"]
    assert looked_at == ["1", "2", "3"]


def test_what_is_being_fetched_stays_even_without_a_grace_time() -> None:
    minute = timedelta(minutes=1)
    coming = Kept("1", 100, NOW - minute, NOW - minute, complete=False)
    whole = Kept("2", 100, NOW - minute, NOW - minute)
    stuck = Kept("3", 100, NOW - 11 * minute, NOW - 11 * minute, complete=False)
    plan = planned([coming, whole, stuck], Limits(max_size=0, grace=timedelta()), 0)
    assert [(study.handle, reason) for study, reason in plan.kept] == [("1", "being fetched")]
    assert {study.handle for study, _reason in plan.removed} == {"2", "3"}


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (526_692, "527 kB"),
        (12_890_000_000, "12.9 GB"),
        (20 * 10**9, "20 GB"),
        (10**16, "10000 TB"),
    ],
)
def test_sizes_in_words(count: int, words: str) -> None:
    assert size_words(count) == words
