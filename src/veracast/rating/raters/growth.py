"""Growth fit: each video's own pace in log age, shrunk towards its platform's, carried on to the target time.

ln N(T) = ln N(t) + s * ln(T / t). The own slope is (ln N(t) - ln N(t0)) / ln(t / t0) from its first crawl t0 to now; it
enters with weight w = L / (L + prior), L the log-age span it was seen over. Prior and decay are fitted on training rows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from veracast.core.files import write_json
from veracast.core.protocols import PointOnly
from veracast.rating.raters.szabo_huberman import with_cells
from veracast.rating.raters.tables import MedianTable, fit_medians

PRIORS = (0.1, 0.3, 1.0, 3.0, 10.0, 1e6)
DECAYS = (0.2, 0.4, 0.6, 0.8, 1.0)
_MIN_RATIO = 0.05


@dataclass(frozen=True)
class FittedGrowth(PointOnly):
    """prior: log-age span at which own and group slope weigh alike. decay: own pace goes on at this share."""

    target: str
    table: MedianTable
    prior: float
    decay: float

    def predict(self, samples: pl.DataFrame) -> np.ndarray:
        now = samples[f"now_{self.target}"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        return np.asarray(now + _growth(samples, self.table.lookup(with_cells(samples)), self.prior, self.decay))

    def save(self, folder: Path) -> None:
        write_json(folder / "growth.json", {"target": self.target, "prior": self.prior, "decay": self.decay})
        self.table.save(folder)


def _growth(samples: pl.DataFrame, group_slope: np.ndarray, prior: float, decay: float) -> np.ndarray:
    """Forecast growth in ln units; the span to the target counts as 1 where the target has no date (levels)."""
    ratio = samples["f_log_age_ratio"].fill_null(1.0).to_numpy()
    age, first = samples["f_age_h"].clip(0.25).to_numpy(), samples["f_first_age_h"].clip(0.25).to_numpy()
    span = np.nan_to_num(np.log(age) - np.log(first), nan=0.0)
    gained = np.nan_to_num(samples["f_total_views"].fill_null(0.0).to_numpy(), nan=0.0)
    own = np.divide(gained, span, out=np.zeros_like(span), where=span > _MIN_RATIO)
    weight = np.where(span > _MIN_RATIO, span / (span + prior), 0.0)
    return np.asarray(np.maximum((weight * decay * own + (1 - weight) * group_slope) * ratio, 0.0))


@dataclass(frozen=True)
class GrowthFit:
    """Power-law growth of each video, shrunk to its group."""

    name: str = "growth"

    def fit(self, train: pl.DataFrame, *, target: str, seed: int) -> FittedGrowth:
        growth = train[f"y_{target}"] - train[f"now_{target}"]
        ratio = train["f_log_age_ratio"].fill_null(1.0).clip(_MIN_RATIO)
        table = fit_medians(with_cells(train), growth / ratio, ("platform", "ratio", "age"))
        group, truth = table.lookup(with_cells(train)), growth.fill_null(float("nan")).to_numpy()
        tried = [(self._error(train, group, truth, p, d), p, d) for p in PRIORS for d in DECAYS]
        _, prior, decay = min(tried)
        return FittedGrowth(target=target, table=table, prior=prior, decay=decay)

    def lighter(self) -> GrowthFit:
        return self

    def load(self, folder: Path) -> FittedGrowth:
        body = json.loads((folder / "growth.json").read_text(encoding="utf-8"))
        table = MedianTable.load(folder)
        return FittedGrowth(target=body["target"], table=table, prior=body["prior"], decay=body["decay"])

    @staticmethod
    def _error(train: pl.DataFrame, group: np.ndarray, truth: np.ndarray, prior: float, decay: float) -> float:
        error = np.abs(_growth(train, group, prior, decay) - truth)
        return float(np.nanmean(error)) if np.isfinite(error).any() else 0.0
