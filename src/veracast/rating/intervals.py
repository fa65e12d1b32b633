"""Prediction intervals and level distributions from out-of-fold residuals: split-conformal, Mondrian by platform and age.

Normalised residuals r_i = (y_i - yhat_i) / s_i come from predictions of folds that never saw the video (cross-conformal,
Vovk 2015). In each group (platform x age bucket; coarsened to the age bucket, then to all, while it has under
MIN_GROUP rows) the interval of level 1 - a is yhat + s * [r_(floor(a/2 (n+1))), r_(ceil((1 - a/2)(n+1)))]: finite-sample
valid for exchangeable data. s is a small regression of |y - yhat| on forecast-time facts (1 where it does not help).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from veracast.core.files import write_json
from veracast.core.protocols import LEVELS
from veracast.rating.buckets import age_bucket

MIN_GROUP = 60
COVERAGES = (50, 80, 90)
_MAX_KEPT = 2_000  # residuals kept per group: quantiles of more do not change
_SCALE_BINS = 6


@dataclass(frozen=True)
class Scale:
    """s as a step function of the point forecast's distance from now (growth forecasts are surer when small)."""

    edges: tuple[float, ...]
    values: tuple[float, ...]

    def of(self, spread: np.ndarray) -> np.ndarray:
        """Scale per row, shape (n,)."""
        cell = np.searchsorted(self.edges, np.nan_to_num(spread, nan=0.0))
        return np.asarray(np.take(np.asarray(self.values, dtype=float), cell))


@dataclass(frozen=True)
class Calibration:
    """Sorted normalised residuals per group, finest key first."""

    scale: Scale
    groups: dict[str, tuple[float, ...]]

    def interval(self, samples: pl.DataFrame, point: np.ndarray, target: str, coverage: int) -> np.ndarray:
        """Low and high, shape (n, 2), in the unit of `point`; NaN where point is NaN."""
        tail = (100 - coverage) / 200  # exact in floating point where 1 - .8 is not
        scale = self.scale.of(_spread(samples, point, target))
        bounds = np.full((len(point), 2), np.nan)
        for key, rows in self._rows(samples).items():
            residuals = np.asarray(self.groups[key])
            n = len(residuals)
            low = residuals[max(0, int(np.floor(tail * (n + 1))) - 1)]
            high = residuals[min(n - 1, int(np.ceil((1 - tail) * (n + 1))) - 1)]
            bounds[rows] = point[rows, None] + scale[rows, None] * np.array([low, high])
        return bounds

    def level_probs(self, samples: pl.DataFrame, point: np.ndarray) -> np.ndarray:
        """Distribution over levels of a rater that has none of its own, shape (n, 10): point + residuals, rounded."""
        probs = np.full((len(point), LEVELS), np.nan)
        scale = self.scale.of(_spread(samples, point, "level"))
        edges = np.arange(LEVELS - 1) + 0.5
        for key, rows in self._rows(samples).items():
            residuals = np.asarray(self.groups[key])
            # P(level <= k) = share of residuals r with point + s r <= k + .5
            z = (edges[None, :] - point[rows, None]) / scale[rows, None]
            below = np.searchsorted(residuals, z, side="right") / len(residuals)
            probs[rows] = np.diff(below, axis=1, prepend=0.0, append=1.0)
        return np.where(np.isnan(point)[:, None], np.nan, probs)

    def _rows(self, samples: pl.DataFrame) -> dict[str, np.ndarray]:
        keys = group_keys(samples)
        chosen = [next((k for k in row if k in self.groups), "all") for row in keys.iter_rows()]
        frame = pl.DataFrame({"key": chosen}, schema={"key": pl.String}).with_row_index("i")
        return {str(key): part["i"].to_numpy() for (key,), part in frame.group_by(["key"], maintain_order=True)}

    def save(self, path: Path) -> None:
        """One JSON file."""
        body = {"edges": self.scale.edges, "values": self.scale.values, "groups": self.groups}
        write_json(path, body)

    @staticmethod
    def load(path: Path) -> Calibration:
        """Read what `save` wrote."""
        body = json.loads(path.read_text(encoding="utf-8"))
        scale = Scale(edges=tuple(body["edges"]), values=tuple(body["values"]))
        return Calibration(scale=scale, groups={k: tuple(v) for k, v in body["groups"].items()})


def group_keys(samples: pl.DataFrame) -> pl.DataFrame:
    """Mondrian keys per row, finest first: platform x age, age, all."""
    age = age_bucket(pl.col("f_age_h"))
    return samples.select(
        fine=pl.concat_str([pl.lit("platform"), pl.col("platform"), pl.lit("age"), age], separator="|"),
        coarse=pl.concat_str([pl.lit("age"), age], separator="|"),
        whole=pl.lit("all"),
    )


def calibrate(samples: pl.DataFrame, point: np.ndarray, *, target: str) -> Calibration:
    """From out-of-fold point forecasts of samples with a known outcome. Rows without a forecast are left out."""
    truth = samples[f"y_{target}"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    usable = np.isfinite(point) & np.isfinite(truth)
    samples, point, truth = samples.filter(pl.Series(usable)), point[usable], truth[usable]
    error = truth - point
    scale = _fit_scale(_spread(samples, point, target), np.abs(error))
    normalised = error / scale.of(_spread(samples, point, target))
    keys = group_keys(samples).with_columns(r=pl.Series(normalised, dtype=pl.Float64))
    groups: dict[str, tuple[float, ...]] = {}
    for column in ("fine", "coarse", "whole"):
        for (key,), part in keys.group_by([column], maintain_order=True):
            if part.height >= MIN_GROUP or column == "whole":
                groups[str(key)] = _thin(np.sort(part["r"].to_numpy()))
    groups.setdefault("all", (0.0,))
    return Calibration(scale=scale, groups=dict(sorted(groups.items())))


def _spread(samples: pl.DataFrame, point: np.ndarray, target: str) -> np.ndarray:
    """Forecast growth: the distance of the point from today's value (from 0 for a cold start)."""
    now = samples[f"now_{target}"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return np.where(np.isnan(now), 0.0, point - now)


def _fit_scale(spread: np.ndarray, error: np.ndarray) -> Scale:
    """Mean |error| in equal-count bins of the spread; one bin when there are few rows.

    No bin goes under half the overall mean: a bin of exact forecasts would turn its few misses into huge residuals.
    """
    bins = min(_SCALE_BINS, len(error) // MIN_GROUP)
    if bins < 2:
        return Scale(edges=(), values=(1.0,))
    edges = np.unique(np.quantile(spread, np.linspace(0, 1, bins + 1)[1:-1]))
    cell = np.searchsorted(edges, spread)
    means = [float(np.mean(error[cell == i])) if (cell == i).any() else 0.0 for i in range(len(edges) + 1)]
    floor = max(float(np.mean(error)) * 0.5, 1e-3)
    return Scale(edges=tuple(map(float, edges)), values=tuple(max(m, floor) for m in means))


def _thin(values: np.ndarray) -> tuple[float, ...]:
    if len(values) > _MAX_KEPT:
        values = np.quantile(values, np.linspace(0, 1, _MAX_KEPT))
    return tuple(float(f"{v:.6g}") for v in values)
