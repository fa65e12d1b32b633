"""The XS-Video release: one JSON object of samples, plain, zipped, or still in its split zip parts.

One member is one sample: the state of a video at one crawl (methods: LivXue/short-video-influence, `released_dataset.json`).
Times are Shanghai's. A crawl has a date only and is read as the end of that day; the row that the release made up for the
posting day (all counters 0) keeps the posting time and carries no counters. Comment IPs are never read.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import polars as pl

from veracast.core.errors import InputError
from veracast.data.json_stream import Chunk, member_ends, split_object
from veracast.data.readers.protocol import Batch, ReadOptions
from veracast.data.readers.split_zip import SplitZipMember, is_zip_part
from veracast.data.schema import COMMENTS, LINKS, REJECTS, SNAPSHOTS, VIDEOS, empty

NAME = "xs_video"
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
PARALLEL_FROM_BYTES = 64 << 20
_REMEDY = "mend or remove the record, or use --on-error skip"


class Comment(msgspec.Struct, rename={"user": "评论用户ID", "text": "评论内容", "time": "评论时间"}):
    user: str | None = None
    text: str | None = None
    time: str | None = None


class Sample(
    msgspec.Struct,
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
    """One record; types are enforced while decoding."""

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


_MANY = msgspec.json.Decoder(dict[str, Sample])
_KEY = re.compile(rb'"((?:[^"\\]|\\.)*)"\s*:\s*')
_ONE = msgspec.json.Decoder(Sample)
_COUNTERS = ("followers", "views", "likes", "n_comments", "shares", "collects")


def sniff(path: Path, head: bytes) -> bool:
    """The release's keys at the start of a JSON file, or a zip or one of its parts."""
    return ("影响力等级".encode() in head and "当前时间".encode() in head) or is_zip_part(path, head)


def read(path: Path, options: ReadOptions) -> Iterator[Batch]:
    """Stream the samples; see readers/protocol.py. Duplicate keys are faults, also between chunks."""
    seen: set[int] = set()
    for chunk, part in _decoded(path, options):
        keys = part.snapshots["source_row"].to_list()
        fresh = set(keys)
        again = fresh & seen
        if again:
            part = part.without(again, path.name)
        seen |= fresh
        if options.on_error == "stop" and part.rejects.height:
            first = part.rejects.row(0, named=True)
            message = f"{first['reason']}: {first['detail']}" if first["detail"] else first["reason"]
            raise InputError(message, file=str(path), record=first["record"], remedy=_REMEDY)
        yield Batch(part.videos, part.snapshots, part.comments, part.links, part.rejects, bytes_done=chunk.end)


class Part(msgspec.Struct):
    """Frames of one chunk, as a worker returns them."""

    videos: Any
    snapshots: Any
    comments: Any
    links: Any
    rejects: Any

    def without(self, keys: set[int], file: str) -> Part:
        """The same part less the samples of these keys, which become rejects."""
        snapshots = self.snapshots.filter(~pl.col("source_row").is_in(list(keys)))
        known = snapshots.select("video_id").unique()
        again = [(file, f"key {key}", "duplicate key", "") for key in sorted(keys)]
        rejects = pl.DataFrame(again, schema=REJECTS, orient="row")
        return Part(
            self.videos.join(known, on="video_id", how="semi"),
            snapshots,
            self.comments.join(known, on="video_id", how="semi"),
            self.links.join(known, on="video_id", how="semi"),
            pl.concat([self.rejects, rejects]),
        )


def _decoded(path: Path, options: ReadOptions) -> Iterator[tuple[Chunk, Part]]:
    """Chunks with their frames, in the order of the file; large files are decoded by worker processes."""
    source, size = _open(path)
    try:
        chunks = split_object(source, file=str(path))
        if options.workers < 2 or size < PARALLEL_FROM_BYTES:
            for chunk in chunks:
                yield chunk, decode(chunk, path.name, options.keep_comments)
            return
        waiting: deque[tuple[Chunk, Future[Part]]] = deque()
        # spawn: polars' threads do not survive a fork
        with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
            for chunk in chunks:
                future = pool.submit(decode, chunk, path.name, options.keep_comments)
                waiting.append((Chunk(b"", chunk.members, chunk.start, chunk.end), future))
                if len(waiting) > options.workers + 1:
                    done, future = waiting.popleft()
                    yield done, future.result()
            while waiting:
                done, future = waiting.popleft()
                yield done, future.result()
    finally:
        source.close()


