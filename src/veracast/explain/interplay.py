"""Parts of one modality that act together, as a graph, and parts of two modalities that belong together, as a matching.

    graph       nodes: parts; an edge where the second difference of two parts, among all others and alone on average, is not nothing
    matching    one partner each: the pairs with the largest sum of what they do together (Kuhn 1955), where both second differences are positive

A sum of parts has no edge and no pair. A graph of the words of a title shows phrases that a scorer reads as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from veracast.core.errors import ConfigError
from veracast.explain.perturb import Perturbed, Unit
from veracast.explain.relevance import Pair, Relevance

MOST = 40
"""Parts of a graph: n (n + 1) scores."""


@dataclass(frozen=True)
class Interplay:
    """units (n,); whole, alone: (n, n) second differences among all parts of the modality and without the others, 0 on the diagonal."""

    units: tuple[Unit, ...]
    whole: np.ndarray
    alone: np.ndarray

    def edges(self, *, least: float = 0.0) -> list[Pair]:
        """Pairs of which the mean of both differences is more than least in size, the strongest first."""
        mean = (self.whole + self.alone) / 2
        rows, columns = np.triu_indices(len(self.units), k=1)
        found = [Pair(self.units[i], self.units[j], float(self.whole[i, j]), float(self.alone[i, j])) for i, j in zip(rows, columns, strict=True) if abs(mean[i, j]) > least]  # fmt: skip
        return sorted(found, key=lambda one: -abs(one.whole + one.alone))


def interplay(perturbed: Perturbed, modality: str, *, among: Sequence[int] = ()) -> Interplay:
    """among: numbers of the parts within the modality, all where empty; other modalities stay whole. ConfigError for fewer than two parts, or more than MOST."""
    places = perturbed.places(modality)
    chosen = places[list(among)] if among else places
    if not 2 <= len(chosen) <= MOST:
        raise ConfigError([f"{modality}: {len(chosen)} parts, a graph has 2 to {MOST} -> name those that do most"])
    gone, alone = (_seconds(perturbed, chosen, places, there=there) for there in (False, True))
    return Interplay(tuple(perturbed.units[k] for k in chosen), gone, alone)


def matching(relevance: Relevance, *, least: float = 0.0) -> list[Pair]:
    """Of each part at most one partner, the strongest pairs first. least: that the smaller of both differences must exceed."""
    both = np.minimum(relevance.whole, relevance.alone)
    gain = np.maximum(both - least, 0.0)
    rows, columns = linear_sum_assignment(-gain)
    found = [Pair(relevance.ones[i], relevance.others[j], float(relevance.whole[i, j]), float(relevance.alone[i, j])) for i, j in zip(rows, columns, strict=True) if gain[i, j] > 0]  # fmt: skip
    return sorted(found, key=lambda one: -min(one.whole, one.alone))


def _seconds(perturbed: Perturbed, chosen: np.ndarray, places: np.ndarray, *, there: bool) -> np.ndarray:
    """f(none turned) - f(i) - f(j) + f(i and j), where turned parts are taken away from the whole, or put in alone."""
    n = len(chosen)
    rows, columns = np.triu_indices(n, k=1)
    keep = np.ones((1 + n + len(rows), len(perturbed.units)), dtype=bool)
    keep[:, places] = not there
    for k in range(n):
        keep[1 + k, chosen[k]] = there
    for k, (i, j) in enumerate(zip(rows, columns, strict=True)):
        keep[1 + n + k, chosen[[i, j]]] = there
    scores = perturbed.scores(keep)
    found = np.zeros((n, n))
    found[rows, columns] = scores[0] - scores[1 + rows] - scores[1 + columns] + scores[1 + n :]
    return found + found.T
