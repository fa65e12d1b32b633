"""A job's process: one at a time, bounded, ended with all that it started; what it says is written last."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from veracast.web import worker
from veracast.web.worker import BUSY, locked


def job(folder: Path, *argv: str, limit_s: float = 60) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "spec.json").write_text(json.dumps({"argv": list(argv), "limit_s": limit_s}))
    return folder


def start(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "veracast.web.worker", str(folder)], start_new_session=True)


def until(condition: object, timeout_s: float = 20) -> None:
    assert callable(condition)
    ends = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < ends, "it did not come"
        time.sleep(0.02)


@pytest.fixture
def sleeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for `python -m veracast`: sleeps with a child of its own, whose process numbers it prints."""
    package = tmp_path / "fake" / "veracast"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        "print(os.getpid(), child.pid, 'VERACAST_TOKEN' in os.environ, os.environ['VERACAST_PROGRESS'], flush=True)\n"
        "time.sleep(float(sys.argv[1]))\n"
    )
    real = Path(worker.__file__).parents[2]
    monkeypatch.setenv("VERACAST_TOKEN", "a-token-of-some-length")
    # the worker is ours, what it starts is the stand-in: its own folder comes first for `-m veracast`, run in the job's folder
    monkeypatch.setenv("PYTHONPATH", str(real))
    return tmp_path / "fake"


def linked(folder: Path, fake: Path) -> Path:
    (folder / "veracast").symlink_to(fake / "veracast")
    return folder


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_a_command_that_ends_leaves_its_code_and_what_it_printed(tmp_path: Path) -> None:
    folder = job(tmp_path / "j", "runs", "list", str(tmp_path), "--json")
    assert start(folder).wait(60) == 0
    outcome = json.loads((folder / "outcome.json").read_text())
    assert (outcome["exit_code"], outcome["why"]) == (0, "") and (folder / "stdout").read_text() == "[]\n"
    before = (folder / "outcome.json").read_bytes()
    assert (
        start(folder).wait(60) == 0 and (folder / "outcome.json").read_bytes() == before
    )  # what was done is not done again


@pytest.mark.parametrize(("ending", "why"), [("cancel", "cancelled"), ("time", "time"), ("stop", None), ("term", None)])
def test_an_end_takes_all_that_was_started(tmp_path: Path, sleeper: Path, ending: str, why: str | None) -> None:
    folder = linked(job(tmp_path / "j", "600", limit_s=1.5 if ending == "time" else 60), sleeper)
    process = start(folder)
    until(lambda: (folder / "stdout").is_file() and (folder / "stdout").read_text().endswith("\n"))
    pid, child, token, progress = (folder / "stdout").read_text().split()
    assert (token, progress) == ("False", str(folder / "progress.jsonl"))
    if ending in ("cancel", "stop"):
        (folder / ending).touch()
    if ending == "term":
        process.terminate()
    assert process.wait(20) == 0
    assert not alive(int(pid)) and not alive(int(child))
    assert (folder / "outcome.json").exists() is (why is not None)
    if why is not None:
        assert json.loads((folder / "outcome.json").read_text())["why"] == why


def test_the_lock_is_held_as_long_as_the_command_lives_even_without_its_worker(tmp_path: Path, sleeper: Path) -> None:
    folder = linked(job(tmp_path / "j", "600"), sleeper)
    process = start(folder)
    until(lambda: (folder / "worker.json").is_file() and (folder / "stdout").read_text().endswith("\n"))
    assert start(folder).wait(20) == BUSY
    os.kill(process.pid, 9)
    process.wait(10)
    with locked(folder) as lock:
        assert lock is None
    worker.end_group(json.loads((folder / "worker.json").read_text())["group"])

    def free() -> bool:
        with locked(folder) as lock:
            return lock is not None

    until(free)
    assert not (folder / "outcome.json").exists()


def test_of_two_who_want_a_lock_one_gets_it(tmp_path: Path) -> None:
    got = []

    def take() -> None:
        with locked(tmp_path) as lock:
            got.append(lock is not None)
            time.sleep(0.2)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False, False, False, True]
