"""Raters that are a table of medians: shared by constant, median, Szabo-Huberman and growth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from veracast.core.files import write_json

MIN_ROWS = 20
"""A cell with fewer training rows falls back to the next coarser key."""


@dataclass(frozen=True)
class MedianTable:
    """Weighted nothing, just medians of `value` by ever coarser keys, the last one being the whole.

    keys: key columns, finest first dropped last; cells: one dict per depth, from joined key to median.
    """

    keys: tuple[str, ...]
    cells: tuple[dict[str, float], ...]

    def lookup(self, frame: pl.DataFrame) -> np.ndarray:
        """Median per row of a frame with the key columns, shape (n,); NaN only where the table is empty."""
        found = pl.Series([None] * frame.height, dtype=pl.Float64)
        for depth in range(len(self.keys), -1, -1):
            joined = _joined(frame, self.keys[:depth])
            values = joined.replace_strict(self.cells[depth], default=None, return_dtype=pl.Float64)
            found = pl.select(pl.coalesce(found, values)).to_series()
        return found.fill_null(float("nan")).to_numpy()

    def save(self, folder: Path) -> None:
        """table.json."""
        write_json(folder / "table.json", {"keys": list(self.keys), "cells": list(self.cells)})

    @staticmethod
    def load(folder: Path) -> MedianTable:
        """Read table.json."""
        body = json.loads((folder / "table.json").read_text(encoding="utf-8"))
        return MedianTable(keys=tuple(body["keys"]), cells=tuple(body["cells"]))


def fit_medians(frame: pl.DataFrame, value: pl.Series, keys: Sequence[str]) -> MedianTable:
    """Medians of `value` (aligned with frame) in every cell with at least MIN_ROWS rows; the whole always has one."""
    cells = []
    for depth in range(len(keys) + 1):
        cell = pl.DataFrame({"key": _joined(frame, keys[:depth]), "value": value.fill_nan(None)}).drop_nulls()
        medians = cell.group_by("key").agg(pl.col("value").median(), pl.len()).sort("key")
        if depth > 0:
            medians = medians.filter(pl.col("len") >= MIN_ROWS)
        cells.append(dict(medians.select("key", "value").iter_rows()))
    return MedianTable(keys=tuple(keys), cells=tuple(cells))


def _joined(frame: pl.DataFrame, keys: Sequence[str]) -> pl.Series:
    if not keys:
        return pl.Series(["all"] * frame.height, dtype=pl.String)
    parts = [pl.col(key).cast(pl.String).fill_null("?") for key in keys]
    return frame.select(pl.concat_str(parts, separator="|")).to_series()
