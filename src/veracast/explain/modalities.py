"""Which modality makes a score, and which make it only together: exact Shapley values and interactions over modalities, 2^M scores.

A modality that is absent has all its parts at their baselines. Values sum to score - baseline score; the gap that rounding leaves is told.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from veracast.explain.games import coalitions, interactions, shapley
from veracast.explain.perturb import Perturbed


@dataclass(frozen=True)
class ModalityEffects:
    """names: modalities (m,); values: (m,); pairs: (m, m) interactions; full, base: scores; all in the scorer's unit."""

    names: tuple[str, ...]
    values: np.ndarray
    pairs: np.ndarray
    full: float
    base: float

    @property
    def completeness_error(self) -> float:
        """|sum of values - (full - base)|."""
        return abs(float(self.values.sum()) - (self.full - self.base))


def modality_effects(perturbed: Perturbed) -> ModalityEffects:
    """Of one item."""
    names = tuple(perturbed.modalities)
    there = coalitions(len(names))
    keep = np.zeros((len(there), len(perturbed.units)), dtype=bool)
    for k, name in enumerate(names):
        keep[:, perturbed.places(name)] = there[:, k : k + 1]
    worths = perturbed.scores(keep)
    return ModalityEffects(names, shapley(worths), interactions(worths), float(worths[-1]), float(worths[0]))
