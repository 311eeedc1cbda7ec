"""Rate and time left, on a clock that the test moves."""

import pytest

from hand_clock import Clock
from priorline.work.progress import FetchProgress, Pace, left_words, rate_words, together

MB = 10**6


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    made = Pace(clock)
    made.note(0, 0)
    return made


def run(pace: Pace, clock: Clock, seconds: float, images: float, start: int = 0) -> int:
    """Images of 1 MB come evenly, `images` a second; how many there are in the end."""
    step = 1 / images
    count = start
    for _ in range(round(seconds * images)):
        clock.now += step
        count += 1
        pace.note(count, count * MB)
    return count


def test_nothing_is_said_before_it_is_known(pace: Pace, clock: Clock) -> None:
    assert (Pace(clock).rate(), Pace(clock).left(10)) == (None, None)
    assert (pace.rate(), pace.left(10)) == (None, None)
    run(pace, clock, 0.9, 10)
    assert (pace.rate(), pace.left(10)) == (None, None)
    run(pace, clock, 0.2, 10, 9)
    assert pace.rate() == pytest.approx(10 * MB, rel=0.01)
    assert pace.left(100) == pytest.approx(10, rel=0.01)


def test_two_images_tell_no_time_left(pace: Pace, clock: Clock) -> None:
    run(pace, clock, 4, 0.5)
    assert pace.rate() == pytest.approx(0.5 * MB)
    assert pace.left(100) is None


def test_only_the_last_seconds_count(pace: Pace, clock: Clock) -> None:
    count = run(pace, clock, 60, 20)
    run(pace, clock, 20, 2, count)
    assert pace.rate() == pytest.approx(2 * MB, rel=0.05)
    assert pace.left(20) == pytest.approx(10, rel=0.05)


def test_it_does_not_jump(pace: Pace, clock: Clock) -> None:
    """Images come in groups of 16 every two seconds; rate and time left stay near the mean."""
    count, rates, lefts = 0, [], []
    for _ in range(20):
        clock.now += 2
        count += 16
        pace.note(count, count * MB)
        rates.append(pace.rate() or 0)
        lefts.append(pace.left(800) or 0)
    assert all(4 * MB < rate < 12 * MB for rate in rates[2:])
    assert all(80 < left < 125 for left in lefts[6:])


def test_silence_is_a_rate_of_nothing_and_no_time_left(pace: Pace, clock: Clock) -> None:
    run(pace, clock, 10, 10)
    clock.now += 6
    assert pace.rate() == 0
    clock.now += 20
    assert (pace.rate(), pace.left(10)) == (0, None)


def test_after_a_silence_the_rate_is_that_of_now(pace: Pace, clock: Clock) -> None:
    count = run(pace, clock, 10, 10)
    clock.now += 600
    run(pace, clock, 5, 10, count)
    assert pace.rate() == pytest.approx(10 * MB, rel=0.05)


def test_nothing_is_left_of_what_is_here_or_not_counted(pace: Pace, clock: Clock) -> None:
    run(pace, clock, 10, 10)
    assert (pace.left(0), pace.left(-3)) == (None, None)


def test_much_is_remembered_in_little(pace: Pace, clock: Clock) -> None:
    run(pace, clock, 60, 1000)
    assert len(pace._seen) < 200
    assert pace.rate() == pytest.approx(1000 * MB, rel=0.05)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (0.4, "a few seconds"),
        (16.2, "about 20 s"),
        (20, "about 20 s"),
        (20.1, "about 25 s"),
        (60, "about 60 s"),
        (61, "about 2 min"),
        (3600, "about 60 min"),
        (3601, "about 2 h"),
    ],
)
def test_time_left_in_words(seconds: float | None, words: str) -> None:
    assert left_words(seconds) == words


@pytest.mark.parametrize(
    ("rate", "words"),
    [(0, "0 kB/s"), (812_345, "812 kB/s"), (1.44e6, "1.4 MB/s"), (84.3e6, "84 MB/s"), (1.2e9, "1.2 GB/s")],
)
def test_rates_in_words(rate: float, words: str) -> None:
    assert rate_words(rate) == words


def test_progress_in_words() -> None:
    running = FetchProgress(214, 612, 48 * MB, 12e6, 33.0)
    assert running.told() == ("214 of 612 images", "about 35 s", "12 MB/s", "48 MB")
    assert FetchProgress(0, 612, ahead=2, rate=3.0).told() == ("0 of 612 images", "waiting behind 2 studies")
    assert FetchProgress(1, 0).told() == ("1 image",)
    assert running.told_beside_count() == ("about 35 s", "214 of 612 images", "12 MB/s", "48 MB")
    assert FetchProgress(3, 9, ahead=1).told_beside_count()[0] == "waiting behind 1 study"
    assert FetchProgress().told_beside_count() == ("fetching",)
    assert FetchProgress().told() == ()
    assert (running.share, FetchProgress(5, 0).share, FetchProgress(5, 4).share) == (214 / 612, 0.0, 1.0)


def test_several_as_one() -> None:
    one, two = FetchProgress(1, 10, MB, 2e6, 5.0), FetchProgress(2, 20, MB, 3e6, 50.0)
    assert together([one, two]) == FetchProgress(3, 30, 2 * MB, 5e6, 50.0)
    assert together([one, FetchProgress(2, 0, MB)]).told() == ("3 images", "2.0 MB/s", "2 MB")
