"""A helper process that is killed, hangs or talks nonsense; every process here is a real one."""

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from priorline.errors import WorkerLost
from priorline.work import helper as helper_module
from priorline.work.helper import LOST, MOST_FAILED_STARTS, NOT_STARTING, STOPPED, Helper
from priorline.work.messages import (
    AskPresence,
    Cancel,
    Event,
    PresenceKnown,
    Ready,
    RequestFailed,
    StudiesFound,
    decode_courier_event,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="only on Linux")

PATIENCE = 60.0

# Does what the first "study" of a request says; `hold N` and the rest misbehave in the first N lives only.
SCRIPT = """
import os, pathlib, signal, struct, sys
from priorline.work.messages import Cancel, PresenceKnown, Ready, StudiesFound, decode_courier_request, encode
from priorline.work.pipes import read_message, take_over_standard_streams, write_message

here = pathlib.Path(__file__).parent
with (here / "lives").open("a") as file:
    file.write("x")
life = len((here / "lives").read_text())
requests, events = take_over_standard_streams()
NO_FIELDS = b"\\x83\\xa4kind\\xadRequestFailed\\xa6number\\x01"
def framed(message):
    return struct.pack("<I", len(message)) + message
RAW = {
    "garbage": framed(b"hello"),
    "oversized": struct.pack("<I", 2**31),
    "cut": struct.pack("<I", 100) + b"x",
    "not utf-8": framed(NO_FIELDS + b"\\xa7message\\xa1\\xff"),
    "deep": framed(NO_FIELDS + b"\\xa5other" + b"\\x91" * 200_000 + b"\\x90"),
}
write_message(events, encode(Ready(0)))
while (message := read_message(requests)) is not None:
    request = decode_courier_request(message)
    with (here / "asked").open("a") as file:
        file.write(f"{type(request).__name__}\\n")
    if isinstance(request, Cancel):
        continue
    word, lives = request.study_uids[0], int(request.study_uids[1])
    if life > lives:
        write_message(events, encode(PresenceKnown(request.number, {})))
    elif word == "hold":
        write_message(events, encode(StudiesFound(request.number, ())))
    elif word == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif word == "ready":
        write_message(events, encode(Ready(0)))
    else:
        events.write(RAW[word])
        events.flush()
        if word == "cut":
            events.close()
            os.close(1)
            sys.stderr = None
            requests.read()
"""


@dataclass
class Ear:
    """Hears events, and from which thread."""

    heard: "queue.Queue[Event]" = field(default_factory=queue.Queue)
    threads: set[int] = field(default_factory=set)

    def __call__(self, event: Event) -> None:
        self.threads.add(threading.get_ident())
        if not isinstance(event, Ready):
            self.heard.put(event)

    def next(self) -> Event:
        return self.heard.get(timeout=PATIENCE)


@pytest.fixture
def ear() -> Ear:
    return Ear()


