"""LightGBM on as-of features: the baseline to beat.

Counts: the target is ln(growth + .01), growth = ln N(T) - ln N(t) (observed states), or ln N(T) itself (cold starts),
under the L1 loss, as a mean of a few seeds, half of them with extremely randomised splits (their errors differ).
Levels: a multiclass model gives the distribution, its mean the point. Trees are plain text on disk.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from veracast.core.files import write_json
from veracast.core.protocols import LEVELS
from veracast.rating.features import feature_columns

GROWTH_FLOOR = 0.01
_COMMON: dict[str, Any] = {
    "learning_rate": 0.04,
    "num_leaves": 31,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 2.0,
    "verbose": -1,
    "num_threads": 2,
    "deterministic": True,
    "force_row_wise": True,
}


@dataclass(frozen=True)
class FittedLightGBM:
    """boosters: members of the mean. kind: growth | direct | level."""

    target: str
    kind: str
    boosters: tuple[Any, ...]
    columns: tuple[str, ...]

    def predict(self, samples: pl.DataFrame) -> np.ndarray:
        if self.kind == "level":
            return self._probs(samples) @ np.arange(LEVELS)
        raw = self.raw(samples)
        if self.kind == "direct":
            return np.asarray(np.maximum(raw, 0.0))
        now = samples[f"now_{self.target}"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        return np.asarray(now + np.maximum(np.exp(raw) - GROWTH_FLOOR, 0.0))

    def level_probs(self, samples: pl.DataFrame) -> np.ndarray | None:
        return self._probs(samples) if self.kind == "level" else None

    def raw(self, samples: pl.DataFrame) -> np.ndarray:
        """Mean raw score of the members, shape (n,), in the scale they were trained on."""
        x = self.matrix(samples)
        return np.asarray(np.mean([booster.predict(x) for booster in self.boosters], axis=0))

    def matrix(self, samples: pl.DataFrame) -> np.ndarray:
        """Feature matrix, shape (n, features), NaN where unknown."""
        return samples.select(self.columns).fill_null(float("nan")).to_numpy()

    def contributions(self, samples: pl.DataFrame) -> np.ndarray:
        """TreeSHAP values in the raw scale, shape (n, features + 1), last column the base (LightGBM's `pred_contrib`).

        For levels: of the expected level's raw scores, weighted by the level (a multiclass score has no single scale).
        """
        x = self.matrix(samples)
        parts = [np.asarray(booster.predict(x, pred_contrib=True)) for booster in self.boosters]
        mean = np.mean(parts, axis=0)
        if self.kind != "level":
            return np.asarray(mean)
        per_class = mean.reshape(len(x), LEVELS, -1)
        weights = self._probs(samples)
        centred = weights * (np.arange(LEVELS) - (weights @ np.arange(LEVELS))[:, None])
        return np.asarray(np.einsum("nl,nlf->nf", centred, per_class))

    def _probs(self, samples: pl.DataFrame) -> np.ndarray:
        x = self.matrix(samples)
        return np.asarray(np.mean([booster.predict(x) for booster in self.boosters], axis=0))

    def save(self, folder: Path) -> None:
        head = {"target": self.target, "kind": self.kind, "columns": list(self.columns), "members": len(self.boosters)}
        write_json(folder / "lightgbm.json", head)
        for i, booster in enumerate(self.boosters):
            booster.save_model(folder / f"trees-{i}.txt")


@dataclass(frozen=True)
class LightGBM:
    """Gradient-boosted trees; rounds shrink with the size of the training set."""

    name: str = "lightgbm"
    members: int = 4
    rounds: int = 400
    level_rounds: int = 60

    def fit(self, train: pl.DataFrame, *, target: str, seed: int) -> FittedLightGBM:
        import lightgbm as lgb

        columns = tuple(_informative(train, feature_columns()))
        y = train[f"y_{target}"].to_numpy().astype(float)
        kind, label = self._label(train, target, y)
        x = train.select(columns).fill_null(float("nan")).to_numpy()
        n = len(y)
        leaf = int(np.clip(n // 100, 5, 40))
        boosters = []
        members = 1 if kind == "level" or n > 100_000 else self.members
        for member in range(members):
            params = {**_COMMON, "seed": seed * 1000 + member, "min_data_in_leaf": leaf}
            if kind == "level":
                params |= {"objective": "multiclass", "num_class": LEVELS, "num_leaves": 15, "feature_fraction": 0.3}
            else:
                params |= {"objective": "l1", "extra_trees": member % 2 == 1}
            data = lgb.Dataset(x, label, weight=train["weight"].to_numpy(), free_raw_data=False, params={"verbose": -1})
            boosters.append(lgb.train(params, data, self._rounds(kind, n)))
        return FittedLightGBM(target=target, kind=kind, boosters=tuple(boosters), columns=columns)

    def lighter(self) -> LightGBM:
        return replace(self, members=2, rounds=self.rounds * 3 // 4, level_rounds=self.level_rounds)

    def load(self, folder: Path) -> FittedLightGBM:
        import lightgbm as lgb

        head = json.loads((folder / "lightgbm.json").read_text(encoding="utf-8"))
        boosters = tuple(lgb.Booster(model_file=str(folder / f"trees-{i}.txt")) for i in range(head["members"]))
        return FittedLightGBM(
            target=head["target"], kind=head["kind"], boosters=boosters, columns=tuple(head["columns"])
        )

    def _rounds(self, kind: str, n: int) -> int:
        full = self.level_rounds if kind == "level" else self.rounds
        return int(np.clip(full * n / 2_000, 40, full))

    @staticmethod
    def _label(train: pl.DataFrame, target: str, y: np.ndarray) -> tuple[str, np.ndarray]:
        if target == "level":
            return "level", y
        now = train[f"now_{target}"].to_numpy().astype(float)
        if np.isnan(now).any():
            return "direct", y
        return "growth", np.log(np.maximum(y - now, 0.0) + GROWTH_FLOOR)


def _informative(train: pl.DataFrame, columns: Sequence[str]) -> list[str]:
    """Columns that hold at least two different values in training: others can only add noise."""
    distinct = train.select([pl.col(c).drop_nulls().n_unique() for c in columns]).row(0)
    return [c for c, n in zip(columns, distinct, strict=True) if n > 1]
