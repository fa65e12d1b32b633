"""Edges and pairs of laws that are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from veracast.core.errors import ConfigError
from veracast.explain.interplay import MOST, interplay, matching
from veracast.explain.perturb import Perturbed
from veracast.explain.relevance import relevance
from veracast.explain.scorer import Item, Score, Scorer
from veracast.explain.units import Texts, Words


def perturbed(score: Score, text: str = "not bad but not good") -> Perturbed:
    return Perturbed({"text": text, "comments": ["up", "down", "left"]}, (Words(), Texts()), Scorer(score))


def test_a_phrase_is_an_edge_and_a_sum_is_none() -> None:
    """2 for `bad` and `but` together, 5 for `good`, -1 for `not` at the beginning: one edge, of 2."""

    def law(items: Sequence[Item]) -> list[float]:
        return [2.0 * ("bad but" in one["text"]) + 5 * ("good" in one["text"]) - one["text"].startswith("not") for one in items]  # fmt: skip

    model = perturbed(law)
    edges = [(one.one.name, one.other.name, one.whole, one.alone) for one in interplay(model, "text").edges(least=1e-9) if "not" not in one.one.name + one.other.name]  # fmt: skip
    assert edges == [("bad", "but", 2, 2)]


def test_second_differences_by_hand_where_either_is_enough() -> None:
    """An OR of two words: taken away from the whole they differ by -1, alone by -1; with a third that is enough as well, the whole says 0."""

    def either(items: Sequence[Item]) -> list[float]:
        return [float(any(word in one["text"] for word in ("bad", "good", "but"))) for one in items]

    found = interplay(perturbed(either), "text")
    names = [unit.name for unit in found.units]
    i, j = names.index("bad"), names.index("good")
    assert (found.whole[i, j], found.alone[i, j]) == (0, -1)
    assert np.array_equal(found.whole, found.whole.T) and not found.alone.diagonal().any()


def test_partners_are_matched_once_each() -> None:
    """`bad` with down 3 and up 1, `good` with down 2 and up 1.5: together 3 + 1.5 is more than 2 + 1, and `but` has nobody."""
    table = {("bad", "down"): 3.0, ("bad", "up"): 1.0, ("good", "down"): 2.0, ("good", "up"): 1.5}

    def law(items: Sequence[Item]) -> list[float]:
        return [sum(v for (word, comment), v in table.items() if word in one["text"] and comment in one["comments"]) for one in items]  # fmt: skip

    found = matching(relevance(perturbed(law), "text", "comments"))
    assert [(one.one.name, one.other.name, one.whole) for one in found] == [("bad", "comments 2", 3), ("good", "comments 1", 1.5)]  # fmt: skip
    assert len(matching(relevance(perturbed(law), "text", "comments"), least=2.0)) == 1


def test_too_few_or_too_many_parts_are_refused() -> None:
    many = " ".join(f"w{k}" for k in range(MOST + 1))
    for text in ("one", many):
        with pytest.raises(ConfigError, match="parts, a graph has 2 to"):
            interplay(perturbed(lambda items: [0.0] * len(items), text), "text")
    some = interplay(perturbed(lambda items: [0.0] * len(items), many), "text", among=[0, 3])
    assert [unit.name for unit in some.units] == ["w0", "w3"]
