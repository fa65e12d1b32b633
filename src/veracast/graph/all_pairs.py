"""The released construction of same-topic and same-author edges: every pair listed. The reference of the hub form.

Edges run from each state of a hub to each of its states of the same or a later day (Asia/Shanghai), itself included. Their
number grows with the square of a hub's size: meant for tests and for small sets.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl

_DAY_US = 86_400_000_000
_SHANGHAI_US = 8 * 3_600_000_000


class Edges(NamedTuple):
    """source, target: state numbers, shape (edges,)."""

    source: np.ndarray
    target: np.ndarray


def shanghai_day(times: pl.Series) -> np.ndarray:
    """Number of the day in Asia/Shanghai (always UTC+8 in the years concerned), shape (n,)."""
    return np.asarray((times.cast(pl.Int64).to_numpy() + _SHANGHAI_US) // _DAY_US)


def list_pairs(key: np.ndarray, day: np.ndarray) -> Edges:
    """All edges between states of one key, from days up to the target's own; -1 as a key means none."""
    sources, targets = [], []
    order = np.argsort(key, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(key[order])) + 1):
        if len(rows) and key[rows[0]] >= 0:
            seen = day[rows][:, None] <= day[rows][None, :]
            source, target = np.nonzero(seen)
            sources.append(rows[source])
            targets.append(rows[target])
    none = [np.empty(0, dtype=np.int64)]
    return Edges(np.concatenate(sources or none), np.concatenate(targets or none))


def mean_over(edges: Edges, messages: np.ndarray) -> np.ndarray:
    """Mean of the messages (n, width) over each target's edges, 0 where it has none."""
    total = np.zeros_like(messages, dtype=np.float64)
    np.add.at(total, edges.target, messages[edges.source].astype(np.float64))
    count = np.bincount(edges.target, minlength=len(messages))
    return np.asarray(total / np.maximum(count, 1)[:, None])
