"""Does an explanation say what the model does? Parts are taken away in its order, and in random ones.

    curve       scores while parts go, one by one, those first that are said to raise the score most
    area        its mean: an order that names the right parts has a small one
    z           (mean area of random orders - area) / their standard deviation

(Deletion metric of Petsiuk et al. 2018, RISE, sec. 4.3; random orders as the control are ours: an area alone has no scale.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from veracast.core.seeds import stream
from veracast.explain.perturb import Perturbed


@dataclass(frozen=True)
class Deletion:
    """curve: (n + 1,) from the whole to nothing left of the modality; area: its mean; controls: areas of random orders;
    z: None where random orders do not differ, so that nothing could be told."""

    curve: np.ndarray
    area: float
    controls: np.ndarray
    z: float | None

    @property
    def faithful(self) -> bool:
        """More than three standard deviations below random orders."""
        return self.z is not None and self.z > 3


def deletion(perturbed: Perturbed, modality: str, effects: np.ndarray, *, orders: int = 20, seed: int = 0) -> Deletion:
    """effects: said of the modality's parts (n,), signed."""
    places = perturbed.places(modality)
    rng = stream(seed, "explain", "deletion", modality)
    said = np.argsort(-np.asarray(effects), kind="stable")
    every = [said, *(rng.permutation(len(places)) for _ in range(orders))]
    curves = _curves(perturbed, places, every)
    areas = curves.mean(axis=1)
    spread = float(areas[1:].std(ddof=1)) if orders > 1 else 0.0
    flat = spread <= 1e-12 * max(1.0, float(np.abs(areas).max()))
    return Deletion(
        curves[0], float(areas[0]), areas[1:], None if flat else float(areas[1:].mean() - areas[0]) / spread
    )


def _curves(perturbed: Perturbed, places: np.ndarray, orders: Sequence[np.ndarray]) -> np.ndarray:
    """(orders, n + 1)."""
    n = len(places)
    keep = np.ones((len(orders), n + 1, len(perturbed.units)), dtype=bool)
    for row, order in enumerate(orders):
        for gone in range(1, n + 1):
            keep[row, gone, places[order[:gone]]] = False
    return perturbed.scores(keep.reshape(-1, keep.shape[-1])).reshape(len(orders), n + 1)
