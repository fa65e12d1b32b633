"""As-of features of states: one row of numbers per (video, time, target time).

Every value passes through `data.as_of.known`, so it was known at `at`. What is not published, or not yet, is null
(LightGBM handles null itself; nothing is imputed). Counts enter as ln(1 + x), times in hours.

`FEATURES` says each feature in words and on which scale it stands: reports read it, so that no page shows a bare column
name or a logarithm.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import polars as pl

from veracast.data import as_of
from veracast.data.schema import INDICATORS

GROUPS = ("author_id", "topic", "category", "platform")
Scale = Literal["number", "hours", "ln_hours", "ln_count", "ln_ratio"]


class Fact(NamedTuple):
    """What a feature says, on which scale, and whose part it is where two features say one thing."""

    words: str
    scale: Scale = "number"
    part_of: str | None = None


_WORD = {"author_id": "author", "topic": "topic", "category": "category", "platform": "platform"}
_PER_VIEW = ("likes", "comments", "shares", "collects", "coins", "danmaku")
_MIN_H = 0.25  # ages and gaps under a quarter of an hour count as that

FEATURES: dict[str, Fact] = {
    "age_h": Fact("age", "hours"),
    "ln_age": Fact("age", "ln_hours", part_of="age_h"),
    "target_age_h": Fact("age at the target time", "hours"),
    "gap_h": Fact("time to the target", "hours"),
    "ln_gap": Fact("time to the target", "ln_hours", part_of="gap_h"),
    "log_age_ratio": Fact("target age over age now", "ln_ratio"),
    **{f"ln_{name}": Fact(f"{name} now", "ln_count") for name in INDICATORS},
    **{f"rate_{name}": Fact(f"{name} per hour since posting", "ln_count") for name in ("views", "likes")},
    **{f"recent_{name}": Fact(f"growth of {name} since the previous crawl", "ln_ratio") for name in INDICATORS},
    **{f"total_{name}": Fact(f"growth of {name} since the first crawl", "ln_ratio") for name in ("views", "likes")},
    "speed_views": Fact("ln growth of views per unit of log age since the previous crawl"),
    "point": Fact("crawls so far"),
    "since_prev_h": Fact("time since the previous crawl", "hours"),
    "since_first_h": Fact("time since the first crawl", "hours"),
    "first_age_h": Fact("age at the first crawl", "hours"),
    "list_position": Fact("position in the list at the last crawl"),
    "list_share": Fact("position over the length of the list (0 = top, 1 = end)"),
    "list_length": Fact("videos on the list at the last crawl"),
    "list_move": Fact("change of list position since the previous crawl"),
    "best_list_position": Fact("best list position so far"),
    **{f"{name}_per_view": Fact(f"{name} per view", "ln_ratio") for name in _PER_VIEW},
    "shares_per_like": Fact("shares per like", "ln_ratio"),
    "views_per_fan": Fact("views per follower", "ln_ratio"),
    "fans": Fact("followers of the author, as last published before the rating", "ln_count"),
    "music_uses": Fact("videos with the same music, as counted at the crawl", "ln_count"),
    "duration": Fact("seconds of duration", "ln_count"),
    "title_chars": Fact("characters in the title"),
    "description_chars": Fact("characters in the description"),
    "hashtags": Fact("hashtags"),
    "comments_seen": Fact("comments read by the crawler", "ln_count"),
    "hour": Fact("hour of the day of posting (UTC)"),
    "weekday": Fact("day of the week of posting (1 = Monday)"),
    "platform_code": Fact("platform"),
    **{f"{by}_posted": Fact(f"videos of the same {_WORD[by]} posted so far") for by in GROUPS},
    **{f"{by}_gap_h": Fact(f"time since the same {_WORD[by]}'s previous posting", "hours") for by in GROUPS},
    **{f"{by}_seen": Fact(f"other videos of the same {_WORD[by]} with counts so far") for by in GROUPS},
    **{f"{by}_mean_ln": Fact(f"typical count of other videos of the same {_WORD[by]}", "ln_count") for by in GROUPS},
    **{f"{by}_first_ln": Fact(f"typical first count, same {_WORD[by]}", "ln_count") for by in GROUPS},
    **{f"{by}_growth": Fact(f"mean ln growth per unit of log age, same {_WORD[by]}") for by in GROUPS},
    "vs_author": Fact("count now over the author's typical count", "ln_ratio"),
    "vs_author_first": Fact("count now over the author's typical first count", "ln_ratio"),
    "author_gain": Fact("the author's typical count over its typical first count", "ln_ratio"),
    "reposts": Fact("earlier copies of the same text on other accounts"),
    "level_now": Fact("level already reached under the level rule"),
}


def features(
    states: pl.DataFrame,
    *,
    videos: pl.DataFrame,
    snapshots: pl.DataFrame,
    links: pl.DataFrame,
    comments: pl.DataFrame,
    indicator: str,
    fans: as_of.Fans = "off",
) -> pl.DataFrame:
    """`states` (state_id, video_id, at, target_at) with the columns of FEATURES prefixed `f_` and `now_<indicator>`.

    indicator: the main counter, used for the histories of author, topic, category and platform.
    target_at may be null (a label without a date): the gap features are null then. level_now is null until a level rule is
    applied (samples.add_levels).
    """
    static = videos.select(
        "video_id", "platform", "author_id", "topic", "category", "posted_at", "duration_s", "title", "description"
    )
    table = states.join(static, on="video_id", how="left", maintain_order="left")
    table = _own_counts(table, snapshots, links, comments)
    table = _static(table, links)
    for by in GROUPS:
        table = _group(table, snapshots, videos, by=by, indicator=indicator)
    table = _fans(table, snapshots, videos, links, fans)
    table = aimed(
        table.with_columns(
            f_fans=_ln("fans"),
            f_views_per_fan=_ln("views") - _ln("fans"),
            f_music_uses=_ln("music_uses"),
            f_vs_author=_ln(indicator) - pl.col("f_author_id_mean_ln"),
            f_vs_author_first=_ln(indicator) - pl.col("f_author_id_first_ln"),
            f_level_now=pl.lit(None, pl.Float64),
            f_author_gain=pl.col("f_author_id_mean_ln") - pl.col("f_author_id_first_ln"),
        )
    )
    keep = [*states.columns, "platform", "author_id", "topic", "posted_at", *[f"now_{name}" for name in INDICATORS]]
    return table.select(*keep, *[pl.col(f"f_{name}").cast(pl.Float64) for name in FEATURES])


def aimed(table: pl.DataFrame) -> pl.DataFrame:
    """The features of age and target from `at`, `target_at` and `posted_at`: all that changes when a state is aimed elsewhere."""
    age_h = _hours(pl.col("at") - pl.col("posted_at"))
    target_age_h = _hours(pl.col("target_at") - pl.col("posted_at"))
    return table.with_columns(
        f_age_h=age_h,
        f_target_age_h=target_age_h,
        f_gap_h=target_age_h - age_h,
        f_ln_age=age_h.clip(_MIN_H).log(),
        f_ln_gap=(target_age_h - age_h).clip(_MIN_H).log(),
        f_log_age_ratio=(target_age_h.clip(_MIN_H) / age_h.clip(_MIN_H)).log(),
    )


def feature_columns() -> list[str]:
    """Column names of the feature matrix, in their fixed order."""
    return [f"f_{name}" for name in FEATURES]


def _own_counts(
    table: pl.DataFrame, snapshots: pl.DataFrame, links: pl.DataFrame, comments: pl.DataFrame
) -> pl.DataFrame:
    """Counters of the video itself: now, since the previous and since the first crawl; list positions; comments."""
    table = as_of.known(as_of.snapshot_facts(snapshots), table, by="video_id").rename({"known_at": "seen_at"})
    table = as_of.known(as_of.list_facts(links), table, by="video_id").drop("known_at")
    table = as_of.known(as_of.comment_facts(comments), table, by="video_id").drop("known_at")
    age_h = _hours(pl.col("seen_at") - pl.col("posted_at")).clip(_MIN_H)
    prev_age_h = _hours(pl.col("prev_at") - pl.col("posted_at")).clip(_MIN_H)
    recent = {name: _ln(name) - _ln(f"prev_{name}") for name in INDICATORS}
    return table.with_columns(
        *[_ln(name).alias(f"f_ln_{name}") for name in INDICATORS],
        *[_ln(name).alias(f"now_{name}") for name in INDICATORS],
        *[(pl.col(name) / age_h).log1p().alias(f"f_rate_{name}") for name in ("views", "likes")],
        *[value.alias(f"f_recent_{name}") for name, value in recent.items()],
        *[(_ln(name) - _ln(f"first_{name}")).alias(f"f_total_{name}") for name in ("views", "likes")],
        *[(_ln(name) - _ln("views")).alias(f"f_{name}_per_view") for name in _PER_VIEW],
        f_speed_views=recent["views"] / (age_h.log() - prev_age_h.log()),
        f_point=pl.col("point").fill_null(0),
        f_since_prev_h=_hours(pl.col("seen_at") - pl.col("prev_at")),
        f_since_first_h=_hours(pl.col("seen_at") - pl.col("first_at")),
        f_first_age_h=_hours(pl.col("first_at") - pl.col("posted_at")),
        f_shares_per_like=_ln("shares") - _ln("likes"),
        f_list_position="list_position",
        f_list_share=pl.col("list_position") / pl.col("list_length"),
        f_list_length="list_length",
        f_list_move=pl.col("list_position") - pl.col("prev_list_position"),
        f_best_list_position="best_list_position",
        f_comments_seen=_ln("comments_seen"),
    )


def _fans(
    table: pl.DataFrame, snapshots: pl.DataFrame, videos: pl.DataFrame, links: pl.DataFrame, fans: as_of.Fans
) -> pl.DataFrame:
    """Columns fans and music_uses under the run's rule; crawl-time music counts only where it is `as-released`."""
    facts = as_of.follower_facts(snapshots, videos, fans)
    table = as_of.known(facts, table, by="author_id").drop("known_at")
    if fans != "as-released":
        return table.with_columns(music_uses=pl.lit(None, pl.Float64))
    uses = links.filter(pl.col("kind") == "music").group_by("video_id").agg(music_uses=pl.col("value").max())
    return table.join(uses, on="video_id", how="left", maintain_order="left")


