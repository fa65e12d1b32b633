"""Fixtures shared by the tests: the real data folder, where there is one, and a small generated world."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

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
