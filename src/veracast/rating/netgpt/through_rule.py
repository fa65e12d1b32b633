"""The level through the counts: where the driving count will stand, and which cuts of the level rule that passes.

A level is the number of cuts below the driving count D (core/levels.py). So a forecast of D's growth, with its errors,
is a forecast of the level, and one that knows how far the next cut is:

    P(level > k) = share over errors u of [ ln(1 + D) + growth(z + u) > ln(1 + cut_k) ],   growth(z) = max(e^z - .01, 0)

z is a boosted forecast on the scale that it is trained on (raters/lightgbm.py); the errors u are those of training videos
out of fold, of rows with about the same z (a split predictive distribution, as in Vovk et al. 2017, "Nonparametric
predictive distributions based on conformal prediction"). Only for states with counts whose outcome has counts too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from veracast.core.files import write_json
from veracast.core.protocols import LEVELS
from veracast.rating.raters.lightgbm import GROWTH_FLOOR, FittedLightGBM, LightGBM
from veracast.rating.samples import CUTS

TARGET = "driving"
BINS, QUANTILES = 6, 41
MIN_ROWS = 200
"""Fewer training rows than this that know both ends: no errors worth a distribution."""
_BLOCK = 50_000


@dataclass(frozen=True)
class Through:
    """edges (bins - 1,): of z between bins; errors (bins, QUANTILES): of z in each bin, quantile by quantile."""

    model: FittedLightGBM
    edges: np.ndarray
    errors: np.ndarray

    def probs(self, samples: pl.DataFrame) -> np.ndarray:
        """Level distribution (n, 10), NaN where the driving count now or the cuts are not known."""
        return self.probs_at(scaled(self.model.predict(samples), samples), samples)

    def probs_at(self, z: np.ndarray, samples: pl.DataFrame) -> np.ndarray:
        """The same for forecasts z (n,) that are known already."""
        now, cuts = _now(samples), samples.select(CUTS).cast(pl.Float64).fill_null(float("nan")).to_numpy()
        found = np.full((samples.height, LEVELS), np.nan)
        bins = np.searchsorted(self.edges, z)
        for low in range(0, samples.height, _BLOCK):
            part = slice(low, low + _BLOCK)
            ends = now[part, None] + growth(z[part, None] + self.errors[bins[part]])
            above = (ends[:, :, None] > cuts[part, None, :]).mean(axis=1)
            found[part] = -np.diff(above, axis=1, prepend=1.0, append=0.0)
        found[~np.isfinite(z) | ~np.isfinite(cuts).all(axis=1)] = np.nan
        return found

    def save(self, folder: Path) -> None:
        """through.json beside the trees."""
        self.model.save(folder)
        write_json(folder / "through.json", {"edges": self.edges.tolist(), "errors": self.errors.tolist()})

    @staticmethod
    def load(folder: Path) -> Through:
        """Read what `save` wrote."""
        body = json.loads((folder / "through.json").read_text(encoding="utf-8"))
        return Through(LightGBM().load(folder), np.array(body["edges"]), np.array(body["errors"]))


def through(model: FittedLightGBM, held: np.ndarray, samples: pl.DataFrame) -> tuple[Through, np.ndarray]:
    """The level through a model's forecasts, and their z; held (n,): ln(1 + D) of training samples as said out of fold."""
    z, truth = scaled(held, samples), scaled(_column(samples, f"y_{TARGET}"), samples)
    judged = np.isfinite(z) & np.isfinite(truth) & samples["asked"].to_numpy()
    error, shares = (truth - z)[judged], (np.arange(QUANTILES) + 0.5) / QUANTILES
    edges = np.unique(np.quantile(z[judged], np.linspace(0, 1, BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, z[judged])
    parts = [error[bins == b] for b in range(len(edges) + 1)]
    errors = np.stack([np.quantile(part if len(part) >= QUANTILES else error, shares) for part in parts])
    return Through(model, edges, errors), z


def knows_both_ends(samples: pl.DataFrame) -> pl.Series:
    """Rows that know the driving count now and at the target, (n,) bool."""
    return samples[f"now_{TARGET}"].is_not_null() & samples[f"y_{TARGET}"].is_not_null()


def scaled(ln_count: np.ndarray, samples: pl.DataFrame) -> np.ndarray:
    """ln(1 + D) at the target (n,) -> z, the logarithm of its growth from now."""
    return np.asarray(np.log(np.maximum(ln_count - _now(samples), 0.0) + GROWTH_FLOOR))


def growth(z: np.ndarray) -> np.ndarray:
    """z -> growth of ln(1 + D)."""
    return np.asarray(np.maximum(np.exp(z) - GROWTH_FLOOR, 0.0))


def _now(samples: pl.DataFrame) -> np.ndarray:
    return _column(samples, f"now_{TARGET}")


def _column(samples: pl.DataFrame, name: str) -> np.ndarray:
    return samples[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
