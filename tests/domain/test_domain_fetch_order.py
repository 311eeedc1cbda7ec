"""What is fetched first: a sample of everything, then evenly, and what somebody looks at before the rest."""

import threading
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from priorline.domain.fetch_order import BATCH_LEAST, BATCH_MOST, SAMPLE, TRIES, Batch, FetchOrder, spread


def series(name: str, count: int) -> list[str]:
    return [f"{name}.{number}" for number in range(count)]


def drain(order: FetchOrder) -> list[Batch]:
    batches = []
    while (batch := order.next()) is not None:
        batches.append(batch)
    return batches


@given(st.integers(0, 400))
def test_every_image_comes_once(count: int) -> None:
    assert sorted(spread(count)) == list(range(count))


def test_first_middle_and_last_come_first_and_then_halves() -> None:
    assert list(spread(9))[:5] == [0, 4, 8, 2, 6]
    assert (list(spread(1)), list(spread(2))) == ([0], [0, 1])


@given(st.integers(4, 300), st.data())
def test_what_is_here_is_spread_evenly_at_any_moment(count: int, data: st.DataObject) -> None:
    taken = data.draw(st.integers(3, count))
    places = sorted(list(spread(count))[:taken])
    gaps = [after - before for before, after in pairwise(places)]
    assert max(gaps) <= 4 * max(count / taken, 1)


def test_a_sample_of_each_series_comes_before_the_rest_of_any_and_small_ones_whole() -> None:
    order = FetchOrder({"ct": series("ct", 100), "scout": series("scout", 2), "thin": series("thin", 50)}, ())
    first = [order.next() for _ in range(3)]
    assert first == [
        Batch("scout", ("scout.0", "scout.1")),
        Batch("ct", ("ct.0", "ct.50", "ct.99")),
        Batch("thin", ("thin.0", "thin.25", "thin.49")),
    ]
    rest = drain(order)
    assert [batch.series_uid for batch in rest] == sorted(batch.series_uid for batch in rest)
    assert max(len(batch.sop_uids) for batch in rest) <= BATCH_MOST


def test_what_is_here_is_not_asked_for_and_an_end_is_an_end() -> None:
    listed = {"a": series("a", 20), "b": series("b", 3)}
    here = {"a.0", "a.7", *series("b", 3)}
    order = FetchOrder(listed, here)
    assert len(order) == 18
    given_out = [uid for batch in drain(order) for uid in batch.sop_uids]
    assert sorted(given_out) == sorted(set(listed["a"]) - here)
    assert order.next() is None
    assert FetchOrder({}, ()).next() is None


def test_what_somebody_looks_at_goes_first_outwards_from_there() -> None:
    order = FetchOrder({"a": series("a", 200), "b": series("b", 200)}, ())
    order.next()
    order.prefer("b", "b.100")
    batch = order.next()
    assert batch is not None
    assert batch.series_uid == "b"
    assert {int(uid.split(".")[1]) for uid in batch.sop_uids} <= set(range(100 - BATCH_MOST, 101 + BATCH_MOST))
    order.prefer("c", "c.1")
    order.prefer("a")
    following = order.next()
    assert following is not None
    assert following.series_uid == "a"


def test_what_did_not_come_is_asked_for_once_more_and_not_for_ever() -> None:
    order = FetchOrder({"a": series("a", 5)}, ())
    asked = []
    while (batch := order.next()) is not None:
        asked += batch.sop_uids
        order.put_back(batch, {"a.0"})
    assert sorted(asked) == sorted(["a.0", *series("a", 5)[1:] * TRIES])


@given(st.integers(1, 900), st.integers(1, 8))
def test_batches_grow_small_towards_the_end_so_that_all_lanes_end_together(count: int, connections: int) -> None:
    order = FetchOrder({"a": series("a", count)}, (), connections)
    assert 1 <= order.lanes <= connections
    sizes = [len(batch.sop_uids) for batch in drain(order)]
    assert sum(sizes) == count
    assert sizes[1:] == sorted(sizes[1:], reverse=True)
    assert max(sizes) <= BATCH_MOST
    # While the last batch runs, no lane waits for more than its own share of the end.
    assert order.lanes == 1 or sizes[-1] <= BATCH_LEAST


def test_a_connection_more_is_opened_only_where_it_has_something_to_do() -> None:
    lanes = [FetchOrder({"a": series("a", count)}, (), 4).lanes for count in (0, 1, 16, 17, 48, 49, 500)]
    assert lanes == [1, 1, 1, 2, 3, 4, 4]


def test_several_lanes_share_it_without_asking_twice() -> None:
    order = FetchOrder({name: series(name, 137) for name in "abcdefgh"}, ())
    taken: list[str] = []

    def lane() -> None:
        taken.extend(uid for batch in drain(order) for uid in batch.sop_uids)

    lanes = [threading.Thread(target=lane) for _ in range(4)]
    for one in lanes:
        one.start()
    for one in lanes:
        one.join()
    assert len(taken) == len(set(taken)) == 8 * 137


def test_a_sample_is_what_scrolling_needs_first() -> None:
    order = FetchOrder({"a": series("a", 500)}, (), 4)
    batch = order.next()
    assert batch is not None
    assert batch.sop_uids[:SAMPLE] == ("a.0", "a.250", "a.499")
    # A question for these alone would cost more than they do, where nothing else is to be sampled.
    assert len(batch.sop_uids) == BATCH_MOST


def test_beside_a_stream_a_sample_of_long_series_and_then_only_what_is_preferred() -> None:
    order = FetchOrder({"cine": series("cine", 1), "ct": series("ct", 100), "thin": series("thin", 50)}, ())
    assert order.few(()) == Batch("ct", ("ct.0", "ct.50", "ct.99"))
    assert order.few({"thin.0", "thin.25", "thin.49"}) is None
    order.prefer("ct", "ct.10")
    batch = order.few(())
    assert batch is not None
    assert (batch.sop_uids[0], len(batch.sop_uids)) == ("ct.10", BATCH_LEAST)
    assert order.few(()) is None
