"""The boosted forecasts that stage 3 corrects, per state and target, out of fold on training rows.

Two LightGBM models each: one on the as-of features, one that is also told what stage 1 says of the video now and said of
it at posting (posting.py; out of fold as well). Their errors differ, so their shares are those with the least out-of-fold
error: absolute error of a count, ranked probability score of the levels (Epstein 1969). Where there are counts, a third
model forecasts the growth of the driving count, and through it the level (through_rule.py).
"""

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
from veracast.rating.netgpt import through_rule
from veracast.rating.netgpt.rows import Rows
from veracast.rating.netgpt.through_rule import Through
from veracast.rating.raters.lightgbm import FittedLightGBM, LightGBM

FOLDS = 4
MIN_ROWS = 60
RATERS = (LightGBM(), LightGBM(extras=True))
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Boosted:
    """models: (state, target) -> the plain model and the one told of the graph; shares: of the plain one; main: the counter
    beside the level; through: state -> the level through the growth of the driving count."""

    main: str
    models: Mapping[tuple[str, str], tuple[FittedLightGBM, FittedLightGBM]]
    shares: Mapping[tuple[str, str], float]
    through: Mapping[str, Through]

    def attach(self, rows: Rows, samples: pl.DataFrame) -> Rows:
        """Rows with the base forecasts of samples (with graph columns) that no model was trained on."""
        found = {}
        if not len(rows):
            return rows
        for target in (self.main, "level"):
            key = (rows.kind, target)
            if key in self.models:
                plain, told = (_said(model, samples) for model in self.models[key])
                found[target] = _mixed(plain, told, self.shares[key])
        if rows.kind in self.through:
            found[through_rule.TARGET] = self.through[rows.kind].probs(samples)
        return _with(rows, found, self.main)

    def save(self, folder: Path) -> None:
        """One folder a model."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(
            folder / "shares.json", {f"{state}-{target}": share for (state, target), share in self.shares.items()}
        )
        for (state, target), models in self.models.items():
            for number, model in enumerate(models):
                place = folder / f"{state}-{target}" / str(number)
                place.mkdir(parents=True)
                model.save(place)
        for state, found in self.through.items():
            place = folder / f"{state}-{through_rule.TARGET}"
            place.mkdir()
            found.save(place)

    @staticmethod
    def load(folder: Path, *, main: str) -> Boosted:
        """Read what `save` wrote."""
        named = json.loads((folder / "shares.json").read_text(encoding="utf-8"))
        models, shares, through = {}, {}, {}
        for place in sorted(p for p in folder.iterdir() if p.is_dir()):
            state, _, target = place.name.partition("-")
            if target == through_rule.TARGET:
                through[state] = Through.load(place)
                continue
            plain, told = (LightGBM().load(p) for p in sorted(place.iterdir()))
            models[state, target], shares[state, target] = (plain, told), named[place.name]
        return Boosted(main, models, shares, through)


def fit_boosted(
    tables: Mapping[str, pl.DataFrame], rows: Mapping[str, Rows], *, main: str, seed: int, folder: Path, progress: Progress = SILENT
) -> tuple[Boosted, dict[str, Rows]]:  # fmt: skip
    """Fit on the sample frames (with graph columns) of each state; the rows get forecasts by folds that never saw their video.

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
    models: dict[tuple[str, str], tuple[FittedLightGBM, FittedLightGBM]] = {}
    shares: dict[tuple[str, str], float] = {}
    through: dict[str, Through] = {}
    out_of_fold: dict[str, np.ndarray] = {}
    with progress.step("boosted base", total=3 * len(tables)) as advance:
        for state, table in tables.items():
            for target in (main, "level"):
                known = table[f"y_{target}"].is_not_null()
                if int(known.sum()) >= MIN_ROWS:
                    plain, told = (_crossed(rater, table, known, target=target, seed=seed) for rater in RATERS)
                    truth = table[f"y_{target}"].to_numpy()
                    share = min(SHARES, key=lambda s: _error(_mixed(plain[1], told[1], s), truth))
                    models[state, target], shares[state, target] = (plain[0], told[0]), share
                    out_of_fold[f"{state}-{target}"] = _mixed(plain[1], told[1], share)
                advance(1)
            both = through_rule.knows_both_ends(table)
            if int(both.sum()) >= through_rule.MIN_ROWS:
                model, said = _crossed(RATERS[1], table, both, target=through_rule.TARGET, seed=seed)
                through[state], z = through_rule.through(model, said, table)
                out_of_fold[f"{state}-{through_rule.TARGET}"] = through[state].probs_at(z, table)
            advance(1)
    return Boosted(main, models, shares, through), out_of_fold


def _mixed(plain: np.ndarray, told: np.ndarray, share: float) -> np.ndarray:
    return np.asarray(share * plain + (1 - share) * told)


def _error(said: np.ndarray, truth: np.ndarray) -> float:
    """Mean over rows with an outcome: absolute error of points (n,), ranked probability score of distributions (n, 10)."""
    known = np.isfinite(truth)
    if said.ndim == 1:
        return float(np.abs(said - truth)[known].mean())
    reached = truth[:, None] <= np.arange(said.shape[1])[None]
    return float(((np.cumsum(said, axis=1) - reached) ** 2).sum(axis=1)[known].mean())


def _crossed(rater: LightGBM, table: pl.DataFrame, known: pl.Series, *, target: str, seed: int) -> tuple[FittedLightGBM, np.ndarray]:  # fmt: skip
    """The model of all rows with an outcome, and what is said of every row: by a fold that never saw its video, where it has one."""
    train = table.filter(known).with_columns(asked=pl.lit(value=True))
    model = rater.fit(train, target=target, seed=seed)
    held = cross_fit(rater.lighter(), train, target=target, seed=seed, folds=FOLDS)
    said = _said(model, table)  # rows without this outcome were in no fold: the model itself may speak of them
    said[known.to_numpy()] = held.probs if target == "level" else held.point
    return model, said


def _read(place: Path, mark: str, rows: Mapping[str, Rows], main: str) -> tuple[Boosted, dict[str, Rows]]:
    found = json.loads((place / "state.json").read_text(encoding="utf-8"))["fingerprint"]
    if found != mark:
        message, remedy = "is of another training (other data or seed)", "name another folder, or remove this one"
        raise InputError(message, file=str(place), remedy=remedy)
    return Boosted.load(place / "models", main=main), _attached(
        rows, load_file(place / "out_of_fold.safetensors"), main
    )


def _attached(rows: Mapping[str, Rows], out_of_fold: Mapping[str, np.ndarray], main: str) -> dict[str, Rows]:
    named = {target: f"-{target}" for target in (main, "level", through_rule.TARGET)}
    return {
        state: _with(
            part, {t: out_of_fold[state + end] for t, end in named.items() if state + end in out_of_fold}, main
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
    if through_rule.TARGET in found:
        changed["through"] = torch.from_numpy(found[through_rule.TARGET].astype(np.float32))
    return replace(rows, **changed)
