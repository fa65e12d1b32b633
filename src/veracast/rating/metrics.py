"""Metrics of forecasts, as scores with n, n_unscored and a bootstrap interval.

ACC, MSE and MAE as in the paper (ACC = mean(round(pred) == level)); macro-MAE, QWK, Spearman, precision among the top
tenth, interval coverage and MAE of ln counts beside them. A row without a forecast is unscored and counted, never filled in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from veracast.core.protocols import LEVELS
from veracast.core.scores import Score
from veracast.core.seeds import stream
from veracast.core.statistics import bootstrap_interval
from veracast.rating.intervals import COVERAGES

SliceValue = str | int | float | bool
_MIN_FOR_INTERVAL = 2
_RESAMPLES = 300
_CACHED = 30_000  # rows of draws that are worked on at once: what the processor keeps near
TOP_SHARE = 0.1


def accuracy(point: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """1 where the rounded forecast is the level, shape (n,)."""
    return np.asarray((np.clip(np.rint(point), 0, LEVELS - 1) == truth).astype(float))


def quadratic_weighted_kappa(point: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Cohen's kappa with squared weights between rounded forecast and level, (..., n) -> (...); NaN where both are constant."""
    a, b = np.clip(np.rint(point), 0, LEVELS - 1).astype(int), truth.astype(int)
    observed = ((a - b) ** 2).mean(axis=-1)
    p, q = ((levels[..., None] == np.arange(LEVELS)).mean(axis=-2) for levels in (a, b))
    grid = (np.arange(LEVELS)[:, None] - np.arange(LEVELS)[None, :]) ** 2
    return 1 - _ratio(observed, np.einsum("...i,ij,...j->...", p, grid, q))


