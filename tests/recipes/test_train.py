"""Training: the saved model rates as the fitted one did, and nothing is overwritten unasked."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.conftest import once, use_few_trees
from veracast.core.errors import InputError, NotMeasuredError, UserError
from veracast.core.records import Record, load_record
from veracast.data.dataset import Dataset
from veracast.data.world import START, WorldConfig
from veracast.data.world_write import write_dataset
from veracast.rating.model import load_model, rate
from veracast.recipes import run as main_job
from veracast.recipes.train import Config, run

MAIN = main_job.Config(
    as_of=START + dt.timedelta(days=40), horizon_days=14, raters=("constant", "szabo_huberman", "lightgbm")
)


def on(dataset: Path) -> main_job.Config:
    from dataclasses import replace

    return replace(MAIN, sources=(dataset,))


@pytest.fixture(scope="module")
def trained(world: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Record, Path]:
    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            use_few_trees(patch)
            run(Config(to=folder / "model", main=on(world.path)), folder / "run")

    place = once(tmp_path_factory, "trained", make)
    return load_record(place / "run"), place / "model"


@pytest.mark.usefixtures("few_trees")
def test_the_saved_model_rates_as_the_fitted_one(trained: tuple[Record, Path], world: Dataset) -> None:
    prepared = main_job.prepare(world, on(world.path))
    fitted = main_job.fit_model(prepared, main_job.backtest(prepared, on(world.path)).results, on(world.path))
    loaded = load_model(trained[1])
    samples = main_job.open_samples(prepared)
    for a, b in zip(rate(samples, fitted, alert_level=6), rate(samples, loaded, alert_level=6), strict=True):
        assert_frame_equal(a, b, check_exact=True)


def test_the_record_names_the_champion_of_every_part(trained: tuple[Record, Path]) -> None:
    record, folder = trained
    head = json.loads((folder / "model.json").read_text())
    assert record.counts["parts"] == {f"{p['state']}-{p['target']}": p["rater"] for p in head["parts"]}
    assert {"cold-level", "observed-level", "observed-views"} <= set(record.counts["parts"])


def test_a_model_in_the_way_is_kept(trained: tuple[Record, Path], world: Dataset, tmp_path: Path) -> None:
    before = (trained[1] / "model.json").read_bytes()
    with pytest.raises(UserError, match="is already there -> choose another name, or remove it first"):
        run(Config(to=trained[1], main=on(world.path)), tmp_path / "again")
    assert (trained[1] / "model.json").read_bytes() == before


def test_an_export_is_not_a_data_set(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n1\n")
    with pytest.raises(InputError):
        run(Config(to=tmp_path / "m", main=on(tmp_path / "a.csv")), tmp_path / "run")
    assert not (tmp_path / "m").exists()


def test_too_few_videos_train_nothing(tmp_path: Path) -> None:
    small = write_dataset(WorldConfig(videos=29, days=40, frames_per_video=0), tmp_path / "set")
    with pytest.raises(NotMeasuredError, match="outcomes of fewer than 30 videos"):
        run(Config(to=tmp_path / "m", main=on(small.path)), tmp_path / "run")
    assert not (tmp_path / "m").exists()


def test_a_model_holds_text_and_a_table_and_nothing_that_runs(trained: tuple[Record, Path]) -> None:
    """No pickle: every file of a model is JSON, LightGBM's text, or the table of training states."""
    files = [p for p in trained[1].rglob("*") if p.is_file()]
    assert {p.suffix for p in files} <= {".json", ".txt", ".parquet"}
    assert all(
        pl.Series([p.read_text(encoding="utf-8")]).str.len_chars()[0] > 0 for p in files if p.suffix != ".parquet"
    )
