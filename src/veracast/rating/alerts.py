"""Are the probabilities right, and what does an alert cost: reliability bins and thresholds."""

from __future__ import annotations

import numpy as np
import polars as pl

from veracast.core.statistics import wilson_interval

BINS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)


def reliability(probs: np.ndarray, truth: np.ndarray, *, level: int, task: str, rater: str) -> pl.DataFrame:
    """RELIABILITY rows of P(level >= k): probs (n, 10), truth (n,); Wilson 95 % intervals per bin."""
    p, hit = _exceedance(probs, truth, level)
    cell = np.clip(np.searchsorted(BINS, p, side="right") - 1, 0, len(BINS) - 2)
    rows = []
    for i in np.unique(cell):
        inside = cell == i
        n, hits = int(inside.sum()), int(hit[inside].sum())
        interval = wilson_interval(hits, n)
        rows.append((task, rater, level, float(p[inside].mean()), hits / n, interval.low, interval.high, n))
    names = ("task", "rater", "level_at_least", "predicted", "observed", "low", "high", "n")
    return pl.DataFrame(rows, schema=list(names), orient="row")


def alerts(probs: np.ndarray, truth: np.ndarray, *, level: int, days: float, task: str, rater: str) -> pl.DataFrame:
    """ALERTS rows: for each threshold the precision (Wilson 95 %), recall and review load per day of the test period."""
    p, hit = _exceedance(probs, truth, level)
    rows = []
    for threshold in THRESHOLDS:
        flagged = p > threshold
        n, hits = int(flagged.sum()), int(hit[flagged].sum())
        interval = wilson_interval(hits, n) if n else None
        recall = hits / int(hit.sum()) if hit.any() else None
        bounds = (interval.low, interval.high) if interval else (None, None)
        rows.append(
            (
                task,
                rater,
                level,
                threshold,
                hits / n if n else None,
                *bounds,
                recall,
                n,
                n / days if days > 0 else None,
                len(p),
            )
        )
    names = (
        "task",
        "rater",
        "level_at_least",
        "threshold",
        "precision",
        "low",
        "high",
        "recall",
        "flagged",
        "flagged_per_day",
        "n",
    )
    return pl.DataFrame(rows, schema=list(names), orient="row", infer_schema_length=None)


def _exceedance(probs: np.ndarray, truth: np.ndarray, level: int) -> tuple[np.ndarray, np.ndarray]:
    usable = np.isfinite(probs).all(axis=1) & np.isfinite(truth)
    return probs[usable][:, level:].sum(axis=1), truth[usable] >= level
