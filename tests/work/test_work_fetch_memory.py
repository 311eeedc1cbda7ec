"""What is received is streamed: little of it is in memory, and what does not become whole leaves nothing."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import receiving_child

from cache_tools import quick_folder
from image_hospital import MARKER, Connection, Gone, Hospital, Image, image, sending_to
from peers import free_port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only on Linux")

ENDLESS = 300 << 20
KIB = 1 << 10
CHILD = Path(receiving_child.__file__)


@pytest.fixture
def place() -> Iterator[Path]:
    with quick_folder() as folder:
        yield folder


def fetched(hospital: Hospital, place: Path, message_max: int = 0, move_port: int = 0) -> dict[str, Any]:
    """What a fresh process tells at the end of a fetch."""
    arguments = [str(hospital.peer.port), str(place), str(hospital.associations), str(message_max), str(move_port)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, str(CHILD), *arguments], env=environment, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def assert_no_plaintext(place: Path) -> None:
    """Nothing of the pixels is in any file in clear."""
    for path in place.rglob("*"):
        if path.is_file():
            assert MARKER not in path.read_bytes()


@pytest.mark.parametrize("associations", [1, 4])
def test_an_instance_without_end_costs_little_memory_and_leaves_nothing(place: Path, associations: int) -> None:
    def vanish(connection: Connection, one: Image) -> None:
        connection.store(one, cut=ENDLESS // 65536 // associations)
        connection.reset()

    # Two series for each connection, since each begins with a batch of its own.
    images = [image(n, series, 1 << 30) for series in range(associations) for n in range(1, 18)]
    with Hospital(images, store=vanish, associations=associations) as hospital:
        told = fetched(hospital, place)
    assert told["state"] == "failed"
    assert told["left"] == []
    assert told["peak"] - told["before"] <= 32 * KIB * associations
    assert not list((place / "cache").rglob("*.part"))
    assert_no_plaintext(place)


def test_an_instance_without_end_by_move_costs_little_memory_and_leaves_nothing(place: Path) -> None:
    port = free_port()

    sent: list[bool] = []

    def move() -> None:
        connection = sending_to(port)
        connection.store(image(1, pixels=1 << 30), cut=ENDLESS // 65536)
        sent.append(True)
        with contextlib.suppress(Gone):
            connection.reset()

    with Hospital([image(1)], move=move) as hospital:
        told = fetched(hospital, place, move_port=port)
    assert sent
    assert (told["state"], told["received"]) == ("failed", 0)
    assert told["left"] == []
    assert told["peak"] - told["before"] <= 32 * KIB
    assert_no_plaintext(place)


def test_an_instance_that_grows_beyond_the_cap_is_a_broken_archive(place: Path) -> None:
    with Hospital([image(1, pixels=1 << 30)], associations=1) as hospital:
        told = fetched(hospital, place, message_max=20 << 20)
    assert told["state"] == "failed"
    assert "broke off" in told["message"]
    assert told["left"] == []


def test_many_slices_and_large_objects_are_received_in_little_memory(place: Path) -> None:
    """A small one of what `packaging/bench/memory.py` measures."""
    large = [image(number, 1, 60 << 20) for number in range(1, 5)]
    slices = [image(number, 2, 512 << 10) for number in range(1, 201)]
    with Hospital([*large, *slices]) as hospital:
        told = fetched(hospital, place)
    assert (told["state"], told["received"]) == ("complete", len(large) + len(slices))
    assert told["peak"] <= 150 * KIB, told
    assert_no_plaintext(place)
