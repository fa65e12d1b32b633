"""What the report shows of a graph, counted by hand on a small world."""

from __future__ import annotations

import numpy as np
import polars as pl

from veracast.core.schemas import conform
from veracast.data.dataset import Dataset
from veracast.graph.build import NUMBERS, build
from veracast.graph.statistics import PER_HUB, graph_statistics, neighbourhoods


def test_sizes_are_those_of_the_tables(world: Dataset) -> None:
    graph = build(world, main="views")
    rows = {
        (r["part"], r["name"]): r for r in conform(graph_statistics(graph), "graph_statistics").iter_rows(named=True)
    }
    real = world.snapshots.filter(~pl.col("synthetic")).height
    assert rows["states", "all"]["count"] == world.videos.height + real
    assert rows["states", "real crawls"]["count"] == real
    shared = world.videos.filter(pl.col("author_id").is_duplicated())
    author = rows["hub", "author"]
    assert author["count"] == shared["author_id"].n_unique()
    states = graph.states.join(shared.select("video_id", "author_id"), on="video_id").group_by("author_id").len()["len"]
    assert (author["memberships"], author["largest"], author["median"]) == (
        int(states.sum()),
        states.max(),
        float(states.median()),
    )  # type: ignore[arg-type]
    assert 0 < author["share"] <= 1


def test_a_neighbourhood_is_earlier_and_of_other_videos_with_their_counts_then(world: Dataset) -> None:
    graph = build(world, main="views")
    last = (
        graph.states.filter(pl.col("point") > 0)
        .group_by("video_id")
        .agg(anchor_point=pl.col("point").max())
        .sort("video_id")
        .head(20)
    )
    found = conform(neighbourhoods(graph, last, main="views"), "neighbourhoods")
    assert found.height and (found["hours_before"] > 0).all() and (found["video_id"] != found["neighbour_id"]).all()
    assert (
        found.group_by("video_id", "relation")
        .agg(pl.col("rank").max() <= PER_HUB, hours=pl.col("hours_before").is_sorted())["hours"]
        .all()
    )
    row = found.filter(pl.col("count").is_not_null()).row(0, named=True)
    then = graph.states.filter(pl.col("video_id") == row["neighbour_id"])["state"].to_numpy()
    counts = np.expm1(graph.numbers[then, NUMBERS.index("ln_views")])
    assert np.isclose(counts, row["count"], rtol=1e-5).any()
