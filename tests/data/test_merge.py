"""Merging crawls, by worked cases: what is kept, what is nulled, what is counted, and that order does not matter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veracast.data.merge import REPOST_GROUP_MAX, REPOST_WINDOW_DAYS, Merged, find_reposts, merge
from veracast.data.schema import INDICATORS, TABLES, empty

DAY0 = datetime(2025, 3, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def frame(table: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame([{name: row.get(name) for name in TABLES[table]} for row in rows], schema=TABLES[table])


def video(video_id: str, source_row: int = 0, **columns: Any) -> dict[str, Any]:
    platform = video_id.partition(":")[0]
    return {"video_id": video_id, "platform": platform, "posted_at": DAY0, "source_row": source_row, **columns}


def snapshot(video_id: str, at: datetime, source_row: int = 0, **columns: Any) -> dict[str, Any]:
    return {"video_id": video_id, "observed_at": at, "synthetic": False, "source_row": source_row, **columns}


def raw(**rows: list[dict[str, Any]]) -> dict[str, pl.DataFrame]:
    return {name: frame(name, rows.get(name, [])) for name in TABLES}


def merged(**rows: list[dict[str, Any]]) -> Merged:
    return merge(raw(**rows))


# repeated crawls


def test_two_crawls_of_one_moment_become_one_row_with_the_larger_counters() -> None:
    out = merged(
        videos=[video("x:1", 1), video("x:1", 2)],
        snapshots=[
            snapshot("x:1", DAY0 + HOUR, 2, views=10, likes=3, followers=None),
            snapshot("x:1", DAY0 + HOUR, 1, views=12, likes=None, followers=7),
            snapshot("x:1", DAY0 + 2 * HOUR, 3, views=11),
        ],
    )
    rows = out.tables["snapshots"].sort("observed_at").select("views", "likes", "followers", "source_row").rows()
    assert rows == [(12, 3, 7, 1), (11, None, None, 3)]
    assert out.counts["repeated_crawls"] == 1
    assert out.tables["videos"].height == 1 and out.tables["videos"]["source_row"].item() == 1


def test_a_moment_is_synthetic_only_if_every_crawl_of_it_is() -> None:
    real, made_up = snapshot("x:1", DAY0, views=4), {**snapshot("x:1", DAY0), "synthetic": True}
    assert merged(videos=[video("x:1")], snapshots=[real, made_up]).tables["snapshots"]["synthetic"].to_list() == [
        False
    ]
    assert merged(videos=[video("x:1")], snapshots=[made_up]).tables["snapshots"]["synthetic"].to_list() == [True]


def test_what_was_known_earliest_wins_whatever_its_row_and_value() -> None:
    out = merged(
        videos=[
            video("x:1", 9, title="a late title", topic="late", level=4, posted_at=DAY0),
            video("x:1", 5, title="z first title", topic=None, level=3, posted_at=DAY0 + HOUR),
        ],
        snapshots=[snapshot("x:1", DAY0 + DAY, 5), snapshot("x:1", DAY0 + 2 * DAY, 9)],
    )
    row = out.tables["videos"].row(0, named=True)
    assert (row["title"], row["level"]) == ("z first title", 3)
    assert row["topic"] == "late"  # the first crawl had none
    assert row["posted_at"] == DAY0  # the earliest posting time that any crawl gave
    assert row["source_row"] == 5
    assert out.counts["conflicting_levels"] == 1


def test_equal_row_numbers_of_two_files_are_told_apart() -> None:
    """Two exports of one list often have a video on the same row; the earlier crawl must win there too."""
    tables = raw(
        videos=[video("x:1", 5, title="a later"), video("x:1", 5, title="b earlier")],
        snapshots=[snapshot("x:1", DAY0 + 2 * DAY, 5), snapshot("x:1", DAY0 + DAY, 5)],
    )
    for name in ("videos", "snapshots"):
        tables[name] = tables[name].with_columns(source=pl.Series([0, 1], dtype=pl.Int32))
    out = merge(tables)
    assert out.tables["videos"]["title"].to_list() == ["b earlier"]
    assert out.tables["videos"].columns == list(TABLES["videos"])
    assert out.tables["snapshots"].columns == list(TABLES["snapshots"])


def test_the_same_list_position_on_two_days_is_two_facts() -> None:
    at = {"video_id": "x:1", "kind": "list_position", "target": "popular", "value": 7.0}
    links = [{**at, "observed_at": DAY0 + n * DAY} for n in (0, 1, 1)]
    out = merged(videos=[video("x:1")], snapshots=[snapshot("x:1", DAY0)], links=links)
    assert out.tables["links"].sort("observed_at")["observed_at"].to_list() == [DAY0, DAY0 + DAY]


def test_comments_and_links_keep_the_time_at_which_they_were_first_seen() -> None:
    comment = {"video_id": "x:1", "author_id": "u1", "commented_at": DAY0}
    link = {"video_id": "x:1", "kind": "music", "target": "m", "value": 3.0}
    out = merged(
        videos=[video("x:1")],
        snapshots=[snapshot("x:1", DAY0)],
        comments=[{**comment, "observed_at": DAY0 + 2 * DAY}, {**comment, "observed_at": DAY0 + DAY}],
        links=[{**link, "observed_at": DAY0 + 3 * DAY}, {**link, "observed_at": DAY0}, {**link, "value": 4.0}],
    )
    assert out.tables["comments"]["observed_at"].to_list() == [DAY0 + DAY]
    rows = out.tables["links"].sort("value").select("value", "observed_at").rows()
    assert rows == [(3.0, DAY0), (4.0, None)]


# counters that a platform does not publish


def crawls(platform: str, n: int, **values: Any) -> dict[str, list[dict[str, Any]]]:
    """n videos with one crawl each; a callable value is asked for the row's number."""
    ids = [f"{platform}:{i}" for i in range(n)]
    rows = [{k: v(i) if callable(v) else v for k, v in values.items()} for i in range(n)]
    return {
        "videos": [video(v, i) for i, v in enumerate(ids)],
        "snapshots": [snapshot(v, DAY0 + HOUR, i, **rows[i]) for i, v in enumerate(ids)],
    }


