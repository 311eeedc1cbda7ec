"""Decoders that die, hang or lie; every one is a real process, and every picture comes through shared memory."""

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from io import BytesIO
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import msgspec
import numpy as np
import psutil
import pydicom
import pytest
from pydicom.data import get_testdata_file

from priorline.cache.seal import seal
from priorline.errors import CacheDamaged, CannotDecode
from priorline.imaging.decode import decode_frame
from priorline.imaging.frame import DecodedFrame, LookupTable, ValueMapping
from priorline.imaging.instance import InstanceHeader, Window
from priorline.imaging.read import read_header
from priorline.work import decoders as decoders_module
from priorline.work.decoder_messages import FrameDecoded
from priorline.work.decoders import LARGEST_SLOT, SMALLEST_SLOT, Answer, Decoders, Wish, is_sensible
from priorline.work.helper import LOST
from priorline.work.messages import Ticket
from priorline.work.one_frame import decode_apart

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="only on Linux")

PATIENCE = 60.0
KEY, STUDY, HANDLE = bytes(range(32)), bytes(16), bytes([7]) * 16

# The picture is always frame 0; the number that is asked for says how the codec behaves before that.
NORMAL, DIES_ONCE, HANGS, WAITS, HANGS_ONCE = 0, 1000, 2000, 3000, 4000
BEHAVIOUR = f"""
import os, pathlib, signal, sys, time
here = pathlib.Path(__file__).parent
if "priorline.work.decoder" in sys.orig_argv:
    import msgspec
    import priorline.imaging.decode as decode
    import priorline.work.decoder_messages as messages
    import priorline.work.pipes as pipes
    real_decode, real_write = decode.decode_frame, pipes.write_message

    def once(name):
        if (here / name).exists():
            return False
        (here / name).touch()
        return True

    def decode_frame(data, frame=0):
        with (here / "order").open("a") as file:
            file.write(f"{{frame}} ")
        if frame == {DIES_ONCE} and once("died"):
            os.kill(os.getpid(), signal.SIGKILL)
        while frame == {HANGS} or (frame == {HANGS_ONCE} and once("hung")):
            time.sleep(3600)
        while frame == {WAITS} and not (here / "go").exists():
            time.sleep(0.005)
        return real_decode(data, 0)

    def write_message(stream, message):
        event = messages.decode_decoder_event(message)
        if (here / "lies").exists() and event.number:
            lie = msgspec.json.decode((here / "lies").read_bytes())[event.number - 1]
            kind = messages.SlotTooSmall if lie.get("kind") == "SlotTooSmall" else messages.FrameDecoded
            told = msgspec.to_builtins(event, builtin_types=(bytes,)) | {{"kind": kind.__name__}} | lie
            message = msgspec.msgpack.encode(told)
        real_write(stream, message)

    decode.decode_frame, pipes.write_message = decode_frame, write_message
"""


@dataclass
class Ear:
    """Hears answers."""

    heard: "queue.Queue[tuple[int, Answer]]" = field(default_factory=queue.Queue)

    def __call__(self, number: int, answer: Answer) -> None:
        self.heard.put((number, answer))

    def next(self) -> tuple[int, Answer]:
        return self.heard.get(timeout=PATIENCE)


class Noted(SharedMemory):
    """Shared memory whose name is remembered."""

    names: list[str] = []  # noqa: RUF012 - the test's own

    def __init__(self, name: str | None = None, create: bool = False, size: int = 0) -> None:
        super().__init__(name, create, size)
        self.names.append(self.name)


def is_there(name: str) -> bool:
    return Path("/dev/shm", name.lstrip("/")).exists()  # noqa: S108 - where Linux keeps it


@pytest.fixture(autouse=True)
def nothing_stays_in_shared_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(decoders_module, "SharedMemory", Noted)
    Noted.names = []
    yield
    assert [name for name in Noted.names if is_there(name)] == []


