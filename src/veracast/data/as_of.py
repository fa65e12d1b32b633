"""What was known at time t: the one door through which raters see the data.

`known` attaches to every state (a video at a time `at`) the latest fact of a key whose `known_at` is not later than `at`.
Everything else in this module turns tables into facts that are cumulative in `known_at`, so that a row later than t can
change nothing at t (kept by a property test). Released levels are outcomes and never become facts.

States are frames with at least: state_id, video_id, platform, author_id, topic, category, posted_at, at.
"""

from __future__ import annotations

import polars as pl

from veracast.data.schema import INDICATORS

Fans = str  # "off" | "lagged" | "as-released"


def known(facts: pl.DataFrame, states: pl.DataFrame, *, by: str | None, before: bool = False) -> pl.DataFrame:
    """Left join of each state with the latest fact of its key known at `at` (strictly earlier with `before`).

    facts: columns `known_at`, the key `by` (None: one global sequence), and values. Rows of `states` keep their order.
    """
    keys = [by] if by is not None else []
    right = facts.sort([*keys, "known_at"], maintain_order=True).unique(
        [*keys, "known_at"], keep="last", maintain_order=True
    )
    left = states.with_row_index("__row").sort("at")
    joined = left.join_asof(
        right.sort("known_at", maintain_order=True),
        left_on="at",
        right_on="known_at",
        by=by,
        strategy="backward",
        allow_exact_matches=not before,
        check_sortedness=False,
    )
    return joined.sort("__row").drop("__row")


def snapshot_facts(snapshots: pl.DataFrame) -> pl.DataFrame:
    """Real crawls as facts per video, each with its number, the first and the previous one beside it.

    Columns: video_id, known_at, counters, point (1 = first), first_* and prev_* counters and times, peak counters so far.
    """
    real = snapshots.filter(~pl.col("synthetic")).sort("video_id", "observed_at")
    counters = ("followers", *INDICATORS)
    return real.select(
        "video_id",
        known_at=pl.col("observed_at"),
        point=pl.int_range(1, pl.len() + 1).over("video_id"),
        first_at=pl.col("observed_at").first().over("video_id"),
        prev_at=pl.col("observed_at").shift(1).over("video_id"),
        **{name: pl.col(name) for name in counters},
        **{f"first_{name}": pl.col(name).first().over("video_id") for name in INDICATORS},
        **{f"prev_{name}": pl.col(name).shift(1).over("video_id") for name in counters},
        **{f"peak_{name}": pl.col(name).cum_max().over("video_id") for name in INDICATORS},
    )


def group_facts(snapshots: pl.DataFrame, videos: pl.DataFrame, *, by: str, indicator: str) -> pl.DataFrame:
    """Running totals over the videos of a group (author, topic, category, platform), as of every crawl in it.

    A video counts with its latest known value, so the sums are means over videos, not over crawls:
    n_videos, sum_ln (of the latest ln(1 + count)), sum_first_ln, n_grown and sum_growth (ln growth per video that
    has two or more crawls, from its first crawl to its latest), sum_log_age_gain (the log-age span of that growth).
    """
    ln = pl.col(indicator).cast(pl.Float64).log1p()
    age_h = (pl.col("observed_at") - pl.col("posted_at")).dt.total_seconds() / 3600
    real = (
        snapshots.filter(~pl.col("synthetic") & pl.col(indicator).is_not_null())
        .join(videos.select("video_id", "posted_at", by), on="video_id", how="inner")
        .filter(pl.col(by).is_not_null())
        .sort("video_id", "observed_at")
        .with_columns(ln=ln, log_age=age_h.clip(0.25).log())
        .with_columns(
            prev=pl.col("ln").shift(1).over("video_id"),
            prev_log_age=pl.col("log_age").shift(1).over("video_id"),
            point=pl.int_range(1, pl.len() + 1).over("video_id"),
        )
    )
    steps = real.select(
        by,
        pl.col("observed_at").alias("known_at"),
        n_videos=(pl.col("point") == 1).cast(pl.Int64),
        sum_ln=pl.col("ln") - pl.col("prev").fill_null(0.0),
        sum_first_ln=pl.when(pl.col("point") == 1).then("ln").otherwise(0.0),
        n_grown=(pl.col("point") == 2).cast(pl.Int64),
        sum_growth=(pl.col("ln") - pl.col("prev")).fill_null(0.0),
        sum_log_age_gain=(pl.col("log_age") - pl.col("prev_log_age")).fill_null(0.0),
    )
    per_time = steps.group_by(by, "known_at").agg(pl.col(pl.Float64, pl.Int64).sum()).sort(by, "known_at")
    totals = ("n_videos", "sum_ln", "sum_first_ln", "n_grown", "sum_growth", "sum_log_age_gain")
    return per_time.with_columns([pl.col(name).cum_sum().over(by) for name in totals])


