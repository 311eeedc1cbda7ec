"""Two cleanings at once while a window has a study open: real processes, one cache."""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from journey_tools import Program, write_config

from cache_tools import fill, handles
from priorline.cache.verify import verify
from priorline.config import load
from priorline.work.session import open_store

ROUNDS = 5
STUDIES = [f"1.2.{number}" for number in range(12)]
OPEN = STUDIES[5]


def cleanings(program: Program) -> list[tuple[int, str, str]]:
    """Exit code, output and messages of two that were started together."""
    line = [sys.executable, "-m", "priorline", "--config", str(program.config), "cache", "clean", "--json"]
    started = [subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [one.communicate(timeout=120) for one in started]
    return [(one.returncode, out, err) for one, (out, err) in zip(started, said, strict=True)]


def test_two_cleanings_at_once_share_the_work_and_spare_what_is_open(tmp_path: Path) -> None:
    for turn in range(ROUNDS):
        folder = tmp_path / str(turn)
        folder.mkdir()
        program = write_config(folder / "priorline.toml")
        settings = load(program.config)
        with open_store(settings, settings.cache_directory, settings.state_directory) as store:
            for uid in STUDIES:
                fill(store, uid, timedelta(days=400))
            names = handles(store)
            assert store.take_lease(OPEN)
            ended = cleanings(program)
            assert [(code, err) for code, _out, err in ended] == [(0, "")] * 2
            told = [json.loads(out) for _code, out, _err in ended]
            gone = [names[study["handle"]] for one in told for study in one["removed"]]
            assert sorted(gone) == sorted(set(STUDIES) - {OPEN})
            assert all({"handle", "study_uid", "reason"} <= study.keys() for one in told for study in one["kept"])
            assert {study["study_uid"] for one in told for study in one["kept"]} == {OPEN}
            assert [store.read(one) for one in store.instances(OPEN)] == [bytes(1000)] * 2
            assert verify(store).is_sound
            assert [path.name for path in store.files.incoming.iterdir()] == [store.inventory.owner.name]
