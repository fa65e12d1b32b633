"""Persistence: nothing more will happen. The reference line of every error-against-age chart.

For the level target this re-applies the level rule to today's counts (the floor). A cold start has no counts: unscored.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from veracast.core.files import write_json
from veracast.core.protocols import PointOnly


@dataclass(frozen=True)
class FittedPersistence(PointOnly):
    """Reads today's value of one target."""

    target: str

    def predict(self, samples: pl.DataFrame) -> np.ndarray:
        return samples[f"now_{self.target}"].cast(pl.Float64).fill_null(float("nan")).to_numpy()

    def save(self, folder: Path) -> None:
        write_json(folder / "persistence.json", {"target": self.target})


@dataclass(frozen=True)
class Persistence:
    """Today's value."""

    name: str = "persistence"

    def fit(self, train: pl.DataFrame, *, target: str, seed: int) -> FittedPersistence:
        return FittedPersistence(target)

    def lighter(self) -> Persistence:
        return self

    def load(self, folder: Path) -> FittedPersistence:
        return FittedPersistence(json.loads((folder / "persistence.json").read_text(encoding="utf-8"))["target"])
