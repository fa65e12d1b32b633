"""Are the chosen parts what the score needs, and are they enough for it? Beside random choices of as many.

    plus     |score - score without the chosen parts|        large where they are needed
    minus    |score - score with nothing but them|           small where they are enough
    characterization    2 / (1 / plus + 1 / (gap - minus)) over the gap |score - score without any part|, 0 to 1: the harmonic mean of both

(Amara et al. 2022, GraphFramEx, eq. 1 to 4, for a regression: gaps of scores in place of probabilities, and both are divided by the gap that all
parts make, so that scales compare; a share of more than 1 counts as 1. Parts are deleted, not masked.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from veracast.core.errors import ConfigError
from veracast.core.seeds import stream
from veracast.explain.perturb import Perturbed


@dataclass(frozen=True)
class Fidelity:
    """plus, minus: shares of the gap. chosen, parts: how many. controls: characterization of random choices of as many."""

    plus: float
    minus: float
    gap: float
    chosen: int
    parts: int
    controls: np.ndarray

    @property
    def sparsity(self) -> float:
        """Share of the parts that were not chosen."""
        return 1 - self.chosen / self.parts

    @property
    def characterization(self) -> float:
        return float(_harmonic(np.array([self.plus]), np.array([self.minus]))[0])

    @property
    def rank(self) -> float:
        """Share of random choices, this one included, that are as good or better: small is good."""
        return float((1 + (self.controls >= self.characterization - 1e-12).sum()) / (1 + len(self.controls)))


def fidelity(perturbed: Perturbed, modality: str, chosen: Sequence[int], *, controls: int = 99, seed: int = 0) -> Fidelity | None:  # fmt: skip
    """chosen: numbers of parts within the modality. None where all parts together change nothing. ConfigError for no part, or all."""
    places = perturbed.places(modality)
    picked = sorted(set(chosen))
    if not 0 < len(picked) < len(places) or picked[-1] >= len(places) or picked[0] < 0:
        raise ConfigError([f"{len(picked)} of {len(places)} parts of {modality}: choose one or more, not all"])
    rng = stream(seed, "explain", "fidelity", modality)
    drawn = [np.array(picked), *(rng.choice(len(places), len(picked), replace=False) for _ in range(controls))]
    there = np.zeros((len(drawn), len(places)), dtype=bool)
    for row, choice in enumerate(drawn):
        there[row, choice] = True
    keep = np.ones((2 * len(drawn) + 1, len(perturbed.units)), dtype=bool)
    keep[: len(drawn), places], keep[len(drawn) : -1, places], keep[-1, places] = ~there, there, False
    scores, full = perturbed.scores(keep), perturbed.full
    gap = abs(full - float(scores[-1]))
    if gap <= 1e-12 * max(1.0, abs(full)):
        return None
    plus, minus = (np.minimum(1, np.abs(full - part) / gap) for part in (scores[: len(drawn)], scores[len(drawn) : -1]))
    return Fidelity(float(plus[0]), float(minus[0]), gap, len(picked), len(places), _harmonic(plus, minus)[1:])


def _harmonic(plus: np.ndarray, minus: np.ndarray) -> np.ndarray:
    both = plus * (1 - minus)
    total = plus + (1 - minus)
    return np.where(total > 0, 2 * both / np.where(total > 0, total, 1), 0.0)