def spearman(point: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Rank correlation, (..., n) -> (...); NaN where either side is constant, and of fewer than three rows."""
    if point.shape[-1] < 3:
        return np.full(point.shape[:-1], np.nan)
    x, y = (stats.rankdata(side, axis=-1) - (side.shape[-1] + 1) / 2 for side in (point, truth))
    return _ratio((x * y).sum(axis=-1), np.sqrt((x**2).sum(axis=-1) * (y**2).sum(axis=-1)))


def macro_mae(point: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Mean over levels of the MAE within the level, (..., n) -> (...): rare high levels weigh as much as the mode."""
    of_level = [truth == k for k in range(LEVELS)]
    error = np.abs(point - truth)
    within = [_ratio((error * mine).sum(axis=-1), mine.sum(axis=-1)) for mine in of_level]
    known = np.isfinite(within)
    return _ratio(np.where(known, within, 0.0).sum(axis=0), known.sum(axis=0))


def top_precision(point: np.ndarray, truth: np.ndarray, *, share: float = TOP_SHARE) -> np.ndarray:
    """Of the top `share` of forecasts, how many are in the top `share` of outcomes (so precision equals recall), (..., n) -> (...).

    Ties at either border count as the part of them that fits: a forecast that cannot tell rows apart scores `share`, not more.
    """
    n = point.shape[-1]
    if n == 0:
        return np.full(point.shape[:-1], np.nan)
    k = max(1, round(share * n))
    return np.asarray((_top_weight(point, k) * _top_weight(truth, k)).sum(axis=-1) / k)


def _top_weight(values: np.ndarray, k: int) -> np.ndarray:
    """1 for the k largest values of the last axis, 0 for the others, and the same part for all that tie at the border."""
    border = np.partition(values, -k, axis=-1)[..., [-k]]
    above, tied = values > border, values == border
    left = k - above.sum(axis=-1, keepdims=True)
    return np.asarray(above + tied * left / tied.sum(axis=-1, keepdims=True))


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b, NaN where b is 0."""
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    return np.asarray(np.divide(a, b, out=np.full(np.broadcast_shapes(a.shape, b.shape), np.nan), where=b != 0))


def score_mean(
    name: str,
    values: np.ndarray,
    *,
    n_unscored: int,
    unit: str,
    direction: str,
    where: Mapping[str, SliceValue],
    seed: int,
    groups: np.ndarray | None = None,
) -> Score:
    """Mean of per-row values (shape (n,)) with a 95 % bootstrap interval over videos."""
    n = len(values)
    if n == 0:
        return Score(name, None, None, None, 0, n_unscored, unit, direction, dict(where))
    interval = None
    if n >= _MIN_FOR_INTERVAL:
        rng = stream(seed, "bootstrap", name, *[str(v) for v in where.values()])
        interval = bootstrap_interval(values, groups=groups, rng=rng)
    low, high = (interval.low, interval.high) if interval else (None, None)
    return Score(name, float(values.mean()), low, high, n, n_unscored, unit, direction, dict(where))


def score_statistic(
    name: str,
    statistic: Callable[[np.ndarray, np.ndarray], np.ndarray],
    point: np.ndarray,
    truth: np.ndarray,
    *,
    n_unscored: int,
    where: Mapping[str, SliceValue],
    seed: int,
    unit: str = "",
    direction: str = "higher",
) -> Score:
    """A statistic of two columns (QWK, Spearman), bootstrapped over rows, many draws at once: rows along the last axis."""
    value = float(statistic(point, truth)) if len(point) else float("nan")
    low = high = None
    if np.isfinite(value) and len(point) >= _MIN_FOR_INTERVAL:
        rng = stream(seed, "bootstrap", name, *[str(v) for v in where.values()])
        n = len(point)
        size = min(n, 5_000)  # intervals of larger samples are narrower still; this bounds the cost
        drawn = np.stack([rng.integers(0, n, size) for _ in range(_RESAMPLES)])
        parts = np.array_split(drawn, -(-drawn.size // _CACHED))
        draws = np.concatenate([statistic(point[part], truth[part]) for part in parts])
        draws = draws[np.isfinite(draws)]
        if len(draws):
            low, high = (float(q) for q in np.quantile(draws, [0.025, 0.975]))
    found = value if np.isfinite(value) else None
    return Score(name, found, low, high, len(point), n_unscored, unit, direction, dict(where))


def backtest_scores(
    rows: pl.DataFrame, where: Mapping[str, SliceValue], *, seed: int, full: bool = True
) -> list[Score]:
    """Scores of one rater on one set of BACKTEST rows (columns indicator, point, truth, low_50 ... high_90).

    full: also macro-MAE, QWK, Spearman, precision of the top tenth and coverage; slices of the table need only the errors.
    """
    scored = rows.filter(pl.col("point").is_not_null())
    n_unscored = rows.height - scored.height
    point, truth = scored["point"].to_numpy(), scored["truth"].to_numpy()
    level = rows.height > 0 and rows["indicator"][0] == "level"
    common: dict[str, Any] = {"n_unscored": n_unscored, "where": where, "seed": seed}
    error = np.abs(point - truth)
    if level:
        found = [
            score_mean("mae", error, unit="levels", direction="lower", **common),
            score_mean("mse", error**2, unit="levels^2", direction="lower", **common),
            score_mean("acc", accuracy(point, truth), unit="", direction="higher", **common),
        ]
        if full:
            found.append(score_statistic("qwk", quadratic_weighted_kappa, point, truth, **common))
            found.append(
                score_statistic("macro_mae", macro_mae, point, truth, direction="lower", unit="levels", **common)
            )
    else:
        name = f"mae_ln_{rows['indicator'][0]}" if rows.height else "mae_ln_views"
        found = [score_mean(name, error, unit="ln", direction="lower", **common)]
    if full:
        found.append(score_statistic("spearman", spearman, point, truth, **common))
        found.append(score_statistic("top10_precision", top_precision, point, truth, **common))
        for coverage in COVERAGES:
            found.append(_coverage(scored, coverage, n=rows.height, where=where, seed=seed))
    return found


def _coverage(scored: pl.DataFrame, coverage: int, *, n: int, where: Mapping[str, SliceValue], seed: int) -> Score:
    low, high = f"low_{coverage}", f"high_{coverage}"
    inside = scored.filter(pl.col(low).is_not_null())
    hit = ((inside["truth"] >= inside[low]) & (inside["truth"] <= inside[high])).to_numpy().astype(float)
    name, missing = f"coverage_{coverage}", n - inside.height
    return score_mean(name, hit, n_unscored=missing, unit="", direction="higher", where=where, seed=seed)


def sliced(rows: pl.DataFrame, column: str) -> Iterable[tuple[str, pl.DataFrame]]:
    """Parts of the rows by one column, in sorted order, nulls left out."""
    for (key,), part in sorted(
        rows.filter(pl.col(column).is_not_null()).group_by([column]), key=lambda item: str(item[0][0])
    ):
        yield str(key), part
