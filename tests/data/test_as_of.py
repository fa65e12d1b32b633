"""Nothing later than t is seen at t, whatever is added and in whatever order rows come."""

from __future__ import annotations

import datetime as dt

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from veracast.data.as_of import group_facts, known, snapshot_facts
from veracast.data.schema import INDICATORS, LINKS, SNAPSHOTS, TIME, VIDEOS, empty
from veracast.rating.features import feature_columns, features

T0 = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)


def hour(h: float) -> dt.datetime:
    return T0 + dt.timedelta(hours=h)


def videos(n: int) -> pl.DataFrame:
    base = dict.fromkeys(VIDEOS)
    rows = [
        {
            **base,
            "video_id": f"p:{i}",
            "platform": "bilibili",
            "author_id": f"a{i % 2}",
            "topic": "t",
            "posted_at": hour(i),
            "duration_s": 10.0,
        }
        for i in range(n)
    ]
    return pl.DataFrame(rows, schema=VIDEOS)


def snapshots(rows: list[tuple[int, float, int]]) -> pl.DataFrame:
    """(video, hours after T0, views) -> rows; one per video and time."""
    unique = {(v, h): views for v, h, views in rows}
    base = dict.fromkeys(SNAPSHOTS)
    made = [
        {
            **base,
            "video_id": f"p:{v}",
            "observed_at": hour(h),
            "synthetic": False,
            "views": views,
            "likes": views // 10,
            "followers": views + 1,
        }
        for (v, h), views in unique.items()
    ]
    return pl.DataFrame(made, schema=SNAPSHOTS)


def links(rows: list[tuple[int, float, int]]) -> pl.DataFrame:
    made = [
        (f"p:{v}", "list_position", "top", float(views % 50), hour(h))
        for v, h, views in {(v, h): (v, h, x) for v, h, x in rows}.values()
    ]
    return pl.DataFrame(made, schema=LINKS, orient="row")


def matrix(rows: list[tuple[int, float, int]], *, t: float, n: int = 4) -> pl.DataFrame:
    states = pl.DataFrame(
        {
            "state_id": range(n),
            "video_id": [f"p:{i}" for i in range(n)],
            "at": [hour(t)] * n,
            "target_at": [hour(t + 24)] * n,
        },
        schema={"state_id": pl.UInt32, "video_id": pl.String, "at": TIME, "target_at": TIME},
    )
    found = features(
        states,
        videos=videos(n),
        snapshots=snapshots(rows),
        links=links(rows),
        comments=empty("comments"),
        indicator="views",
        fans="lagged",
    )
    return found.select("video_id", *feature_columns(), *[f"now_{name}" for name in INDICATORS])


ROW = st.tuples(st.integers(0, 3), st.integers(4, 60).map(float), st.integers(0, 10**6))


@settings(max_examples=40, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=12), st.lists(ROW, max_size=8), st.integers(5, 60))
def test_rows_later_than_t_change_no_feature_at_t(
    past: list[tuple[int, float, int]], later: list[tuple[int, float, int]], t: int
) -> None:
    past = [row for row in past if row[1] <= t] or [(0, 4.0, 5)]
    future = [(v, h + t, views) for v, h, views in later]
    assert matrix(past + future, t=t).equals(matrix(past, t=t))


@settings(max_examples=25, deadline=None)
@given(st.lists(ROW, min_size=2, max_size=12), st.randoms())
def test_the_order_of_rows_changes_nothing(rows: list[tuple[int, float, int]], random: object) -> None:
    unique = list({(v, h): (v, h, views) for v, h, views in rows}.values())
    shuffled = list(unique)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert matrix(shuffled, t=70).equals(matrix(unique, t=70))


def test_a_row_one_second_later_is_not_seen_and_one_at_t_is() -> None:
    at_t, after = matrix([(0, 10.0, 100)], t=10), matrix([(0, 10.0003, 100)], t=10)
    assert at_t["now_views"][0] is not None
    assert after["now_views"][0] is None


def test_a_leak_would_be_noticed() -> None:
    """The planted failure: a fact dated at posting instead of at its crawl shows up at once."""
    facts = snapshot_facts(snapshots([(0, 20.0, 100)]))
    state = pl.DataFrame({"video_id": ["p:0"], "at": [hour(10)]}, schema={"video_id": pl.String, "at": TIME})
    assert known(facts, state, by="video_id")["views"][0] is None
    leaked = facts.with_columns(known_at=pl.lit(hour(0)).cast(TIME))
    assert known(leaked, state, by="video_id")["views"][0] == 100


def test_group_totals_by_hand() -> None:
    # author a0 owns videos 0 and 2; a video counts with its latest value only
    facts = group_facts(
        snapshots([(0, 4.0, 0), (0, 8.0, 9), (2, 8.0, 99), (1, 8.0, 5)]), videos(3), by="author_id", indicator="views"
    )
    mine = facts.filter(pl.col("author_id") == "a0").sort("known_at")
    assert mine["n_videos"].to_list() == [1, 2]
    assert mine["sum_ln"].exp().round(6).to_list() == [1.0, 1000.0]  # ln 10 + ln 100
    assert mine["n_grown"].to_list() == [0, 1]


def test_the_video_itself_is_not_its_authors_history() -> None:
    found = matrix([(0, 5.0, 1000), (2, 6.0, 10)], t=12)
    seen = dict(zip(found["video_id"], found["f_author_id_seen"], strict=True))
    mean = dict(zip(found["video_id"], found["f_author_id_mean_ln"], strict=True))
    assert (seen["p:0"], seen["p:2"]) == (1.0, 1.0)
    assert round(mean["p:0"], 6) == round(pl.Series([10.0]).log1p()[0], 6)
    assert round(mean["p:2"], 6) == round(pl.Series([1000.0]).log1p()[0], 6)
