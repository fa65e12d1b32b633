"""Tasks in processes of their own: all done, one thread each, an error is raised and ends the others."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from veracast.core.workers import side_by_side


def _write(folder: Path, name: str, stop: threading.Event) -> None:
    (folder / name).write_text(f"{os.getpid()} {os.environ['OMP_NUM_THREADS']}", encoding="utf-8")


def _fail_or_wait(folder: Path, name: str, stop: threading.Event) -> None:
    if name == "fails":
        raise ValueError("of the task")
    assert stop.wait(60), "nobody asked it to stop"
    (folder / name).write_text("stopped", encoding="utf-8")


def test_every_task_is_done_in_another_process_with_one_thread(tmp_path: Path) -> None:
    looks: list[float] = []
    side_by_side(_write, [(tmp_path, str(k)) for k in range(5)], workers=2, look=lambda: looks.append(time.monotonic()))
    said = [path.read_text(encoding="utf-8").split() for path in sorted(tmp_path.iterdir())]
    assert len(said) == 5 and looks
    assert str(os.getpid()) not in {pid for pid, _ in said} and {threads for _, threads in said} == {"1"}


@pytest.mark.parametrize(("workers", "tasks"), [(1, 3), (2, 1)])
def test_one_worker_or_one_task_is_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int, tasks: int) -> None:  # fmt: skip
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    looks: list[int] = []
    side_by_side(_write, [(tmp_path, str(k)) for k in range(tasks)], workers=workers, look=lambda: looks.append(len(list(tmp_path.iterdir()))))  # fmt: skip
    assert {path.read_text(encoding="utf-8").split()[0] for path in tmp_path.iterdir()} == {str(os.getpid())}
    assert looks == list(range(1, tasks + 1))


def test_an_error_is_raised_here_and_the_others_are_asked_to_end(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="of the task"):
        side_by_side(_fail_or_wait, [(tmp_path, "waits"), (tmp_path, "fails")], workers=2, look=lambda: None)
    assert (tmp_path / "waits").read_text(encoding="utf-8") == "stopped"


def test_a_worker_ends_with_the_process_that_started_it() -> None:
    """Killed, a bench leaves nobody behind who trains for nobody."""
    worker = "import os, sys; from veracast.core.workers import _end_with; parent = os.getppid(); print(os.getpid(), flush=True); _end_with(parent)"
    starter = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {worker!r}])"
    with subprocess.Popen([sys.executable, "-c", starter], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    until = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        assert time.monotonic() < until, "the worker is still there"
        time.sleep(0.1)
