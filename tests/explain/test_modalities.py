"""Models whose modality effects are known in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
import pytest

from veracast.explain.modalities import modality_effects
from veracast.explain.perturb import Perturbed
from veracast.explain.scorer import Item, Score, Scorer
from veracast.explain.units import Modality, Numbers, Texts, Words

ITEM = {"text": "win", "comments": ["wow", "ha"], "numbers": {"a": 3.0, "b": 4.0}}
MODALITIES: tuple[Modality, ...] = (Words(), Texts(), Numbers({"a": 1.0, "b": 1.0}))


def features(item: Item) -> tuple[float, float, float]:
    """One of each modality: 1, 2 and a b = 12; at the baselines 0, 0 and 1."""
    return float(item["text"] == "win"), float(len(item["comments"])), item["numbers"]["a"] * item["numbers"]["b"]


def effects(score: Score) -> tuple[list[float], np.ndarray]:
    found = modality_effects(Perturbed(ITEM, MODALITIES, Scorer(score)))
    assert found.names == ("text", "comments", "numbers")
    assert found.completeness_error <= 1e-6
    return found.values.tolist(), found.pairs


def weighed(items: Sequence[Item]) -> list[float]:
    return [2 * t + 3 * c - x for t, c, x in map(features, items)]


def multiplied(items: Sequence[Item]) -> list[float]:
    return [prod(features(item)) for item in items]


def test_a_weighed_sum_gives_each_modality_its_term_and_no_pair_anything() -> None:
    values, pairs = effects(weighed)
    assert values == pytest.approx([2, 6, -11], abs=1e-12)
    np.testing.assert_allclose(pairs, 0, atol=1e-12)


def test_a_product_in_closed_form() -> None:
    """v = t c x with worths 24 of all and 2 of text and comments (x is 1 at its baseline): by the six orders text 8 + 1/3, comments the same,
    numbers 22/3. Text with comments: half of 2 without numbers and 24 with them; a pair with numbers: half of 22."""
    values, pairs = effects(multiplied)
    assert values == pytest.approx([25 / 3, 25 / 3, 22 / 3], abs=1e-12)
    assert [pairs[0, 1], pairs[0, 2], pairs[1, 2]] == pytest.approx([13, 11, 11], abs=1e-12)


def test_an_and_and_a_sum_of_halves_differ_in_their_interaction_alone() -> None:
    def both(items: Sequence[Item]) -> list[float]:
        return [float(t == 1 and c == 2) for t, c, _ in map(features, items)]

    def halves(items: Sequence[Item]) -> list[float]:
        return [(t + c / 2) / 2 for t, c, _ in map(features, items)]

    (joint, joint_pairs), (apart, apart_pairs) = effects(both), effects(halves)
    assert joint == pytest.approx([0.5, 0.5, 0], abs=1e-12) and apart == pytest.approx(joint, abs=1e-12)
    assert (joint_pairs[0, 1], apart_pairs[0, 1]) == pytest.approx((1, 0), abs=1e-12)


def test_a_constant_has_no_effects_and_scores_are_told() -> None:
    found = modality_effects(Perturbed(ITEM, MODALITIES, Scorer(lambda items: [7.0] * len(items))))
    assert (found.values.tolist(), found.full, found.base) == ([0, 0, 0], 7.0, 7.0)
    assert modality_effects(Perturbed(ITEM, MODALITIES, Scorer(weighed))).full == 2 + 6 - 12
