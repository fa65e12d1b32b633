"""LightGBM on as-of features: the baseline to beat.

Counts: the target is ln(growth + .01), growth = ln N(T) - ln N(t) (observed states), or ln N(T) itself (cold starts),
under the L1 loss, as a mean of a few seeds, half of them with extremely randomised splits (their errors differ).
Levels: a multiclass model gives the distribution, its median (the point of least MAE) the forecast. Trees are plain text on disk. No quantile models:
docs/decisions/0003 has the measurement.

Boosters are trained side by side, one thread each: threads of one booster wait for each other at every split, which on
a shared machine costs far more than it gains. The result does not depend on the number of workers. Data sets and forecasts
get one thread as well: the number is global in LightGBM, and a call with another one beside a training makes it write out
of its buffers (a segmentation fault within seconds, docs/log.md).
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from veracast.core.files import write_json
from veracast.core.protocols import LEVELS
from veracast.core.seeds import stream
from veracast.rating.features import feature_columns

GROWTH_FLOOR = 0.01
EXTRA = "x_"
"""Prefix of text and frame vectors and hub means (rating/netgpt/extras.py)."""
_ONE_THREAD = {"num_threads": 1}
_COMMON: dict[str, Any] = {
    "learning_rate": 0.04,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 2.0,
    "verbose": -1,
    **_ONE_THREAD,
    "deterministic": True,
    "force_row_wise": True,
}
_WORKERS = max(1, min(4, os.cpu_count() or 1))


@dataclass(frozen=True)
class FittedLightGBM:
    """boosters: members of the mean. kind: growth | direct | level."""

    target: str
    kind: str
    boosters: tuple[Any, ...]
    columns: tuple[str, ...]

    def predict(self, samples: pl.DataFrame) -> np.ndarray:
        if self.kind == "level":
            return median_level(self._probs(samples))
        return self._counts(samples, self.raw(samples))

    def level_probs(self, samples: pl.DataFrame) -> np.ndarray | None:
        return self._probs(samples) if self.kind == "level" else None

    def raw(self, samples: pl.DataFrame) -> np.ndarray:
        """Mean raw score of the members, shape (n,), in the scale they were trained on."""
        x = self.matrix(samples)
        return np.asarray(np.mean([_said(booster, x) for booster in self.boosters], axis=0))

    def matrix(self, samples: pl.DataFrame) -> np.ndarray:
        """Feature matrix, shape (n, features), NaN where unknown."""
        return _matrix(samples, self.columns)

    def contributions(self, samples: pl.DataFrame) -> np.ndarray:
        """TreeSHAP values in the raw scale, shape (n, features + 1), last column the base (LightGBM's `pred_contrib`).

        For levels: of the expected level's raw scores, weighted by the level (a multiclass score has no single scale).
        """
        x = self.matrix(samples)
        parts = [np.asarray(_said(booster, x, pred_contrib=True)) for booster in self.boosters]
        mean = np.mean(parts, axis=0)
        if self.kind != "level":
            return np.asarray(mean)
        per_class = mean.reshape(len(x), LEVELS, -1)
        weights = self._probs(samples)
        centred = weights * (np.arange(LEVELS) - (weights @ np.arange(LEVELS))[:, None])
        return np.asarray(np.einsum("nl,nlf->nf", centred, per_class))

    def _counts(self, samples: pl.DataFrame, raw: np.ndarray) -> np.ndarray:
        """From the trained scale to ln(1 + count), never below now."""
        if self.kind == "direct":
            return np.asarray(np.maximum(raw, 0.0))
        now = samples[f"now_{self.target}"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        return np.asarray(now + np.maximum(np.exp(raw) - GROWTH_FLOOR, 0.0))

    def _probs(self, samples: pl.DataFrame) -> np.ndarray:
        x = self.matrix(samples)
        return np.asarray(np.mean([_said(booster, x) for booster in self.boosters], axis=0))

    def save(self, folder: Path) -> None:
        head = {"target": self.target, "kind": self.kind, "columns": list(self.columns), "members": len(self.boosters)}
        write_json(folder / "lightgbm.json", head)
        for i, booster in enumerate(self.boosters):
            booster.save_model(folder / f"trees-{i}.txt")


@dataclass(frozen=True)
class LightGBM:
    """Gradient-boosted trees: many small ones for few rows; for many rows fewer, bigger ones.

    Above `many_rows` the rows themselves do the averaging: one member. Above `most_rows` they are thinned evenly: on a
    generated world of 276,000 pairs, 200,000 rows gave MAE .0781, 100,000 gave .0784 in half the time.
    """

    name: str = "lightgbm"
    members: int = 4
    rounds: int = 1000
    level_rounds: int = 60
    many_rows: int = 50_000
    most_rows: int = 100_000
    extras: str = ""  # prefix of further columns that it reads, beside the as-of features

    def fit(self, train: pl.DataFrame, *, target: str, seed: int) -> FittedLightGBM:
        train = _thinned(train, self.most_rows, seed)
        more = [c for c in train.columns if c.startswith(self.extras)] if self.extras else []
        columns = tuple(_informative(train, [*feature_columns(), *more]))
        kind, label = self._label(train, target)
        x, weight = _matrix(train, columns), train["weight"].to_numpy()
        plans = self._plans(kind, len(label), seed)
        with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
            boosters = list(pool.map(lambda plan: _boost(x, label, weight, *plan), plans))
        return FittedLightGBM(target=target, kind=kind, boosters=tuple(boosters), columns=columns)

    def lighter(self) -> LightGBM:
        return replace(self, members=max(1, self.members // 2), rounds=max(100, self.rounds // 2))

    def load(self, folder: Path) -> FittedLightGBM:
        import lightgbm as lgb

        head = json.loads((folder / "lightgbm.json").read_text(encoding="utf-8"))
        boosters = tuple(lgb.Booster(model_file=str(folder / f"trees-{i}.txt")) for i in range(head["members"]))
        return FittedLightGBM(
            target=head["target"], kind=head["kind"], boosters=boosters, columns=tuple(head["columns"])
        )

    def _plans(self, kind: str, n: int, seed: int) -> list[tuple[dict[str, Any], int]]:
        """Parameters and rounds of every booster."""
        common = {**_COMMON, "min_data_in_leaf": int(np.clip(n // 100, 5, 40))}
        if kind == "level":
            level = {"objective": "multiclass", "num_class": LEVELS, "num_leaves": 7, "learning_rate": 0.1}
            return [({**common, **level, "seed": seed * 1000}, _scaled(self.level_rounds, n))]
        large = n > self.many_rows
        members, rounds = (1, self.rounds // 4) if large else (self.members, _scaled(self.rounds, n))
        size = {"num_leaves": 63, "learning_rate": 0.1} if large else {"num_leaves": 8}
        return [
            ({**common, **size, "objective": "l1", "extra_trees": m % 2 == 1, "seed": seed * 1000 + m}, rounds)
            for m in range(members)
        ]

    @staticmethod
    def _label(train: pl.DataFrame, target: str) -> tuple[str, np.ndarray]:
        y = train[f"y_{target}"].to_numpy().astype(float)
        if target == "level":
            return "level", y
        now = train[f"now_{target}"].to_numpy().astype(float)
        if np.isnan(now).any():
            return "direct", y
        return "growth", np.log(np.maximum(y - now, 0.0) + GROWTH_FLOOR)


def median_level(probs: np.ndarray) -> np.ndarray:
    """Lowest level at which the distribution, shape (n, 10), has reached one half, shape (n,): no other has less mean |error|."""
    return np.asarray((np.cumsum(probs, axis=1) >= 0.5 - 1e-12).argmax(axis=1).astype(float))


def _boost(x: np.ndarray, label: np.ndarray, weight: np.ndarray, params: dict[str, Any], rounds: int) -> Any:
    import lightgbm as lgb

    return lgb.train(params, lgb.Dataset(x, label, weight=weight, params={"verbose": -1, **_ONE_THREAD}), rounds)


def _said(booster: Any, x: np.ndarray, **options: Any) -> Any:
    return booster.predict(x, **options, **_ONE_THREAD)


def _matrix(samples: pl.DataFrame, columns: Sequence[str]) -> np.ndarray:
    return samples.select(columns).fill_null(float("nan")).to_numpy()


def _thinned(train: pl.DataFrame, most: int, seed: int) -> pl.DataFrame:
    if train.height <= most:
        return train
    kept = stream(seed, "lightgbm", "rows").permutation(train.height)[:most]
    return train[np.sort(kept)]


def _scaled(rounds: int, n: int) -> int:
    """Fewer rounds for under 2,000 rows, at least 40."""
    return int(np.clip(rounds * n / 2_000, 40, rounds))


def _informative(train: pl.DataFrame, columns: Sequence[str]) -> list[str]:
    """Columns that hold at least two different values in training: others can only add noise."""
    distinct = train.select([pl.col(c).drop_nulls().n_unique() for c in columns]).row(0)
    return [c for c, n in zip(columns, distinct, strict=True) if n > 1]
