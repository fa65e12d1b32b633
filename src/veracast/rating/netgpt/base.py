"""The boosted forecasts that stage 3 corrects: strong LightGBM models per state and target, out of fold on training rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from safetensors.numpy import load_file, save_file

from veracast.core.errors import InputError
from veracast.core.files import new_folder, write_json
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
    tables: Mapping[str, pl.DataFrame], rows: Mapping[str, Rows], *, main: str, seed: int, folder: Path, progress: Progress = SILENT
) -> tuple[Boosted, dict[str, Rows]]:  # fmt: skip
    """Fit on the sample frames (with extras) of each state; the rows get forecasts by folds that never saw their video.

    The result is kept in folder/base: the same tables and seed read it back.
    """
    place, mark = folder / "base", _fingerprint(tables, seed)
    if (place / "state.json").is_file():
        return _read(place, mark, rows, main)
    boosted, out_of_fold = _fit(tables, main=main, seed=seed, progress=progress)
    with new_folder(place, overwrite=True) as temporary:
        boosted.save(temporary / "models")
        save_file(
            {name: np.ascontiguousarray(values) for name, values in out_of_fold.items()},
            temporary / "out_of_fold.safetensors",
        )
        write_json(temporary / "state.json", {"fingerprint": mark})
    return boosted, _attached(rows, out_of_fold, main)


def _fit(tables: Mapping[str, pl.DataFrame], *, main: str, seed: int, progress: Progress) -> tuple[Boosted, dict[str, np.ndarray]]:  # fmt: skip
    models: dict[tuple[str, str], FittedLightGBM] = {}
    out_of_fold: dict[str, np.ndarray] = {}
    with progress.step("boosted base", total=2 * len(tables)) as advance:
        for state, table in tables.items():
            for target in (main, "level"):
                known = table[f"y_{target}"].is_not_null()
                if int(known.sum()) >= MIN_ROWS:
                    rater = LightGBM(extras=True)
                    train = table.filter(known).with_columns(asked=pl.lit(value=True))
                    models[state, target] = rater.fit(train, target=target, seed=seed)
                    held = cross_fit(rater.lighter(), train, target=target, seed=seed, folds=FOLDS)
                    inside = known.to_numpy()
                    # rows without this outcome were in no fold: the model itself may speak of them
                    said = _said(models[state, target], table)
                    said[inside] = held.probs if target == "level" else held.point
                    out_of_fold[f"{state}-{target}"] = said
                advance(1)
    return Boosted(main, models), out_of_fold


def _read(place: Path, mark: str, rows: Mapping[str, Rows], main: str) -> tuple[Boosted, dict[str, Rows]]:
    found = json.loads((place / "state.json").read_text(encoding="utf-8"))["fingerprint"]
    if found != mark:
        message, remedy = "is of another training (other data or seed)", "name another folder, or remove this one"
        raise InputError(message, file=str(place), remedy=remedy)
    return Boosted.load(place / "models", main=main), _attached(
        rows, load_file(place / "out_of_fold.safetensors"), main
    )


def _attached(rows: Mapping[str, Rows], out_of_fold: Mapping[str, np.ndarray], main: str) -> dict[str, Rows]:
    return {
        state: _with(
            part, {t: out_of_fold[f"{state}-{t}"] for t in (main, "level") if f"{state}-{t}" in out_of_fold}, main
        )
        for state, part in rows.items()
    }


def _fingerprint(tables: Mapping[str, pl.DataFrame], seed: int) -> str:
    """Of every value of the tables: the sum of their row hashes."""
    sums = {
        state: f"{table.height}:{int(table.hash_rows(seed=0).cast(pl.UInt64).sum())}" for state, table in tables.items()
    }
    return json.dumps({"seed": seed, **sums}, sort_keys=True)


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
