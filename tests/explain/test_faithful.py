"""Curves by hand, and explanations that are right, wrong and about nothing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pytest

from veracast.explain.effects import unit_effects
from veracast.explain.faithful import deletion
from veracast.explain.perturb import Perturbed
from veracast.explain.scorer import Item, Scorer
from veracast.explain.units import Numbers

WEIGHTS = np.array([3.0, -2.0, 1.0])


def perturbed(weights: np.ndarray) -> Perturbed:
    """score = 1 + weights x numbers, all of which are 1 and have the baseline 0."""
    names = [f"x{k}" for k in range(len(weights))]

    def score(items: Sequence[Item]) -> np.ndarray:
        return 1 + np.array([list(one["numbers"].values()) for one in items]) @ weights

    return Perturbed({"numbers": dict.fromkeys(names, 1.0)}, (Numbers(dict.fromkeys(names, 0.0)),), Scorer(score))


def test_a_curve_by_hand() -> None:
    """Of 3, -2, 1 the first goes first and the second last: 3, 0, -1, 1."""
    found = deletion(perturbed(WEIGHTS), "numbers", WEIGHTS, orders=4)
    assert found.curve.tolist() == [3, 0, -1, 1]
    assert found.area == 0.75
    areas = {np.mean([1 + WEIGHTS[list(order[gone:])].sum() for gone in range(4)]) for order in permutations(range(3))}
    assert {round(float(one), 9) for one in found.controls} <= {round(float(one), 9) for one in areas}
    assert found.z == pytest.approx((found.controls.mean() - 0.75) / found.controls.std(ddof=1))


def test_the_right_order_is_faithful_and_its_reverse_is_not() -> None:
    weights = np.random.default_rng(3).normal(size=40)
    model = perturbed(weights)
    right, wrong, vague = (deletion(model, "numbers", said) for said in (weights, -weights, np.zeros(40)))
    assert right.faithful and right.z is not None and right.z > 5
    assert not wrong.faithful and wrong.z is not None and wrong.z < -5
    assert vague.z is not None and abs(vague.z) < 3


def test_effects_of_a_model_are_faithful_to_it_and_not_to_another() -> None:
    rng = np.random.default_rng(4)
    mine, other = perturbed(rng.normal(size=24)), perturbed(rng.normal(size=24))
    said = unit_effects(mine, "numbers").shapley
    assert deletion(mine, "numbers", said).faithful
    assert not deletion(other, "numbers", said).faithful


def test_where_nothing_changes_nothing_is_told() -> None:
    found = deletion(perturbed(np.zeros(5)), "numbers", np.arange(5.0))
    assert (found.z, found.faithful) == (None, False)


def test_the_same_seed_gives_the_same_controls() -> None:
    first, second, third = (deletion(perturbed(WEIGHTS), "numbers", WEIGHTS, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.controls, second.controls) and not np.array_equal(first.controls, third.controls)
