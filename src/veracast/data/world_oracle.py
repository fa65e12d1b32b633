"""The best that can be said of a generated world's video by one who knows its law and all that shaped it before posting.

The oracle is told every component but `hidden` (nobody knows it at posting), draws paths of growth from the law, and, once
there are crawls, weights the paths by how well they agree with what was counted: exactly for the count now (its hidden part
is normal), through a kernel for the growth between earlier crawls. Its forecast is the weighted median.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl

from veracast.core.levels import LevelRule
from veracast.core.seeds import stream
from veracast.data.world import UNPUBLISHED, WorldConfig, oracle
from veracast.data.world_law import COMPONENTS, COUNTERS, PLATFORMS, Growth, draw_growth, grown

PATHS = 3000
KEPT = 200  # paths drawn from the weights, for the level
KERNEL = 0.15  # ln growth between two crawls, standard deviation


class Forecasts(NamedTuple):
    """ln(1 + views) (n,) and level (n,) at the target; level NaN where the target's counts give none."""

    ln_views: np.ndarray
    level: np.ndarray


def oracle_forecasts(config: WorldConfig, samples: pl.DataFrame, snapshots: pl.DataFrame, rule: LevelRule) -> Forecasts:
    """Forecasts of samples (video_id, platform, at, target_at, posted_at, f_age_h, now_<counter>) of a generated world.

    samples without a target time (released levels) are aimed at the video's last crawl, which set the level.
    """
    law, known = config.law, _known(config)
    rng = stream(config.seed, "oracle")
    growth = draw_growth(PATHS, law, rng)
    ln_tau = rng.standard_normal(PATHS) * law.ln_tau_sd
    ratio = law.ratio_sd * rng.standard_normal((PATHS, len(COUNTERS) - 1))
    seen = _crawls(snapshots)
    points, views, others = np.empty(samples.height), np.empty((samples.height, KEPT)), np.empty((samples.height, KEPT, len(COUNTERS) - 1))  # fmt: skip
    columns = ["video_id", "platform", "posted_at", "at", "target_at", *(f"now_{name}" for name in COUNTERS)]
    for i, row in enumerate(samples.select(columns).iter_rows(named=True)):
        place, ages = PLATFORMS.index(row["platform"]), seen.get(row["video_id"], ())
        now_h = (row["at"] - row["posted_at"]).total_seconds() / 3600
        end_h = _hours(row) if row["target_at"] is not None else max((a for a, _ in ages), default=now_h)
        past = [(a, v) for a, v in ages if a <= now_h + 1e-6 and v > 0]
        tau = np.exp(law.ln_tau_mean[place] + ln_tau)
        ln_growth = _ln_grown(growth, tau, [a for a, _ in past] + [end_h], config)
        potential = known[row["video_id"]] + law.base[place]
        weights, ln_end = _posterior(past, ln_growth, potential, law.hidden, rng)
        points[i] = np.log1p(np.exp(_weighted_median(ln_end, weights)))
        drawn = rng.choice(PATHS, size=KEPT, p=weights)
        views[i] = np.exp(ln_end[drawn])
        others[i] = views[i][:, None] * np.exp(_ratios(row, law.ratios[place], ratio, rng))
    return Forecasts(points, _levels(samples["platform"], views, others, rule))


def _posterior(
    past: list[tuple[float, float]], ln_growth: np.ndarray, potential: float, hidden: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Weight of each path, and ln views at the target along it."""
    if not past:
        return np.full(PATHS, 1 / PATHS), potential + hidden * rng.standard_normal(PATHS) + ln_growth[:, -1]
    counted = np.log([v for _, v in past])
    score = -0.5 * ((counted[-1] - potential - ln_growth[:, len(past) - 1]) / hidden) ** 2
    for k in range(1, len(past)):
        score -= 0.5 * ((np.diff(counted)[k - 1] - (ln_growth[:, k] - ln_growth[:, k - 1])) / KERNEL) ** 2
    weights = np.exp(score - score.max())
    return weights / weights.sum(), counted[-1] + ln_growth[:, -1] - ln_growth[:, -2]


def _ln_grown(growth: Growth, tau: np.ndarray, ages: list[float], config: WorldConfig) -> np.ndarray:
    reached = grown(growth, tau, np.broadcast_to(np.array(ages), (PATHS, len(ages))), config.law)
    return np.asarray(np.log(np.maximum(reached, 1e-9)))


def _known(config: WorldConfig) -> dict[str, float]:
    """Weighted sum of the components of each video, without `hidden`."""
    latent = oracle(config)
    total = sum((getattr(config.law, name) * latent[name].to_numpy() for name in COMPONENTS if name != "hidden"), start=np.zeros(latent.height))  # fmt: skip
    return dict(zip(latent["video_id"].to_list(), total.tolist(), strict=True))


def _crawls(snapshots: pl.DataFrame) -> dict[str, list[tuple[float, float]]]:
    """Age in hours and views of the real crawls of each video, in time."""
    real = snapshots.filter(~pl.col("synthetic") & pl.col("views").is_not_null()).sort("video_id", "observed_at")
    grouped = real.group_by("video_id", maintain_order=True).agg("age_h", pl.col("views").cast(pl.Float64))
    return {video: list(zip(ages, views, strict=True)) for video, ages, views in grouped.iter_rows()}


def _ratios(row: dict[str, object], mean: tuple[float, ...], noise: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """ln counter per view, (KEPT, counters - 1): as the law draws it, given what is counted now (whole numbers) where it is."""
    now = row["now_views"]
    found = np.array(mean)[None, :] + noise[rng.choice(PATHS, size=KEPT)]
    for k, name in enumerate(COUNTERS[1:]):
        counted = row[f"now_{name}"]
        if now is None or counted is None:
            continue
        views, count = float(np.expm1(now)), float(np.rint(np.expm1(counted)))  # type: ignore[call-overload]
        agree = np.flatnonzero(np.floor(views * np.exp(mean[k] + noise[:, k])) == count)
        if len(agree) >= 10:
            found[:, k] = mean[k] + noise[rng.choice(agree, size=KEPT), k]
        else:
            found[:, k] = np.log((count + 0.5) / max(views, 1.0))
    return np.asarray(found)


def _levels(platforms: pl.Series, views: np.ndarray, others: np.ndarray, rule: LevelRule) -> np.ndarray:
    """Median level over the drawn paths of each sample."""
    counts = {"views": views.ravel()} | {name: others[:, :, k].ravel() for k, name in enumerate(COUNTERS[1:])}
    frame = pl.DataFrame({"platform": np.repeat(platforms.to_numpy(), views.shape[1]), **counts})
    for name in COUNTERS:
        silent = pl.col("platform").is_in([p for p, hidden in UNPUBLISHED.items() if name in hidden])
        frame = frame.with_columns(pl.when(~silent).then(name).alias(name))
    drawn = (
        rule.level(frame.with_columns(pl.col(*COUNTERS).floor())).cast(pl.Float64).fill_null(float("nan")).to_numpy()
    )
    return np.asarray(np.median(drawn.reshape(views.shape), axis=1).round())


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    return float(values[order][np.searchsorted(np.cumsum(weights[order]), 0.5)])


def _hours(row: dict[str, object]) -> float:
    return (row["target_at"] - row["posted_at"]).total_seconds() / 3600  # type: ignore[operator, no-any-return]