@pytest.fixture
def behaviour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Decoders behave as the number of the frame says; what they write is in this folder."""
    (tmp_path / "sitecustomize.py").write_text(BEHAVIOUR)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


Start = Callable[..., tuple[Decoders, Ear]]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[Decoders] = []

    def start_some(count: int = 1, seconds: float = 30.0) -> tuple[Decoders, Ear]:
        ear = Ear()
        started.append(Decoders(count, ear, seconds_per_frame=seconds))
        return started[-1], ear

    yield start_some
    for one in started:
        one.close()


@pytest.fixture
def ct() -> bytes:
    return Path(get_testdata_file("CT_small.dcm")).read_bytes()


@pytest.fixture
def ticket(tmp_path: Path, ct: bytes) -> Ticket:
    return sealed(tmp_path / "object", ct)


def sealed(path: Path, data: bytes) -> Ticket:
    path.write_bytes(seal(data, KEY, STUDY + HANDLE))
    return Ticket(str(path), HANDLE.hex(), KEY)


def large_picture(ct: bytes) -> bytes:
    """A CT of 5 MB, more than a slot has at first."""
    ds = pydicom.dcmread(BytesIO(ct))
    ds.Rows, ds.Columns = 2000, 1300
    ds.PixelData = np.arange(2000 * 1300, dtype="<u2").tobytes()
    written = BytesIO()
    ds.save_as(written)
    return written.getvalue()


def same(answer: Answer, data: bytes) -> bool:
    assert isinstance(answer, DecodedFrame), answer
    expected = decode_frame(data)
    assert answer.array.dtype == expected.array.dtype
    return (
        np.array_equal(answer.array, expected.array)
        and answer.mapping == expected.mapping
        and answer.header == expected.header
    )


def wait_until(holds: Callable[[], bool]) -> None:
    waiter = threading.Event()
    for _ in range(int(PATIENCE / 0.01)):
        if holds():
            return
        waiter.wait(0.01)
    raise AssertionError("it never came")


def has_begun(folder: Path, frame: int) -> bool:
    order = folder / "order"
    return order.exists() and str(frame) in order.read_text().split()


# The picture


def test_a_frame_through_the_decoder_is_the_frame(start: Start, ticket: Ticket, ct: bytes) -> None:
    decoders, ear = start()
    decoders.want("pane", Wish(5, ticket, 0))
    number, answer = ear.next()
    assert number == 5
    assert same(answer, ct)


def test_a_frame_larger_than_the_slot_makes_it_grow(start: Start, tmp_path: Path, ticket: Ticket, ct: bytes) -> None:
    decoders, ear = start()
    large = large_picture(ct)
    assert len(large) > SMALLEST_SLOT
    decoders.want("pane", Wish(1, sealed(tmp_path / "large", large), 0))
    assert same(ear.next()[1], large)
    decoders.want("pane", Wish(2, ticket, 0))
    assert same(ear.next()[1], ct)
    assert len(Noted.names) == 2


@pytest.mark.parametrize("what", ["missing", "damaged", "no DICOM", "no such frame"])
def test_what_cannot_be_shown_is_a_sentence(start: Start, tmp_path: Path, ct: bytes, what: str) -> None:
    decoders, ear = start()
    ticket = sealed(tmp_path / "object", b"text" * 100 if what == "no DICOM" else ct)
    path = Path(ticket.path)
    if what == "missing":
        path.unlink()
    if what == "damaged":
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    decoders.want("pane", Wish(1, ticket, 3 if what == "no such frame" else 0))
    answer = ear.next()[1]
    assert isinstance(answer, CacheDamaged if what in ("missing", "damaged") else CannotDecode)
    assert str(answer).endswith(".")
    assert answer.args != (LOST,)


def test_a_command_gets_its_frame_from_a_process_of_its_own(ct: bytes) -> None:
    assert same(decode_apart(ct, 0), ct)
    with pytest.raises(CannotDecode):
        decode_apart(ct, 7)


# Death and hanging


def test_killed_in_the_middle_it_gives_the_same_answer(
    start: Start, behaviour: Path, ticket: Ticket, ct: bytes
) -> None:
    decoders, ear = start()
    decoders.want("pane", Wish(1, ticket, WAITS))
    wait_until(lambda: has_begun(behaviour, WAITS))
    os.kill(decoders.pids[0], signal.SIGKILL)
    (behaviour / "go").touch()
    assert same(ear.next()[1], ct)
    decoders.want("pane", Wish(2, ticket, DIES_ONCE))
    assert same(ear.next()[1], ct)


def test_a_stopped_decoder_is_replaced(start: Start, behaviour: Path, ticket: Ticket, ct: bytes) -> None:
    decoders, ear = start(seconds=2.0)
    decoders.want("pane", Wish(1, ticket, HANGS_ONCE))
    assert same(ear.next()[1], ct)


def test_what_hangs_twice_fails_and_others_go_on(start: Start, behaviour: Path, ticket: Ticket, ct: bytes) -> None:
    decoders, ear = start(seconds=2.0)
    first = decoders.pids
    decoders.want("pane", Wish(1, ticket, HANGS))
    number, answer = ear.next()
    assert (number, str(answer)) == (1, LOST)
    assert isinstance(answer, CannotDecode)
    assert (behaviour / "order").read_text().split() == [str(HANGS)] * 2
    assert decoders.pids != first
    decoders.want("pane", Wish(2, ticket, NORMAL))
    assert same(ear.next()[1], ct)


def test_closing_does_not_wait_for_a_picture(start: Start, behaviour: Path, ticket: Ticket) -> None:
    decoders, ear = start(2)
    decoders.want("left", Wish(1, ticket, HANGS))
    decoders.want("right", Wish(2, ticket, WAITS))
    decoders.want("third", Wish(3, ticket, NORMAL))
    wait_until(lambda: has_begun(behaviour, HANGS) and has_begun(behaviour, WAITS))
    pids = decoders.pids
    decoders.close()
    decoders.close()
    decoders.want("pane", Wish(4, ticket, NORMAL))
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert ear.heard.empty()


def test_a_window_that_is_killed_leaves_no_decoder_and_no_memory(
    behaviour: Path, ticket: Ticket, tmp_path: Path
) -> None:
    window = (
        "import sys\n"
        "import priorline.work.decoders as d\n"
        "pool = d.Decoders(1, lambda number, answer: print(pool.pids[0], pool._slots[0]._memory.name, flush=True))\n"
        "from priorline.work.messages import Ticket\n"
        f"pool.want('pane', d.Wish(1, Ticket({ticket.path!r}, {ticket.handle!r}, {ticket.key!r}), 0))\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", window]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as window_:
        assert window_.stdout is not None
        pid, name = window_.stdout.readline().decode().split()
        assert is_there(name)
        window_.kill()
    wait_until(lambda: not is_there(name))
    wait_until(lambda: not psutil.pid_exists(int(pid)) or psutil.Process(int(pid)).status() == "zombie")


# Who comes first


def test_a_newer_wish_replaces_an_older_one_that_has_not_begun(start: Start, behaviour: Path, ticket: Ticket) -> None:
    decoders, ear = start()
    decoders.want("other", Wish(1, ticket, WAITS))
    wait_until(lambda: has_begun(behaviour, WAITS))
    for number in (2, 3, 4):
        decoders.want("pane", Wish(number, ticket, number))
    (behaviour / "go").touch()
    assert [ear.next()[0], ear.next()[0]] == [1, 4]
    decoders.want("pane", Wish(5, ticket, 5))
    assert ear.next()[0] == 5
    assert (behaviour / "order").read_text().split() == [str(WAITS), "4", "5"]


def test_what_somebody_looks_for_comes_before_what_may_be_looked_for(
    start: Start, behaviour: Path, ticket: Ticket
) -> None:
    decoders, ear = start()
    decoders.want("other", Wish(1, ticket, WAITS))
    wait_until(lambda: has_begun(behaviour, WAITS))
    decoders.want_later("next", Wish(2, ticket, 0))
    decoders.want_later("after", Wish(3, ticket, 0))
    decoders.want("pane", Wish(4, ticket, 0))
    decoders.want("after", Wish(5, ticket, 0))
    (behaviour / "go").touch()
    assert [ear.next()[0] for _ in range(4)] == [1, 4, 5, 2]


def test_forgotten_wishes_are_not_decoded(start: Start, behaviour: Path, ticket: Ticket) -> None:
    decoders, ear = start()
    decoders.want("pane", Wish(1, ticket, WAITS))
    wait_until(lambda: has_begun(behaviour, WAITS))
    decoders.want_later("next", Wish(2, ticket, 22))
    decoders.forget_later()
    (behaviour / "go").touch()
    assert ear.next()[0] == 1
    decoders.want("pane", Wish(3, ticket, 0))
    assert ear.next()[0] == 3
    assert not has_begun(behaviour, 22)


def test_a_pool_answers_every_wish_while_decoders_die(start: Start, ticket: Ticket, ct: bytes) -> None:
    decoders, ear = start(2)
    numbers = range(1, 81)
    for number in numbers:
        decoders.want(f"pane {number}", Wish(number, ticket, 0))
    answered: list[int] = []
    while len(answered) < len(numbers):
        number, answer = ear.next()
        assert same(answer, ct)
        answered.append(number)
        if len(answered) in (10, 30):
            os.kill(decoders.pids[len(answered) // 20], signal.SIGKILL)
    assert sorted(answered) == list(numbers)


# Lies


def test_a_decoder_that_lies_costs_its_frame_only(start: Start, behaviour: Path, ticket: Ticket, ct: bytes) -> None:
    lies: list[dict[str, object]] = [
        {"shape": [128, 2**40]},
        {"shape": [2**62, 4]},
        {"shape": [0, 128]},
        {"shape": [-128, -128]},
        {"shape": []},
        {"shape": [128, 128, 3]},
        {"bits": 32},
        {"bits": 0},
        {"kind": "SlotTooSmall", "needed": LARGEST_SLOT + 1},
        {"kind": "SlotTooSmall", "needed": -1},
        {"kind": "SlotTooSmall", "needed": SMALLEST_SLOT + 4096},
        {},
    ]
    (behaviour / "lies").write_bytes(msgspec.json.encode(lies))
    decoders, ear = start()
    for number, _ in enumerate(lies[:-1], start=1):
        decoders.want("pane", Wish(number, ticket, 0))
        told, answer = ear.next()
        assert told == number
        assert isinstance(answer, CannotDecode), lies[number - 1]
        assert answer.args != (LOST,)
    decoders.want("pane", Wish(len(lies), ticket, 0))
    assert same(ear.next()[1], ct)
    assert len(Noted.names) == 2


def test_a_full_shared_memory_costs_one_frame(
    start: Start, tmp_path: Path, ct: bytes, ticket: Ticket, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoders, ear = start()

    def refuse(*_: object, **__: object) -> SharedMemory:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(decoders_module, "SharedMemory", refuse)
    decoders.want("pane", Wish(1, sealed(tmp_path / "large", large_picture(ct)), 0))
    assert isinstance(ear.next()[1], CannotDecode)
    decoders.want("pane", Wish(2, ticket, 0))
    assert same(ear.next()[1], ct)


HONEST = ValueMapping(bits=16, slope=1.0, intercept=-1024.0, minimum=0, maximum=4095, windows=(Window(40.0, 400.0),))
TABLE = LookupTable(0.0, b"\0\0\1\0", 8)
NAN, INFINITE = float("nan"), float("inf")


def told(ct: bytes, shape: tuple[int, ...] = (128, 128), bits: int = 16, **changed: object) -> FrameDecoded:
    header: InstanceHeader = read_header(ct)
    return FrameDecoded(1, shape, bits, replace(HONEST, **changed), header)  # type: ignore[arg-type]


def test_honest_pictures_are_taken(ct: bytes) -> None:
    room = 128 * 128 * 2
    assert is_sensible(told(ct), room)
    assert is_sensible(told(ct, padding=(0, 9)), room)
    assert is_sensible(told(ct, modality_lut=TABLE, voi_luts=(TABLE,)), room)
    colour = FrameDecoded(1, (100, 100, 3), 8, ValueMapping(photometric="rgb"), read_header(ct))
    assert is_sensible(colour, 30_000)
    assert not is_sensible(colour, 29_999)


@pytest.mark.parametrize(
    "change",
    [
        {"slope": NAN},
        {"intercept": INFINITE},
        {"bits": 8},
        {"minimum": -1},
        {"maximum": 65536},
        {"padding": (0, 70000)},
        {"windows": (Window(NAN, 1.0),)},
        {"windows": (Window(0.0, 0.0),)},
        {"windows": (Window(0.0, INFINITE),)},
        {"modality_lut": replace(TABLE, entries=b"")},
        {"modality_lut": replace(TABLE, first=NAN)},
        {"voi_luts": (replace(TABLE, entries=b"\0"),)},
        {"voi_luts": (replace(TABLE, bits=0),)},
        {"photometric": "rgb"},
        {"photometric": "cmyk"},
    ],
)
def test_numbers_that_would_upset_the_window_are_not_taken(ct: bytes, change: dict[str, object]) -> None:
    assert not is_sensible(told(ct, **change), 128 * 128 * 2)
