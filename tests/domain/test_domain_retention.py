from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from priorline.domain.retention import Limits, expires_at, plan_cleaning

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Kept:
    study_uid: str
    bytes: int = 100
    fetched_at: datetime = NOW - timedelta(days=2)
    viewed_at: datetime = NOW - timedelta(days=2)
    pinned: bool = False
    pin_reason: str = ""


def viewed(uid: str, days: float, size: int = 100) -> Kept:
    return Kept(uid, size, NOW - timedelta(days=days), NOW - timedelta(days=days))


def test_without_limits_nothing_goes() -> None:
    plan = plan_cleaning([viewed("1", 4000)], NOW, Limits(), free_bytes=0)
    assert plan.removed == ()
    assert [reason for _study, reason in plan.kept] == ["within the limits"]


def test_age_counts_since_last_viewed() -> None:
    old = Kept("1", fetched_at=NOW - timedelta(days=90), viewed_at=NOW - timedelta(days=3))
    assert plan_cleaning([old], NOW, Limits(max_age=timedelta(days=30)), 0).removed == ()


def test_the_longest_unviewed_go_first_and_no_more_than_needed() -> None:
    studies = [viewed("new", 1), viewed("old", 9), viewed("middle", 5)]
    plan = plan_cleaning(studies, NOW, Limits(max_size=200), free_bytes=10**12)
    assert [(study.study_uid, reason) for study, reason in plan.removed] == [
        ("old", "the cache is larger than 200 bytes")
    ]


def test_room_on_the_disk_is_made() -> None:
    studies = [viewed("1", 1, 3 * 10**9), viewed("2", 2, 3 * 10**9), viewed("3", 3, 3 * 10**9)]
    plan = plan_cleaning(studies, NOW, Limits(min_free=5 * 10**9), free_bytes=10**9)
    assert [(study.study_uid, reason) for study, reason in plan.removed] == [
        ("3", "less than 5 GB free on the disk"),
        ("2", "less than 5 GB free on the disk"),
    ]


def test_just_fetched_stays_unless_asked() -> None:
    studies = [viewed("1", 0.01)]
    assert plan_cleaning(studies, NOW, Limits(max_size=0), 0).removed == ()
    assert len(plan_cleaning(studies, NOW, Limits(max_size=0, grace=timedelta(0)), 0).removed) == 1


def test_expiry_is_told() -> None:
    assert expires_at(viewed("1", 1), timedelta(days=30)) == NOW + timedelta(days=29)
    assert expires_at(viewed("1", 1), None) is None
    assert expires_at(Kept("1", pinned=True), timedelta(days=30)) is None


@given(
    st.lists(st.tuples(st.floats(0, 100), st.integers(0, 1000), st.booleans(), st.booleans()), max_size=12),
    st.integers(0, 5000),
)
def test_protected_studies_stay_and_each_study_is_told_once(
    rows: list[tuple[float, int, bool, bool]], max_size: int
) -> None:
    studies = [
        Kept(str(n), size, NOW - timedelta(days=days), NOW - timedelta(days=days), pinned)
        for n, (days, size, pinned, _open) in enumerate(rows)
    ]
    spared = {str(n) for n, row in enumerate(rows) if row[3]}
    plan = plan_cleaning(studies, NOW, Limits(timedelta(days=30), max_size), 0, spared)
    removed = {study.study_uid for study, _reason in plan.removed}
    kept = {study.study_uid for study, _reason in plan.kept}
    assert removed | kept == {study.study_uid for study in studies}
    assert not removed & kept
    assert not removed & spared
    assert not any(study.pinned for study, _reason in plan.removed)
    free_to_go = [study for study, reason in plan.kept if reason == "within the limits"]
    if free_to_go:
        assert sum(study.bytes for study, _reason in plan.kept) <= max_size
    assert all(reason for _study, reason in plan.removed + plan.kept)
