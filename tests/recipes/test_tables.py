"""What a run writes: tables that agree with each other and with the scores drawn from them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.conftest import once, use_few_trees
from veracast.core.records import Record, load_record, read_table
from veracast.data.dataset import Dataset
from veracast.data.world import START
from veracast.recipes.run import Config, run

NOW = START + dt.timedelta(days=40)
EXPLAINED = 8


@pytest.fixture(scope="module")
def made(world: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Record:
    config = Config(
        sources=(world.path,), as_of=NOW, horizon_days=14, raters=("median", "persistence", "lightgbm"),
        alert_level=4, explained=EXPLAINED, reasons=1,
    )  # fmt: skip

    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            use_few_trees(patch)
            run(config, folder / "r")

    return load_record(once(tmp_path_factory, "tables", make) / "r")


def test_scores_are_those_of_the_backtest_table(made: Record) -> None:
    rows = read_table(made, "backtest")
    checked = 0
    for score in made.scores:
        where = score.slice
        if set(where) - {"split", "rater", "champion", "state", "variant", "horizon"} or score.name != "mae_ln_views":
            continue
        part = rows.filter(
            (pl.col("task") == where["variant"])
            & (pl.col("rater") == where["rater"])
            & (pl.col("indicator") == "views")
        )
        known = part.drop_nulls("point")
        if where["variant"].endswith("+leak"):  # type: ignore[union-attr]
            continue
        assert (score.n, score.n_unscored) == (known.height, part.height - known.height)
        if known.height:
            assert score.value == pytest.approx((known["point"] - known["truth"]).abs().mean())
        checked += 1
    assert checked == 6  # two tasks, three raters


def test_slices_add_up_to_the_whole(made: Record) -> None:
    of = [s for s in made.scores if s.name == "mae_ln_views" and s.slice.get("rater") == "lightgbm" and s.slice.get("state") == "observed"]  # fmt: skip
    whole = next(s for s in of if not set(s.slice) & {"age_bucket", "platform", "topic", "level", "follower_decile"})
    platforms = [s for s in of if "platform" in s.slice]
    assert 0 < sum(s.n for s in platforms) <= whole.n
    small = whole.n - sum(s.n for s in platforms)
    assert small < 10 * 5  # only slices of under ten rows are left out
    if small == 0 and whole.value is not None:
        assert sum(s.n * (s.value or 0) for s in platforms) / whole.n == pytest.approx(whole.value)


def test_half_the_explained_are_still_undecided(made: Record) -> None:
    ratings = read_table(made, "ratings").filter(pl.col("role") == "open")
    explained = read_table(made, "curves")["video_id"].unique()
    assert len(explained) == EXPLAINED
    undecided = ratings.filter(pl.col("video_id").is_in(explained.implode()) & (pl.col("level_floor").fill_null(0) < 4))
    assert undecided.height >= EXPLAINED * 3 // 4
    best = ratings.filter(pl.col("level_floor").fill_null(0) < 4)["p_alert"].max()
    assert undecided["p_alert"].max() == best


def test_curves_start_with_what_was_counted_and_end_at_the_horizon(made: Record, world: Dataset) -> None:
    curves = read_table(made, "curves")
    for (video,), part in curves.group_by(["video_id"]):
        assert part["indicator"].n_unique() == 1
        forecast = part.filter(pl.col("kind") == "forecast").sort("age_h")
        assert forecast["age_h"].max() == pytest.approx(14 * 24)
        history = part.filter(pl.col("kind") == "history").sort("age_h")
        name = part["indicator"][0]
        counted = world.snapshots.filter(
            (pl.col("video_id") == video) & ~pl.col("synthetic") & (pl.col("observed_at") <= NOW)
        ).drop_nulls(name)
        assert history["value"].to_list() == counted.sort("observed_at")[name].cast(pl.Float64).to_list()
        if history.height:
            assert (forecast["value"] >= history["value"][-1] - 1e-6).all()


def test_the_last_point_of_a_curve_is_the_portfolios_forecast(made: Record) -> None:
    curves = read_table(made, "curves").filter(pl.col("kind") == "forecast")
    last = curves.sort("age_h").group_by("video_id", maintain_order=True).last()
    both = last.join(read_table(made, "forecasts").filter(pl.col("role") == "open"), on=["video_id", "indicator"])
    assert both.height == EXPLAINED
    assert np.allclose(both["value"], both["point"], rtol=1e-6)


def test_similar_videos_are_others_and_come_with_their_past(made: Record, world: Dataset) -> None:
    similar = read_table(made, "similar")
    assert (similar["video_id"] != similar["neighbour_id"]).all()
    assert similar.group_by("video_id").len()["len"].max() == 3
    assert (similar["ages_h"].list.len() == similar["values"].list.len()).all()
    assert set(similar["neighbour_id"]) <= set(world.videos["video_id"])


def test_alerts_count_the_test_rows_that_they_would_flag(made: Record) -> None:
    row = read_table(made, "alerts").filter((pl.col("task") == "horizon-observed") & (pl.col("threshold") == 0.5)).row(0, named=True)  # fmt: skip
    rated = read_table(made, "ratings").filter((pl.col("task") == "horizon-observed") & (pl.col("role") == "test") & pl.col("level_truth").is_not_null())  # fmt: skip
    raw = read_table(made, "reliability").filter(
        (pl.col("task") == "horizon-observed") & (pl.col("level_at_least") == 4)
    )
    assert row["n"] == raw["n"].sum() == rated.height
    assert 0 < row["flagged"] < row["n"]


def test_videos_that_vanished_are_counted(made: Record, world: Dataset) -> None:
    known = world.snapshots.filter(~pl.col("synthetic") & (pl.col("observed_at") <= NOW))
    last = known.group_by("video_id").agg(last=pl.col("observed_at").max())
    closed = world.videos.filter(pl.col("posted_at") + pl.duration(days=14) <= NOW).join(
        last, on="video_id", how="left"
    )
    gone = closed.filter(pl.col("last").is_null() | (pl.col("last") < pl.col("posted_at") + pl.duration(hours=252)))
    assert made.counts["censored"] == {"closed": closed.height, "vanished_before_horizon": gone.height}
    assert gone.height > 0


def test_the_folder_holds_what_the_record_lists(made: Record) -> None:
    listed = {artefact.path for artefact in made.artefacts}
    assert listed <= {path.name for path in Path(made.run).iterdir()}
