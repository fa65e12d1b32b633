"""Per-platform median of the outcome."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from veracast.rating.raters.constant import FittedTable
from veracast.rating.raters.tables import MedianTable, fit_medians


@dataclass(frozen=True)
class PlatformMedian:
    """Median of the outcome per platform; a platform with under 20 training rows takes the overall one."""

    name: str = "median"

    def fit(self, train: pl.DataFrame, *, target: str, seed: int) -> FittedTable:
        return FittedTable(fit_medians(train, train[f"y_{target}"], ("platform",)))

    def lighter(self) -> PlatformMedian:
        return self

    def load(self, folder: Path) -> FittedTable:
        return FittedTable(MedianTable.load(folder))
