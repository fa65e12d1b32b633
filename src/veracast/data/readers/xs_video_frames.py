"""From decoded samples of the XS-Video release to the tables of schema.py, a chunk at a time, column by column."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple

import msgspec
import polars as pl
from msgspec.structs import astuple

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

samples_made = count().__next__
"""Called once for each sample that is made: two calls that frame a decoding tell how many it made."""


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

    def __post_init__(self) -> None:
        samples_made()


_FIELDS = Sample.__struct_fields__[: -len(("comments", "history"))]  # the two nested fields stand last


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
    distinct = table.lazy().filter(_CHANGED)
    videos, snapshots, links = pl.collect_all([_videos(distinct), table.lazy().select(_SNAPSHOTS), _links(distinct)])
    return Batch(videos, snapshots, _comments(rows, table, keep_comments), links, rejects)


def _table(keys: list[str], rows: Sequence[Sample]) -> pl.DataFrame:
    """Raw columns, times and ids parsed; what does not parse is null here, and `failed` as all that _CHECKS finds."""
    values: Iterable[Sequence[Any]] = zip(*map(astuple, rows), strict=True) if rows else [()] * len(_FIELDS)
    columns: dict[str, Sequence[Any]] = {"key_text": keys, **dict(zip(_FIELDS, values, strict=False))}
    try:
        table = _frame(columns, pl.Int64)
    except (TypeError, OverflowError):  # a count beyond 64 bits is to be shown in its reject, not to end the reading
        table = _frame(columns, pl.Int128)
    parsed = table.lazy().with_row_index("row").with_columns(_PARSED).with_columns(_IDENTIFIED)
    return parsed.with_columns(failed=pl.any_horizontal(_FAILED)).collect()


def _frame(columns: Mapping[str, Sequence[Any]], integer: type[pl.DataType]) -> pl.DataFrame:
    types: dict[str, Any] = {"duration_s": pl.Float64, **dict.fromkeys(_INTEGERS, integer)}
    return pl.DataFrame([pl.Series(name, values, types.get(name, pl.String)) for name, values in columns.items()])


def _check(table: pl.DataFrame, file: str) -> Checked:
    """Rows that stay, and rejects with the first reason that applies."""
    if not table["failed"].any():
        return Checked(table, empty("rejects"))
    reason: Any = pl.when(pl.lit(value=False)).then(None)
    detail: Any = pl.when(pl.lit(value=False)).then(None)
    for (words, _, column), fails in zip(_CHECKS, _FAILED, strict=True):
        shown = pl.col(column).cast(pl.String).str.slice(0, 200) if column else pl.lit("")
        reason, detail = reason.when(fails).then(pl.lit(words)), detail.when(fails).then(shown)
    rejects = table.filter("failed").select(
        file=pl.lit(file),
        record=pl.format("key {}", "key_text"),
        reason=reason.otherwise(None),
        detail=detail.otherwise(None).fill_null(""),
    )
    return Checked(table.filter(~pl.col("failed")).with_columns(pl.col(_INTEGERS).cast(pl.Int64)), rejects)


def _videos(table: pl.LazyFrame) -> pl.LazyFrame:
    content = [name for name in VIDEOS if name != "source_row"]
    rows = table.sort("observed_at", "key").select(_VIDEOS)
    return rows.unique(content, keep="first", maintain_order=True)


def _links(table: pl.LazyFrame) -> pl.LazyFrame:
    """The topic a video was found under, taken as known from posting on (declared: the release does not date it)."""
    topics = table.filter(_blank_to_null("topic").is_not_null()).sort("posted_at", "key")
    return topics.unique(["video_id", "topic"], keep="first", maintain_order=True).select(_LINKS)


def _comments(rows: Sequence[Sample], table: pl.DataFrame, keep_text: bool) -> pl.DataFrame:
    """The comments of the samples that stay; `table` says by `row` which samples these are."""
    kept = rows if table.height == len(rows) else [rows[row] for row in table["row"].to_list()]
    found = [comment for sample in kept for comment in sample.comments.values()]
    if not found:
        return empty("comments")
    sample_of = pl.Series([at for at, sample in enumerate(kept) for _ in sample.comments], dtype=pl.UInt32)
    texts = [comment.text for comment in found] if keep_text else [None] * len(found)
    times = pl.Series("time", [comment.time for comment in found], pl.String)
    comments = {
        "video_id": table["video_id"].gather(sample_of),
        "author_id": pl.Series([comment.user for comment in found], dtype=pl.String),
        "commented_at": times.to_frame().select(_SAID_AT).to_series(),
        "observed_at": table["observed_at"].gather(sample_of),
        "text": pl.Series(texts, dtype=pl.String),
    }
    return pl.DataFrame(comments, schema=COMMENTS)


def reject_rows(faults: Sequence[tuple[str, str, str, str]]) -> pl.DataFrame:
    """(file, record, reason, detail) of each fault as a table."""
    return pl.DataFrame(faults, schema=REJECTS, orient="row")


# The expressions below are made once: for a chunk of 8 MB, making them anew takes as long as evaluating them.


def _blank_to_null(name: str) -> pl.Expr:
    stripped = pl.col(name).str.strip_chars()
    return pl.when(stripped == "").then(None).otherwise(stripped).alias(name)


def _utc(local: pl.Expr) -> pl.Expr:
    # Shanghai has had no clock change since 1991, and to take 8 hours off is ten times faster than to ask the zone's table;
    # for older dates, `earliest` keeps a time that a clock change made ambiguous from failing
    modern = local >= dt.datetime(1992, 1, 1)
    old = pl.when(~modern).then(local).dt.replace_time_zone(ZONE, ambiguous="earliest", non_existent="null")
    ahead = dt.timedelta(hours=8)
    return pl.when(modern).then((local - ahead).dt.replace_time_zone("UTC")).otherwise(old.dt.convert_time_zone("UTC"))


def _parsed() -> list[pl.Expr]:
    platform = pl.col("platform").str.strip_chars().replace(PLATFORMS).str.to_lowercase()
    native = pl.col("url").str.strip_chars_end("/").str.split("?").list.first().str.split("/").list.last()
    posted = pl.col("posted").str.to_datetime(_TIME, time_unit="us", strict=False)
    crawled = pl.col("crawled").str.to_datetime("%Y-%m-%d", time_unit="us", strict=False)
    counters = [pl.col(name).fill_null(0) for name in _COUNTERS if name != "followers"]
    return [
        pl.col("key_text").cast(pl.Int64, strict=False).alias("key"),
        platform,
        native.alias("native"),
        _utc(posted).alias("posted_at"),
        _utc(crawled + pl.duration(hours=23, minutes=59, seconds=59)).alias("day_end"),
        ((crawled.dt.date() == posted.dt.date()) & (pl.sum_horizontal(counters) == 0)).alias("synthetic"),
    ]


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


def _changed() -> pl.Expr:
    """False where the row before says the same of the video and was seen earlier: most crawls, and no need to keep them."""
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(1)) for name in _CONTENT)
    at, at_before = pl.col("observed_at"), pl.col("observed_at").shift(1)
    earlier = (at_before < at) | ((at_before == at) & (pl.col("key").shift(1) < pl.col("key")))
    return (~(same & earlier)).fill_null(value=True)


def _typed(schema: Mapping[str, Any], **columns: pl.Expr | str | None) -> list[pl.Expr]:
    """The columns of a table, from an expression, another column, nothing, or the column of the same name."""
    made = {name: columns.get(name, name) for name in schema}
    exprs = {name: pl.col(e) if isinstance(e, str) else pl.lit(None) if e is None else e for name, e in made.items()}
    return [expr.cast(schema[name]).alias(name) for name, expr in exprs.items()]


def _counter(name: str, source: str) -> pl.Expr:
    hidden = pl.col("platform").is_in([p for p, n in UNPUBLISHED if n == name]) & (pl.col(source) == 0)
    return pl.when(pl.col("synthetic") | hidden).then(None).otherwise(pl.col(source))


_PARSED = _parsed()
_IDENTIFIED = [
    pl.concat_str(["platform", "native"], separator=":").alias("video_id"),
    pl.when("synthetic").then("posted_at").otherwise("day_end").alias("observed_at"),
]
_CHECKS = _checks()
_FAILED = [failed.fill_null(value=False) for _, failed, _ in _CHECKS]
_CHANGED = _changed()
_VIDEOS = _typed(
    VIDEOS,
    **{name: _blank_to_null(name) for name in ("title", "description", "sentiment", "topic")},
    author_id="author",
    category=None,
    language=None,
    source_row="key",
)
_SNAPSHOTS = _typed(
    SNAPSHOTS,
    **{name: _counter(name, name) for name in ("views", "likes", "shares", "collects")},
    comments=_counter("comments", "n_comments"),
    coins=None,
    danmaku=None,
    source_row="key",
)
_LINKS = _typed(LINKS, kind=pl.lit("topic"), target="topic", value=None, observed_at="posted_at")
_SAID_AT = _utc(pl.col("time").str.to_datetime(_TIME, time_unit="us", strict=False)).alias("commented_at")
