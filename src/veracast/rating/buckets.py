"""Age buckets: the same cuts for baselines, intervals and tables, so that their rows can be compared."""

from __future__ import annotations

from typing import Any

import polars as pl

AGE_EDGES_H = (6.0, 24.0, 48.0, 168.0, 336.0, 672.0)
AGE_LABELS = ("<6 h", "6-24 h", "24-48 h", "2-7 d", "7-14 d", "14-28 d", ">28 d")
RATIO_EDGES = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)  # ln(target age / age now)
UNKNOWN = "unknown"


def age_bucket(age_h: pl.Expr) -> pl.Expr:
    """Label of the bucket of an age in hours (closed on the left)."""
    return _bucket(age_h, AGE_EDGES_H, AGE_LABELS)


def ratio_bucket(log_ratio: pl.Expr) -> pl.Expr:
    """Bucket of ln(target age / age now), as text."""
    labels = tuple(f"r{i}" for i in range(len(RATIO_EDGES) + 1))
    return _bucket(log_ratio, RATIO_EDGES, labels)


def _bucket(value: pl.Expr, edges: tuple[float, ...], labels: tuple[str, ...]) -> pl.Expr:
    label: Any = pl.when(value.is_null()).then(pl.lit(UNKNOWN))
    for edge, name in zip(edges, labels, strict=False):
        label = label.when(value < edge).then(pl.lit(name))
    done: pl.Expr = label.otherwise(pl.lit(labels[-1]))
    return done
