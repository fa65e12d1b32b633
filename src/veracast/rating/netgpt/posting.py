"""What the graph expected of a video when it was posted, beside what it expects now.

A state with counts is an early crawl of a video that the graph had an opinion of at posting already. How far the counts
have run ahead of that opinion says how much growth is left: `posting` makes the row that asks for it, aimed at the same
target, and `graph_columns` puts both opinions beside the features that the boosted forecast reads.
"""

from __future__ import annotations

import polars as pl
import torch

from veracast.core.protocols import LEVELS
from veracast.data.schema import INDICATORS
from veracast.rating.features import aimed
from veracast.rating.netgpt.inputs import STATES
from veracast.rating.netgpt.rows import Rows
from veracast.rating.netgpt.stage1 import Said

TOLD = "g_"
"""Prefix of the columns that tell a boosted forecast what the graph says."""


def graph_kinds(kinds: tuple[str, ...]) -> tuple[str, ...]:
    """Kinds of state that stage 1 speaks of in a model of those kinds: with counts, postings as well."""
    return STATES if "observed" in kinds else kinds


def posting(samples: pl.DataFrame) -> pl.DataFrame:
    """The same videos and targets as seen at posting, row for row: no counts, no level, ages from zero on."""
    unknown = [c for c in ("now_level", "now_driving", *(f"now_{name}" for name in INDICATORS)) if c in samples.columns]
    at_posting = samples.with_columns(
        pl.lit(None, pl.Float64).alias(name) for name in unknown
    ).with_columns(at=pl.col("posted_at"), anchor_point=pl.lit(0, pl.Int64), state=pl.lit("cold"))  # fmt: skip
    return aimed(at_posting)


def once(postings: pl.DataFrame) -> pl.DataFrame:
    """One row per video and target: asked for, and weighing, as the one of its states that was asked for most."""
    most = pl.col("asked", "weight").max().over("video_id", "target_at")
    return postings.with_columns(most).unique(["video_id", "target_at"], keep="first", maintain_order=True)


def graph_columns(samples: pl.DataFrame, rows: Rows, said: Said, prior: Said | None) -> pl.DataFrame:
    """Samples with what stage 1 says of them (g_now_*) and, where there are counts, said of them at posting (g_prior_*).

    Counts as growth from where they stand: g_now_main, g_prior_main in ln units; levels as expectations.
    """
    levels = torch.arange(LEVELS, dtype=torch.float32)
    found = {"now_main": said.main - rows.start, "now_level": said.probs @ levels}
    if prior is not None:
        found |= {"prior_main": prior.main - rows.start, "prior_level": prior.probs @ levels}
    return samples.with_columns(
        [pl.Series(f"{TOLD}{name}", values.numpy().astype("float64")) for name, values in found.items()]
    )