def _open(path: Path) -> tuple[Any, int]:
    with path.open("rb") as handle:
        head = handle.read(4)
    if is_zip_part(path, head):
        member = SplitZipMember(path)
        return member, member.size
    stream: BinaryIO = path.open("rb")
    return stream, path.stat().st_size


def decode(chunk: Chunk, file: str, keep_comments: bool) -> Part:
    """Parse one chunk into frames; records of a wrong shape become rejects."""
    faults: list[tuple[str, str, str, str]]
    try:
        samples, faults = _MANY.decode(chunk.body), []
    except (msgspec.DecodeError, UnicodeDecodeError):
        samples, faults = _one_by_one(chunk, file)
    if len(samples) + len(faults) != chunk.members:  # a key occurs twice: JSON decoders keep the last one silently
        samples, faults = _one_by_one(chunk, file)
    table = _table(samples)
    table, rejects = _reject(table, file)
    bad = pl.DataFrame(faults, schema=REJECTS, orient="row")
    kept = {str(key): samples[str(key)] for key in table["key"].to_list()} if rejects.height else samples
    return Part(
        videos=_videos(table),
        snapshots=_snapshots(table),
        comments=_comments(kept, table, keep_comments),
        links=_links(table),
        rejects=pl.concat([bad, rejects]),
    )


def _one_by_one(chunk: Chunk, file: str) -> tuple[dict[str, Sample], list[tuple[str, str, str, str]]]:
    """The slow way, to find the culprits of a chunk that failed as a whole."""
    samples: dict[str, Sample] = {}
    faults = []
    for key, body in _members(chunk.body):
        if key in samples:
            faults.append((file, f"key {key}", "duplicate key", ""))
            continue
        try:
            samples[key] = _ONE.decode(body)
        except msgspec.ValidationError as error:
            reason = "missing key" if "missing required field" in str(error) else "wrong type"
            faults.append((file, f"key {key}", reason, str(error)[:200]))
        except UnicodeDecodeError:
            faults.append((file, f"key {key}", "not valid UTF-8", "mixed encodings"))
        except msgspec.DecodeError as error:
            faults.append((file, f"key {key}", "not JSON", str(error)[:200]))
    return samples, faults


