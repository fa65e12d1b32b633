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
_RESAMPLES_MATRIX = 300
TOP_SHARE = 0.1


def accuracy(point: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """1 where the rounded forecast is the level, shape (n,)."""
    return np.asarray((np.clip(np.rint(point), 0, LEVELS - 1) == truth).astype(float))


def quadratic_weighted_kappa(point: np.ndarray, truth: np.ndarray) -> float:
    """Cohen's kappa with squared weights between rounded forecast and level (NaN when both are constant)."""
    a, b = np.clip(np.rint(point), 0, LEVELS - 1).astype(int), truth.astype(int)
    observed = float(np.mean((a - b) ** 2))
    p, q = np.bincount(a, minlength=LEVELS) / len(a), np.bincount(b, minlength=LEVELS) / len(b)
    grid = (np.arange(LEVELS)[:, None] - np.arange(LEVELS)[None, :]) ** 2
    expected = float((p[:, None] * q[None, :] * grid).sum())
    return float("nan") if expected == 0 else 1 - observed / expected


def spearman(point: np.ndarray, truth: np.ndarray) -> float:
    """Rank correlation (NaN when either side is constant)."""
    if len(point) < 3 or np.ptp(point) == 0 or np.ptp(truth) == 0:
        return float("nan")
    return float(stats.spearmanr(point, truth).statistic)


def top_precision(point: np.ndarray, truth: np.ndarray, *, share: float = TOP_SHARE) -> float:
    """Of the top `share` of forecasts, how many are in the top `share` of outcomes (so precision equals recall).

    Ties at either border count as the part of them that fits: a forecast that cannot tell rows apart scores `share`, not more.
    """
    if len(point) == 0:
        return float("nan")
    k = max(1, round(share * len(point)))
    return float((_top_weight(point, k) * _top_weight(truth, k)).sum() / k)


def _top_weight(values: np.ndarray, k: int) -> np.ndarray:
    """1 for the k largest values, 0 for the others, and the same part for all that tie at the border."""
    border = np.sort(values)[-k]
    above, tied = values > border, values == border
    return np.asarray(above + tied * (k - above.sum()) / tied.sum())


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
    statistic: Callable[[np.ndarray, np.ndarray], float],
    point: np.ndarray,
    truth: np.ndarray,
    *,
    n_unscored: int,
    where: Mapping[str, SliceValue],
    seed: int,
    unit: str = "",
    direction: str = "higher",
) -> Score:
    """A statistic of two columns (QWK, Spearman), bootstrapped over rows."""
    value = statistic(point, truth) if len(point) else float("nan")
    low = high = None
    if np.isfinite(value) and len(point) >= _MIN_FOR_INTERVAL:
        rng = stream(seed, "bootstrap", name, *[str(v) for v in where.values()])
        n = len(point)
        size = min(n, 5_000)  # intervals of larger samples are narrower still; this bounds the cost
        draws = [statistic(point[i], truth[i]) for i in (rng.integers(0, n, size) for _ in range(_RESAMPLES_MATRIX))]
        draws = [d for d in draws if np.isfinite(d)]
        if draws:
            low, high = (float(q) for q in np.quantile(draws, [0.025, 0.975]))
    found = float(value) if np.isfinite(value) else None
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


def macro_mae(point: np.ndarray, truth: np.ndarray) -> float:
    """Mean over levels of the MAE within the level: rare high levels weigh as much as the mode."""
    levels = np.unique(truth)
    return float(np.mean([np.abs(point[truth == k] - k).mean() for k in levels])) if len(levels) else float("nan")


def sliced(rows: pl.DataFrame, column: str) -> Iterable[tuple[str, pl.DataFrame]]:
    """Parts of the rows by one column, in sorted order, nulls left out."""
    for (key,), part in sorted(
        rows.filter(pl.col(column).is_not_null()).group_by([column]), key=lambda item: str(item[0][0])
    ):
        yield str(key), part
