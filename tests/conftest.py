"""What the tests share: the real data folder, where there is one, a small generated world, and progress that can be asked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from veracast.core.progress import SILENT
from veracast.data.dataset import Dataset
from veracast.data.world import WorldConfig
from veracast.data.world_write import write_dataset


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data; the test is skipped where VERACAST_DATA does not name one."""
    folder = os.environ.get("VERACAST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("VERACAST_DATA does not name the folder of real data")
    return Path(folder)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """300 generated videos."""
    return write_dataset(WorldConfig(videos=300, days=40, frames_per_video=0), tmp_path_factory.mktemp("world") / "set")


class Steps:
    """Progress that remembers the names of its steps."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def step(self, name: str, *, total: int | None = None) -> Any:
        self.names.append(name)
        return SILENT.step(name, total=total)
