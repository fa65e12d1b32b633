"""States and samples by hand: which pairs there are, what is open, and where levels come from."""

from __future__ import annotations

import math

import polars as pl
import pytest

from tests.rating.conftest import crawl, data_set, hour, video
from veracast.core.levels import LevelRule, quantile_rule
from veracast.data.dataset import Dataset
from veracast.rating import samples


@pytest.fixture
def three() -> Dataset:
    """a: crawled at 2, 26, 50 h; b: once, with 0 views and then 7; c: posted, never really crawled."""
    return data_set(
        videos=[video("a", 0, level=4), video("b", 1, level=1), video("c", 40)],
        snapshots=[
            crawl("a", 2, 100),
            crawl("a", 26, 300),
            crawl("a", 50, 400),
            crawl("b", 3, 0),
            crawl("b", 30, 7),
            crawl("c", 40, None, synthetic=True),
        ],
    )


def test_points_are_real_crawls_numbered_from_one(three: Dataset) -> None:
    points = samples.real_points(three)
    assert points.select("video_id", "point").rows() == [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("b", 2)]
    assert samples.real_points(three, until=hour(26))["video_id"].to_list() == ["a", "a", "b"]


def test_pairs_are_all_later_crawls_of_counted_ones(three: Dataset) -> None:
    pairs = samples.pair_states(samples.real_points(three), main="views")
    # b's first crawl shows 0 views: nothing to grow from
    assert pairs.select("video_id", "anchor_point", "target_point", "target_views").rows() == [
        ("a", 1, 2, 300),
        ("a", 1, 3, 400),
        ("a", 2, 3, 400),
    ]


def test_a_cold_state_stands_at_the_posting(three: Dataset) -> None:
    cold = samples.cold_states(samples.real_points(three), three.videos, main="views")
    assert cold.filter(pl.col("video_id") == "b").select("at", "target_at", "target_views").rows() == [
        (hour(1), hour(3), 0),
        (hour(1), hour(30), 7),
    ]


def test_released_levels_know_no_date_and_the_last_crawl_is_no_state(three: Dataset) -> None:
    points = samples.real_points(three)
    observed = samples.label_states(points, three.videos, state="observed")
    assert observed.select("video_id", "at", "released_level").rows() == [
        ("a", hour(2), 4),
        ("a", hour(26), 4),
        ("b", hour(3), 1),
    ]
    assert observed["target_at"].null_count() == 3
    assert samples.label_states(points, three.videos, state="cold")["video_id"].to_list() == ["a", "b"]


def test_open_is_what_was_posted_and_has_its_horizon_ahead(three: Dataset) -> None:
    points = samples.real_points(three, until=hour(48))
    rows = samples.open_states(points, three.videos, as_of=hour(48), horizon_days=2)
    # a's two days end exactly now; b is open an hour longer; c was never crawled
    assert rows.select("video_id", "state", "at", "target_at").rows() == [
        ("b", "observed", hour(30), hour(49)),
        ("c", "cold", hour(40), hour(88)),
    ]


def test_outcomes_are_logarithms_and_levels_follow_the_rule(three: Dataset) -> None:
    rule: LevelRule = quantile_rule(pl.DataFrame({"views": range(1, 1001)}), "views")
    states = samples.pair_states(samples.real_points(three), main="views").head(1)
    found = samples.add_levels(samples.build_samples(states, three, main="views"), rule).row(0, named=True)
    assert found["now_views"] == pytest.approx(math.log(101))
    assert found["y_views"] == pytest.approx(math.log(301))
    counts = pl.DataFrame({"platform": ["bilibili"] * 2, "views": [100.0, 300.0]})
    for name in ("likes", "comments", "shares", "collects", "coins", "danmaku"):
        counts = counts.with_columns(pl.lit(None, pl.Float64).alias(name))
    now, then = rule.level(counts).to_list()
    assert (found["now_level"], found["f_level_now"], found["y_level"]) == (now, now, then)
    assert then > now


def test_a_released_level_is_believed_over_the_rule(three: Dataset) -> None:
    rule = quantile_rule(pl.DataFrame({"views": range(1, 1001)}), "views")
    states = samples.label_states(samples.real_points(three), three.videos, state="observed")
    found = samples.add_levels(samples.build_samples(states, three, main="views"), rule)
    assert found["y_level"].to_list() == [4.0, 4.0, 1.0]


def test_too_many_pairs_are_thinned_the_same_way_in_any_company(monkeypatch: pytest.MonkeyPatch) -> None:
    def pairs_of(names: list[str]) -> set[tuple[str, int, int]]:
        snapshots = [crawl(name, h, 10 + h) for name in names for h in range(1, 11)]
        made = data_set(videos=[video(name, 0) for name in names], snapshots=snapshots)
        pairs = samples.pair_states(samples.real_points(made), main="views")
        return set(pairs.select("video_id", "anchor_point", "target_point").rows())

    names = [f"v{i}" for i in range(20)]
    assert len(pairs_of(names)) == 20 * 45
    monkeypatch.setattr(samples, "MAX_PAIRS", 450)
    kept = pairs_of(names)
    assert 350 < len(kept) < 550
    assert kept == pairs_of(names[::-1])
