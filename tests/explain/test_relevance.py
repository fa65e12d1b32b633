"""Second differences of scores that are known: pairs needed together, pairs of which either is enough, pairs that add, and a third part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from veracast.core.errors import ConfigError
from veracast.explain.perturb import Perturbed
from veracast.explain.relevance import Relevance, relevance
from veracast.explain.scorer import Item, Scorer
from veracast.explain.units import Numbers, Texts, Words

ITEM = {"text": "red cup", "numbers": {"a": 1.0, "b": 1.0, "c": 1.0}, "comments": []}


def found(of: Callable[[set[str], Mapping[str, float]], float]) -> Relevance:
    def score(items: Sequence[Item]) -> list[float]:
        return [of(set(one["text"].split()), one["numbers"]) for one in items]

    return relevance(Perturbed(ITEM, (Words(), Numbers(dict.fromkeys("abc", 0.0))), Scorer(score)), "text", "numbers")


def test_parts_that_only_add_are_irrelevant_to_each_other() -> None:
    one = found(lambda text, x: 3 * ("red" in text) + 2 * x["a"] - x["b"])
    np.testing.assert_allclose([one.whole, one.alone], np.zeros((2, 2, 3)), atol=1e-12)


def test_a_pair_that_is_needed_together_stands_first() -> None:
    one = found(lambda text, x: 4 * ("cup" in text) * x["b"] + 2 * ("red" in text) + x["a"])
    np.testing.assert_allclose([one.whole, one.alone], [[[0, 0, 0], [0, 4, 0]]] * 2, atol=1e-12)
    first = one.pairs()[0]
    assert (first.one.name, first.other.name, first.whole, first.alone) == ("cup", "b", 4, 4)


def test_a_pair_of_which_either_is_enough_is_negative() -> None:
    one = found(lambda text, x: max(float("red" in text), x["c"]))
    assert (one.whole[0, 2], one.alone[0, 2]) == (-1, -1)


def test_a_third_part_makes_the_two_differ_and_comes_last() -> None:
    """red with a is worth 5 only beside b: seen among all parts, not alone; and nothing tells of it otherwise."""
    one = found(lambda text, x: 5 * ("red" in text) * x["a"] * x["b"] + ("cup" in text) * x["c"])
    assert (one.whole[0, 0], one.alone[0, 0]) == (5, 0)
    assert one.pairs()[0][:2] == (one.ones[1], one.others[2])
    assert [(pair.whole, pair.alone) for pair in one.pairs()[-2:]] == [(5, 0), (5, 0)]  # red with a, red with b


def test_it_takes_two_modalities_with_parts() -> None:
    perturbed = Perturbed(ITEM, (Words(), Texts()), Scorer(lambda items: [0.0] * len(items)))
    for other in ("comments", "text"):
        with pytest.raises(ConfigError, match="two modalities with parts are needed"):
            relevance(perturbed, "text", other)
