"""Training and rating rows of the network: which state, aimed where, what became of it, and the base forecast beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

import numpy as np
import polars as pl
import torch
from torch import Tensor

from veracast.core.protocols import LEVELS
from veracast.graph.build import Graph
from veracast.rating.netgpt.inputs import Scaling, aim, columns_scaled

COLD_START = 7.0
"""ln counts from which a forecast at posting starts, where there is no count yet."""


@dataclass(frozen=True)
class Rows:
    """n rows of one state kind ("cold" or "observed"); tensors of n rows, NaN / -1 where an outcome is not known.

    state (n,) int64; aim (n, 5); columns (n, 2 x columns); start (n,): ln count now, COLD_START at posting; main (n,): ln
    count at the target; level (n,) int64 or -1; weight (n,); asked, held (n,) bool: evaluated rows, validation rows.
    base_main (n,), base_probs (n, 10): the boosted forecast; through (n, 10): the levels of the boosted growth through the
    level rule (through_rule.py). Out of fold on training rows; NaN where there is none.
    """

    kind: str
    state: Tensor
    aim: Tensor
    columns: Tensor
    start: Tensor
    main: Tensor
    level: Tensor
    weight: Tensor
    asked: Tensor
    held: Tensor
    base_main: Tensor
    base_probs: Tensor
    through: Tensor

    def __len__(self) -> int:
        return len(self.state)

    def at(self, index: np.ndarray | Tensor) -> Rows:
        """Some of the rows."""
        chosen = torch.as_tensor(index)
        tensors: dict[str, Any] = {k: v[chosen] for k, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **tensors)


def rows_of(samples: pl.DataFrame, kind: str, *, graph: Graph, scaling: Scaling, main: str, held_share: float = 0.0) -> Rows:  # fmt: skip
    """Rows of sample frames; outcomes and base forecasts where they are known. held_share: of videos, by a hash of their id."""
    n = samples.height
    now = _column(samples, f"now_{main}") if kind == "observed" else np.full(n, np.nan)
    level = _column(samples, "y_level")
    return Rows(
        kind=kind,
        state=torch.from_numpy(graph.rows(samples).astype(np.int64)),
        aim=torch.from_numpy(aim(samples)),
        columns=torch.from_numpy(columns_scaled(samples, scaling)),
        start=_tensor(np.where(np.isfinite(now), now, COLD_START)),
        main=_tensor(_column(samples, f"y_{main}")),
        level=torch.from_numpy(np.where(np.isfinite(level), level, -1).astype(np.int64)),
        weight=_tensor(_column(samples, "weight", otherwise=1.0)),
        asked=torch.from_numpy(_column(samples, "asked", otherwise=1.0) > 0),
        held=torch.from_numpy(held_out(samples["video_id"], held_share)),
        base_main=_tensor(np.full(n, np.nan)),
        base_probs=_tensor(np.full((n, LEVELS), np.nan)),
        through=_tensor(np.full((n, LEVELS), np.nan)),
    )


def held_out(video_ids: pl.Series, share: float) -> np.ndarray:
    """Which rows belong to validation videos: by a hash of the id, so that a video never changes sides."""
    sides = {v: crc32(f"held {v}".encode()) / 2**32 < share for v in video_ids.unique().to_list()}
    return np.array([sides[v] for v in video_ids.to_list()], dtype=bool)


def parts_of(video_ids: pl.Series, share: float, parts: int) -> np.ndarray:
    """Part of each video, (n,) int64, by the hash of `held_out`: 0 = its validation videos, 1 ... parts - 1 = the others, evenly.

    With one part alone the others are in none of them: they get 1.
    """
    place = np.array([crc32(f"held {video}".encode()) / 2**32 for video in video_ids.to_list()])
    others = 1 + np.floor((place - share) / (1 - share) * max(1, parts - 1))
    return np.where(place < share, 0, others).astype(np.int64)


def _column(samples: pl.DataFrame, name: str, *, otherwise: float = float("nan")) -> np.ndarray:
    if name not in samples.columns:
        return np.full(samples.height, otherwise)
    return samples[name].cast(pl.Float64).fill_null(otherwise).to_numpy()


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
