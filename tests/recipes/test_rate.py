"""Rating fresh exports with a saved model: every video gets an answer or a count, outcomes are not needed."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from zlib import crc32

import numpy as np
import polars as pl
import pytest

from tests.conftest import once
from veracast.core.errors import InputError
from veracast.core.records import read_table
from veracast.data.dataset import Dataset
from veracast.data.ingest import ingest
from veracast.data.world import START, WorldConfig
from veracast.data.world_write import write_dataset, write_release
from veracast.recipes import run as main_job
from veracast.recipes.rate import Config, run, together
from veracast.recipes.train import Config as TrainConfig
from veracast.recipes.train import run as train

OUTCOMES = ["vid_nview", "vid_nlike", "vid_ncomment", "vid_nshare", "vid_nsave"]


@pytest.fixture(scope="module")
def model(world: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    now = START + dt.timedelta(days=40)
    main = main_job.Config(sources=(world.path,), as_of=now, horizon_days=14, raters=("constant", "szabo_huberman"))
    return (
        once(tmp_path_factory, "rate", lambda to: train(TrainConfig(to=to / "model", main=main), to / "run")) / "model"
    )


def test_a_fresh_release_file_is_rated_video_by_video(model: Path, tmp_path: Path) -> None:
    export = tmp_path / "fresh.json"
    write_release(WorldConfig(videos=60, days=20, seed=9, frames_per_video=0), export)
    record = run(Config(sources=(export,), model=model, precision="auto"), tmp_path / "rated")
    assert record.config["precision"] == "auto" and record.counts["language_precision"] is None  # none in this model
    ratings, forecasts = read_table(record, "ratings"), read_table(record, "forecasts")
    assert record.counts["rated"] == ratings.height == 60
    assert record.counts["n_unscored"] == 0
    assert set(ratings["role"]) == {"open"}
    page = Path(record.report or "").read_text(encoding="utf-8")
    assert page.count("<tr data-topic") == 60
    assert "A fresh export has no outcomes to test on." in page
    assert "every leak check ran" not in page
    assert pl.read_csv(tmp_path / "rated" / "ratings.csv")["video_id"].n_unique() == 60
    assert "model.json" in {entry["name"] for entry in record.inputs}
    seen = forecasts.filter(pl.col("now").is_not_null())
    assert seen.height > 0
    assert (seen["point"] >= seen["now"] - 1e-6).all()  # a count never falls
    assert (seen["low_80"] <= seen["high_80"]).all()


def test_a_data_set_is_rated_as_its_export_is(model: Path, tmp_path: Path) -> None:
    export = tmp_path / "fresh.json"
    write_release(WorldConfig(videos=30, days=20, seed=9, frames_per_video=0), export)
    dataset = ingest((export,), tmp_path / "set")
    one, other = (run(Config(sources=(source,), model=model), tmp_path / source.stem / "rated") for source in (export, dataset.path))  # fmt: skip
    assert read_table(one, "forecasts").equals(read_table(other, "forecasts"))
    assert one.counts["rated"] == other.counts["rated"] == 30
    assert (tmp_path / "set" / "rated" / "dataset" / "dataset.json").is_file()
    history = ingest((export,), tmp_path / "history", salt=b"another")
    with pytest.raises(InputError, match="other pseudonyms than those of the history"):
        run(Config(sources=(dataset.path,), model=model, history=history.path), tmp_path / "refused")


def test_a_half_written_model_is_refused(model: Path, tmp_path: Path) -> None:
    export = tmp_path / "fresh.json"
    write_release(WorldConfig(videos=5, days=20, frames_per_video=0), export)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no model.json: not a finished model -> give a folder written by"):
        run(Config(sources=(export,), model=tmp_path / "empty"), tmp_path / "rated")
    assert not (tmp_path / "rated").exists()


def test_a_history_gives_its_frames_too_and_the_exports_own_win(tmp_path: Path) -> None:
    history = write_dataset(WorldConfig(videos=6, seed=1, frames_per_video=2), tmp_path / "history")
    fresh = write_dataset(WorldConfig(videos=3, seed=1, frames_per_video=1), tmp_path / "fresh")
    shared = set(fresh.videos["video_id"]) & set(history.videos["video_id"])
    found = together(fresh, history).frames
    counts = dict(found.group_by("video_id").len().iter_rows())
    assert shared and counts == {
        v: 1 if v in shared else 2 for v in {*fresh.videos["video_id"], *history.videos["video_id"]}
    }


@pytest.mark.usefixtures("few_trees")
def test_half_of_the_tiktok_authors_from_the_other_half_without_outcomes(real_data: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        rows = pl.read_csv(real_data / f"tiktok_{name}_crawl.csv", infer_schema=False, encoding="utf8-lossy")
        rows = rows.rename({column: column.lstrip("\ufeff") for column in rows.columns})
        side = rows["user_name"].map_elements(lambda name: crc32(name.encode()) % 2, return_dtype=pl.Int64)
        rows.filter(side == 0).write_csv(tmp_path / f"a_{name}.csv")
        rows.filter(side == 1).write_csv(tmp_path / f"b_truth_{name}.csv")
        rows.filter(side == 1).drop(OUTCOMES).write_csv(tmp_path / f"b_{name}.csv")
    half = ingest([tmp_path / "a_first.csv", tmp_path / "a_second.csv"], tmp_path / "A")
    train(TrainConfig(to=tmp_path / "model", main=main_job.Config(sources=(half.path,))), tmp_path / "run")
    config = Config(sources=(tmp_path / "b_first.csv",), model=tmp_path / "model", history=half.path)
    record = run(config, tmp_path / "rated")
    assert record.counts["n_unscored"] == 0

    truth = ingest([tmp_path / "b_truth_first.csv"], tmp_path / "B", salt=half.salt).snapshots
    both = read_table(record, "forecasts").filter(pl.col("indicator") == "views").join(truth, on="video_id")
    assert both.height == 2_568
    y, point = np.log1p(both["views"].to_numpy()), np.log1p(both["point"].to_numpy())
    best_constant = np.abs(y - np.median(y)).mean()
    assert np.abs(y - point).mean() < best_constant * 1.01  # no clear gain is known, and none may be lost
    inside = (y >= np.log1p(both["low_80"].to_numpy())) & (y <= np.log1p(both["high_80"].to_numpy()))
    assert abs(inside.mean() - 0.8) < 0.03
