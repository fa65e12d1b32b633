"""The boosted forecasts that stage 3 corrects, per state and target, out of fold on training rows.

Three LightGBM models: `plain` reads the as-of features; `strong` also text and frame vectors and hub means (extras.py);
`told` instead what stage 1 says of the video now and said of it at posting (posting.py; out of fold as well). Their errors
differ, so the forecast is their mean (at posting with that of the crossed effects, `expected`, effects.py), with the shares that have the least out-of-fold error: absolute error of a count,
ranked probability score of the levels (Epstein 1969). A model without a share is not kept. Where there are counts, one more
model forecasts the growth of the driving count, and through it the level (through_rule.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
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
from veracast.rating.netgpt.effects import MAIN, AsExpected
from veracast.rating.netgpt.posting import TOLD
from veracast.rating.netgpt.rows import Rows
from veracast.rating.netgpt.through_rule import Through
from veracast.rating.raters.lightgbm import EXTRA, FittedLightGBM, LightGBM

FOLDS = 4
MIN_ROWS = 60
RATERS = {"plain": LightGBM(), "told": LightGBM(extras=TOLD), "strong": LightGBM(extras=EXTRA)}
EXPECTED = "expected"
STEPS = 10  # shares are multiples of 1 / STEPS


@dataclass(frozen=True)
class Part:
    """One of the models behind a forecast, and its share."""

    share: float
    model: FittedLightGBM | AsExpected


@dataclass(frozen=True)
class Boosted:
    """main: the counter beside the level; parts: (state, target) -> name of the model -> its part, shares summing to 1;
    through: state -> the level through the growth of the driving count."""

    main: str
    parts: Mapping[tuple[str, str], Mapping[str, Part]]
    through: Mapping[str, Through]

    def attach(self, rows: Rows, samples: pl.DataFrame) -> Rows:
        """Rows with the base forecasts of samples (with TOLD and EXTRA columns) that no model was trained on."""
        found = {}
        if not len(rows):
            return rows
        for target in (self.main, "level"):
            parts = self.parts.get((rows.kind, target), {}).values()
            if parts:
                found[target] = _mixed([_said(part.model, samples) for part in parts], [part.share for part in parts])
        if rows.kind in self.through:
            found[through_rule.TARGET] = self.through[rows.kind].probs(samples)
        return _with(rows, found, self.main)

    def save(self, folder: Path) -> None:
        """shares.json, and one folder a model."""
        folder.mkdir(parents=True, exist_ok=True)
        shares = {}
        for (state, target), parts in self.parts.items():
            shares[f"{state}-{target}"] = {name: part.share for name, part in parts.items()}
            for name, part in parts.items():
                place = folder / f"{state}-{target}" / name
                place.mkdir(parents=True)
                part.model.save(place)
        for state, found in self.through.items():
            place = folder / f"{state}-{through_rule.TARGET}"
            place.mkdir()
            found.save(place)
        write_json(folder / "shares.json", shares)

    @staticmethod
    def load(folder: Path, *, main: str) -> Boosted:
        """Read what `save` wrote."""
        named = json.loads((folder / "shares.json").read_text(encoding="utf-8"))
        parts, through = {}, {}
        for place in sorted(p for p in folder.iterdir() if p.is_dir()):
            state, _, target = place.name.partition("-")
            if target == through_rule.TARGET:
                through[state] = Through.load(place)
                continue
            parts[state, target] = {
                name: Part(share, AsExpected() if name == EXPECTED else LightGBM().load(place / name))
                for name, share in named[place.name].items()
            }
        return Boosted(main, parts, through)


def fit_boosted(
    tables: Mapping[str, pl.DataFrame], rows: Mapping[str, Rows], *, main: str, seed: int, folder: Path, progress: Progress = SILENT
) -> tuple[Boosted, dict[str, Rows]]:  # fmt: skip
    """Fit on the sample frames (with TOLD and EXTRA columns) of each state; the rows get forecasts by folds that never saw
    their video.

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
    parts: dict[tuple[str, str], dict[str, Part]] = {}
    through: dict[str, Through] = {}
    out_of_fold: dict[str, np.ndarray] = {}
    with progress.step("boosted base", total=3 * len(tables)) as advance:
        for state, table in tables.items():
            for target in (main, "level"):
                known = table[f"y_{target}"].is_not_null()
                if int(known.sum()) >= MIN_ROWS:
                    expected = state == "cold" and target == main and MAIN in table.columns
                    found = _fit_one(table, known, target, seed, expected=expected)
                    parts[state, target], out_of_fold[f"{state}-{target}"] = found
                advance(1)
            both = through_rule.knows_both_ends(table)
            if int(both.sum()) >= through_rule.MIN_ROWS:
                train, rater = _train(table, both), RATERS["told"]
                model = rater.fit(train, target=through_rule.TARGET, seed=seed)
                held = _held(rater, train, target=through_rule.TARGET, seed=seed)
                through[state], z = through_rule.through(model, _everywhere(held, both, model, table), table)
                out_of_fold[f"{state}-{through_rule.TARGET}"] = through[state].probs_at(z, table)
            advance(1)
    return Boosted(main, parts, through), out_of_fold