def test_a_counter_that_is_0_in_99_percent_is_not_published() -> None:
    out = merged(**crawls("douyin", 200, views=lambda i: 5 if i < 2 else 0, likes=lambda i: 10 + i))
    views = out.tables["snapshots"]["views"]
    assert views.drop_nulls().to_list() == [5, 5]
    assert out.tables["snapshots"]["likes"].null_count() == 0
    facts = {row["indicator"]: row for row in out.availability.iter_rows(named=True)}
    assert (facts["views"]["published"], facts["views"]["of"], facts["views"]["silent"]) == (2, 200, True)
    assert (facts["likes"]["published"], facts["likes"]["of"], facts["likes"]["silent"]) == (200, 200, False)
    assert (facts["coins"]["published"], facts["coins"]["silent"]) == (0, False)


def test_0_stays_0_where_everything_is_small() -> None:
    rare = {name: (lambda i: 1 if i == 0 else 0) for name in INDICATORS}
    out = merged(**crawls("newcomer", 200, **rare))
    assert out.tables["snapshots"]["views"].to_list().count(0) == 199
    assert not out.availability["silent"].any()


def test_0_stays_0_with_few_crawls_or_in_94_percent() -> None:
    few = merged(**crawls("douyin", 40, views=0, likes=lambda i: 10 + i))
    assert few.tables["snapshots"]["views"].to_list() == [0] * 40
    often = merged(**crawls("douyin", 200, views=lambda i: 5 if i < 12 else 0, likes=lambda i: 10 + i))
    assert often.tables["snapshots"]["views"].null_count() == 0


def test_one_platform_that_hides_a_counter_says_nothing_about_another() -> None:
    hides = crawls("douyin", 100, views=0, likes=9)
    shows = crawls("kuaishou", 100, views=lambda i: i % 3, likes=9)
    out = merged(**{name: hides[name] + shows[name] for name in hides})
    nulls = out.tables["snapshots"].filter(pl.col("views").is_null())["video_id"].str.split(":").list.first()
    assert nulls.to_list() == ["douyin"] * 100


def test_the_posting_rows_that_a_source_made_up_are_no_evidence() -> None:
    rows = crawls("douyin", 100, views=lambda i: 10 + i, likes=9)
    rows["snapshots"] += [{**snapshot(f"douyin:{i}", DAY0, views=0), "synthetic": True} for i in range(100)]
    rows["snapshots"] += [{**snapshot(f"douyin:{i}", DAY0 - k * HOUR, views=0), "synthetic": True}
                          for i in range(100) for k in range(1, 30)]  # fmt: skip
    out = merged(**rows)
    assert out.tables["snapshots"]["views"].null_count() == 0
    assert out.availability.filter(pl.col("indicator") == "views")["of"].to_list() == [100]


# counters that fall


def test_falls_are_kept_and_counted_once_per_step() -> None:
    times = [DAY0 + i * HOUR for i in range(4)]
    views, likes = [10, 8, 9, 7], [5, 4, None, 3]  # falls at steps 1 and 3; a step over a null is not compared
    rows = [snapshot("x:1", t, i, views=views[i], likes=likes[i]) for i, t in enumerate(times)]
    other = [snapshot("x:2", DAY0, views=1)]  # a fall from one video to the next is none
    out = merged(videos=[video("x:1"), video("x:2")], snapshots=rows + other)
    assert out.counts["falling_steps"] == 2
    kept = out.tables["snapshots"].filter(pl.col("video_id") == "x:1").sort("observed_at")["views"].to_list()
    assert kept == views


# reposts

TEXT = "The same long title of a video!"