def posting_facts(videos: pl.DataFrame, *, by: str) -> pl.DataFrame:
    """How many videos of a group were posted up to each posting time, and when the last one was."""
    named = videos.filter(pl.col(by).is_not_null()).sort(by, "posted_at")
    counted = named.select(
        by,
        pl.col("posted_at").alias("known_at"),
        n_posted=pl.int_range(1, pl.len() + 1).over(by),
        last_posted_at=pl.col("posted_at"),
    )
    return counted.unique([by, "known_at"], keep="last", maintain_order=True)


def comment_facts(comments: pl.DataFrame) -> pl.DataFrame:
    """Comments seen so far per video, known from the crawl that first showed them."""
    seen = comments.group_by("video_id", pl.col("observed_at").alias("known_at")).len("n").sort("video_id", "known_at")
    return seen.select("video_id", "known_at", comments_seen=pl.col("n").cum_sum().over("video_id"))


def list_facts(links: pl.DataFrame) -> pl.DataFrame:
    """List positions per video: the latest, the previous and the best so far, and the length of the list at that crawl."""
    listed = links.filter(pl.col("kind") == "list_position").sort("video_id", "observed_at")
    return listed.select(
        "video_id",
        known_at=pl.col("observed_at"),
        list_position=pl.col("value"),
        list_length=pl.len().over("target", "observed_at"),
        prev_list_position=pl.col("value").shift(1).over("video_id"),
        best_list_position=pl.col("value").cum_min().over("video_id"),
    )


def follower_facts(snapshots: pl.DataFrame, videos: pl.DataFrame, fans: Fans) -> pl.DataFrame:
    """Follower counts by author under one of three rules.

    lagged: from real crawls of the author's videos only, known from the crawl on. as-released: a leak, to be measured and
    not used: the source's posting-time rows count (copied back from a later crawl), and a video without one
    takes its first crawl's count as known at posting. off: no facts.
    """
    if fans == "off":
        return pl.DataFrame(
            schema={"author_id": pl.String, "known_at": snapshots.schema["observed_at"], "fans": pl.Int64}
        )
    rows = _backdated(snapshots, videos) if fans == "as-released" else snapshots.filter(~pl.col("synthetic"))
    named = rows.join(videos.select("video_id", "author_id"), on="video_id").filter(
        pl.col("author_id").is_not_null() & pl.col("followers").is_not_null()
    )
    return named.group_by("author_id", pl.col("observed_at").alias("known_at")).agg(fans=pl.col("followers").max())


def _backdated(snapshots: pl.DataFrame, videos: pl.DataFrame) -> pl.DataFrame:
    """All snapshots, and for videos without a posting-time row their first crawl once more, dated to the posting."""
    told = snapshots.filter("synthetic").select("video_id")
    first = snapshots.join(told, on="video_id", how="anti").sort("observed_at").unique("video_id", keep="first")
    first = first.join(videos.select("video_id", "posted_at"), on="video_id").with_columns(observed_at="posted_at")
    return pl.concat([snapshots, first.select(snapshots.columns)])
