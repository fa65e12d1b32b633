"""Weighed rules that hold to a degree: score = base + sum over rules of weight x truth, truth between 0 and 1.

    truth of a part     1 where it is there, 0 where it is not; a number between its baseline and itself is as true as it has come far
    truth of "i and j"  max(0, t_i + t_j - 1), the conjunction of Lukasiewicz that probabilistic soft logic uses (Bach et al. 2017, eq. 2)

Rules are single parts and pairs of the parts that do most, weights by the lasso with the Bayesian information criterion (Zou et al. 2007), told with
their R^2 on choices that they have not seen. Unlike if-then rules (rules.py) several hold at once, and each a little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from veracast.core.errors import ConfigError, NotMeasuredError
from veracast.core.seeds import stream
from veracast.explain.perturb import Perturbed, Unit
from veracast.explain.rules import LEAST_R2
from veracast.explain.units import Numbers

MOST = 6
"""Parts that rules are made of."""


class SoftRule(NamedTuple):
    """All parts are true -> the score is higher by weight."""

    units: tuple[Unit, ...]
    weight: float


@dataclass(frozen=True)
class SoftRules:
    """rules: the heaviest first; base: score where none holds; r2: on held-out choices."""

    rules: tuple[SoftRule, ...]
    base: float
    r2: float


def soft_rules(perturbed: Perturbed, units: Sequence[Unit], *, choices: int = 256, least: float = LEAST_R2, seed: int = 0) -> SoftRules:  # fmt: skip
    """units: parts that rules may name, the first MOST of them; others stay whole. choices: learnt from, and as many held out. Needs scikit-learn.

    NotMeasuredError where rules explain less than `least` of held-out scores, or nothing changes the score; ConfigError for a part that is none.
    """
    from sklearn.linear_model import LassoLarsIC  # type: ignore[import-untyped]

    unknown = [unit.name for unit in units if unit not in perturbed.units]
    if unknown or not units:
        raise ConfigError([f"parts {', '.join(unknown) or 'none'}: rules are made of the item's own parts"])
    named = tuple(units[:MOST])
    truth = _drawn(perturbed, named, 2 * choices, seed)
    scores = perturbed.scorer([_partly(perturbed, named, row) for row in truth])
    if np.ptp(scores) == 0:
        raise NotMeasuredError(f"none of {len(truth):,} choices of parts changes the score: there is nothing to weigh")
    every = [(k,) for k in range(len(named))] + list(combinations(range(len(named)), 2))
    holds = np.stack([conjunction(truth[:, list(rule)]) for rule in every], axis=1)
    model = LassoLarsIC(criterion="bic", noise_variance=max(1e-12, 1e-4 * float(scores.var())))
    model.fit(holds[:choices], scores[:choices])
    chosen = np.flatnonzero(model.coef_)
    if len(chosen) == 0:
        raise NotMeasuredError("no rule has a weight")
    weights, base = _refitted(holds[:choices, chosen], scores[:choices])  # the lasso shrinks what it keeps
    held, said = scores[choices:], base + holds[choices:, chosen] @ weights
    r2 = 1 - float(((held - said) ** 2).sum()) / float(((held - held.mean()) ** 2).sum())
    if r2 < least:
        raise NotMeasuredError(f"weighed rules explain {r2:.2f} of scores that they have not seen, {least:g} asked -> nothing is told")  # fmt: skip
    rules = [SoftRule(tuple(named[k] for k in every[rule]), float(weight)) for rule, weight in zip(chosen, weights, strict=True)]  # fmt: skip
    return SoftRules(tuple(sorted(rules, key=lambda one: -abs(one.weight))), base, r2)


def conjunction(truth: Float[np.ndarray, "choices parts"]) -> Float[np.ndarray, " choices"]:
    """Of Lukasiewicz."""
    return np.asarray(np.maximum(0.0, truth.sum(axis=1) - (truth.shape[1] - 1)))


def _drawn(perturbed: Perturbed, named: Sequence[Unit], count: int, seed: int) -> np.ndarray:
    """Truths (count, parts): half of those of numbers between 0 and 1, all others 0 or 1."""
    rng = stream(seed, "explain", "soft rules")
    truth = (rng.random((count, len(named))) < 0.5).astype(float)
    between = rng.random((count, len(named)))
    partly = rng.random((count, len(named))) < 0.5
    graded = np.array([_graded(perturbed, unit) for unit in named])
    return np.where(partly & graded[None], between, truth)


def _graded(perturbed: Perturbed, unit: Unit) -> bool:
    """Whether a part can be there in part: a number that has a number to begin from."""
    modality = perturbed.modalities[unit.modality]
    return isinstance(modality, Numbers) and bool(np.isfinite(modality.baseline[unit.name]))


def _partly(perturbed: Perturbed, named: Sequence[Unit], truth: np.ndarray) -> dict[str, object]:
    """The item with each named part as true as said."""
    places = {unit: k for k, unit in enumerate(perturbed.units)}
    keep = np.ones(len(perturbed.units), dtype=bool)
    keep[[places[unit] for unit in named]] = truth > 0
    item = dict(perturbed.changed(keep))
    for unit, share in zip(named, truth.tolist(), strict=True):
        modality = perturbed.modalities[unit.modality]
        if isinstance(modality, Numbers) and 0 < share < 1:
            low, own = modality.baseline[unit.name], perturbed.item[unit.modality][unit.name]
            item[unit.modality] = {**item[unit.modality], unit.name: low + share * (own - low)}
    return item


def _refitted(holds: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, float]:
    columns = np.concatenate([holds, np.ones((len(holds), 1))], axis=1)
    found = np.linalg.lstsq(columns, scores, rcond=None)[0]
    return found[:-1], float(found[-1])
