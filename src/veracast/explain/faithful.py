"""Does an explanation say what the model does? Parts are taken away in its order, and in others.

    curve       scores while parts go, one by one, those first that are said to raise the score most
    area        its mean: an order that names the right parts has a small one
    regret      (area - smallest area of any order) / (largest - smallest), of few parts: all orders are known
    z           (mean area of random orders - area) / their standard deviation, of many

(Deletion metric of Petsiuk et al. 2018, RISE, sec. 4.3; an area alone has no scale, so both are ours. Of few parts random orders hit the best one
too often for any z to be large; and there the best is found, as the shortest way from the whole to nothing over all coalitions. Of many parts of
which one makes the score, z cannot be large either: areas are even over the place at which that part goes, and the best lies sqrt(3) deviations
below their mean. Where the order that a greedy search finds has no z above what is asked, regret is held against
the ends of that search, or of the random orders where they go further.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from veracast.core.errors import ConfigError
from veracast.core.seeds import stream
from veracast.explain.games import EXACT, coalitions
from veracast.explain.perturb import Perturbed

REGRET, FAITHFUL = 0.1, 3.0
"""What regret may be at most, and z must be more than."""
MOST_GREEDY = 64
"""Parts up to which a greedy search is made."""
SEARCHED = 8
"""Its steps, where nobody asks for fewer."""
_FLAT = 1e-12  # areas that differ by no more than this share are the same


@dataclass(frozen=True)
class Deletion:
    """curve: (n + 1,) from the whole to nothing left of the modality; area: its mean. regret: of EXACT parts or fewer, and of more where no order
    reaches the z that is asked; controls: areas of random orders, z: of more. Both None where no order differs from another, so that nothing could
    be told."""

    curve: np.ndarray
    area: float
    regret: float | None
    controls: np.ndarray
    z: float | None

    @property
    def faithful(self) -> bool | None:
        """None where nothing could be told."""
        if self.regret is not None:
            return self.regret <= REGRET
        return None if self.z is None else self.z > FAITHFUL


def deletion(perturbed: Perturbed, modality: str, effects: np.ndarray, *, orders: int = 20, exact: int = EXACT, searched: int = SEARCHED, seed: int = 0) -> Deletion:  # fmt: skip
    """effects: said of the modality's parts (n,), signed. exact: parts up to which all orders are looked at; orders: random ones, of more; searched:
    steps of the greedy search. ConfigError for a modality of one part or none: there is one order only."""
    places = perturbed.places(modality)
    if len(places) < 2:
        raise ConfigError([f"{modality} has {len(places)} parts: nothing to order"])
    said = np.argsort(-np.asarray(effects), kind="stable")
    if len(places) <= exact:
        curve = _curves(perturbed, places, [said])[0]
        low, high = _ends(perturbed, places)
        gap = high - low
        flat = gap <= _FLAT * max(1.0, abs(low), abs(high))
        return Deletion(
            curve, float(curve.mean()), None if flat else float(curve.mean() - low) / gap, np.zeros(0), None
        )
    rng = stream(seed, "explain", "deletion", modality)
    curves = _curves(perturbed, places, [said, *(rng.permutation(len(places)) for _ in range(orders))])
    areas = curves.mean(axis=1)
    spread = float(areas[1:].std(ddof=1))
    flat = spread <= _FLAT * max(1.0, float(np.abs(areas).max()))
    z = None if flat else float(areas[1:].mean() - areas[0]) / spread
    regret = None
    if z is not None and z <= FAITHFUL and len(places) <= MOST_GREEDY:
        ends = _greedy(perturbed, places, searched)
        low, high = min(*ends, float(areas.min())), max(*ends, float(areas.max()))
        if (areas[1:].mean() - low) / spread <= FAITHFUL:
            regret = float(areas[0] - low) / (high - low)
    return Deletion(curves[0], float(areas[0]), regret, areas[1:], z)


def _curves(perturbed: Perturbed, places: np.ndarray, orders: Sequence[np.ndarray]) -> np.ndarray:
    """(orders, n + 1)."""
    n = len(places)
    keep = np.ones((len(orders), n + 1, len(perturbed.units)), dtype=bool)
    for row, order in enumerate(orders):
        for gone in range(1, n + 1):
            keep[row, gone, places[order[:gone]]] = False
    return perturbed.scores(keep.reshape(-1, keep.shape[-1])).reshape(len(orders), n + 1)


def _greedy(perturbed: Perturbed, places: np.ndarray, searched: int) -> tuple[float, float]:
    """Areas of the orders that take away, at each step, the part that lowers the score most, and that raises it most. After `searched` steps the rest
    goes in the order of the last step's scores: by then little is left to choose."""
    n, width = len(places), len(perturbed.units)
    keeps = [np.ones(width, dtype=bool), np.ones(width, dtype=bool)]
    lefts, curves = [list(places), list(places)], [[perturbed.full], [perturbed.full]]
    for step in range(min(n, searched)):
        every = [np.repeat(keep[None], len(left), axis=0) for keep, left in zip(keeps, lefts, strict=True)]
        for rows, left in zip(every, lefts, strict=True):
            rows[np.arange(len(left)), left] = False
        scores = perturbed.scores(np.concatenate(every))
        for side, sign in enumerate((1, -1)):
            found = scores[side * (n - step) : (side + 1) * (n - step)]
            order = np.argsort(sign * found, kind="stable")
            curves[side].append(float(found[order[0]]))
            keeps[side][lefts[side][int(order[0])]] = False
            lefts[side] = [lefts[side][int(k)] for k in order[1:]]
    rest = np.stack([np.repeat(keep[None], len(lefts[0]), axis=0) for keep in keeps])
    for side, left in enumerate(lefts):
        for k in range(len(left)):
            rest[side, k, left[: k + 1]] = False
    if lefts[0]:
        tails = perturbed.scores(rest.reshape(-1, width)).reshape(2, -1)
        for side in (0, 1):
            curves[side] += tails[side].tolist()
    return float(np.mean(curves[0])), float(np.mean(curves[1]))


def _ends(perturbed: Perturbed, places: np.ndarray) -> tuple[float, float]:
    """Smallest and largest area of any order: sums along the ways from nothing to the whole, a part more at every step."""
    there = coalitions(len(places))
    keep = np.ones((len(there), len(perturbed.units)), dtype=bool)
    keep[:, places] = there
    scores = perturbed.scores(keep)
    low, high = scores.copy(), scores.copy()
    for k in range(1, len(scores)):  # a coalition's number is larger than those of all its parts
        before = [k ^ 1 << player for player in range(len(places)) if k >> player & 1]
        low[k], high[k] = scores[k] + low[before].min(), scores[k] + high[before].max()
    steps = len(places) + 1
    return float(low[-1]) / steps, float(high[-1]) / steps
