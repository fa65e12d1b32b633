"""From decoded samples of the XS-Video release to the tables of schema.py, a chunk at a time, column by column."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
import polars as pl

from veracast.data.readers.protocol import Batch
from veracast.data.schema import COMMENTS, LINKS, REJECTS, SNAPSHOTS, VIDEOS, empty

ZONE = "Asia/Shanghai"
PLATFORMS = {
    "抖音": "douyin",
    "快手": "kuaishou",
    "西瓜": "xigua",
    "西瓜视频": "xigua",
    "头条": "toutiao",
    "今日头条": "toutiao",
    "哔哩哔哩": "bilibili",
    "B站": "bilibili",
}
# 播放量 is 0 in 99 % of 抖音 samples and 收藏量 in all of 西瓜: there 0 means "not published"
UNPUBLISHED = {("douyin", "views"), ("xigua", "collects")}
MAX_COUNT = 10**13
MAX_TEXT_CHARS = 20_000
_COUNTERS = ("followers", "views", "likes", "n_comments", "shares", "collects")
_INTEGERS = ("level", *_COUNTERS)
_CONTENT = ("url", "platform", "posted", "level", "description", "title", "author", "topic", "sentiment", "duration_s")
_TIME = "%Y-%m-%d %H:%M:%S"


class Comment(msgspec.Struct, gc=False, rename={"user": "评论用户ID", "text": "评论内容", "time": "评论时间"}):
    user: str | None = None
    text: str | None = None
    time: str | None = None


class Sample(
    msgspec.Struct,
    gc=False,  # no cycles here, and a chunk has 100,000 objects for the collector to walk over
    rename={
        "description": "描述",
        "title": "标题",
        "author": "发布用户ID",
        "duration_s": "视频时长（秒）",
        "platform": "平台",
        "posted": "发布时间",
        "topic": "话题",
        "level": "影响力等级",
        "crawled": "当前时间",
        "followers": "当前粉丝量",
        "likes": "当前点赞量",
        "views": "当前播放量",
        "shares": "当前分享量",
        "collects": "当前收藏量",
        "n_comments": "当前评论量",
        "comments": "评论",
        "history": "历史状态",
    },
):
    """One record; types are enforced while decoding, also of what is not used."""

    url: str
    platform: str
    posted: str
    crawled: str
    level: int
    followers: int | None
    likes: int | None
    views: int | None
    shares: int | None
    collects: int | None
    n_comments: int | None
    description: str | None = None
    title: str | None = None
    author: str | None = None
    duration_s: float | None = None
    topic: str | None = None
    sentiment: str | None = None
    comments: dict[str, Comment] = {}
    history: list[int] = []


class Checked(NamedTuple):
    """The rows that stay, and those that do not as rejects."""

    table: pl.DataFrame
    rejects: pl.DataFrame


def batch(samples: dict[str, Sample], file: str, *, keep_comments: bool) -> Batch:
    """The tables of these samples by key; a sample with an impossible value becomes a reject.

    The earliest of several equal rows of a video stays; which of different rows counts is for merging to say, by time.
    """
    rows = list(samples.values())
    table, rejects = _check(_table(list(samples), rows), file)
    distinct = table.filter(_differs_from_the_row_before())
    videos, snapshots, links = pl.collect_all(
        [_videos(distinct.lazy()), _snapshots(table.lazy()), _links(distinct.lazy())]
    )
    return Batch(videos, snapshots, _comments(rows, table, keep_comments), links, rejects)


def _table(keys: list[str], rows: Sequence[Sample]) -> pl.DataFrame:
    """Raw columns, times and ids parsed; what does not parse is null here and rejected next."""
    names = Sample.__struct_fields__[: -len(("comments", "history"))]  # the two nested fields stand last
    columns: dict[str, Any] = {name: list(map(attrgetter(name), rows)) for name in names}
    try:
        table = pl.DataFrame({"key_text": keys, **columns}, schema=_raw_schema(names, pl.Int64))
    except (TypeError, OverflowError):  # a count beyond 64 bits is to be shown in its reject, not to end the reading
        table = pl.DataFrame({"key_text": keys, **columns}, schema=_raw_schema(names, pl.Int128))
    platform = pl.col("platform").str.strip_chars().replace(PLATFORMS).str.to_lowercase()
    native = pl.col("url").str.strip_chars_end("/").str.split("?").list.first().str.split("/").list.last()
    posted = pl.col("posted").str.to_datetime(_TIME, time_unit="us", strict=False)
    crawled = pl.col("crawled").str.to_datetime("%Y-%m-%d", time_unit="us", strict=False)
    counters = [pl.col(name).fill_null(0) for name in _COUNTERS if name != "followers"]
    return (
        table.lazy()
        .with_row_index("row")
        .with_columns(
            key=pl.col("key_text").cast(pl.Int64, strict=False),
            platform=platform,
            native=native,
            posted_at=_utc(posted),
            day_end=_utc(crawled + pl.duration(hours=23, minutes=59, seconds=59)),
            synthetic=(crawled.dt.date() == posted.dt.date()) & (pl.sum_horizontal(counters) == 0),
        )
        .with_columns(
            video_id=pl.concat_str(["platform", "native"], separator=":"),
            observed_at=pl.when("synthetic").then("posted_at").otherwise("day_end"),
        )
        .collect()
    )


def _raw_schema(names: Sequence[str], integer: type[pl.DataType]) -> dict[str, Any]:
    special: dict[str, Any] = {"duration_s": pl.Float64, **dict.fromkeys(_INTEGERS, integer)}
    return {"key_text": pl.String, **{name: special.get(name, pl.String) for name in names}}


def _check(table: pl.DataFrame, file: str) -> Checked:
    """Rows that stay, and rejects with the first reason that applies."""
    checks = _checks()
    failed = [failed.fill_null(value=False) for _, failed, _ in checks]
    if not table.select(pl.any_horizontal(failed).any()).item():
        return Checked(table, empty("rejects"))
    reason: Any = pl.when(pl.lit(value=False)).then(None)
    detail: Any = pl.when(pl.lit(value=False)).then(None)
    for (words, _, column), fails in zip(checks, failed, strict=True):
        shown = pl.col(column).cast(pl.String).str.slice(0, 200) if column else pl.lit("")
        reason, detail = reason.when(fails).then(pl.lit(words)), detail.when(fails).then(shown)
    marked = table.with_columns(reason=reason.otherwise(None), detail=detail.otherwise(None))
    rejects = marked.filter(pl.col("reason").is_not_null()).select(
        file=pl.lit(file),
        record=pl.format("key {}", "key_text"),
        reason="reason",
        detail=pl.col("detail").fill_null(""),
    )
    kept = marked.filter(pl.col("reason").is_null()).drop("reason", "detail")
    return Checked(kept.with_columns(pl.col(_INTEGERS).cast(pl.Int64)), rejects)


def _checks() -> list[tuple[str, pl.Expr, str | None]]:
    """Reason, what makes a row fail, and the column to show; in the order in which reasons are given."""
    texts = [
        pl.col(name).str.len_chars() > MAX_TEXT_CHARS for name in ("title", "description", "url", "topic", "author")
    ]
    return [
        ("key is not a number", pl.col("key").is_null(), "key_text"),
        ("no video id in url", pl.col("native").str.len_chars() == 0, "url"),
        ("bad posting time", pl.col("posted_at").is_null(), "posted"),
        ("bad crawl date", pl.col("day_end").is_null(), "crawled"),
        ("dates out of order", pl.col("day_end") < pl.col("posted_at") - pl.duration(days=1), "crawled"),
        ("level outside 0-9", ~pl.col("level").is_between(0, 9), "level"),
        *[(f"negative count in {c}", pl.col(c) < 0, c) for c in _COUNTERS],
        *[(f"absurd count in {c}", pl.col(c) > MAX_COUNT, c) for c in _COUNTERS],
        ("negative duration", pl.col("duration_s") < 0, "duration_s"),
        ("text too long", pl.any_horizontal(texts), None),
    ]


def _differs_from_the_row_before() -> pl.Expr:
    """False where the row before says the same of the video and was seen earlier: most crawls, and no need to keep them."""
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(1)) for name in _CONTENT)
    at, at_before = pl.col("observed_at"), pl.col("observed_at").shift(1)
    earlier = (at_before < at) | ((at_before == at) & (pl.col("key").shift(1) < pl.col("key")))
    return (~(same & earlier)).fill_null(value=True)


def _videos(table: pl.LazyFrame) -> pl.LazyFrame:
    blank = {name: _blank_to_null(name) for name in ("title", "description", "sentiment", "topic")}
    rows = table.sort("observed_at", "key").with_columns(
        **blank, author_id="author", category=pl.lit(None), language=pl.lit(None), source_row="key"
    )
    typed = rows.select([pl.col(name).cast(dtype) for name, dtype in VIDEOS.items()])
    return typed.unique([name for name in VIDEOS if name != "source_row"], keep="first", maintain_order=True)


def _snapshots(table: pl.LazyFrame) -> pl.LazyFrame:
    def counter(name: str, source: str) -> pl.Expr:
        hidden = pl.col("platform").is_in([p for p, n in UNPUBLISHED if n == name]) & (pl.col(source) == 0)
        return pl.when(pl.col("synthetic") | hidden).then(None).otherwise(pl.col(source)).alias(name)

    pairs = [
        ("views", "views"),
        ("likes", "likes"),
        ("comments", "n_comments"),
        ("shares", "shares"),
        ("collects", "collects"),
    ]
    rows = table.select(
        "video_id",
        "observed_at",
        "synthetic",
        "followers",
        *[counter(name, source) for name, source in pairs],
        coins=pl.lit(None),
        danmaku=pl.lit(None),
        source_row="key",
    )
    return rows.select([pl.col(name).cast(dtype) for name, dtype in SNAPSHOTS.items()])


def _links(table: pl.LazyFrame) -> pl.LazyFrame:
    """The topic a video was found under, taken as known from posting on (declared: the release does not date it)."""
    topics = table.filter(_blank_to_null("topic").is_not_null()).sort("posted_at", "key")
    topics = topics.unique(["video_id", "topic"], keep="first", maintain_order=True)
    rows = topics.select(
        "video_id", kind=pl.lit("topic"), target="topic", value=pl.lit(None, pl.Float64), observed_at="posted_at"
    )
    return rows.select([pl.col(name).cast(dtype) for name, dtype in LINKS.items()])


def _comments(rows: Sequence[Sample], table: pl.DataFrame, keep_text: bool) -> pl.DataFrame:
    """The comments of the samples that stay; `table` says by `row` which samples these are."""
    kept = rows if table.height == len(rows) else [rows[row] for row in table["row"].to_list()]
    found = [comment for sample in kept for comment in sample.comments.values()]
    if not found:
        return empty("comments")
    per_sample = pl.Series([len(sample.comments) for sample in kept], dtype=pl.UInt32)
    seen = table.select("video_id", "observed_at").lazy().with_columns(n=per_sample).filter(pl.col("n") > 0)
    seen = seen.select(pl.col("video_id").repeat_by("n"), pl.col("observed_at").repeat_by("n"))
    comments = seen.explode("video_id", "observed_at").with_columns(
        author_id=pl.Series([comment.user for comment in found], dtype=pl.String),
        time=pl.Series([comment.time for comment in found], dtype=pl.String),
        text=pl.Series([comment.text for comment in found], dtype=pl.String) if keep_text else pl.lit(None, pl.String),
    )
    time = pl.col("time").str.to_datetime(_TIME, time_unit="us", strict=False)
    return comments.with_columns(commented_at=_utc(time)).select(list(COMMENTS)).collect()


def _blank_to_null(name: str) -> pl.Expr:
    stripped = pl.col(name).str.strip_chars()
    return pl.when(stripped == "").then(None).otherwise(stripped)


def _utc(local: pl.Expr) -> pl.Expr:
    # Shanghai has had no clock change since 1991; `earliest` keeps older dates from failing
    return local.dt.replace_time_zone(ZONE, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")


def reject_rows(faults: Sequence[tuple[str, str, str, str]]) -> pl.DataFrame:
    """(file, record, reason, detail) of each fault as a table."""
    return pl.DataFrame(faults, schema=REJECTS, orient="row")
