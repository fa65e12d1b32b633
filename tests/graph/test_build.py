"""The improved graph: hand cases, and rows later than t change nothing at t."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from tests.rating.conftest import crawl, data_set, hour, video
from veracast.data.dataset import Dataset, open_dataset
from veracast.data.world import START, WorldConfig
from veracast.data.world_write import write_dataset
from veracast.graph.build import NUMBERS, build
from veracast.graph.hubs import read


def link(video_id: str, kind: str, target: str, at_h: float) -> dict[str, Any]:
    return {"video_id": video_id, "kind": kind, "target": target, "observed_at": hour(at_h)}


@pytest.fixture(scope="module")
def small() -> Dataset:
    return data_set(
        videos=[
            video("a", 0, author_id="x", topic="t", title="one", duration_s=9.0),
            video("b", 10, author_id="x", topic="t"),
            video("c", 20, author_id=None, topic=None),
        ],
        snapshots=[
            crawl("a", 5, 99, followers=7),
            crawl("a", 15, 199),
            {**crawl("a", 0, 0), "synthetic": True},
            crawl("c", 30, None),
        ],
        links=[
            link("a", "hashtag", "h", 0),
            link("c", "hashtag", "h", 25),
            link("c", "repost", "b", 20),
        ],
    )


def test_a_state_is_the_posting_or_a_real_crawl(small: Dataset) -> None:
    graph = build(small, main="views")
    assert graph.states.select("video_id", "point").rows() == [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("c", 0), ("c", 1)]  # fmt: skip
    assert graph.before.tolist() == [-1, -1, 1, -1, -1, -1]
    assert graph.observed.tolist() == [False, True, True, False, False, True]


def test_numbers_and_masks_by_hand(small: Dataset) -> None:
    graph = build(small, main="views")
    place = {name: i for i, name in enumerate(NUMBERS)}
    second = 2  # a, crawled at 15 h with 199 views
    expected = {
        "ln_views": np.log(200), "recent_views": np.log(2), "total_main": np.log(2), "ln_age_h": np.log(15),
        "ln_since_prev_h": np.log(10), "ln_first_age_h": np.log(5), "point": np.log(3), "ln_fans": np.log(8),
        "ln_duration_s": np.log(10), "title_chars": np.log(4),
    }  # fmt: skip
    for name, value in expected.items():
        assert graph.mask[second, place[name]], name
        assert graph.numbers[second, place[name]] == pytest.approx(value, rel=1e-6), name
    # c's crawl published no views: unknown, 0 under a mask of 0
    assert not graph.mask[5, place["ln_views"]] and graph.numbers[5, place["ln_views"]] == 0
    assert not graph.mask[0, place["ln_fans"]]  # followers are known from the crawl on


def test_hubs_hold_shared_keys_from_when_the_link_was_known(small: Dataset) -> None:
    hubs = {h.name: h for h in build(small, main="views").hubs}
    assert set(hubs) == {"author", "topic", "hashtag", "platform", "repost"}
    assert sorted(hubs["author"].state.tolist()) == [0, 1, 2, 3]  # c has no author: it shares none
    assert sorted(hubs["hashtag"].state.tolist()) == [0, 1, 2, 5]  # c's tag was known at 25 h, after its posting
    assert sorted(hubs["repost"].state.tolist()) == [3, 4, 5]


def test_samples_find_their_state(small: Dataset) -> None:
    graph = build(small, main="views")
    samples = pl.DataFrame({"video_id": ["c", "a"], "anchor_point": [1, 2]})
    assert graph.rows(samples).tolist() == [5, 2]
    with pytest.raises(KeyError, match="no state for video b at crawl 4"):
        graph.rows(pl.DataFrame({"video_id": ["b"], "anchor_point": [4]}))


@pytest.mark.parametrize("day", [20, 45])
def test_rows_later_than_t_change_nothing_at_t(tmp_path: Path, day: int) -> None:
    write_dataset(WorldConfig(videos=150, seed=5, videos_per_author=8), tmp_path / "w")
    whole = open_dataset(tmp_path / "w")
    cut = START + dt.timedelta(days=day)
    past = Dataset(path=whole.path, meta=whole.meta)
    past.__dict__["videos"] = whole.videos.filter(pl.col("posted_at") <= cut)
    for name in ("snapshots", "comments", "links"):
        table: pl.DataFrame = getattr(whole, name)
        past.__dict__[name] = table.filter(pl.col("observed_at") <= cut).join(past.videos, on="video_id", how="semi")
    a, b = build(whole, main="views"), build(past, main="views")
    rows = a.rows(b.states.select("video_id", anchor_point="point"))
    assert b.size > 50
    np.testing.assert_array_equal(a.numbers[rows], b.numbers)
    np.testing.assert_array_equal(a.mask[rows], b.mask)
    hubs = {h.name: h for h in a.hubs}
    place = NUMBERS.index("ln_views")
    for hub in b.hubs:
        for memory in (np.inf, 14.0):
            then = read(hub, torch.from_numpy(b.numbers[:, [place]]), memory_days=memory)
            now = read(hubs[hub.name], torch.from_numpy(a.numbers[:, [place]]), memory_days=memory)
            torch.testing.assert_close(now.weight[rows], then.weight, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(now.mean[rows], then.mean, atol=1e-4, rtol=1e-5)