def _static(table: pl.DataFrame, links: pl.DataFrame) -> pl.DataFrame:
    tags = links.filter(pl.col("kind") == "hashtag").group_by("video_id").len("hashtags")
    copies = links.filter(pl.col("kind") == "repost").group_by("video_id").len("copies")
    table = table.join(tags, on="video_id", how="left", maintain_order="left")
    table = table.join(copies, on="video_id", how="left", maintain_order="left")
    return table.with_columns(
        f_duration=pl.col("duration_s").log1p(),
        f_title_chars=pl.col("title").str.len_chars(),
        f_description_chars=pl.col("description").str.len_chars(),
        f_hashtags=pl.col("hashtags").fill_null(0),
        f_reposts=pl.col("copies").fill_null(0),
        f_hour=pl.col("posted_at").dt.hour() + pl.col("posted_at").dt.minute() / 60,
        f_weekday=pl.col("posted_at").dt.weekday(),
        f_platform_code=platform_code(pl.col("platform")),
    )


def platform_code(platform: pl.Expr) -> pl.Expr:
    """A stable number per platform name: the same in every export, whatever platforms it holds."""
    known_names = ("douyin", "kuaishou", "xigua", "toutiao", "bilibili", "youtube", "tiktok")
    return platform.replace_strict(
        {name: i for i, name in enumerate(known_names)}, default=None, return_dtype=pl.Float64
    )


