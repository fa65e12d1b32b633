"""Samples: one state of a video, what was known then, and what became of it.

A state is a video at a time `at`: `cold` (the moment of posting, no counts seen) or `observed` (a real crawl).
A sample adds the outcome: the counts of a later crawl at `target_at` (columns `y_<indicator>`, ln(1 + count)) and the level.

Columns of a sample frame:
  state_id  video_id  state  at  target_at  anchor_point  target_point   which state, and which crawl is the outcome
  platform  author_id  topic  posted_at
  f_*              features as of `at` (rating/features.py)
  now_<indicator>  ln(1 + count) at `at`, null if unknown        y_<indicator>   the same at `target_at`
  now_level        level already reached under the rule (the floor)      y_level         level of the outcome, or as released
  now_driving      ln(1 + driving count) of the rule at `at`             y_driving       the same at `target_at`
  cut_0 ... cut_8  ln(1 + cut) of the rule for the sample's platform: the level is the number of cuts below the driving count
  weight           how much the row counts in training (1 unless a task says otherwise)
"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import numpy as np
import polars as pl

from veracast.core.levels import LevelRule
from veracast.core.protocols import LEVELS
from veracast.core.spread import HERE, Spread, blocks
from veracast.data.as_of import Fans
from veracast.data.dataset import Dataset
from veracast.data.schema import INDICATORS
from veracast.rating.features import features

CUTS = tuple(f"cut_{k}" for k in range(LEVELS - 1))
PIECE = 50_000
"""States whose features are worked out at once; the last bit of a logarithm depends on its place among them, so it is the same wherever that is done."""
MAX_PAIRS = 400_000
"""More (state, outcome) pairs than this are thinned evenly: the gain of further pairs is small, their memory is not."""


def real_points(dataset: Dataset, *, until: dt.datetime | None = None) -> pl.DataFrame:
    """Real crawls up to `until` (a datetime), numbered per video from 1 in column `point`."""
    real = dataset.snapshots.filter(~pl.col("synthetic"))
    if until is not None:
        real = real.filter(pl.col("observed_at") <= until)
    real = real.sort("video_id", "observed_at")
    return real.with_columns(point=pl.int_range(1, pl.len() + 1).over("video_id"))


def pair_states(points: pl.DataFrame, *, main: str) -> pl.DataFrame:
    """All (crawl i, later crawl j) pairs of each video: states with their outcome counts.

    Videos whose main counter is 0 or unknown at either end say nothing about growth and are left out.
    """
    usable = points.filter(pl.col(main).fill_null(0) > 0)
    anchors = usable.select("video_id", at="observed_at", anchor_point="point")
    targets = _outcomes(usable)
    pairs = anchors.join(targets, on="video_id").filter(pl.col("target_point") > pl.col("anchor_point"))
    pairs = _thin(pairs.sort("video_id", "anchor_point", "target_point"))
    return pairs.with_columns(state=pl.lit("observed"), weight=pl.lit(1.0))


def cold_states(points: pl.DataFrame, videos: pl.DataFrame, *, main: str) -> pl.DataFrame:
    """The moment of posting of each video against each of its crawls."""
    usable = points.filter(pl.col(main).is_not_null())
    start = videos.select("video_id", at="posted_at").with_columns(anchor_point=pl.lit(0, pl.Int64))
    pairs = start.join(_outcomes(usable), on="video_id").filter(pl.col("target_at") > pl.col("at"))
    pairs = _thin(pairs.sort("video_id", "target_point"))
    return pairs.with_columns(state=pl.lit("cold"), weight=pl.lit(1.0))


def label_states(points: pl.DataFrame, videos: pl.DataFrame, *, state: str) -> pl.DataFrame:
    """States of videos that carry a released level (a label without a date, so `target_at` is null).

    cold: the moment of posting. observed: every real crawl but the video's last one (the last one set the label).
    """
    labelled = videos.filter(pl.col("level").is_not_null()).select("video_id", "posted_at", released_level="level")
    if state == "cold":
        rows = labelled.select("video_id", "released_level", at="posted_at", anchor_point=pl.lit(0, pl.Int64))
    else:
        last = pl.col("point") == pl.col("point").max().over("video_id")
        rows = points.filter(~last).join(labelled, on="video_id")
        rows = rows.select("video_id", "released_level", at="observed_at", anchor_point="point")
    time = points.schema["observed_at"]
    rows = rows.with_columns(
        target_at=pl.lit(None, time),
        target_point=pl.lit(None, pl.Int64),
        state=pl.lit(state),
        weight=pl.lit(1.0),
        **{f"target_{name}": pl.lit(None, pl.Int64) for name in INDICATORS},
    )
    return rows.sort("video_id", "at")


def open_states(points: pl.DataFrame, videos: pl.DataFrame, *, as_of: dt.datetime, horizon_days: float) -> pl.DataFrame:
    """The portfolio: videos posted by `as_of` whose horizon has not passed, at their last crawl, or at posting if none."""
    horizon = pl.duration(seconds=round(horizon_days * 86_400))
    still_open = videos.filter((pl.col("posted_at") <= as_of) & (pl.col("posted_at") + horizon > as_of))
    last = points.group_by("video_id").agg(at=pl.col("observed_at").max(), anchor_point=pl.col("point").max())
    rows = still_open.select("video_id", "posted_at").join(last, on="video_id", how="left")
    seen = pl.col("anchor_point").is_not_null()
    rows = rows.with_columns(
        state=pl.when(seen).then(pl.lit("observed")).otherwise(pl.lit("cold")),
        at=pl.coalesce("at", "posted_at"),
        target_at=pl.col("posted_at") + horizon,
        anchor_point=pl.col("anchor_point").fill_null(0),
        target_point=pl.lit(None, pl.Int64),
        weight=pl.lit(1.0),
        **{f"target_{name}": pl.lit(None, pl.Int64) for name in INDICATORS},
    )
    return rows.drop("posted_at").sort("video_id")


def closed_states(points: pl.DataFrame, videos: pl.DataFrame, *, horizon_days: float) -> pl.DataFrame:
    """Every video at its first crawl, or at posting if none: as it would have been rated while it was open."""
    first = points.filter(pl.col("point") == 1).select("video_id", at="observed_at", anchor_point="point")
    rows = videos.select("video_id", "posted_at").join(first, on="video_id", how="left")
    seen = pl.col("at").is_not_null()
    horizon = pl.col("posted_at") + pl.duration(seconds=round(horizon_days * 86_400))
    rows = rows.with_columns(
        state=pl.when(seen).then(pl.lit("observed")).otherwise(pl.lit("cold")),
        target_at=pl.when(seen).then(pl.max_horizontal(horizon, "at")).otherwise(horizon),
        at=pl.coalesce("at", "posted_at"),
        anchor_point=pl.col("anchor_point").fill_null(0),
        target_point=pl.lit(None, pl.Int64),
        weight=pl.lit(1.0),
        **{f"target_{name}": pl.lit(None, pl.Int64) for name in INDICATORS},
    )
    return rows.drop("posted_at").sort("video_id")


class _Tables(NamedTuple):
    """Of a data set, what features read."""

    videos: pl.DataFrame
    snapshots: pl.DataFrame
    links: pl.DataFrame
    comments: pl.DataFrame


def build_samples(states: pl.DataFrame, dataset: Dataset, *, main: str, fans: Fans = "off", spread: Spread = HERE) -> pl.DataFrame:  # fmt: skip
    """Attach as-of features and outcomes (without levels: see `add_levels`), PIECE states at a time."""
    numbered = states.with_row_index("state_id")
    tables = spread.share(_Tables(*(getattr(dataset, name) for name in _Tables._fields)))
    pieces = [(numbered[low:high], tables, main, fans) for low, high in blocks(numbered.height, PIECE)]
    frame = pl.concat(spread.map(_featured, pieces))
    outcome = [pl.col(f"target_{name}").cast(pl.Float64).log1p().alias(f"y_{name}") for name in INDICATORS]
    return frame.with_columns(outcome).drop([f"target_{name}" for name in INDICATORS])


def _featured(states: pl.DataFrame, tables: _Tables, main: str, fans: Fans) -> pl.DataFrame:
    return features(states, **tables._asdict(), indicator=main, fans=fans)


def add_levels(samples: pl.DataFrame, rule: LevelRule) -> pl.DataFrame:
    """Columns now_level (also as feature f_level_now), y_level (the released level where there is one, else the rule's),
    now_driving, y_driving and the cuts."""
    outcome = rule.placed(_counts(samples, "y"))
    samples = add_levels_now(samples, rule).with_columns(
        y_level=outcome["level"].cast(pl.Float64), y_driving=outcome["driving"].log1p()
    )
    if "released_level" in samples.columns:
        samples = samples.with_columns(y_level=pl.col("released_level").cast(pl.Float64))
    return samples.join(_cuts(samples["platform"], rule), on="platform", how="left", maintain_order="left")


def add_levels_now(samples: pl.DataFrame, rule: LevelRule) -> pl.DataFrame:
    """Columns now_level, f_level_now and now_driving, in place of those that are there."""
    now = rule.placed(_counts(samples, "now"))
    level = now["level"].cast(pl.Float64)
    return samples.with_columns(now_level=level, f_level_now=level, now_driving=now["driving"].log1p())


def _cuts(platforms: pl.Series, rule: LevelRule) -> pl.DataFrame:
    """One row per platform: its name and CUTS."""
    names = platforms.unique().drop_nulls().sort()
    table = np.log1p([rule.cuts_of(name) for name in names.to_list()]).reshape(-1, LEVELS - 1)
    return pl.DataFrame({"platform": names, **{cut: table[:, k] for k, cut in enumerate(CUTS)}})


def _counts(samples: pl.DataFrame, side: str) -> pl.DataFrame:
    """Counts of one side, `now` or `y`, under plain names."""
    return samples.select("platform", **{name: pl.col(f"{side}_{name}").exp().sub(1).round() for name in INDICATORS})


def _outcomes(points: pl.DataFrame) -> pl.DataFrame:
    counts = {f"target_{name}": pl.col(name) for name in INDICATORS}
    return points.select("video_id", target_at="observed_at", target_point="point", **counts)


def _thin(pairs: pl.DataFrame) -> pl.DataFrame:
    if pairs.height <= MAX_PAIRS:
        return pairs
    # a hash of the key, not a draw: the same pairs whatever else the data set holds
    key = pl.struct("video_id", "anchor_point", "target_point").hash(seed=7)
    share = MAX_PAIRS / pairs.height
    return pairs.filter(key.cast(pl.Float64) < share * 2.0**64)
