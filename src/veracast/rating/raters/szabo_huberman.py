"""Szabo-Huberman: ln N(T) = ln N(t) + b, with b per platform, age at t and span to T.

Szabo and Huberman, "Predicting the popularity of online content", CACM 2010, eq. 2 (log-linear model with slope 1).
b is the median of the training growth in the cell (the paper uses the mean; the median minimises MAE). Cells are
platform x ln(T/t) bucket x age bucket, coarsened where a cell has under 20 rows. Without counts there is no forecast.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from veracast.core.files import write_json
from veracast.core.protocols import PointOnly
from veracast.rating.buckets import age_bucket, ratio_bucket
from veracast.rating.raters.tables import MedianTable, fit_medians

KEYS = ("platform", "ratio", "age")


@dataclass(frozen=True)
class FittedGrowthTable(PointOnly):
    """now + median growth of the cell, never below now."""

    target: str
    table: MedianTable

    def predict(self, samples: pl.DataFrame) -> np.ndarray:
        now = samples[f"now_{self.target}"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        return np.asarray(now + np.maximum(self.table.lookup(with_cells(samples)), 0.0))

    def save(self, folder: Path) -> None:
        write_json(folder / "target.json", {"target": self.target})
        self.table.save(folder)


def with_cells(samples: pl.DataFrame) -> pl.DataFrame:
    """The key columns of the growth cells."""
    return samples.select("platform", ratio=ratio_bucket(pl.col("f_log_age_ratio")), age=age_bucket(pl.col("f_age_h")))


@dataclass(frozen=True)
class SzaboHuberman:
    """Growth by platform, age and span."""

    name: str = "szabo_huberman"

    def fit(self, train: pl.DataFrame, *, target: str, seed: int) -> FittedGrowthTable:
        growth = train[f"y_{target}"] - train[f"now_{target}"]
        return FittedGrowthTable(target=target, table=fit_medians(with_cells(train), growth, KEYS))

    def lighter(self) -> SzaboHuberman:
        return self

    def load(self, folder: Path) -> FittedGrowthTable:
        body = json_target(folder)
        return FittedGrowthTable(target=body, table=MedianTable.load(folder))


def json_target(folder: Path) -> str:
    """The target name that `save` wrote."""
    return str(json.loads((folder / "target.json").read_text(encoding="utf-8"))["target"])
