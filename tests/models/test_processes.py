"""Processes of one training: what they tell each other, and that none is left waiting when one fails."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from veracast.core.errors import ConfigError
from veracast.models.processes import check_alike, device_of, first_alone, joined, on_cpu, rank, summed, told, world

HEAD = """
import os, sys, time
from pathlib import Path
import torch
from torch import distributed as dist
from veracast.cli.output import finish
from veracast.core.errors import InputError
from veracast.core.launch import launch
from veracast.models.processes import check_alike, first_alone, joined, rank, summed, together, told, world
folder = Path(sys.argv[1])
me = launch().rank
"""
TELL = """
with joined():
    found = [rank(), world(), told({"place": "r/1"} if me == 0 else None), summed(me + 1.5, 2.0 ** -40)]
    mark = folder / "mark"
    with first_alone():
        found.append(mark.is_file())
        if me == 0:
            time.sleep(0.5)
            mark.write_text("x")
    check_alike("the same", file="f")
    try:
        check_alike(f"step {me}", file="f")
    except InputError as error:
        found.append(str(error)[:30])
(folder / f"said-{me}").write_text(repr(found))
assert not dist.is_initialized()
"""
FAIL = """
def work():
    with joined(timeout_s=60):
        together()
        if sys.argv[2] == "all" or (sys.argv[2] == "one" and me == 1):
            raise InputError("is missing", file="DATASET", remedy="name one")
        if sys.argv[2] == "killed" and me == 1:
            os.kill(os.getpid(), 9)
        together()
sys.exit(finish(work, as_json=False))
"""


def run(folder: Path, body: str, *words: str, processes: int = 2) -> subprocess.CompletedProcess[str]:
    script = folder / "task.py"
    script.write_text(HEAD + body)
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", str(script), str(folder), *words],
        capture_output=True, text=True, check=False, timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.mark.slow
def test_what_processes_tell_each_other(tmp_path: Path) -> None:
    done = run(tmp_path, TELL)
    assert done.returncode == 0, done.stderr
    for me in (0, 1):
        said = f"[{me}, 2, {{'place': 'r/1'}}, (4.0, {2.0**-39!r}), {me == 1}, 'f: process {me} of 2 found anothe']"
        assert (tmp_path / f"said-{me}").read_text() == said


@pytest.mark.slow
def test_a_fault_of_one_process_ends_all_and_is_told_once(tmp_path: Path) -> None:
    began = time.monotonic()
    done = run(tmp_path, FAIL, "one")
    assert (
        done.returncode != 0 and time.monotonic() - began < 45
    )  # most of it is starting Python; the group's timeout is 60
    lines = [line for line in done.stderr.splitlines() if "DATASET" in line]
    assert lines == ["veracast, process 1: DATASET: is missing -> name one"]


@pytest.mark.slow
def test_a_process_that_is_killed_ends_all(tmp_path: Path) -> None:
    began = time.monotonic()
    done = run(tmp_path, FAIL, "killed")
    assert done.returncode != 0 and time.monotonic() - began < 45
    assert "Signal 9 (SIGKILL)" in done.stderr  # torchrun's own table names process and signal


@pytest.mark.slow
def test_a_fault_of_all_processes_is_told_by_the_first_alone(tmp_path: Path) -> None:
    done = run(tmp_path, FAIL, "all")
    assert done.returncode != 0
    assert [line for line in done.stderr.splitlines() if "DATASET" in line] == [
        "veracast: DATASET: is missing -> name one"
    ]


def test_alone_nothing_is_joined_and_nothing_waits() -> None:
    with joined(), first_alone():
        assert (rank(), world(), told({"a": 1}), summed(1.0, 2.0)) == (0, 1, {"a": 1}, (1.0, 2.0))
    check_alike("whatever", file="f")
    assert not torch.distributed.is_initialized()


def test_devices_by_name() -> None:
    assert device_of("cpu") == torch.device("cpu")
    assert device_of("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    for name in ("cuda:99", "gpu"):
        with pytest.raises(ConfigError, match=rf"backbone\.device {name}: cannot be used .* -> auto, cpu"):
            device_of(name)


def test_what_comes_back_is_fp32_on_the_cpu_and_carries_gradients() -> None:
    weight = torch.ones(3, dtype=torch.bfloat16, requires_grad=True)
    back = on_cpu(weight * 2)
    back.sum().backward()
    assert (back.dtype, back.device.type) == (torch.float32, "cpu")
    assert weight.grad is not None and weight.grad.tolist() == [2.0, 2.0, 2.0]
