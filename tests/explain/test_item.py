"""Whole explanations of models that are known, and of models that no effects of single parts can explain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from veracast.core.errors import ConfigError
from veracast.explain.item import Explanation, explain_item, passes
from veracast.explain.perturb import Perturbed
from veracast.explain.scorer import Item, Score, Scorer, UnfitScorerError
from veracast.explain.units import Numbers, Texts, Words

NAMES = [f"x{k}" for k in range(12)]
WEIGHTS = dict(zip(NAMES, np.random.default_rng(5).normal(size=12), strict=True))
ITEM = {"text": "buy it now or never", "numbers": dict.fromkeys(NAMES, 1.0), "comments": ["wow"]}
MODALITIES = (Words(), Numbers(dict.fromkeys(NAMES, 0.0)), Texts())


def weighed(items: Sequence[Item]) -> list[float]:
    """Numbers by weights, 3 for `buy`, -1 for `never`, .2 for a comment."""
    return [sum(WEIGHTS[k] * v for k, v in one["numbers"].items()) + 3 * ("buy" in one["text"]) - ("never" in one["text"]) + 0.2 * len(one["comments"]) for one in items]  # fmt: skip


def explained(score: Score = weighed, **options: object) -> Explanation:
    return explain_item(score, ITEM, MODALITIES, unit="ln views", **options)  # type: ignore[arg-type]


def checks(found: Explanation) -> dict[tuple[str, str | None], bool | None]:
    return {(one.name, one.modality): one.passed for one in found.checks}


def test_a_sum_is_explained_and_all_checks_hold() -> None:
    found = explained()
    assert found.modalities.names == ("text", "numbers", "comments")
    np.testing.assert_allclose(found.modalities.values, [2, sum(WEIGHTS.values()), 0.2], atol=1e-9)
    np.testing.assert_allclose(found.parts["numbers"].shapley, list(WEIGHTS.values()), atol=1e-9)
    np.testing.assert_allclose(found.parts["text"].shapley, [3, 0, 0, 0, -1], atol=1e-9)
    assert checks(found) == {
        ("complete", None): True, ("complete", "text"): True, ("deletion", "text"): True, ("complete", "numbers"): True, ("deletion", "numbers"): True,
        ("seed", "numbers"): True, ("complete", "comments"): True, ("deletion", "comments"): None,
    }  # fmt: skip
    assert (found.failed, found.verdict) == ((), "7 of 7 checks hold")


def test_a_modality_of_one_part_says_that_there_was_nothing_to_order() -> None:
    (one,) = [check for check in explained().checks if check.name == "deletion" and check.modality == "comments"]
    assert (one.passed, one.words) == (None, "comments: a single part, nothing to hold against other orders")


def test_what_no_single_part_explains_is_named_and_not_told() -> None:
    """A number drawn anew for every choice of numbers: parts have effects, and none that holds in the next choice."""

    def drawn(items: Sequence[Item]) -> list[float]:
        return [float(np.sin(1e4 * sum((k + 1) ** 1.5 * v for k, v in enumerate(one["numbers"].values())))) for one in items]  # fmt: skip

    found = explained(drawn)
    assert checks(found)["complete", "numbers"] is True and checks(found)["deletion", "numbers"] is False
    assert found.failed == ("numbers",)
    assert "not told: parts of numbers" in found.verdict and "of the way from the best that a search finds to the worst, 10% allowed" in found.verdict  # fmt: skip


def test_where_all_orders_are_alike_nothing_is_told_of_them() -> None:
    def counted(items: Sequence[Item]) -> list[float]:
        return [sum(one["numbers"].values()) for one in items]

    (one,) = [check for check in explained(counted).checks if check.name == "deletion" and check.modality == "numbers"]
    assert (one.passed, one.words) == (None, "numbers: no order of parts lowers the score sooner than another")


def test_a_second_baseline_that_turns_signs_is_told() -> None:
    kept, turned = (Numbers(dict.fromkeys(NAMES, value)) for value in (-3.0, 4.0))
    assert checks(explained(seconds=[kept]))["baseline", "numbers"] is True
    found = explained(seconds=[turned])
    assert checks(found)["baseline", "numbers"] is False
    (words,) = [one.words for one in found.checks if one.name == "baseline"]
    assert "turn the sign" in words and NAMES[int(np.argmax(np.abs(list(WEIGHTS.values()))))] in words  # fmt: skip


def test_the_same_seed_gives_the_same_explanation() -> None:
    def joint(items: Sequence[Item]) -> list[float]:
        return [float(np.prod([1 + v for v in one["numbers"].values()])) for one in items]

    first, second, third = (explained(joint, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.parts["numbers"].shapley, second.parts["numbers"].shapley)
    assert first.verdict == second.verdict and first.asked == second.asked
    assert not np.array_equal(first.parts["numbers"].shapley, third.parts["numbers"].shapley)


def test_passes_are_what_is_asked_at_most() -> None:
    perturbed = Perturbed(ITEM, MODALITIES, Scorer(weighed))
    most = passes(perturbed, orders=32)
    assert explained().asked - 4 <= most  # one alone and three beside each other are asked before
    with pytest.raises(UnfitScorerError, match=f"the explanation {most:,} of them"):
        explained(budget_s=1e-9)


def test_a_second_baseline_of_another_modality_is_refused() -> None:
    with pytest.raises(ConfigError, match="second baseline of 'sound': the modalities are text, numbers, comments"):
        explained(seconds=[Numbers({}, name="sound")])
