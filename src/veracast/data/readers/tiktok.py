"""TikTok: flat CSV exports of scrapers, 4CAT's CSV, and Zeeschuimer's NDJSON.

Counts such as 304.9K and 1.4M, durations mm:ss, blank = not published. Times without a zone are read as UTC unless
--timezone says otherwise. `music_id` may have been written as a float: it is an opaque key. Follower and music-use counts
are those of the crawl. An export may lack its counters (then its videos can be rated, not learnt from).
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

NAME = "tiktok"
_FLAT = {
    "vid_id": "id",
    "user_name": "author",
    "user_nfollower": "followers",
    "vid_caption": "title",
    "vid_posttime": "posted",
    "vid_scrapetime": "observed",
    "vid_duration": "duration",
    "vid_nview": "views",
    "vid_nlike": "likes",
    "vid_ncomment": "comments",
    "vid_nshare": "shares",
    "vid_nsave": "collects",
    "vid_hashtags": "hashtags",
    "vid_url": "url",
    "music_id": "music",
    "music_nused": "music_used",
}
_4CAT = {
    "id": "id",
    "author": "author",
    "author_followers": "followers",
    "body": "title",
    "timestamp": "posted",
    "timestamp_collected": "observed",
    "video_duration": "duration",
    "plays": "views",
    "likes": "likes",
    "comments": "comments",
    "shares": "shares",
    "collects": "collects",
    "hashtags": "hashtags",
    "tiktok_url": "url",
    "music_id": "music",
}


def sniff(path: Path, head: bytes) -> bool:
    """Header names of the CSV kinds, or Zeeschuimer's envelope."""
    first = head.split(b"\n", 1)[0].lower()
    flat = b"vid_id" in first and (b"vid_posttime" in first or b"vid_nview" in first)
    four_cat = b"tiktok_url" in first and b"music_id" in first and b"hashtags" in first
    return flat or four_cat or (b'"source_platform"' in head and b"tiktok" in head and b'"data"' in head)


def read(path: Path, options: ReadOptions) -> Iterator[Batch]:
    """One batch per file."""
    with path.open("rb") as handle:
        is_json = handle.read(64).lstrip(b"\xef\xbb\xbf \n")[:1] == b"{"
    if is_json:
        yield assemble(_zeeschuimer(path), path, options, platform="tiktok", zone="UTC")
        return
    frame = read_csv(path)
    frame = frame.rename({c: c.strip().lower() for c in frame.columns})
    names = _FLAT if "vid_id" in frame.columns else _4CAT
    need(path, frame, [c for c, name in names.items() if name in ("id", "posted")])  # without counts it can be rated
    raw = frame.select([pl.col(c).alias(name) for c, name in names.items() if c in frame.columns])
    yield assemble(raw, path, options, platform="tiktok", zone="UTC")


def _zeeschuimer(path: Path) -> pl.DataFrame:
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            rows.append(_item(json.loads(line)))
        except json.JSONDecodeError as error:
            message = f"not JSON ({error.msg}); a cut-off line at the end means a truncated file"
            raise InputError(message, file=str(path), record=f"line {number}", remedy="export it again") from error
        except (AttributeError, TypeError) as error:
            message = f"not an item of Zeeschuimer ({error})"
            raise InputError(message, file=str(path), record=f"line {number}", remedy="export it again") from error
    return pl.DataFrame(rows, infer_schema_length=None)


def _item(envelope: dict[str, Any]) -> dict[str, str | None]:
    data = envelope.get("data") or {}
    stats, author, music = data.get("stats") or {}, data.get("author") or {}, data.get("music") or {}
    tags = ",".join(str(c.get("title", "")) for c in data.get("challenges") or [])
    fields = {
        "id": data.get("id") or envelope.get("item_id"),
        "author": author.get("uniqueId") if isinstance(author, dict) else author,
        "followers": (data.get("authorStats") or {}).get("followerCount"),
        "title": data.get("desc"),
        "posted": data.get("createTime"),
        "observed": envelope.get("timestamp_collected"),
        "duration": (data.get("video") or {}).get("duration"),
        "views": stats.get("playCount"),
        "likes": stats.get("diggCount"),
        "comments": stats.get("commentCount"),
        "shares": stats.get("shareCount"),
        "collects": stats.get("collectCount"),
        "hashtags": tags or None,
        "music": music.get("id"),
    }
    return {key: None if value is None else str(value) for key, value in fields.items()}