def _fit_one(table: pl.DataFrame, known: pl.Series, target: str, seed: int, *, expected: bool) -> tuple[dict[str, Part], np.ndarray]:  # fmt: skip
    """The models with a share in the forecast of a target, and what they say of every row: by folds where its outcome is known.

    expected: AsExpected among them; it learnt from no outcome later than a posting, so it needs no folds.
    """
    train = _train(table, known)
    raters = {
        name: r for name, r in RATERS.items() if not r.extras or any(c.startswith(r.extras) for c in table.columns)
    }
    held = {name: _held(rater, train, target=target, seed=seed) for name, rater in raters.items()}
    if expected:
        held[EXPECTED] = AsExpected().predict(train)
    shares = choose_shares(list(held.values()), train[f"y_{target}"].to_numpy())
    parts: dict[str, Part] = {}
    for name, share in zip(held, shares, strict=True):
        if share:
            model = AsExpected() if name == EXPECTED else raters[name].fit(train, target=target, seed=seed)
            parts[name] = Part(share, model)
    every = [_everywhere(held[name], known, part.model, table) for name, part in parts.items()]
    return parts, _mixed(every, [part.share for part in parts.values()])


def choose_shares(said: list[np.ndarray], truth: np.ndarray) -> tuple[float, ...]:
    """The multiples of 1 / STEPS, summing to 1, under which the mean of the forecasts has the least error."""
    every = (c for c in product(range(STEPS + 1), repeat=len(said)) if sum(c) == STEPS)
    found = min(every, key=lambda c: _error(_mixed(said, [n / STEPS for n in c]), truth))
    return tuple(n / STEPS for n in found)


def _mixed(said: list[np.ndarray], shares: list[float]) -> np.ndarray:
    return np.asarray(sum(share * part for share, part in zip(shares, said, strict=True)))


def _error(said: np.ndarray, truth: np.ndarray) -> float:
    """Mean over rows with an outcome: absolute error of points (n,), ranked probability score of distributions (n, 10)."""
    known = np.isfinite(truth)
    if said.ndim == 1:
        return float(np.abs(said - truth)[known].mean())
    reached = truth[:, None] <= np.arange(said.shape[1])[None]
    return float(((np.cumsum(said, axis=1) - reached) ** 2).sum(axis=1)[known].mean())


def _train(table: pl.DataFrame, known: pl.Series) -> pl.DataFrame:
    """The rows whose outcome is known, all of them asked for: a forecast is wanted of each."""
    return table.filter(known).with_columns(asked=pl.lit(value=True))


def _held(rater: LightGBM, train: pl.DataFrame, *, target: str, seed: int) -> np.ndarray:
    """What is said of every training row by a fold that never saw its video."""
    held = cross_fit(rater.lighter(), train, target=target, seed=seed, folds=FOLDS)
    return np.asarray(held.probs if target == "level" else held.point)


def _everywhere(
    held: np.ndarray, known: pl.Series, model: FittedLightGBM | AsExpected, table: pl.DataFrame
) -> np.ndarray:
    """Forecasts of all rows: rows without this outcome were in no fold, so the model itself may speak of them."""
    said = _said(model, table)
    said[known.to_numpy()] = held
    return said


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


def _said(model: FittedLightGBM | AsExpected, samples: pl.DataFrame) -> np.ndarray:
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
