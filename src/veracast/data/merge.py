"""From batches of many crawls to one row per video, per snapshot, per comment and per link.

Nothing here depends on the order of the input: every choice is made by time, then by value.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from veracast.data.schema import COMMENTS, INDICATORS, TABLES

COUNTERS = ("followers", *INDICATORS)
UNPUBLISHED_ZERO_SHARE = 0.95  # a counter that is 0 in more real crawls than this, on a platform that publishes others
UNPUBLISHED_MIN_CRAWLS = 50
REPOST_MIN_CHARS = 12  # shorter normalised texts are too common to mean a repost
REPOST_WINDOW_DAYS = 30
REPOST_GROUP_MAX = 50  # a text that more videos share is a slogan, not a repost


@dataclass(frozen=True)
class Merged:
    """Tables of the schema, and what merging had to decide."""

    tables: dict[str, pl.DataFrame]
    counts: dict[str, int]
    availability: pl.DataFrame  # platform, indicator, published, of, zero_means_unpublished


def merge(raw: dict[str, pl.DataFrame]) -> Merged:
    """Merge concatenated reader batches (columns of schema.py; ids already pseudonymised).

    Videos and snapshots may carry `source`, the number of their file, because row numbers are unique only within one.
    """
    raw = dict(raw)  # emptied on the way: a table that its caller does not hold is not kept beside its merged form
    ids = raw["videos"]["video_id"].drop_nulls().unique().sort()
    comments = _merge_comments(raw.pop("comments"), ids)  # the largest first, while little else is held
    videos, conflicts = _merge_videos(raw.pop("videos"), raw["snapshots"])
    snapshots, repeated = _merge_snapshots(raw.pop("snapshots"), ids)
    snapshots, availability = _null_unpublished(snapshots, videos)
    falls = _count_falls(snapshots)
    links = _merge_links(pl.concat([raw["links"], find_reposts(videos)]))
    frames = raw["frames"].sort(list(TABLES["frames"])).unique(["video_id", "frame"], keep="first")
    tables = {
        "videos": videos,
        "snapshots": snapshots,
        "comments": comments,
        "links": links,
        "frames": frames,
        "rejects": raw["rejects"].unique(),
    }
    tables = {name: table.select(TABLES[name].keys()) for name, table in tables.items()}
    counts = {"repeated_crawls": repeated, "conflicting_levels": conflicts, "falling_steps": falls}
    return Merged(tables=tables, counts=counts, availability=availability)


def _merge_links(links: pl.DataFrame) -> pl.DataFrame:
    """Each link once, as first seen; a list position is a new fact at every crawl, even where it is the old number."""
    dated = pl.col("kind") == "list_position"
    lasting = links.filter(~dated).group_by("video_id", "kind", "target", "value").agg(pl.col("observed_at").min())
    return pl.concat([lasting, links.filter(dated).select(lasting.columns).unique()])


def _in_order(frame: pl.DataFrame, ids: pl.Series, *keys: str) -> pl.DataFrame:
    """Sorted by video and `keys`, with `video`, the place of the id among the sorted `ids`, instead of `video_id`.

    Two sorts, because one by several columns is ten times faster on rows that one integer has already put nearly right.
    """
    video = frame["video_id"].cast(pl.Enum(ids), strict=False).to_physical().alias("video")
    coded = frame.drop("video_id").with_columns(video)
    return coded.sort("video").sort("video", *keys, nulls_last=True)


def _named(frame: pl.DataFrame, ids: pl.Series) -> pl.DataFrame:
    """With `video_id` again."""
    return frame.with_columns(video_id=ids.gather(frame["video"]))


def _repeats(*columns: str) -> pl.Expr:
    """True where a row equals the one before it in these columns."""
    equal = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(1)) for name in columns)
    return equal & (pl.int_range(pl.len()) > 0)


def _merge_comments(raw: pl.DataFrame, ids: pl.Series) -> pl.DataFrame:
    """Each comment once, as of the crawl in which it was first seen; in the order of the data set."""
    said = [name for name in ("commented_at", "author_id", "text") if raw[name].null_count() < raw.height]
    ordered = _in_order(raw.select("video_id", "observed_at", *said), ids, *said, "observed_at")
    once = _named(ordered.filter(~_repeats("video", *said)), ids)
    return once.with_columns(pl.lit(None, dtype).alias(name) for name, dtype in COMMENTS.items() if name not in once)


def _merge_snapshots(raw: pl.DataFrame, ids: pl.Series) -> tuple[pl.DataFrame, int]:
    """One row per video and time, in this order, with `video`; two crawls of one moment keep the larger of each counter."""
    ordered = _in_order(raw, ids, "observed_at")
    repeated = int(ordered.select(_repeats("video", "observed_at").sum()).item())
    if repeated:
        ordered = ordered.group_by("video", "observed_at", maintain_order=True).agg(
            pl.col("synthetic").all(),
            *[pl.col(name).max() for name in COUNTERS],
            pl.col("source_row").min(),
        )
    return _named(ordered, ids), repeated


def _merge_videos(raw: pl.DataFrame, snapshots: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """One row per video, sorted by id; of several the first non-null value of each column, in the order of the crawls."""
    several = raw.filter(pl.col("video_id").is_duplicated())
    merged = _earliest_values(several, snapshots)
    once = raw.filter(pl.col("video_id").is_unique()).with_columns(conflict=pl.lit(value=False))
    columns = [*TABLES["videos"], "conflict"]
    videos = pl.concat([once.select(columns), merged.select(columns)]).sort("video_id", nulls_last=True)
    return videos, int(merged["conflict"].sum())


def _earliest_values(raw: pl.DataFrame, snapshots: pl.DataFrame) -> pl.DataFrame:
    """What was known earliest wins; `conflict` says that the level did change."""
    record = ["video_id", "source", "source_row"]
    crawls = snapshots.join(raw.select("video_id").unique(), on="video_id", how="semi")
    first_seen = _numbered(crawls).group_by(record).agg(seen_at=pl.col("observed_at").min())
    columns = [name for name in TABLES["videos"] if name != "video_id"]
    ordered = _numbered(raw).join(first_seen, on=record, how="left")
    ordered = ordered.sort(
        ["video_id", "seen_at", *[c for c in columns if c != "source_row"], "source_row"], nulls_last=True
    )
    return ordered.group_by("video_id", maintain_order=True).agg(
        *[pl.col(name).drop_nulls().first() for name in columns if name not in ("posted_at", "source_row")],
        posted_at=pl.col("posted_at").min(),
        source_row=pl.col("source_row").min(),
        conflict=pl.col("level").drop_nulls().n_unique() > 1,
    )


def _numbered(frame: pl.DataFrame) -> pl.DataFrame:
    return frame if "source" in frame.columns else frame.with_columns(source=pl.lit(0, pl.Int32))


def _null_unpublished(snapshots: pl.DataFrame, videos: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Turn 0 into null for counters that a platform evidently does not publish; say so per platform.

    videos: sorted by id, so that the column `video` of `snapshots` is its row.
    """
    snapshots = snapshots.with_columns(platform=videos["platform"].gather(snapshots["video"]))
    by_platform = snapshots.filter(~pl.col("synthetic")).group_by("platform")
    facts = pl.concat(
        by_platform.agg(
            indicator=pl.lit(name),
            published=pl.col(name).is_not_null().sum(),
            zeros=(pl.col(name) == 0).sum(),
            of=pl.len(),
        )
        for name in INDICATORS
    ).sort("platform", "indicator")
    # a platform whose every counter is mostly 0 is small, not silent: one living sibling is needed as evidence
    alive = (pl.col("published") > pl.col("zeros") * 2).any().over("platform")
    silent = (
        alive
        & (pl.col("published") >= UNPUBLISHED_MIN_CRAWLS)
        & (pl.col("zeros") > pl.col("published") * UNPUBLISHED_ZERO_SHARE)
    )
    facts = facts.with_columns(zero_means_unpublished=silent)
    for name in INDICATORS:
        platforms = facts.filter(pl.col("zero_means_unpublished") & (pl.col("indicator") == name))["platform"]
        if len(platforms):
            hidden = pl.col("platform").is_in(platforms.implode()) & (pl.col(name) == 0)
            snapshots = snapshots.with_columns(pl.when(hidden).then(None).otherwise(pl.col(name)).alias(name))
    published = pl.when("zero_means_unpublished").then(pl.col("published") - pl.col("zeros")).otherwise("published")
    facts = facts.select("platform", "indicator", published=published, of="of", silent="zero_means_unpublished")
    return snapshots, facts


