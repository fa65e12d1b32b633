"""Weights of laws that are known, and refusal where rules say too little."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from veracast.core.errors import ConfigError, NotMeasuredError
from veracast.explain.perturb import Perturbed, Unit
from veracast.explain.scorer import Item, Score, Scorer
from veracast.explain.soft_rules import conjunction, soft_rules
from veracast.explain.units import Numbers, Words

ITEM = {"numbers": {"a": 4.0, "b": 2.0, "c": 9.0}, "text": "buy now"}
MODALITIES = (Numbers({"a": 0.0, "b": 1.0, "c": 0.0}), Words())
A, B, C, BUY, NOW = (Unit("numbers", name) if len(name) == 1 else Unit("text", name) for name in ("a", "b", "c", "buy", "now"))  # fmt: skip


def perturbed(score: Score) -> Perturbed:
    return Perturbed(ITEM, MODALITIES, Scorer(score))


def test_a_linear_law_has_its_weights_and_its_base() -> None:
    """3 a / 4 for a between 0 and 4, -2 (b - 1), 1 for `buy`; the base is that of nothing: 10."""

    def linear(items: Sequence[Item]) -> list[float]:
        return [10 + 0.75 * one["numbers"]["a"] - 2 * (one["numbers"]["b"] - 1) + ("buy" in one["text"]) for one in items]  # fmt: skip

    found = soft_rules(perturbed(linear), [A, B, BUY, NOW])
    assert [rule.units for rule in found.rules] == [(A,), (B,), (BUY,)]
    np.testing.assert_allclose([rule.weight for rule in found.rules], [3, -2, 1], atol=1e-6)
    assert found.base == pytest.approx(10, abs=1e-6) and found.r2 == pytest.approx(1)


def test_a_conjunction_is_one_rule_of_two_parts() -> None:
    def both(items: Sequence[Item]) -> list[float]:
        return [2.0 * ("buy" in one["text"]) * ("now" in one["text"]) for one in items]

    found = soft_rules(perturbed(both), [A, BUY, NOW])
    assert [(set(rule.units), rule.weight) for rule in found.rules] == [({BUY, NOW}, pytest.approx(2))]


def test_lukasiewicz_by_hand() -> None:
    truth = np.array([[1.0, 1.0], [0.7, 0.6], [0.4, 0.5], [1.0, 0.0]])
    np.testing.assert_allclose(conjunction(truth), [1, 0.3, 0, 0])
    np.testing.assert_allclose(conjunction(truth[:, :1]), [1, 0.7, 0.4, 1])


def test_a_number_between_is_scored_between() -> None:
    seen: list[float] = []

    def watched(items: Sequence[Item]) -> list[float]:
        seen.extend(one["numbers"]["a"] for one in items)
        return [one["numbers"]["a"] for one in items]

    soft_rules(perturbed(watched), [A, BUY])
    values = np.array(seen)
    assert ((values > 0) & (values < 4)).mean() > 0.3 and values.min() == 0 and values.max() == 4


def test_what_rules_do_not_explain_is_refused() -> None:
    def odd(items: Sequence[Item]) -> list[float]:
        return [float(((one["numbers"]["a"] > 2) + (one["numbers"]["b"] > 1.5) + ("buy" in one["text"])) % 2) for one in items]  # fmt: skip

    with pytest.raises(NotMeasuredError, match="weighed rules explain"):
        soft_rules(perturbed(odd), [A, B, BUY])
    with pytest.raises(NotMeasuredError, match="nothing to weigh"):
        soft_rules(perturbed(lambda items: [1.0] * len(items)), [A])
    with pytest.raises(ConfigError, match="parts nobody"):
        soft_rules(perturbed(odd), [Unit("numbers", "nobody")])
