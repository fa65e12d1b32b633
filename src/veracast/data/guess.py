"""Propose a mapping for a file that no reader knows, from its column names and the shape of their values."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from veracast.data import counts
from veracast.data.readers.mapped import open_table

NAMES: dict[str, tuple[str, ...]] = {
    "id": ("id", "video_id", "videoid", "vid", "aid", "bvid", "item_id", "clip_id", "post_id", "视频id", "作品id"),
    "author": ("author", "author_id", "user", "user_id", "user_name", "username", "channel", "channel_id", "creator", "作者", "用户"),
    "title": ("title", "caption", "headline", "text", "标题"),
    "description": ("description", "desc", "body", "描述", "简介"),
    "topic": ("topic", "话题"),
    "category": ("category", "genre", "分类", "类别"),
    "language": ("language", "lang", "语言"),
    "url": ("url", "link", "permalink", "链接"),
    "duration": ("duration", "duration_s", "length", "视频时长", "时长"),
    "posted": ("posted", "posted_at", "published", "published_at", "publish_time", "created_at", "create_time", "upload_date", "发布时间"),
    "observed": ("observed", "observed_at", "crawled", "crawled_at", "fetched_at", "scraped_at", "snapshot", "snapshot_date", "date", "采集时间", "抓取时间"),
    "level": ("level", "influence_level", "影响力等级"),
    "followers": ("followers", "follower_count", "fans", "subscribers", "粉丝", "粉丝量", "粉丝数"),
    "views": ("views", "view_count", "plays", "play_count", "hits", "watch_count", "播放", "播放量", "播放数", "观看"),
    "likes": ("likes", "like_count", "diggs", "hearts", "upvotes", "点赞", "点赞量", "点赞数"),
    "comments": ("comments", "comment_count", "replies", "评论", "评论量", "评论数"),
    "shares": ("shares", "share_count", "reposts", "retweets", "分享", "分享量", "转发"),
    "collects": ("collects", "favorites", "favourites", "saves", "bookmarks", "收藏", "收藏量"),
    "coins": ("coins", "投币"),
    "danmaku": ("danmaku", "弹幕"),
    "hashtags": ("hashtags", "tags", "标签"),
    "music": ("music", "music_id", "sound", "sound_id", "音乐"),
}  # fmt: skip
_TIMES, _COUNTS = (
    ("posted", "observed"),
    ("followers", "views", "likes", "comments", "shares", "collects", "coins", "danmaku"),
)
_LOOK_AT = 500
_MOSTLY = 0.8


def guess_mapping(path: Path) -> str:
    """A mapping TOML as text, each line saying why; columns it did not use are listed at the end."""
    frame = open_table(path).head(_LOOK_AT)
    lines = [
        f"# proposed for {path.name}; check it, then: veracast ingest {path.name} --mapping THIS_FILE --to DATASET"
    ]
    lines += ['platform = "unknown"  # say which', 'timezone = "UTC"  # for times without a zone', "", "[columns]"]
    used: set[str] = set()
    for ours, names in NAMES.items():
        found = _find(frame, ours, names, used)
        if found is not None:
            column, why = found
            used.add(column)
            lines.append(f"{ours} = {_quoted(column)}  # {why}")
    missing = [name for name in ("id", "posted", "views") if not any(line.startswith(f"{name} =") for line in lines)]
    lines += [f'# {name} = "?"  # not found: name the column' for name in missing]
    left = [c for c in frame.columns if c not in used]
    if left:
        lines += ["", f"# not used: {', '.join(left)}"]
    return "\n".join(lines) + "\n"


def _find(frame: pl.DataFrame, ours: str, names: tuple[str, ...], used: set[str]) -> tuple[str, str] | None:
    """The unused column whose name fits best and whose values have the right shape."""
    scored = []
    for column in frame.columns:
        plain = column.strip().lower().replace(" ", "_").replace("-", "_")
        last = plain.rpartition(".")[2]
        rank = next((i for i, n in enumerate(names) if n in (plain, last)), None)
        if rank is None and any(len(n) > 3 and n in plain for n in names):
            rank = 100 + len(plain)
        if rank is not None and column not in used and (why := _shape(frame[column], ours)):
            scored.append((rank, column, why))
    if not scored:
        return None
    _, column, why = min(scored)
    return column, why


def _shape(values: pl.Series, ours: str) -> str | None:
    """Why the values fit, or None when they do not."""
    frame = values.to_frame("x").filter(~counts.is_blank(pl.col("x")))
    if frame.is_empty():
        return None
    if ours in _TIMES:
        share = frame.select(counts.time(pl.col("x"), "UTC").is_not_null().mean()).item()
        return f"name fits, {share:.0%} of the values are times" if share >= _MOSTLY else None
    if ours in _COUNTS:
        share = frame.select(counts.count(pl.col("x")).is_not_null().mean()).item()
        return f"name fits, {share:.0%} of the values are counts" if share >= _MOSTLY else None
    if ours == "duration":
        share = frame.select(counts.duration_s(pl.col("x")).is_not_null().mean()).item()
        return f"name fits, {share:.0%} of the values are durations" if share >= _MOSTLY else None
    return "name fits"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