def _count_falls(snapshots: pl.DataFrame) -> int:
    """Steps between two crawls of one video in which some counter fell (kept as they are, counted here)."""
    falls = pl.any_horizontal((pl.col(name) < pl.col(name).shift(1)).fill_null(value=False) for name in INDICATORS)
    return int(snapshots.select((falls & (pl.col("video") == pl.col("video").shift(1))).sum()).item())


def find_reposts(videos: pl.DataFrame) -> pl.DataFrame:
    """Links from a video to the earliest earlier one, within 30 days, whose normalised text is the same.

    Normalised: title (or the first 40 characters of the description), letters and digits only, lower case.
    """
    text = pl.coalesce("title", pl.col("description").str.slice(0, 40))
    keyed = videos.select(
        "video_id",
        "posted_at",
        key=text.str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]", ""),
    )
    keyed = keyed.filter(pl.col("key").str.len_chars() >= REPOST_MIN_CHARS)
    keyed = keyed.filter(pl.len().over("key").is_between(2, REPOST_GROUP_MAX)).sort("key", "posted_at", "video_id")
    origin = keyed.with_columns(
        target=pl.col("video_id").first().over("key"), origin_at=pl.col("posted_at").first().over("key")
    )
    close = (pl.col("posted_at") - pl.col("origin_at")) <= pl.duration(days=REPOST_WINDOW_DAYS)
    found = origin.filter((pl.col("target") != pl.col("video_id")) & close)
    return found.select(
        "video_id",
        pl.lit("repost").alias("kind"),
        "target",
        pl.lit(None, pl.Float64).alias("value"),
        pl.col("posted_at").alias("observed_at"),
    )
