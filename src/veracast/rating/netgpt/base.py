"""The boosted forecasts that stage 3 corrects: strong LightGBM models per state and target, out of fold on training rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from veracast.core.progress import SILENT, Progress
from veracast.rating.evaluate import cross_fit
from veracast.rating.netgpt.rows import Rows
from veracast.rating.raters.lightgbm import FittedLightGBM, LightGBM

FOLDS = 4
MIN_ROWS = 60


@dataclass(frozen=True)
class Boosted:
    """models: (state, target) -> model; main: the counter that is forecast beside the level."""

    main: str
    models: Mapping[tuple[str, str], FittedLightGBM]

    def attach(self, rows: Rows, samples: pl.DataFrame) -> Rows:
        """Rows with the base forecasts of samples that no model was trained on."""
        found = {}
        for target in (self.main, "level"):
            model = self.models.get((rows.kind, target))
            if model is not None and len(rows):
                found[target] = _said(model, samples)
        return _with(rows, found, self.main)

    def save(self, folder: Path) -> None:
        """One folder a model."""
        for (state, target), model in self.models.items():
            place = folder / f"{state}-{target}"
            place.mkdir(parents=True)
            model.save(place)

    @staticmethod
    def load(folder: Path, *, main: str) -> Boosted:
        """Read what `save` wrote."""
        places = sorted(p for p in folder.iterdir() if p.is_dir())
        keys = [tuple(p.name.split("-", 1)) for p in places]
        return Boosted(main, {(k[0], k[1]): LightGBM(extras=True).load(p) for k, p in zip(keys, places, strict=True)})


def fit_boosted(
    tables: Mapping[str, pl.DataFrame], rows: Mapping[str, Rows], *, main: str, seed: int, progress: Progress = SILENT
) -> tuple[Boosted, dict[str, Rows]]:
    """Fit on the sample frames (with extras) of each state; the rows get forecasts by folds that never saw their video."""
    models: dict[tuple[str, str], FittedLightGBM] = {}
    attached = dict(rows)
    with progress.step("boosted base", total=2 * len(tables)) as advance:
        for state, table in tables.items():
            found = {}
            for target in (main, "level"):
                known = table[f"y_{target}"].is_not_null()
                if int(known.sum()) >= MIN_ROWS:
                    rater = LightGBM(extras=True)
                    train = table.filter(known).with_columns(asked=pl.lit(value=True))
                    models[state, target] = rater.fit(train, target=target, seed=seed)
                    held = cross_fit(rater.lighter(), train, target=target, seed=seed, folds=FOLDS)
                    inside = known.to_numpy()
                    # rows without this outcome were in no fold: the model itself may speak of them
                    found[target] = _said(models[state, target], table)
                    found[target][inside] = held.probs if target == "level" else held.point
                advance(1)
            attached[state] = _with(attached[state], found, main)
    return Boosted(main, models), attached


def _said(model: FittedLightGBM, samples: pl.DataFrame) -> np.ndarray:
    """Points (n,) of a counter, or level probabilities (n, 10)."""
    probs = model.level_probs(samples)
    return np.array(probs if probs is not None else model.predict(samples), dtype=np.float64)


def _with(rows: Rows, found: Mapping[str, np.ndarray], main: str) -> Rows:
    changed: dict[str, Any] = {}
    if main in found:
        changed["base_main"] = torch.from_numpy(found[main].astype(np.float32))
    if "level" in found:
        changed["base_probs"] = torch.from_numpy(found["level"].astype(np.float32))
    return replace(rows, **changed)
