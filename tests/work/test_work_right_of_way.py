"""Who receives waits while an image is due in the window, never for long, and for no dead window."""

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gated_archive import GatedArchive, image, row
from priorline.archives.incoming import put
from priorline.config import CacheSettings, Settings
from priorline.work import right_of_way
from priorline.work.arriving import Arriving
from priorline.work.fetch import StudyFetch
from priorline.work.messages import Configure
from priorline.work.right_of_way import GivingWay, RightOfWay
from priorline.work.session import open_session, open_store, open_trail

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="only on Linux")

PATIENCE = 30.0
A_MOMENT = 0.05


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch) -> Iterator[RightOfWay]:
    monkeypatch.setattr(right_of_way, "LONGEST_MILLISECONDS", round(PATIENCE * 1000))
    opened = RightOfWay()
    yield opened
    opened.close()


def paused(courier: GivingWay, count: int = 1) -> list[threading.Thread]:
    threads = [threading.Thread(target=courier.pause) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


def ended(threads: list[threading.Thread]) -> bool:
    for thread in threads:
        thread.join(PATIENCE / 2)
    return not any(thread.is_alive() for thread in threads)


def test_all_wait_while_an_image_is_due_and_go_on_when_it_is_painted(window: RightOfWay) -> None:
    courier = GivingWay(window.descriptor)
    courier.pause()
    for _ in range(3):
        window.take()
        window.take()  # a second picture before the first is there
        threads = paused(courier, 4)
        threads[0].join(A_MOMENT)
        assert all(thread.is_alive() for thread in threads)
        window.leave()
        window.leave()
        assert ended(threads)
        courier.pause()


def test_a_window_that_hangs_is_waited_for_once(window: RightOfWay, monkeypatch: pytest.MonkeyPatch) -> None:
    courier = GivingWay(window.descriptor)
    window.take()
    with monkeypatch.context() as soon:
        soon.setattr(right_of_way, "LONGEST_MILLISECONDS", 1)
        courier.pause()
    assert ended(paused(courier))
    window.leave()
    courier.pause()
    window.take()
    threads = paused(courier)
    threads[0].join(A_MOMENT)
    assert threads[0].is_alive()
    window.leave()
    assert ended(threads)


def test_nobody_waits_for_a_window_that_is_gone(window: RightOfWay) -> None:
    courier = GivingWay(os.dup(window.descriptor or 0))
    window.take()
    threads = paused(courier)
    window.close()
    assert ended(threads)
    os.close(courier._descriptor or 0)
    window.take()
    window.leave()


def test_without_a_window_nobody_waits() -> None:
    GivingWay().pause()
    GivingWay(None).pause()


def test_what_a_courier_works_with_looks_where_the_window_says(window: RightOfWay, tmp_path: Path) -> None:
    places = str(tmp_path / "cache"), str(tmp_path / "state")
    session = open_session(Configure(0, Settings(), *places, window.descriptor))
    with session.store:
        window.take()
        threads = paused(session.way)
        threads[0].join(A_MOMENT)
        assert threads[0].is_alive()
        window.leave()
        assert ended(threads)


def test_an_instance_may_wait_at_each_piece_and_before_it_is_judged() -> None:
    told: list[str] = []
    arriving = Arriving(
        image("1.2", 0),
        "PRIORLINE",
        lambda *_: told.append("take"),
        lambda: pytest.fail("it is small"),
        0,
        lambda: told.append("pause"),
    )
    for piece in (b"one", b"two"):
        put(arriving, piece)
    arriving.finish()
    assert told == ["pause", "pause", "pause", "take"]


def test_an_instance_may_wait_once_more_before_it_is_sealed(tmp_path: Path) -> None:
    settings = Settings(cache=CacheSettings(encrypt=False, key="session"))
    north, told = GatedArchive("North"), list[None]()
    north.open()
    with open_store(settings, tmp_path / "cache", tmp_path) as store:
        fetch = StudyFetch(north, store, row("1.1"), lambda _arrived: None, pause=lambda: told.append(None))
        assert fetch.run(open_trail(tmp_path)).received == north.images
    assert len(told) == 3 * north.images
