"""The oracle knows the law: it is better than any guess from the data, and exact where nothing is left to chance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from veracast.core.levels import load_rule
from veracast.data import world_oracle
from veracast.data.dataset import Dataset
from veracast.data.world import WorldConfig
from veracast.data.world_law import Law
from veracast.data.world_oracle import Forecasts, oracle_forecasts
from veracast.data.world_write import write_dataset
from veracast.recipes import run as run_recipe


@pytest.fixture(autouse=True)
def few_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """600 paths of growth instead of 3,000: the bounds below hold with them."""
    monkeypatch.setattr(world_oracle, "PATHS", 600)


def judged(config: WorldConfig, place: Path) -> dict[str, tuple[pl.DataFrame, Forecasts]]:
    dataset: Dataset = write_dataset(config, place)
    prepared = run_recipe.prepare(dataset, run_recipe.Config(sources=(dataset.path,)))
    age = (pl.col("observed_at") - pl.col("posted_at")).dt.total_seconds() / 3600
    crawls = dataset.snapshots.join(dataset.videos.select("video_id", "posted_at"), on="video_id").with_columns(
        age_h=age
    )
    found = {}
    for task in prepared.maker.tasks(prepared.kinds):
        asked = task.test.filter("asked")
        found[task.state] = asked, oracle_forecasts(config, asked, crawls, load_rule("xs-video-recovered"))
    return found


def mae(points: np.ndarray, truth: pl.Series) -> float:
    return float(np.nanmean(np.abs(points - truth.to_numpy())))


def test_a_world_without_chance_is_forecast_to_the_rounding_of_its_counts(tmp_path: Path) -> None:
    """No hidden part, no pace, no bursts, one tau per platform: nothing is left but whole numbers and the falling counts."""
    law = replace(Law(), hidden=1e-6, pace=1e-6, burst_chance=0.0, ln_tau_sd=1e-6, falling_steps=0.0)
    found = judged(WorldConfig(videos=300, seed=3, frames_per_video=0, law=law), tmp_path / "w")
    for samples, said in found.values():
        known = samples["y_views"] if samples["state"][0] == "cold" else samples["now_views"]
        big = (known > 5).to_numpy()  # 148 views: one more or less is .007
        assert np.abs(said.ln_views - samples["y_views"].to_numpy())[big].max() < 0.015


def test_it_beats_the_constant_by_what_the_law_gives_away(tmp_path: Path) -> None:
    found = judged(WorldConfig(videos=500, seed=4, frames_per_video=0), tmp_path / "w")
    for state, (samples, said) in found.items():
        for points, name in ((said.ln_views, "y_views"), (said.level, "y_level")):
            constant = mae(np.full(samples.height, samples[name].median()), samples[name])
            assert mae(points, samples[name]) < (0.55 if state == "cold" else 0.3) * constant, (state, name)
    assert mae(found["cold"][1].ln_views, found["cold"][0]["y_views"]) == pytest.approx(0.55, abs=0.12)


def test_the_hidden_part_is_not_told(tmp_path: Path) -> None:
    """With all weight on the hidden part the oracle at posting is no better than a platform's constant."""
    weights = {name: 0.0 for name in ("author", "heat", "music", "tags", "theme", "frame", "echo")}
    law = replace(Law(), hidden=1.5, **weights)
    samples, said = judged(WorldConfig(videos=400, seed=5, frames_per_video=0, law=law), tmp_path / "w")["cold"]
    by_platform = samples.select((pl.col("y_views") - pl.col("y_views").median().over("platform")).abs().mean()).item()
    assert mae(said.ln_views, samples["y_views"]) > 0.93 * by_platform
