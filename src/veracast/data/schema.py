"""The tables of a data set: column names, types and meaning, in one place.

A reader yields batches with these columns; `dataset.py` validates them on writing and on opening.
All times are UTC with microseconds. Counters are null where the platform does not publish them, never 0.
"""

from __future__ import annotations

import polars as pl

from veracast.core.schemas.ratings import REJECTS as REJECTS

SCHEMA_VERSION = 1

INDICATORS = ("views", "likes", "comments", "shares", "collects", "coins", "danmaku")
"""Counters of a video, in the order in which tables and reports show them."""

TIME = pl.Datetime("us", "UTC")

VIDEOS: dict[str, pl.DataType | type[pl.DataType]] = {
    "video_id": pl.String,  # "<platform>:<native id>", unique
    "platform": pl.String,  # douyin kuaishou xigua toutiao bilibili youtube tiktok, or what a mapping says
    "author_id": pl.String,  # pseudonym; null when the source has none
    "title": pl.String,  # null when the source has none
    "description": pl.String,  # speech, on-screen text or long description
    "topic": pl.String,  # what the video is about, as the source names it; null when it has none
    "category": pl.String,  # the platform's, as the source names it; null when it has none
    "sentiment": pl.String,  # as the XS-Video release gives it; null when the source has none
    "language": pl.String,  # code, as the source gives it; null when it gives none
    "url": pl.String,  # of the video's page
    "duration_s": pl.Float64,  # length of the video, seconds
    "posted_at": TIME,  # when it was published
    "level": pl.Int8,  # influence level 0-9 released with the data: an outcome, never an input
    "source_row": pl.Int64,  # place of the first record of this video in its file
}

SNAPSHOTS: dict[str, pl.DataType | type[pl.DataType]] = {
    "video_id": pl.String,  # the video that was crawled
    "observed_at": TIME,  # a date without a time of day is read as the end of that day, local time
    "synthetic": pl.Boolean,  # a row the source made up for the moment of posting (all counters 0)
    "followers": pl.Int64,  # the author's, as published with this crawl
    **{name: pl.Int64 for name in INDICATORS},  # as counted at this crawl; null where the platform does not publish it
    "source_row": pl.Int64,  # the release's own integer id where it has one, else the row number
}

COMMENTS: dict[str, pl.DataType | type[pl.DataType]] = {
    "video_id": pl.String,  # the video that it stands under
    "author_id": pl.String,  # pseudonym
    "commented_at": TIME,  # when it was written
    "observed_at": TIME,  # the crawl in which it was first seen
    "text": pl.String,  # null unless --keep-comments
}

LINK_KINDS = ("music", "hashtag", "topic", "category", "list_position", "repost")

LINKS: dict[str, pl.DataType | type[pl.DataType]] = {
    "video_id": pl.String,  # the video that is linked
    "kind": pl.String,  # one of LINK_KINDS
    "target": pl.String,  # opaque key of the hub: music id, tag in lower case, topic, category, list name, video_id
    "value": pl.Float64,  # list position (1 = first), times the music was used at the crawl; else null
    "observed_at": TIME,  # from when it was known: posting time for hashtags, crawl time for positions and counts
}

FRAMES: dict[str, pl.DataType | type[pl.DataType]] = {
    "video_id": pl.String,  # the video that it is from
    "frame": pl.Int32,  # number within the video, from 0
    "at_s": pl.Float64,  # seconds into the video; null for pictures that are no part of a video file
    "width_px": pl.Int32,  # of the JPEG
    "height_px": pl.Int32,  # of the JPEG
    "jpeg": pl.Binary,  # the picture
}

TABLES = {
    "videos": VIDEOS,
    "snapshots": SNAPSHOTS,
    "comments": COMMENTS,
    "links": LINKS,
    "frames": FRAMES,
    "rejects": REJECTS,
}


def empty(table: str) -> pl.DataFrame:
    """An empty frame with the columns of one table."""
    return pl.DataFrame(schema=TABLES[table])
