"""Features by hand: one video with two crawls beside another of the same author, and what each number must be."""

from __future__ import annotations

import math

import polars as pl
import pytest

from tests.rating.conftest import crawl, data_set, hour, video
from veracast.data.as_of import Fans
from veracast.data.dataset import Dataset
from veracast.rating.features import FEATURES, aimed, feature_columns, features


@pytest.fixture
def made() -> Dataset:
    shared = {"author_id": "ann", "topic": "t"}
    at = {"kind": "list_position", "target": "top"}
    return data_set(
        videos=[video("a", 10, title="four", duration_s=60.0, **shared), video("old", 0, **shared)],
        snapshots=[
            crawl("a", 10, None, synthetic=True, followers=999),
            crawl("a", 14, 100, likes=10, shares=5, followers=50),
            crawl("a", 20, 400, likes=30, shares=6, followers=60),
            crawl("old", 5, 1_000, followers=40),
            crawl("old", 12, 4_000, followers=45),
            crawl("old", 30, 10**6, followers=70),
        ],
        links=[
            {"video_id": "a", **at, "value": 9.0, "observed_at": hour(14)},
            {"video_id": "a", **at, "value": 3.0, "observed_at": hour(20)},
            {"video_id": "old", **at, "value": 1.0, "observed_at": hour(20)},
            {"video_id": "a", "kind": "music", "target": "m", "value": 77.0, "observed_at": hour(14)},
            {"video_id": "a", "kind": "hashtag", "target": "x", "observed_at": hour(10)},
        ],
    )


def of(made: Dataset, at_h: float, *, fans: Fans = "lagged", target_h: float = 34) -> dict[str, float | None]:
    states = pl.DataFrame({"state_id": [0], "video_id": ["a"], "at": [hour(at_h)], "target_at": [hour(target_h)]})
    found = features(
        states, videos=made.videos, snapshots=made.snapshots, links=made.links, comments=made.comments,
        indicator="views", fans=fans,
    )  # fmt: skip
    return {name: found[f"f_{name}"][0] for name in FEATURES}


def test_the_second_crawl_by_hand(made: Dataset) -> None:
    found = of(made, 20)
    expected = {
        "age_h": 10.0,
        "ln_age": math.log(10),
        "target_age_h": 24.0,
        "gap_h": 14.0,
        "ln_gap": math.log(14),
        "log_age_ratio": math.log(2.4),
        "ln_views": math.log(401),
        "rate_views": math.log(1 + 40),
        "recent_views": math.log(401 / 101),
        "total_views": math.log(401 / 101),
        "speed_views": math.log(401 / 101) / (math.log(10) - math.log(4)),
        "likes_per_view": math.log(31 / 401),
        "shares_per_like": math.log(7 / 31),
        "point": 2.0,
        "since_prev_h": 6.0,
        "first_age_h": 4.0,
        "list_position": 3.0,
        "list_length": 2.0,
        "list_share": 1.5,
        "list_move": -6.0,
        "best_list_position": 3.0,
        "duration": math.log(61),
        "title_chars": 4.0,
        "hashtags": 1.0,
        "hour": 10.0,
        "author_id_posted": 2.0,
        "author_id_gap_h": 10.0,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_the_author_is_known_by_other_videos_as_they_stood_then(made: Dataset) -> None:
    found = of(made, 20)  # the crawl of `old` at 30 h, a million views, is still to come
    assert found["author_id_seen"] == 1
    assert found["author_id_mean_ln"] == pytest.approx(math.log(4_001))
    assert found["author_id_first_ln"] == pytest.approx(math.log(1_001))
    assert found["author_gain"] == pytest.approx(math.log(4_001 / 1_001))
    assert found["vs_author"] == pytest.approx(math.log(401 / 4_001))
    assert found["vs_author_first"] == pytest.approx(math.log(401 / 1_001))
    growth = math.log(4_001 / 1_001) / math.log(12 / 5)
    assert found["author_id_growth"] == pytest.approx(growth)


def test_at_posting_nothing_of_the_video_itself_is_known(made: Dataset) -> None:
    found = of(made, 10)
    own = ("ln_views", "recent_views", "list_position", "likes_per_view", "since_prev_h", "first_age_h")
    assert {name: found[name] for name in own} == dict.fromkeys(own)
    assert found["point"] == 0
    assert found["author_id_mean_ln"] == pytest.approx(math.log(1_001))  # `old` as crawled at 5 h


@pytest.mark.parametrize(
    ("fans", "followers", "uses"), [("off", None, None), ("lagged", 40, None), ("as-released", 999, 77)]
)
def test_three_rules_for_crawl_time_counts_at_posting(
    made: Dataset, fans: Fans, followers: int | None, uses: int | None
) -> None:
    found = of(made, 10, fans=fans)
    assert found["fans"] == (None if followers is None else pytest.approx(math.log1p(followers)))
    assert found["music_uses"] == (None if uses is None else pytest.approx(math.log1p(uses)))


def test_aiming_elsewhere_changes_the_target_alone(made: Dataset) -> None:
    states = pl.DataFrame({"state_id": [0], "video_id": ["a"], "at": [hour(20)], "target_at": [hour(34)]})
    near = features(
        states, videos=made.videos, snapshots=made.snapshots, links=made.links, comments=made.comments, indicator="views"
    )  # fmt: skip
    moved = aimed(near.with_columns(target_at=pl.lit(hour(58))))
    changed = {name for name in feature_columns() if near[name][0] != moved[name][0]}
    assert changed == {"f_target_age_h", "f_gap_h", "f_ln_gap", "f_log_age_ratio"}
    assert moved["f_target_age_h"][0] == 48


def test_every_part_names_a_whole_that_exists() -> None:
    assert {fact.part_of for fact in FEATURES.values() if fact.part_of} <= set(FEATURES)
