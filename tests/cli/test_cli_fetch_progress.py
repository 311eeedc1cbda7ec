"""What `priorline fetch` shows while it fetches, on a terminal and without one; the clock is the test's."""

from io import StringIO

import pytest
from rich.console import Console

from hand_clock import Clock
from priorline.cache.model import StoredInstance
from priorline.cli.fetch_progress import ShownProgress
from priorline.domain.patient import Identifier, Patient
from priorline.imaging.instance import InstanceHeader
from priorline.work.fetch import Arrived

MB = 10**6
HEADER = InstanceHeader("1.2.3", "1", "1", "1.2", "1.2.1", Patient(Identifier("PL-0042"), "Jansen^Piet"))


def arrived(stored: StoredInstance, received: int, expected: int = 100) -> Arrived:
    return Arrived(stored, HEADER, received, expected, received * MB)


@pytest.fixture
def stored() -> StoredInstance:
    return StoredInstance.__new__(StoredInstance)  # only handed on


def test_without_a_terminal_a_plain_line_comes_now_and_then_and_nothing_on_standard_output(
    capsys: pytest.CaptureFixture[str], stored: StoredInstance
) -> None:
    clock, console = Clock(), Console(file=StringIO(), force_terminal=False)
    with ShownProgress(2, console, clock) as shown:
        shown.begin(1)
        for number in range(1, 25):
            clock.now += 0.5
            shown.tell(arrived(stored, number))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        "study 1 of 2: 10 of 100 images · about 45 s · 2.0 MB/s · 10 MB",
        "study 1 of 2: 20 of 100 images · about 40 s · 2.0 MB/s · 20 MB",
    ]


def test_what_is_over_soon_says_nothing(capsys: pytest.CaptureFixture[str], stored: StoredInstance) -> None:
    clock, console = Clock(), Console(file=StringIO(), force_terminal=False)
    with ShownProgress(1, console, clock) as shown:
        shown.begin(1)
        for number in range(1, 10):
            clock.now += 0.5
            shown.tell(arrived(stored, number, 9))
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_a_bar_says_images_time_left_rate_and_amount(
    capsys: pytest.CaptureFixture[str], stored: StoredInstance
) -> None:
    drawn, clock = StringIO(), Clock()
    console = Console(file=drawn, force_terminal=True, width=120)
    with ShownProgress(2, console, clock) as shown:
        shown.begin(2)
        for number in range(1, 11):
            clock.now += 0.5
            shown.tell(arrived(stored, number))
        shown._bar.refresh()  # type: ignore[union-attr]
    assert "study 2 of 2" in drawn.getvalue()
    assert "10 of 100 images · about 45 s · 2.0 MB/s · 10 MB" in drawn.getvalue()
    assert capsys.readouterr() == ("", "")
