"""One small generated world, its tasks and surroundings, shared by the tests of the package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from veracast.core.levels import LevelRule
from veracast.data.dataset import Dataset, open_dataset
from veracast.data.world import WorldConfig
from veracast.data.world_write import write_dataset
from veracast.models import text_store
from veracast.rating.netgpt.config import GraphConfig
from veracast.rating.netgpt.inputs import Surroundings, surroundings
from veracast.recipes import run as run_recipe


@dataclass(frozen=True)
class World:
    """train and test samples by state, the graph around them, and where both come from."""

    train: dict[str, pl.DataFrame]
    test: dict[str, pl.DataFrame]
    around: Surroundings
    dataset: Dataset
    rule: LevelRule
    store: Path

    def seen_by(self, dataset: Dataset) -> Surroundings:
        """Another state of the data set through the same eyes."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(text_store, "load_encoder", lambda name: _letters)
            return surroundings(dataset, main="views", fans="lagged", config=GraphConfig(), store=self.store)


def _letters(texts: Sequence[str]) -> np.ndarray:
    """A stand-in for a text encoder: counts of 16 buckets of characters."""
    return np.array([np.bincount([ord(c) % 16 for c in t], minlength=16) for t in texts], dtype=np.float32)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """300 videos."""
    return _made(tmp_path_factory.mktemp("netgpt"), videos=300)


@pytest.fixture(scope="session")
def larger(tmp_path_factory: pytest.TempPathFactory) -> World:
    """400 videos: enough for a network to learn from."""
    return _made(tmp_path_factory.mktemp("netgpt-larger"), videos=400)


def _made(place: Path, *, videos: int) -> World:
    write_dataset(WorldConfig(videos=videos, seed=11, frames_per_video=1), place / "w")
    dataset = open_dataset(place / "w")
    prepared = run_recipe.prepare(dataset, run_recipe.Config(sources=(dataset.path,)))
    tasks = {task.state: task for task in prepared.maker.tasks(prepared.kinds)}
    test = {state: task.test.filter("asked") for state, task in tasks.items()}
    kept = pl.concat([t.select("video_id") for t in test.values()]).unique()
    train = {state: task.train.join(kept, on="video_id", how="anti") for state, task in tasks.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_store, "load_encoder", lambda name: _letters)
        around = surroundings(dataset, main="views", fans="lagged", config=GraphConfig(), store=place / "store")
    return World(train, test, around, dataset, prepared.maker.rule, place / "store")