def _members(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Key and raw text of each member of a chunk, cut by braces alone, so that one bad member spoils no other."""
    start = 1
    for end in member_ends(body[1:]).tolist():
        member = body[start : end + 2].lstrip(b" \t\r\n,")
        start = end + 2
        found = _KEY.match(member)
        yield (found[1].decode("utf-8", "replace"), member[found.end() :]) if found else ("?", member)


def _table(samples: dict[str, Sample]) -> pl.DataFrame:
    """Raw columns, times and ids parsed; what does not parse is null here and rejected next."""
    rows = list(samples.values())
    names = Sample.__struct_fields__[: -len(("comments", "history"))]  # the two nested fields stand last
    values = zip(*(msgspec.structs.astuple(row)[: len(names)] for row in rows), strict=True)
    columns: dict[str, list[Any]] = (
        {name: list(column) for name, column in zip(names, values, strict=True)}
        if rows
        else {name: [] for name in names}
    )
    floats = {"duration_s": pl.Float64}
    ints = {name: pl.Int128 for name in ("level", *_COUNTERS)}
    types: dict[str, Any] = {name: {**floats, **ints}.get(name, pl.String) for name in names}
    table = pl.DataFrame({"key_text": list(samples), **columns}, schema={"key_text": pl.String, **types})
    platform = pl.col("platform").str.strip_chars().replace(PLATFORMS).str.to_lowercase()
    native = pl.col("url").str.strip_chars_end("/").str.split("?").list.first().str.split("/").list.last()
    posted = pl.col("posted").str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us", strict=False)
    crawled = pl.col("crawled").str.to_datetime("%Y-%m-%d", time_unit="us", strict=False)
    counters = [pl.col(name).fill_null(0) for name in _COUNTERS if name != "followers"]
    return table.with_columns(
        key=pl.col("key_text").cast(pl.Int64, strict=False),
        platform=platform,
        native=native,
        posted_at=_utc(posted),
        day_end=_utc(crawled + pl.duration(hours=23, minutes=59, seconds=59)),
        synthetic=(crawled.dt.date() == posted.dt.date()) & (pl.sum_horizontal(counters) == 0),
    ).with_columns(
        video_id=pl.concat_str(["platform", "native"], separator=":"),
        observed_at=pl.when("synthetic").then("posted_at").otherwise("day_end"),
    )


def _reject(table: pl.DataFrame, file: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows that stay, and rejects with the first reason that applies."""
    texts = [
        pl.col(name).str.len_chars() > MAX_TEXT_CHARS for name in ("title", "description", "url", "topic", "author")
    ]
    checks = [
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
    reason: Any
    detail: Any
    reason, detail = pl.when(pl.lit(value=False)).then(None), pl.when(pl.lit(value=False)).then(None)
    for words, failed, column in checks:
        failed = failed.fill_null(value=False)
        shown = pl.col(column).cast(pl.String).str.slice(0, 200) if column else pl.lit("")
        reason, detail = reason.when(failed).then(pl.lit(words)), detail.when(failed).then(shown)
    marked = table.with_columns(reason=reason.otherwise(None), detail=detail.otherwise(None))
    bad = marked.filter(pl.col("reason").is_not_null())
    rejects = bad.select(
        file=pl.lit(file),
        record=pl.format("key {}", "key_text"),
        reason="reason",
        detail=pl.col("detail").fill_null(""),
    )
    kept = marked.filter(pl.col("reason").is_null()).with_columns(
        [pl.col(c).cast(pl.Int64) for c in ("level", *_COUNTERS)]
    )
    return kept.drop("reason", "detail"), rejects


def _videos(table: pl.DataFrame) -> pl.DataFrame:
    blank = {name: _blank_to_null(name) for name in ("title", "description", "sentiment", "topic")}
    rows = table.with_columns(
        **blank, author_id="author", category=pl.lit(None), language=pl.lit(None), source_row="key"
    )
    typed = rows.select([pl.col(name).cast(dtype) for name, dtype in VIDEOS.items()])
    # the earliest of equal rows stays; which of different rows counts is for merging to say, by time
    content = [name for name in VIDEOS if name != "source_row"]
    typed = typed.with_columns(at=table["observed_at"]).sort("at", "source_row").drop("at")
    return typed.unique(content, keep="first", maintain_order=True)


def _snapshots(table: pl.DataFrame) -> pl.DataFrame:
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


def _comments(samples: dict[str, Sample], table: pl.DataFrame, keep_text: bool) -> pl.DataFrame:
    rows = [
        (int(key), c.user, c.time, c.text if keep_text else None)
        for key, s in samples.items()
        for c in s.comments.values()
    ]
    if not rows:
        return empty("comments")
    frame = pl.DataFrame(
        rows, schema={"key": pl.Int64, "author_id": pl.String, "time": pl.String, "text": pl.String}, orient="row"
    )
    time = pl.col("time").str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us", strict=False)
    frame = frame.with_columns(commented_at=_utc(time)).join(table.select("key", "video_id", "observed_at"), on="key")
    return frame.select([pl.col(name).cast(dtype) for name, dtype in COMMENTS.items()])


def _links(table: pl.DataFrame) -> pl.DataFrame:
    """The topic a video was found under, taken as known from posting on (declared: the release does not date it)."""
    topics = table.filter(_blank_to_null("topic").is_not_null()).sort("posted_at", "key")
    topics = topics.unique(["video_id", "topic"], keep="first", maintain_order=True)
    rows = topics.select(
        "video_id", kind=pl.lit("topic"), target="topic", value=pl.lit(None, pl.Float64), observed_at="posted_at"
    )
    return rows.select([pl.col(name).cast(dtype) for name, dtype in LINKS.items()])


def _blank_to_null(name: str) -> pl.Expr:
    stripped = pl.col(name).str.strip_chars()
    return pl.when(stripped == "").then(None).otherwise(stripped)


def _utc(local: pl.Expr) -> pl.Expr:
    # Shanghai has had no clock change since 1991; `earliest` keeps older dates from failing
    return local.dt.replace_time_zone(ZONE, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")
