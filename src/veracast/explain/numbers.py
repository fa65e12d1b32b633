"""Signed contributions of named numbers, in words.

The contributions are handed in (for trees: TreeSHAP, whose sum plus base is the raw score); this module ranks them and
says what they mean. It knows no rater: features come as (words, value), effects in the model's own raw unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from veracast.core.schemas import CONTRIBUTIONS


def contribution_rows(
    video_ids: Sequence[str],
    values: np.ndarray,
    effects: np.ndarray,
    *,
    columns: Sequence[str],
    words: Mapping[str, str],
    unit: str,
    top: int = 8,
) -> pl.DataFrame:
    """CONTRIBUTIONS rows: the `top` largest effects per video. values: (n, f) with NaN for unknown; effects: (n, f)."""
    rows = []
    for i, video_id in enumerate(video_ids):
        order = np.argsort(-np.abs(effects[i]), kind="stable")[:top]
        for rank, j in enumerate(order, start=1):
            if effects[i, j] == 0:
                continue
            name = columns[j].removeprefix("f_")
            value = None if np.isnan(values[i, j]) else float(values[i, j])
            text = sentence(words.get(name, name), value, float(effects[i, j]), unit)
            rows.append((video_id, rank, name, value, float(effects[i, j]), unit, text))
    return pl.DataFrame(rows, schema=CONTRIBUTIONS, orient="row")


def sentence(words: str, value: float | None, effect: float, unit: str) -> str:
    """`hours since posting = 9.2: lowers the forecast by 0.43 ln views`."""
    shown = "not known" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.4g}"
    direction = "raises" if effect > 0 else "lowers"
    amount = f"{abs(effect):.2f}" if abs(effect) >= 0.005 else "under 0.01"
    return f"{words} = {shown}: {direction} the forecast by {amount} {unit}"
