"""The hub form equals the listed pairs: by hand, on 2,000 samples in the release's own layout, and on the real tail."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from veracast.data.dataset import Dataset
from veracast.data.ingest import ingest
from veracast.data.world import WorldConfig
from veracast.data.world_write import write_release
from veracast.graph.all_pairs import Edges, list_pairs, mean_over, shanghai_day
from veracast.graph.build import build
from veracast.graph.hubs import read


def test_pairs_by_hand() -> None:
    """Two topics and one state without: same day both ways, earlier to later one way, itself always."""
    found = list_pairs(np.array([5, 5, 7, 5, -1]), np.array([1, 2, 1, 2, 1]))
    assert set(zip(found.source.tolist(), found.target.tolist(), strict=True)) == {
        (0, 0), (0, 1), (0, 3), (1, 1), (1, 3), (3, 1), (3, 3), (2, 2),
    }  # fmt: skip
    mean = mean_over(found, np.array([[1.0], [2.0], [3.0], [6.0], [9.0]]))
    assert mean[:, 0].tolist() == [1.0, 3.0, 3.0, 3.0, 0.0]


def test_no_edges_at_all() -> None:
    none = list_pairs(np.array([-1, -1]), np.array([0, 0]))
    assert none.source.shape == (0,) and mean_over(none, np.ones((2, 3))).tolist() == [[0.0] * 3] * 2


def test_the_day_turns_at_midnight_in_shanghai() -> None:
    times = pl.Series([datetime(2024, 12, 20, 15, 59, 59, tzinfo=UTC), datetime(2024, 12, 20, 16, 0, tzinfo=UTC)])
    early, late = shanghai_day(times.dt.cast_time_unit("us"))
    assert late == early + 1


def equal_to_listed(dataset: Dataset) -> dict[str, int]:
    """Edges per relation, after the hub form was found equal to 1e-5."""
    graph = build(dataset, main="views", schema="compatible")
    assert [hub.name for hub in graph.hubs] == ["author", "topic"]
    messages = np.random.default_rng(0).normal(size=(graph.size, 7)).astype(np.float32)
    videos = dataset.videos.sort("video_id").with_columns(
        author=pl.col("author_id").rank("dense").cast(pl.Int64) - 1,
        topic=pl.col("topic").rank("dense").cast(pl.Int64) - 1,
    )
    counted = {}
    for hub in graph.hubs:
        key = videos[hub.name].fill_null(-1).to_numpy()[graph.states["video"].to_numpy()]
        edges: Edges = list_pairs(key, shanghai_day(graph.states["at"]))
        seen = read(hub, torch.from_numpy(messages))
        np.testing.assert_allclose(seen.mean.numpy(), mean_over(edges, messages), atol=1e-5)
        np.testing.assert_array_equal(seen.weight.numpy(), np.bincount(edges.target, minlength=graph.size))
        counted[hub.name] = len(edges.source)
        assert hub.memberships <= graph.size  # what is stored grows with the states
    return counted


def test_2000_samples_in_the_release_layout(tmp_path: Path) -> None:
    write_release(
        WorldConfig(videos=617, seed=8, schedule="release", days=120, comments_per_crawl=0.2), tmp_path / "xs.json"
    )
    dataset = ingest((tmp_path / "xs.json",), tmp_path / "d")
    graph = build(dataset, main="views", schema="compatible")
    assert 1_950 <= graph.size <= 2_050
    assert equal_to_listed(dataset)["topic"] > 20 * graph.size  # the listing is what is large


@pytest.mark.real
def test_the_real_tail(real_data: Path, tmp_path: Path) -> None:
    """1,335 samples, 97 % of them of one topic: the listing has 600 times as many edges as samples, the hubs one each."""
    dataset = ingest((real_data / "xs_video_tail.json",), tmp_path / "d")
    counted = equal_to_listed(dataset)
    assert counted["topic"] > 300 * dataset.snapshots.height
