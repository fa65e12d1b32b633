"""Intervals and tests: percentile bootstrap (by rows or by clusters), Wilson, paired sign-flip permutation."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

_CELLS = 4_000_000  # random numbers held at once
_EXACT_UP_TO = 12


@dataclass(frozen=True)
class Interval:
    """Both ends of an interval, in the unit of the statistic."""

    low: float
    high: float


def bootstrap_interval(
    values: np.ndarray,
    *,
    rng: np.random.Generator,
    statistic: Callable[[np.ndarray], float] | None = None,
    groups: np.ndarray | None = None,
    level: float = 0.95,
    resamples: int = 1000,
) -> Interval:
    """Percentile bootstrap (Efron 1979) of the mean, or of another `statistic`, of values of shape (n,).

    groups: cluster labels, shape (n,): whole clusters are drawn, since rows of one video are not independent.
    The mean is resampled through multinomial counts per cluster, in chunks of bounded memory.
    """
    if len(values) == 0:
        raise ValueError("bootstrap_interval: no values")
    values = np.asarray(values, dtype=float)
    codes = np.arange(len(values)) if groups is None else np.unique(groups, return_inverse=True)[1]
    if statistic is None:
        draws = _mean_draws(np.bincount(codes, weights=values), np.bincount(codes), rng, resamples)
    else:
        draws = _statistic_draws(values, codes, statistic, rng, resamples)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def _mean_draws(sums: np.ndarray, sizes: np.ndarray, rng: np.random.Generator, resamples: int) -> np.ndarray:
    n, draws = len(sums), []
    step = max(1, _CELLS // n)
    for start in range(0, resamples, step):
        picks = rng.integers(0, n, size=(min(step, resamples - start), n))
        draws.append(sums[picks].sum(axis=1) / sizes[picks].sum(axis=1))
    return np.concatenate(draws)


def _statistic_draws(
    values: np.ndarray,
    codes: np.ndarray,
    statistic: Callable[[np.ndarray], float],
    rng: np.random.Generator,
    resamples: int,
) -> np.ndarray:
    order = np.argsort(codes, kind="stable")
    rows = np.split(order, np.cumsum(np.bincount(codes))[:-1])
    n = len(rows)
    return np.array(
        [statistic(values[np.concatenate([rows[i] for i in rng.integers(0, n, n)])]) for _ in range(resamples)]
    )


def wilson_interval(successes: int, n: int, *, level: float = 0.95) -> Interval:
    """Score interval of a proportion (Wilson 1927)."""
    if n <= 0 or not 0 <= successes <= n:
        raise ValueError(f"wilson_interval: {successes} of {n}")
    z = float(stats.norm.ppf((1 + level) / 2))
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Interval(float(max(0.0, centre - half)), float(min(1.0, centre + half)))


def paired_permutation_test(
    a: np.ndarray, b: np.ndarray, *, rng: np.random.Generator, resamples: int = 10_000
) -> float:
    """Two-sided p of mean(a - b) = 0 by flipping signs of the paired differences; exact up to 12 pairs.

    Sampled p-values count the observed arrangement itself: (1 + hits) / (1 + resamples).
    """
    difference = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    n = len(difference)
    if n == 0:
        raise ValueError("paired_permutation_test: no pairs")
    observed = abs(difference.sum()) * (1 - 1e-12)
    if n <= _EXACT_UP_TO:
        signs = np.array(list(itertools.product((-1.0, 1.0), repeat=n)))
        return float(np.mean(np.abs(signs @ difference) >= observed))
    hits, step = 0, max(1, _CELLS // n)
    for start in range(0, resamples, step):
        signs = rng.integers(0, 2, size=(min(step, resamples - start), n)) * 2.0 - 1.0
        hits += int(np.sum(np.abs(signs @ difference) >= observed))
    return (1 + hits) / (1 + resamples)
