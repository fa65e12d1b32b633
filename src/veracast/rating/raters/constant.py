"""Constant: the training median, for everybody."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from veracast.core.protocols import PointOnly
from veracast.rating.raters.tables import MedianTable, fit_medians


@dataclass(frozen=True)
class FittedTable(PointOnly):
    """A median table that forecasts the target itself."""

    table: MedianTable

    def predict(self, samples: pl.DataFrame) -> np.ndarray:
        return self.table.lookup(samples)

    def save(self, folder: Path) -> None:
        self.table.save(folder)


@dataclass(frozen=True)
class Constant:
    """Median of the outcome over all training rows."""

    name: str = "constant"

    def fit(self, train: pl.DataFrame, *, target: str, seed: int) -> FittedTable:
        return FittedTable(fit_medians(train, train[f"y_{target}"], ()))

    def lighter(self) -> Constant:
        return self

    def load(self, folder: Path) -> FittedTable:
        return FittedTable(MedianTable.load(folder))
