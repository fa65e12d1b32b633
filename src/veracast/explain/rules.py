"""If-then rules that say what a scorer does around one item, and how well they say it where they were not learnt.

    random choices of parts, each once -> scores -> a small regression tree on half of them -> its paths as rules -> R^2 on the other half

A tree is grown over "is this part there?" (Breiman et al. 1984), as wide as needed for the score and no deeper than can be read. Rules that explain
too little of what they have not seen are refused: a rule list that is wrong is worse than none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from veracast.core.errors import NotMeasuredError
from veracast.core.seeds import stream
from veracast.explain.perturb import Perturbed, Unit

LEAST_R2 = 0.7
"""Below which rules are refused."""
SHARE = 0.5
"""Of parts that are there in a random choice."""


class Condition(NamedTuple):
    """there: whether the part must be there, or must not."""

    unit: Unit
    there: bool


class Rule(NamedTuple):
    """All conditions hold -> score. share: of the choices that rules were learnt from."""

    conditions: tuple[Condition, ...]
    score: float
    share: float


@dataclass(frozen=True)
class RuleList:
    """rules: the highest score first; they leave nothing out and do not overlap. r2: on held-out choices; learnt, held: how many choices."""

    rules: tuple[Rule, ...]
    r2: float
    learnt: int
    held: int


def rule_list(perturbed: Perturbed, *, choices: int = 512, depth: int = 3, least: float = LEAST_R2, seed: int = 0) -> RuleList:  # fmt: skip
    """choices: that are learnt from at most. Needs scikit-learn. NotMeasuredError where no choice changes the score, and where the rules explain less than `least` of held-out scores."""
    from sklearn.tree import DecisionTreeRegressor  # type: ignore[import-untyped]

    rng = stream(seed, "explain", "rules")
    keep = rng.permutation(np.unique(rng.random((2 * choices, len(perturbed.units))) < SHARE, axis=0))
    scores, learnt = perturbed.scores(keep), len(keep) // 2
    if np.ptp(scores) == 0:
        raise NotMeasuredError(f"none of {len(keep):,} choices of parts changes the score: there is nothing to rule")
    tree = DecisionTreeRegressor(max_depth=depth, min_samples_leaf=max(1, learnt // 32), random_state=seed)
    tree.fit(keep[:learnt], scores[:learnt])
    held = scores[learnt:]
    spread = float(((held - held.mean()) ** 2).sum())
    r2 = 1 - float(((held - tree.predict(keep[learnt:])) ** 2).sum()) / spread if spread else 0.0
    if r2 < least:
        raise NotMeasuredError(
            f"rules over single parts explain {r2:.2f} of scores that they have not seen, {least:g} asked -> nothing is told"
        )
    return RuleList(tuple(sorted(_paths(tree.tree_, perturbed.units), key=lambda one: -one.score)), r2, learnt, len(held))  # fmt: skip


def _paths(tree: object, units: tuple[Unit, ...], node: int = 0, so_far: tuple[Condition, ...] = ()) -> list[Rule]:
    """Rules below a node of scikit-learn's tree."""
    left, right = int(tree.children_left[node]), int(tree.children_right[node])  # type: ignore[attr-defined]
    if left == right:
        share = float(tree.n_node_samples[node] / tree.n_node_samples[0])  # type: ignore[attr-defined]
        return [Rule(so_far, float(tree.value[node].ravel()[0]), share)]  # type: ignore[attr-defined]
    unit = units[int(tree.feature[node])]  # type: ignore[attr-defined]
    return [rule for child, there in ((right, True), (left, False)) for rule in _paths(tree, units, child, (*so_far, Condition(unit, there)))]  # fmt: skip
