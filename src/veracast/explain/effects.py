"""What each part of one modality does to the score: taken away from the whole, put in alone, and on average over all orders.

    without     score - score without the part                     (occlusion, leave one out)
    alone       score with it alone in its modality - score without any of that modality
    shapley     mean gain over orders in which the parts of the modality come, the other modalities whole (games.py), exact for few parts

`without` is zero for two parts of which either is enough, `alone` for two that only work together; Shapley values share both. All are in the
scorer's unit; Shapley values of a modality sum to score - score without the modality.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from veracast.core.errors import ConfigError
from veracast.core.seeds import stream
from veracast.explain.games import EXACT, coalitions, sampled_shapley, shapley
from veracast.explain.perturb import Perturbed, Unit


@dataclass(frozen=True)
class UnitEffects:
    """units: of the modality, or groups of them (n,); without, alone, shapley: (n,); errors: standard errors of the Shapley values, 0 where exact.
    full: score; bare: without any part of the modality, the others whole."""

    modality: str
    units: tuple[Unit, ...]
    without: np.ndarray
    alone: np.ndarray
    shapley: np.ndarray
    errors: np.ndarray
    full: float
    bare: float

    @property
    def completeness_error(self) -> float:
        """|sum of Shapley values - (full - bare)|."""
        return abs(float(self.shapley.sum()) - (self.full - self.bare))

    def ranked(self) -> list[int]:
        """Numbers of the parts, the largest Shapley value first, whatever its sign."""
        return [int(k) for k in np.argsort(-np.abs(self.shapley), kind="stable")]


def unit_effects(perturbed: Perturbed, modality: str, *, groups: Sequence[str] = (), orders: int = 32, exact: int = EXACT, seed: int = 0) -> UnitEffects:  # fmt: skip
    """groups: of each part, by name; parts of a group come and go together, such as the edges of a relation or the cells of a frame. Empty = each
    part by itself. orders: of parts or groups, each forwards and backwards, where there are more than `exact` of them.

    ConfigError for a modality without parts, or groups of another number.
    """
    places = perturbed.places(modality)
    if len(places) == 0:
        raise ConfigError([f"{modality} has no parts here -> explain the modalities that hold something"])
    named = list(groups) or [perturbed.units[k].name for k in places]
    if len(named) != len(places):
        raise ConfigError([f"{len(named)} groups for {len(places)} parts of {modality} -> name the group of each part"])
    names = list(dict.fromkeys(named))
    member = np.array([names.index(one) for one in named])
    n = len(names)

    one = np.eye(n, dtype=bool)
    needed = np.concatenate([np.ones((1, n), dtype=bool), np.zeros((1, n), dtype=bool), ~one, one])

    def worth(keep: np.ndarray) -> np.ndarray:
        """Asks for the needed ones too: a call has its own cost, and what was scored once is known."""
        asked = np.concatenate([needed, keep])
        whole = np.ones((len(asked), len(perturbed.units)), dtype=bool)
        whole[:, places] = asked[:, member]
        return perturbed.scores(whole)[len(needed) :]

    if n <= exact:
        values, errors = shapley(worth(coalitions(n))), np.zeros(n)
    else:
        values, errors, _ = sampled_shapley(worth, n, orders=orders, rng=stream(seed, "explain", "effects", modality))
    ends = worth(needed)
    full, bare = float(ends[0]), float(ends[1])
    units = tuple(Unit(modality, name) for name in names)
    return UnitEffects(modality, units, full - ends[2 : 2 + n], ends[2 + n :] - bare, values, errors, full, bare)