@pytest.mark.parametrize(
    ("second", "found"),
    [
        (video("y:2", title="the SAME long title, of a video", posted_at=DAY0 + DAY), True),
        (video("y:2", description=TEXT, posted_at=DAY0 + DAY), True),  # a source without titles
        (video("y:2", title=TEXT, posted_at=DAY0 + timedelta(days=REPOST_WINDOW_DAYS)), True),
        (video("y:2", title=TEXT, posted_at=DAY0 + timedelta(days=REPOST_WINDOW_DAYS, seconds=1)), False),
        (video("y:2", title="Another long title of a video!", posted_at=DAY0 + DAY), False),
        (video("y:2", title=None, posted_at=DAY0 + DAY), False),
    ],
)
def test_reposts_are_found_by_text_and_time(second: dict[str, Any], found: bool) -> None:
    links = find_reposts(frame("videos", [video("x:1", title=TEXT), second]))
    expected = [("y:2", "repost", "x:1", None, second["posted_at"])] if found else []
    assert links.rows() == expected
    assert links.schema == empty("links").schema


def test_every_repost_points_to_the_first_and_a_tie_goes_by_id() -> None:
    at = {"x:3": 0, "x:2": 0, "y:1": 1, "z:1": 2}
    videos = [video(v, title=TEXT, posted_at=DAY0 + d * DAY) for v, d in at.items()]
    links = find_reposts(frame("videos", videos)).sort("video_id")
    assert links.select("video_id", "target").rows() == [("x:3", "x:2"), ("y:1", "x:2"), ("z:1", "x:2")]


def test_short_texts_and_slogans_are_no_reposts() -> None:
    short = [video(f"x:{i}", title="good night!") for i in range(2)]
    slogan = [video(f"y:{i}", title="the slogan of the season") for i in range(REPOST_GROUP_MAX + 1)]
    assert find_reposts(frame("videos", short + slogan)).is_empty()
    assert find_reposts(frame("videos", slogan[:-1])).height == REPOST_GROUP_MAX - 1


# order of the input

small = st.one_of(st.none(), st.integers(0, 3))
words = st.one_of(st.none(), st.sampled_from(["a", "b", TEXT]))
ids = st.sampled_from(["x:1", "x:2", "y:1"])
times = st.integers(0, 3).map(lambda i: DAY0 + i * HOUR)


@st.composite
def records(draw: st.DrawFn) -> dict[str, list[dict[str, Any]]]:
    """Crawls of few videos at few times with few values: ties and repeats are the rule."""
    n = draw(st.integers(1, 8))
    seen = [(draw(ids), draw(times)) for _ in range(n)]
    columns = {"title": words, "topic": words, "level": small}
    counters = {"views": small, "likes": small, "followers": small}
    pick = {k: [draw(v) for _ in range(n)] for k, v in {**columns, **counters}.items()}
    posted = [draw(times) for _ in range(n)]
    return {
        "videos": [
            video(v, i, posted_at=posted[i], **{k: pick[k][i] for k in columns}) for i, (v, _) in enumerate(seen)
        ],
        "snapshots": [snapshot(v, t, i, **{k: pick[k][i] for k in counters}) for i, (v, t) in enumerate(seen)],
        "comments": [{"video_id": v, "author_id": "u", "commented_at": DAY0, "observed_at": t} for v, t in seen],
        "links": [{"video_id": v, "kind": "music", "target": "m", "value": 1.0, "observed_at": t} for v, t in seen],
    }


def sorted_tables(out: Merged) -> dict[str, list[tuple[Any, ...]]]:
    tables = {name: table.drop("source_row", strict=False) for name, table in out.tables.items()}
    return {name: sorted(table.rows(), key=repr) for name, table in tables.items()}


@settings(deadline=None, max_examples=60)
@given(records(), st.randoms(use_true_random=False))
def test_shuffling_the_rows_of_the_source_changes_nothing_but_source_row(rows: Any, random: Any) -> None:
    order = list(range(len(rows["videos"])))
    random.shuffle(order)
    place = {old: new for new, old in enumerate(order)}
    shuffled = {name: [rows[name][i] for i in order] for name in rows}
    for name in ("videos", "snapshots"):
        shuffled[name] = [{**row, "source_row": place[row["source_row"]]} for row in shuffled[name]]
    before, after = merged(**rows), merged(**shuffled)
    assert sorted_tables(before) == sorted_tables(after)
    assert before.counts == after.counts
    assert before.availability.equals(after.availability)


def test_planted_a_merge_that_takes_the_first_row_would_be_noticed() -> None:
    """The property above can fail: `first` without an order depends on the rows' order."""
    rows = frame("videos", [video("x:1", 1, title="a"), video("x:1", 2, title="b")])
    naive = [r.group_by("video_id", maintain_order=True).agg(pl.col("title").first()) for r in (rows, rows.reverse())]
    assert not naive[0].equals(naive[1])


def test_merging_what_is_merged_changes_nothing() -> None:
    rows = crawls("douyin", 200, views=lambda i: 5 if i < 2 else 0, likes=lambda i: 10 + i)
    rows["videos"] = [{**row, "title": TEXT if row["source_row"] < 3 else None} for row in rows["videos"]]
    once = merged(**rows)
    twice = merge(once.tables)
    assert once.tables["links"].height == 2
    assert sorted_tables(once) == sorted_tables(twice)
