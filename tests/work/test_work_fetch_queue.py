"""Which retrieval of one hospital goes first, waits, stops or is over; no threads and no clock."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import StudyAnswer
from priorline.work.fetch_queue import FetchQueue, Job
from priorline.work.messages import Fetch

PATIENT = Patient(Identifier("PL-0042"), "Jansen^Piet")
NUMBERS = itertools.count(1)


def asked(study: str, *, prefetch: bool = False, series: str = "", reason: str = "") -> Fetch:
    return Fetch(next(NUMBERS), StudyAnswer("North", study, PATIENT), series, reason, prefetch)


def study_of(job: Job | None) -> str:
    assert job is not None
    return job.first.study.study_uid


def begun(queue: FetchQueue) -> Job:
    job = queue.start()
    assert job is not None
    return job


def finished(queue: FetchQueue) -> list[str]:
    """Run all that waits to the end; the studies in the order in which they were fetched."""
    order = []
    while (job := queue.start()) is not None:
        order.append(study_of(job))
        queue.end(job, complete=True)
    return order


def test_the_newest_wish_of_a_person_goes_first_and_prefetch_last_in_its_own_order() -> None:
    queue = FetchQueue()
    for fetch in (asked("ahead 1", prefetch=True), asked("old"), asked("ahead 2", prefetch=True), asked("new")):
        queue.ask(fetch)
    assert finished(queue) == ["new", "old", "ahead 1", "ahead 2"]


def test_one_runs_at_a_time() -> None:
    queue = FetchQueue()
    queue.ask(asked("a"))
    queue.ask(asked("b"))
    job = begun(queue)
    assert queue.start() is None
    queue.end(job, complete=True)
    assert study_of(queue.start()) == "a"


@pytest.mark.parametrize(("first", "second"), [(True, False), (False, False)], ids=["prefetch", "older click"])
def test_what_is_outranked_stops_waits_and_ends_for_whoever_asked(first: bool, second: bool) -> None:
    queue = FetchQueue()
    slow, quick = asked("slow", prefetch=first), asked("quick", prefetch=second)
    queue.ask(slow)
    running = begun(queue)
    queue.ask(quick)
    assert running.stopping
    assert queue.places() == {slow.number: 0, quick.number: 1}
    assert queue.end(running, complete=False) == ()
    assert study_of(queue.start()) == "quick"
    assert queue.places() == {quick.number: 0, slow.number: 1}
    queue.end(queue.find("quick")[0], complete=True)
    again = begun(queue)
    assert again is running
    assert not again.stopping
    assert queue.end(again, complete=True) == (slow.number,)


@pytest.mark.parametrize("first", [True, False])
def test_a_prefetch_stops_nobody(first: bool) -> None:
    queue = FetchQueue()
    queue.ask(asked("a", prefetch=first))
    running = begun(queue)
    queue.ask(asked("b", prefetch=True))
    assert not running.stopping


def test_what_became_whole_before_it_stopped_does_not_wait_again() -> None:
    queue = FetchQueue()
    slow = asked("slow")
    queue.ask(slow)
    running = begun(queue)
    queue.ask(asked("quick"))
    assert queue.end(running, complete=True) == (slow.number,)
    assert finished(queue) == ["quick"]


def test_what_failed_by_itself_is_not_tried_again() -> None:
    queue = FetchQueue()
    fetch = asked("a")
    queue.ask(fetch)
    assert queue.end(begun(queue), complete=False) == (fetch.number,)
    assert queue.start() is None


def test_the_same_study_is_one_retrieval_with_the_higher_rank_and_both_are_answered() -> None:
    queue = FetchQueue()
    ahead, wanted, other = asked("a", prefetch=True, reason="prefetch"), asked("a", reason="trauma"), asked("b")
    queue.ask(ahead)
    queue.ask(other)
    queue.ask(wanted)
    job = begun(queue)
    assert study_of(job) == "a"
    assert job.wanted.reason == "trauma"
    assert set(queue.end(job, complete=True)) == {ahead.number, wanted.number}
    assert finished(queue) == ["b"]


def test_a_running_study_that_is_asked_for_again_goes_on_and_is_not_outranked_by_what_came_between() -> None:
    queue = FetchQueue()
    queue.ask(asked("a", prefetch=True))
    job = begun(queue)
    queue.ask(asked("a"))
    assert not job.stopping
    assert len(queue.places()) == 2
    queue.ask(asked("b", prefetch=True))
    assert not job.stopping


def test_a_series_is_not_the_study() -> None:
    queue = FetchQueue()
    queue.ask(asked("a"))
    queue.ask(asked("a", series="a.1"))
    assert len(queue.find("a")) == 2


def test_cancelling_what_waits_is_over_at_once() -> None:
    queue = FetchQueue()
    first, second = asked("a"), asked("b")
    queue.ask(first)
    queue.ask(second)
    begun(queue)
    assert queue.cancel(first.number)
    assert not queue.cancel(first.number)
    assert list(queue.places()) == [second.number]


def test_cancelling_what_runs_stops_it_and_is_answered_at_the_end() -> None:
    queue = FetchQueue()
    fetch = asked("a")
    queue.ask(fetch)
    job = begun(queue)
    assert not queue.cancel(fetch.number)
    assert job.stopping
    assert queue.end(job, complete=False) == (fetch.number,)
    assert queue.start() is None


def test_cancelling_one_of_two_leaves_the_other_its_retrieval_with_its_own_rank() -> None:
    queue = FetchQueue()
    ahead, wanted, other = asked("a", prefetch=True), asked("a"), asked("b", prefetch=True)
    for fetch in (ahead, wanted, other):
        queue.ask(fetch)
    job = begun(queue)
    assert queue.cancel(wanted.number)
    assert not job.stopping
    queue.ask(asked("c"))
    assert job.stopping
    assert queue.end(job, complete=False) == ()
    assert finished(queue) == ["c", "a", "b"]


def test_asked_for_again_while_it_stops_it_is_taken_up_again() -> None:
    queue = FetchQueue()
    left, back = asked("a"), asked("a")
    queue.ask(left)
    job = begun(queue)
    queue.cancel(left.number)
    queue.ask(back)
    assert queue.end(job, complete=False) == (left.number,)
    assert queue.end(begun(queue), complete=True) == (back.number,)


def test_a_prefetch_ends_at_its_limit_and_a_person_gets_the_rest() -> None:
    queue = FetchQueue(limit=100)
    ahead = asked("a", prefetch=True)
    queue.ask(ahead)
    job = begun(queue)
    queue.receive(job, 99)
    assert not job.stopping
    queue.receive(job, 100)
    assert job.stopping
    wanted = asked("a")
    queue.ask(wanted)  # before it has stopped
    assert queue.end(job, complete=False) == ()
    again = begun(queue)
    queue.receive(again, 10_000)
    assert not again.stopping
    assert set(queue.end(again, complete=True)) == {ahead.number, wanted.number}


def test_a_prefetch_at_its_limit_with_nobody_else_is_over() -> None:
    queue = FetchQueue(limit=100)
    ahead = asked("a", prefetch=True)
    queue.ask(ahead)
    job = begun(queue)
    queue.receive(job, 150)
    assert queue.end(job, complete=False) == (ahead.number,)
    assert queue.start() is None


def test_without_a_limit_nothing_is_over() -> None:
    queue = FetchQueue()
    queue.ask(asked("a", prefetch=True))
    job = begun(queue)
    queue.receive(job, 10**12)
    assert not job.stopping


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.sampled_from("abc"), st.booleans()),
        st.tuples(st.just("cancel"), st.integers(0, 9), st.just(False)),
        st.tuples(st.just("run"), st.just(""), st.booleans()),
    ),
    max_size=40,
)


@given(STEPS)
def test_every_request_ends_exactly_once_whatever_happens(steps: list[tuple[str, object, bool]]) -> None:
    queue = FetchQueue(limit=100)
    open_numbers: list[int] = []
    ended: list[int] = []
    running: Job | None = None
    for kind, what, flag in (*steps, *[("run", "", True)] * 100):
        if kind == "ask":
            fetch = asked(str(what), prefetch=flag)
            open_numbers.append(fetch.number)
            queue.ask(fetch)
        elif kind == "cancel" and open_numbers:
            number = open_numbers[int(str(what)) % len(open_numbers)]
            if queue.cancel(number):
                ended.append(number)
        elif running is None:
            running = queue.start()
        else:
            ended += queue.end(running, complete=flag)
            running = None
        assert set(queue.places()) <= set(open_numbers) - set(ended)
    assert sorted(ended) == sorted(open_numbers)
