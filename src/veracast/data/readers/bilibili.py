"""Bilibili: daily counts of the popular list (CSV), and the API's popular-list answer (JSON).

The CSV's `date` has no time of day: it is read as the end of that day in Shanghai. The order of its rows within a day is
the order of the list, so the row number within the day is the list position. The API's answer carries no time of fetch.
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

NAME = "bilibili"
ZONE = "Asia/Shanghai"
LIST_NAME = "bilibili-popular"
_CSV = {
    "aid": "id",
    "date": "observed",
    "pubdate": "posted",
    "duration": "duration",
    "tname": "category",
    "author": "author",
    "follower": "followers",
    "view": "views",
    "danmaku": "danmaku",
    "reply": "comments",
    "favorite": "collects",
    "coin": "coins",
    "share": "shares",
    "like": "likes",
}
_STAT = ("view", "danmaku", "reply", "favorite", "coin", "share", "like")


def sniff(path: Path, head: bytes) -> bool:
    """The CSV's header, or the API's keys."""
    first = head.split(b"\n", 1)[0]
    csv = all(name in first for name in (b"aid", b"pubdate", b"danmaku"))
    return csv or (head.lstrip()[:1] == b"{" and b'"aid"' in head and b'"danmaku"' in head)


def read(path: Path, options: ReadOptions) -> Iterator[Batch]:
    """One batch per file (a day's list is a few hundred rows, a year's CSV a few hundred thousand)."""
    with path.open("rb") as handle:
        is_json = handle.read(64).lstrip()[:1] == b"{"
    frame = _api(path, options) if is_json else read_csv(path)
    need(path, frame, ["aid", "pubdate", *_STAT])
    raw = frame.select([pl.col(c).cast(pl.String).alias(name) for c, name in _names(frame).items()])
    day = "observed" if "observed" in raw.columns else pl.lit("now")
    raw = raw.with_columns(
        list_position=pl.int_range(1, pl.len() + 1).over(day).cast(pl.String), list_name=pl.lit(LIST_NAME)
    )
    yield assemble(raw, path, options, platform="bilibili", zone=ZONE)


def _names(frame: pl.DataFrame) -> dict[str, str]:
    extra = {"title": "title", "desc": "description", "bvid": "url"}
    return {c: name for c, name in {**_CSV, **extra}.items() if c in frame.columns}


def _api(path: Path, options: ReadOptions) -> pl.DataFrame:
    if options.observed_at is None:
        message = "the popular-list answer carries no time of fetch"
        raise InputError(
            message, file=str(path), remedy="say when it was fetched: --observed-at 2024-05-01T12:00+08:00"
        )
    try:
        items: list[dict[str, Any]] = json.loads(read_text(path))["data"]["list"]
    except json.JSONDecodeError as error:
        message = f"not JSON ({error.msg})"
        raise InputError(message, file=str(path), record=f"byte {error.pos}", remedy="fetch it again") from error
    except (KeyError, TypeError) as error:
        raise InputError(
            "no data.list in the answer", file=str(path), remedy="give the popular list's answer"
        ) from error
    rows = [
        {
            **{key: _text(item.get(key)) for key in ("aid", "bvid", "pubdate", "duration", "tname", "title", "desc")},
            "author": _text((item.get("owner") or {}).get("mid")),
            **{key: _text((item.get("stat") or {}).get(key)) for key in _STAT},
        }
        for item in items
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