Start = Callable[..., Helper]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ear: Ear) -> Iterator[Start]:
    """Starts helpers that run a script, and closes them."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    started: list[Helper] = []

    def start_one(script: str = SCRIPT, **options: float) -> Helper:
        (tmp_path / "a_helper.py").write_text(script)
        started.append(Helper("a_helper", decode_courier_event, ear, **options))
        return started[-1]

    yield start_one
    for one in started:
        one.close()


def ask(number: int, word: str = "answer", lives: int = 0) -> AskPresence:
    return AskPresence(number, (word, str(lives)))


def lives(folder: Path) -> int:
    return len((folder / "lives").read_text())


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until(holds: Callable[[], bool]) -> None:
    waiter = threading.Event()
    for _ in range(int(PATIENCE / 0.01)):
        if holds():
            return
        waiter.wait(0.01)
    raise AssertionError("it never came")


def test_a_killed_helper_comes_back_and_is_asked_once_more(start: Start, ear: Ear, tmp_path: Path) -> None:
    helper = start()
    helper.send(ask(1, "hold", lives=1))
    assert ear.next() == StudiesFound(1, ())
    first = helper.pid
    os.kill(first, signal.SIGKILL)
    assert ear.next() == PresenceKnown(1, {})
    assert helper.pid != first
    assert lives(tmp_path) == 2


def test_what_kills_it_twice_fails_and_the_next_question_is_answered(start: Start, ear: Ear) -> None:
    helper = start()
    helper.send(ask(1, "hold", lives=9))
    for _ in range(2):
        assert ear.next() == StudiesFound(1, ())
        helper.kill()
    assert ear.next() == RequestFailed(1, LOST)
    helper.send(ask(2))
    assert ear.next() == PresenceKnown(2, {})


def test_any_number_of_fatal_requests_costs_only_those(start: Start, ear: Ear) -> None:
    helper = start()
    for number in range(1, MOST_FAILED_STARTS + 2):
        helper.send(ask(number, "die", lives=999))
        assert ear.next() == RequestFailed(number, LOST)
    helper.send(ask(99))
    assert ear.next() == PresenceKnown(99, {})


@pytest.mark.parametrize("word", ["garbage", "oversized", "cut", "not utf-8", "deep", "ready"])
def test_a_helper_that_talks_nonsense_is_lost(start: Start, ear: Ear, tmp_path: Path, word: str) -> None:
    helper = start()
    first = helper.pid
    helper.send(ask(1, word, lives=1))
    assert ear.next() == PresenceKnown(1, {})
    assert is_gone(first)
    assert lives(tmp_path) == 2


def test_one_that_never_starts_fails_everything_and_is_left_alone(
    start: Start, ear: Ear, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(helper_module, "SECONDS_BETWEEN_FAILED_STARTS", 0.0)
    helper = start("import pathlib\nwith (pathlib.Path(__file__).parent / 'lives').open('a') as f: f.write('x')\n")
    helper.send(ask(1))
    assert ear.next() == RequestFailed(1, NOT_STARTING)
    for number in (2, 3):
        helper.send(ask(number))
        assert ear.next() == RequestFailed(number, NOT_STARTING)
    assert lives(tmp_path) == MOST_FAILED_STARTS
    assert threading.get_ident() not in ear.threads


def test_a_start_that_the_system_refuses_is_an_error(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(WorkerLost, match="cannot be started"):
        start()


def test_a_restart_that_the_system_refuses_is_told(start: Start, ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper_module, "SECONDS_BETWEEN_FAILED_STARTS", 0.0)
    helper = start()
    helper.send(ask(1, "hold", lives=9))
    assert ear.next() == StudiesFound(1, ())
    monkeypatch.setattr(helper, "_command", ["/nowhere/python"])
    helper.kill()
    assert ear.next() == RequestFailed(1, NOT_STARTING)


def test_what_was_cancelled_is_not_asked_again(start: Start, ear: Ear, tmp_path: Path) -> None:
    helper = start()
    helper.send(ask(1, "hold", lives=9))
    assert ear.next() == StudiesFound(1, ())
    helper.tell(Cancel(1))
    wait_until(lambda: "Cancel" in (tmp_path / "asked").read_text())
    helper.kill()
    assert ear.next() == RequestFailed(1, STOPPED)
    helper.send(ask(2))
    assert ear.next() == PresenceKnown(2, {})
    assert (tmp_path / "asked").read_text().split() == ["AskPresence", "Cancel", "AskPresence"]


def test_closing_ends_a_helper_that_hangs_with_a_full_pipe(start: Start, ear: Ear) -> None:
    helper = start(seconds_to_end=0.2)
    helper.send(ask(1))
    assert ear.next() == PresenceKnown(1, {})
    os.kill(helper.pid, signal.SIGSTOP)
    for number in range(2, 40):
        helper.send(AskPresence(number, ("x" * 100_000, "0")))
    helper.close()
    assert is_gone(helper.pid)
    assert ear.heard.empty()


def test_closing_twice_and_asking_afterwards_does_no_harm(start: Start, ear: Ear) -> None:
    helper = start()
    helper.close()
    helper.close()
    helper.send(ask(1))
    helper.tell(Cancel(1))
    helper.kill()
    assert ear.heard.empty()


def test_closing_at_any_moment_of_a_restart_leaves_nothing(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left would be found by the house rules: threads, processes, and exceptions in threads."""
    monkeypatch.setattr(helper_module, "SECONDS_BETWEEN_FAILED_STARTS", 0.0)
    pause = threading.Event()
    for moment in range(25):
        helper = start("import os; os._exit(1)")
        helper.send(ask(1))
        pause.wait(moment * 0.004)
        helper.close()
        assert is_gone(helper.pid)


def test_restarts_leak_no_descriptor_and_no_thread(start: Start, ear: Ear) -> None:
    helper = start()
    helper.send(ask(1))
    assert ear.next() == PresenceKnown(1, {})
    before = (psutil.Process().num_fds(), threading.active_count())
    for number in range(2, 6):
        helper.kill()
        helper.send(ask(number, "hold", lives=0))
        assert ear.next() == PresenceKnown(number, {})
    assert (psutil.Process().num_fds(), threading.active_count()) == before


def test_every_request_ends_exactly_once_whatever_dies(start: Start, ear: Ear) -> None:
    helper = start()
    numbers = range(1, 401)

    def send(part: int) -> None:
        for number in numbers[part::4]:
            helper.send(ask(number))

    senders = [threading.Thread(target=send, args=(part,)) for part in range(4)]
    for sender in senders:
        sender.start()
    ended: list[int] = []
    while len(ended) < len(numbers):
        event = ear.next()
        assert isinstance(event, PresenceKnown) or event == RequestFailed(event.number, LOST)
        ended.append(event.number)
        if len(ended) in (20, 60, 120):
            helper.kill()
    for sender in senders:
        sender.join()
    helper.send(ask(1000))
    assert ear.next() == PresenceKnown(1000, {})
    assert sorted(ended) == list(numbers)


def test_a_helper_ends_when_its_window_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_helper.py").write_text(SCRIPT)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    window = (
        "import sys, threading\n"
        "from priorline.work.helper import Helper\n"
        "from priorline.work.messages import decode_courier_event\n"
        "helper = Helper('a_helper', decode_courier_event, lambda event: print(helper.pid, flush=True))\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", window], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert not is_gone(pid)
        process.kill()
    wait_until(lambda: is_gone(pid))


def test_a_crash_tells_the_place_and_not_the_value() -> None:
    bug = "raise ValueError('JANSEN 1.2.840.99')"
    code = (
        "import resource, signal, threading\n"
        "from priorline.work.own_process import settle_in\n"
        "settle_in()\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE)[0], signal.getsignal(signal.SIGINT).name)\n"
        "def bug():\n"
        f"    {bug}\n"
        "lane = threading.Thread(target=bug)\n"
        "lane.start(); lane.join()\n"
        "bug()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["0", "SIG_IGN"]
    assert done.stderr.count("ValueError") == 2
    assert "line 6" in done.stderr
    assert "JANSEN" not in done.stderr
    assert done.returncode == 1
