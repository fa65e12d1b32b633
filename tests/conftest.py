"""What the tests share: the real data folder, where there is one, a small generated world, a finished run of it, and progress that can be asked."""

from __future__ import annotations

import datetime as dt
import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from veracast.core.progress import SILENT
from veracast.core.records import Record, load_record
from veracast.data.dataset import Dataset, open_dataset
from veracast.data.world import START, WorldConfig
from veracast.data.world_write import write_dataset


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data; the test is skipped where VERACAST_DATA does not name one."""
    folder = os.environ.get("VERACAST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("VERACAST_DATA does not name the folder of real data")
    return Path(folder)


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that make(folder) fills: once per session, by whichever worker comes first; the others wait for it. To be read alone."""
    mine = factory.getbasetemp()
    top = mine.parent if os.environ.get("PYTEST_XDIST_WORKER") else mine
    folder, done = top / f"shared-{name}", top / f"shared-{name}.done"
    with (top / f"shared-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a worker that was killed
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """300 generated videos."""
    config = WorldConfig(videos=300, days=40, frames_per_video=0)
    return open_dataset(once(tmp_path_factory, "world", lambda to: write_dataset(config, to / "set")) / "set")


@pytest.fixture(scope="session")
def finished(world: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A run over the world by one rater, with its data set beside it; its folder is to be copied before anything is written there."""
    from veracast.recipes import run as run_recipe

    config = run_recipe.Config(
        sources=(world.path,), as_of=START + dt.timedelta(days=40), horizon_days=14, raters=("szabo_huberman",),
        tasks=("horizon",), reasons=2, explained=3, keep_dataset=True,
    )  # fmt: skip
    return load_record(once(tmp_path_factory, "finished", lambda to: run_recipe.run(config, to / "r")) / "r")


def use_few_trees(patch: pytest.MonkeyPatch, rounds: int = 8) -> None:
    """Boosted models of few rounds: for tests of what is done with them, not of how good they are."""
    from veracast.rating.raters import lightgbm

    patch.setattr(lightgbm, "_scaled", lambda wanted, n: min(rounds, wanted))


@pytest.fixture
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for one test."""
    use_few_trees(monkeypatch)


class Steps:
    """Progress that remembers the names of its steps."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def step(self, name: str, *, total: int | None = None) -> Any:
        self.names.append(name)
        return SILENT.step(name, total=total)
