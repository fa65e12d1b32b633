"""Signed contributions of named numbers, in words.

The contributions are handed in (for trees: TreeSHAP, whose sum plus base is the raw score); this module adds up those of
features that say one thing, ranks them and says what they mean. It knows no rater: a feature comes as its words, its
scale and its value, an effect in the model's own raw unit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import polars as pl

_MANY_FOLD = 2.0  # effects beyond a doubling read better as a factor
_DAYS_FROM_H = 48


class Described(Protocol):
    """A feature as people read it: words, scale (number, hours, ln_hours, ln_count, ln_ratio) and whose part it is."""

    @property
    def words(self) -> str: ...
    @property
    def scale(self) -> str: ...
    @property
    def part_of(self) -> str | None: ...


def contribution_rows(
    video_ids: Sequence[str],
    values: np.ndarray,
    effects: np.ndarray,
    *,
    columns: Sequence[str],
    facts: Mapping[str, Described],
    unit: str,
    top: int = 8,
) -> pl.DataFrame:
    """CONTRIBUTIONS rows: the `top` largest effects per video. values: (n, f) with NaN for unknown; effects: (n, f).

    columns: names of the features, `f_<name>`, each with its fact. Effects of a feature that is `part_of` another are
    added to that one's, so that the effects of a video still sum to its raw score less the base.
    """
    names = [column.removeprefix("f_") for column in columns]
    rows = []
    for i, video_id in enumerate(video_ids):
        found = sorted(_added(names, values[i], effects[i], facts), key=lambda item: -abs(item[2]))
        for rank, (name, value, effect) in enumerate(found[:top], start=1):
            if effect:
                told = sentence(facts[name], value, effect, unit)
                rows.append((video_id, rank, name, value, effect, unit, told))
    schema = ["video_id", "rank", "feature", "value", "effect", "unit", "sentence"]
    return pl.DataFrame(rows, schema=schema, orient="row", infer_schema_length=None)


def _added(
    names: Sequence[str], values: np.ndarray, effects: np.ndarray, facts: Mapping[str, Described]
) -> Iterator[tuple[str, float | None, float]]:
    """(feature, value, effect) with the effects of parts added to their whole, where the whole is a feature too."""
    totals: dict[str, float] = {}
    for name, effect in zip(names, effects.tolist(), strict=True):
        whole = facts[name].part_of
        key = whole if whole is not None and whole in names else name
        totals[key] = totals.get(key, 0.0) + effect
    at = {name: float(value) for name, value in zip(names, values, strict=True)}
    for name, effect in totals.items():
        yield name, None if math.isnan(at[name]) else at[name], effect


def sentence(fact: Described, value: float | None, effect: float, unit: str) -> str:
    """`age 4.9 d: raises the expected growth by 51 %`."""
    direction = "raises" if effect > 0 else "lowers"
    return f"{fact.words} {shown(value, fact.scale)}: {direction} {_subject(unit)} {_amount(effect, unit)}"


def shown(value: float | None, scale: str) -> str:
    """A feature's value as people read it: counts and ratios out of their logarithms, hours as hours or days."""
    if value is None:
        return "not known"
    if scale in ("hours", "ln_hours"):
        hours = math.exp(value) if scale == "ln_hours" else value
        return f"{hours / 24:.1f} d" if abs(hours) >= _DAYS_FROM_H else f"{hours:.1f} h"
    if scale == "ln_count":
        return _short(math.expm1(value))
    if scale == "ln_ratio":
        return f"x {math.exp(value):.3g}"
    return _short(value)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _subject(unit: str) -> str:
    return {"ln growth": "the expected growth", "levels": "the level"}.get(unit, "the forecast")


def _amount(effect: float, unit: str) -> str:
    """`by 51 %`, `2.7-fold`, `by 0.30`: an effect on a logarithm is a factor."""
    size = abs(effect)
    if unit == "levels":
        return f"by {size:.2f}"
    factor = math.exp(size)
    if factor >= _MANY_FOLD:
        return f"{factor:.1f}-fold"
    return f"by {100 * (factor - 1 if effect > 0 else 1 - 1 / factor):.0f} %"
