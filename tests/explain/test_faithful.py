"""Curves by hand, and explanations that are right, wrong and about nothing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pytest

from veracast.core.errors import ConfigError
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


@pytest.mark.parametrize("said", permutations((3.0, -2.0, 1.0)), ids=str)
def test_a_curve_and_its_regret_by_hand(said: tuple[float, ...]) -> None:
    """Of 3, -2, 1 the first goes first and the second last: 3, 0, -1, 1, the best; the worst order is the reverse: 3, 5, 4, 1."""
    found = deletion(perturbed(WEIGHTS), "numbers", np.array(said))
    order = np.argsort(-np.array(said))
    curve = [3 - WEIGHTS[order[:gone]].sum() for gone in range(4)]
    assert found.curve.tolist() == curve and found.area == np.mean(curve)
    assert found.regret == pytest.approx((np.mean(curve) - 0.75) / (3.25 - 0.75))
    assert found.faithful is (said == (3.0, -2.0, 1.0))


def test_the_best_and_worst_orders_are_those_of_all_written_out() -> None:
    rng = np.random.default_rng(6)
    table = rng.normal(size=32)

    def score(items: Sequence[Item]) -> list[float]:
        return [table[int(sum(v * 2**k for k, v in enumerate(one["numbers"].values())))] for one in items]

    names = [f"x{k}" for k in range(5)]
    model = Perturbed({"numbers": dict.fromkeys(names, 1.0)}, (Numbers(dict.fromkeys(names, 0.0)),), Scorer(score))
    found = [deletion(model, "numbers", -np.argsort(order)) for order in permutations(range(5))]
    assert min(one.regret or 0 for one in found) == pytest.approx(0, abs=1e-12)
    assert max(one.regret or 0 for one in found) == pytest.approx(1)


def test_the_right_order_is_faithful_and_its_reverse_is_not() -> None:
    weights = np.random.default_rng(3).normal(size=40)
    model = perturbed(weights)
    right, wrong, vague = (deletion(model, "numbers", said) for said in (weights, -weights, np.zeros(40)))
    assert right.faithful and right.z is not None and right.z > 5 and right.regret is None
    assert wrong.faithful is False and wrong.z is not None and wrong.z < -5
    assert vague.faithful is False and vague.z is not None and abs(vague.z) < 3
    assert right.z == pytest.approx((right.controls.mean() - right.area) / right.controls.std(ddof=1))


def test_effects_of_a_model_are_faithful_to_it_and_not_to_another() -> None:
    rng = np.random.default_rng(4)
    mine, other = perturbed(rng.normal(size=24)), perturbed(rng.normal(size=24))
    said = unit_effects(mine, "numbers").shapley
    assert deletion(mine, "numbers", said).faithful
    assert deletion(other, "numbers", said).faithful is False


def test_one_part_that_makes_the_score_among_many_is_held_against_a_greedy_search() -> None:
    """Its right order has z = sqrt(3) at most, by hand: areas are even over its place, so no z above 3 can be asked of anybody."""
    weights = np.append(5.0, np.full(16, 1e-3))
    right, wrong = (deletion(perturbed(weights), "numbers", said) for said in (weights, -weights))
    assert right.z is not None and right.z < 2.5 and right.faithful is True
    assert right.regret == pytest.approx(0, abs=1e-9)
    assert wrong.faithful is False and wrong.regret == pytest.approx(1)


def test_where_an_order_could_do_better_a_low_z_is_no_excuse() -> None:
    weights = np.random.default_rng(3).normal(size=40)
    vague = deletion(perturbed(weights), "numbers", np.zeros(40))
    assert (vague.regret, vague.faithful) == (None, False)


def test_where_a_search_sees_no_first_step_the_random_orders_are_its_ends() -> None:
    """The score falls only when two parts are both gone, so no single step says which way to go, and both ends of the search are one order."""

    def either(items: Sequence[Item]) -> np.ndarray:
        return np.array([float(item["numbers"]["p11"] + item["numbers"]["p12"] > 0) for item in items])

    names = [f"p{k}" for k in range(1, 13)]
    found = deletion(
        Perturbed({"numbers": dict.fromkeys(names, 1.0)}, [Numbers(dict.fromkeys(names, 0.0))], Scorer(either)),
        "numbers",
        np.arange(12.0),
        searched=2,
    )
    assert found.regret == 0 and found.faithful is True
    assert found.area == min(found.area, *found.controls) and found.area == pytest.approx(2 / 13)


def test_where_nothing_changes_nothing_is_told() -> None:
    for parts in (5, 12):
        found = deletion(perturbed(np.zeros(parts)), "numbers", np.arange(float(parts)))
        assert (found.z, found.regret, found.faithful) == (None, None, None)


def test_one_part_has_no_order() -> None:
    with pytest.raises(ConfigError, match="numbers has 1 parts: nothing to order"):
        deletion(perturbed(np.ones(1)), "numbers", np.ones(1))


def test_the_same_seed_gives_the_same_controls() -> None:
    weights = np.arange(12.0)
    first, second, third = (deletion(perturbed(weights), "numbers", weights, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.controls, second.controls) and not np.array_equal(first.controls, third.controls)
