"""What if one number were another: the score along its values, and the nearest value at which the score would cross a line.

    curve             score of the item with the number at each value, all else as it is        (ICE, Goldstein et al. 2015)
    counterfactual    the value nearest to the item's own, in steps of the number's spread, at which the score is on the other side of a line

A curve asks what the scorer says, not what would happen: a number that never changes alone in the world does here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from veracast.core.errors import ConfigError
from veracast.explain.scorer import Item, Scorer

STEPS = 64
"""Values that a crossing is looked for at, before it is closed in on, where nobody says how many."""
CLOSER = 30
"""Halvings, where nobody says how many: a crossing is known to a billionth of the step it lies in."""


@dataclass(frozen=True)
class Curve:
    """name: of the number; own: its value in the item; values, scores: (n,), values ascending."""

    name: str
    own: float
    values: np.ndarray
    scores: np.ndarray

    @property
    def direction(self) -> Literal["rises", "falls", "flat", "turns"]:
        """Of the scores along the values; changes under a millionth of their size are none."""
        steps = np.diff(self.scores)
        steps = steps[np.abs(steps) > 1e-6 * max(1.0, float(np.abs(self.scores).max()))]
        if not len(steps):
            return "flat"
        return "rises" if (steps > 0).all() else "falls" if (steps < 0).all() else "turns"


@dataclass(frozen=True)
class Counterfactual:
    """value: of the number, at which the score is `score`, on the other side of the line. distance: from its own value, in spreads."""

    name: str
    own: float
    value: float
    score: float
    distance: float


def curve(scorer: Scorer, item: Item, name: str, values: Sequence[float], *, modality: str = "numbers") -> Curve:
    """ConfigError for a number that the item has not."""
    own = _own(item, modality, name)
    ordered = np.sort(np.asarray(values, dtype=float))
    return Curve(name, own, ordered, scorer([_with(item, modality, name, float(value)) for value in ordered]))


def counterfactuals(scorer: Scorer, item: Item, ranges: Mapping[str, tuple[float, float]], *, line: float, spreads: Mapping[str, float], modality: str = "numbers", steps: int = STEPS, closer: int = CLOSER) -> list[Counterfactual]:  # fmt: skip
    """One for each number that can take the score across the line within its range, the nearest first. ranges: lowest and highest value that is
    looked at; spreads: by name, above 0, such as the standard deviation in training; steps, closer: values on the way to each end, and halvings where
    the line lies between two. ConfigError for a spread of 0."""
    flat = [name for name in ranges if not spreads[name] > 0]
    if flat:
        raise ConfigError([f"{', '.join(flat)}: a spread of 0 -> leave out numbers that never vary"])
    below = scorer([item])[0] < line
    found = []
    for name, (low, high) in ranges.items():
        own = _own(item, modality, name)
        for end in (low, high):
            crossed = _crossing(scorer, item, modality, name, own, end, line, steps, closer, below=bool(below))
            if crossed is not None:
                found.append(Counterfactual(name, own, *crossed, abs(crossed[0] - own) / spreads[name]))
    nearest = {one.name: one for one in sorted(found, key=lambda one: -one.distance)}
    return sorted(nearest.values(), key=lambda one: (one.distance, one.name))


def _crossing(scorer: Scorer, item: Item, modality: str, name: str, own: float, end: float, line: float, steps: int, closer: int, *, below: bool) -> tuple[float, float] | None:  # fmt: skip
    """The first value on the way to the end that is on the other side, and its score."""

    def scores(values: Sequence[float]) -> np.ndarray:
        return scorer([_with(item, modality, name, value) for value in values])

    way = np.linspace(own, end, steps + 1)[1:]
    over = (scores(way.tolist()) < line) != below
    if own == end or not over.any():
        return None
    first = int(np.argmax(over))
    near, far = float(own if first == 0 else way[first - 1]), float(way[first])
    for _ in range(closer):
        middle = (near + far) / 2
        if (scores([middle])[0] < line) != below:
            far = middle
        else:
            near = middle
    return far, float(scores([far])[0])


def _own(item: Item, modality: str, name: str) -> float:
    numbers = item.get(modality, {})
    if name not in numbers:
        raise ConfigError([f"{modality} has no {name!r} -> it holds {', '.join(numbers) or 'nothing'}"])
    return float(numbers[name])


def _with(item: Item, modality: str, name: str, value: float) -> Item:
    return {**item, modality: {**item[modality], name: value}}
