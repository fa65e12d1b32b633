"""YouTube: Data API v3 `videos.list` answers, and the usual CSV exports of trending lists.

An API answer carries no time of fetch, and a file's own date says nothing reliable: --observed-at is required.
Durations are ISO 8601, times UTC. A statistic that the owner hides is missing from the answer: null, never 0.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from veracast.core.errors import InputError
from veracast.data.readers.protocol import Batch, ReadOptions
from veracast.data.readers.tabular import assemble, need, read_csv, read_text

NAME = "youtube"
_CSV = {
    "id": ("video_id", "videoid", "id"),
    "title": ("title", "video_title"),
    "description": ("description",),
    "author": ("channelid", "channel_id", "channel_title", "channeltitle"),
    "category": ("categoryid", "category_id", "category"),
    "posted": ("publishedat", "published_at", "publish_time", "publish_date"),
    "observed": ("observed_at", "fetched_at", "crawl_time", "trending_date"),
    "duration": ("duration", "contentdetails.duration"),
    "hashtags": ("tags",),
    "followers": ("subscriber_count", "subscribers"),
    "views": ("view_count", "viewcount", "views"),
    "likes": ("likes", "like_count", "likecount"),
    "comments": ("comment_count", "commentcount", "comments"),
}


def sniff(path: Path, head: bytes) -> bool:
    """The API's `kind`, or a CSV header with a video id, a publishing time and a view count."""
    if b"youtube#video" in head:
        return True
    first = {c.strip().strip('"').lower() for c in head.split(b"\n", 1)[0].decode("utf-8", "replace").split(",")}
    return {"title"} <= first and all(first & set(_CSV[name]) for name in ("id", "author", "posted", "views"))


def read(path: Path, options: ReadOptions) -> Iterator[Batch]:
    """One batch per file."""
    with path.open("rb") as handle:
        is_json = handle.read(64).lstrip(b"\xef\xbb\xbf \n\r")[:1] in (b"{", b"[")
    raw = _api(path, options) if is_json else _csv(path)
    yield assemble(raw, path, options, platform="youtube", zone="UTC")


def _csv(path: Path) -> pl.DataFrame:
    frame = read_csv(path)
    lower = {c.strip().lower(): c for c in frame.columns}
    found = {name: next((lower[c] for c in choices if c in lower), None) for name, choices in _CSV.items()}
    raw = frame.select([pl.col(c).alias(name) for name, c in found.items() if c is not None])
    need(path, raw, ["id", "posted", "views"])
    if found["observed"] is not None and found["observed"].strip().lower() == "trending_date":
        position = pl.int_range(1, pl.len() + 1).over("observed").cast(pl.String)
        raw = raw.with_columns(list_position=position, list_name=pl.lit("youtube-trending"))
    return raw


def _api(path: Path, options: ReadOptions) -> pl.DataFrame:
    if options.observed_at is None:
        message = "a videos.list answer carries no time of fetch"
        raise InputError(message, file=str(path), remedy="say when it was fetched: --observed-at 2024-05-01T12:00Z")
    try:
        body = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        message = f"not JSON ({error.msg})"
        raise InputError(message, file=str(path), record=f"byte {error.pos}", remedy="fetch it again") from error
    pages = body if isinstance(body, list) else [body]
    items = [item for page in pages for item in (page.get("items", [page]) if isinstance(page, dict) else [])]
    return pl.DataFrame([_item(item) for item in items], infer_schema_length=None)


def _item(item: dict[str, Any]) -> dict[str, str | None]:
    snippet, stats = item.get("snippet") or {}, item.get("statistics") or {}
    fields = {
        "id": item.get("id"),
        "title": snippet.get("title"),
        "description": snippet.get("description"),
        "author": snippet.get("channelId"),
        "category": snippet.get("categoryId"),
        "language": snippet.get("defaultAudioLanguage") or snippet.get("defaultLanguage"),
        "posted": snippet.get("publishedAt"),
        "duration": (item.get("contentDetails") or {}).get("duration"),
        "hashtags": "|".join(snippet.get("tags") or []) or None,
        "views": stats.get("viewCount"),
        "likes": stats.get("likeCount"),
        "comments": stats.get("commentCount"),
    }
    return {key: None if value is None else str(value) for key, value in fields.items()}