def _group(
    table: pl.DataFrame, snapshots: pl.DataFrame, videos: pl.DataFrame, *, by: str, indicator: str
) -> pl.DataFrame:
    """History of the other videos of a group as of `at`: the video's own share is taken out of the totals."""
    table = as_of.known(as_of.posting_facts(videos, by=by), table, by=by, before=False).drop("known_at")
    table = table.with_columns(
        pl.col("n_posted").alias(f"f_{by}_posted"),
        _hours(pl.col("at") - pl.col("last_posted_at")).alias(f"f_{by}_gap_h"),
    ).drop("n_posted", "last_posted_at")
    table = as_of.known(as_of.group_facts(snapshots, videos, by=by, indicator=indicator), table, by=by)
    seen = pl.col(indicator).is_not_null() & pl.col(by).is_not_null()
    grown = seen & (pl.col("point") > 1)
    own_ln = pl.when(seen).then(_ln(indicator)).otherwise(0.0)
    own_first = pl.when(seen).then(_ln(f"first_{indicator}")).otherwise(0.0)
    own_growth = pl.when(grown).then(_ln(indicator) - _ln(f"first_{indicator}")).otherwise(0.0)
    first_age = _hours(pl.col("first_at") - pl.col("posted_at")).clip(_MIN_H).log()
    own_span = pl.when(grown).then(_hours(pl.col("seen_at") - pl.col("posted_at")).clip(_MIN_H).log() - first_age)
    n = pl.col("n_videos") - seen.cast(pl.Int64)
    span = pl.col("sum_log_age_gain") - own_span.otherwise(0.0)
    some = pl.when(n > 0)
    return table.with_columns(
        pl.when(pl.col(by).is_not_null()).then(n.fill_null(0)).alias(f"f_{by}_seen"),
        some.then((pl.col("sum_ln") - own_ln) / n).alias(f"f_{by}_mean_ln"),
        some.then((pl.col("sum_first_ln") - own_first) / n).alias(f"f_{by}_first_ln"),
        pl.when(span > 1e-6).then((pl.col("sum_growth") - own_growth) / span).alias(f"f_{by}_growth"),
    ).drop("known_at", "n_videos", "sum_ln", "sum_first_ln", "n_grown", "sum_growth", "sum_log_age_gain")


def _ln(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.Float64).log1p()


def _hours(duration: pl.Expr) -> pl.Expr:
    return duration.dt.total_seconds() / 3600
