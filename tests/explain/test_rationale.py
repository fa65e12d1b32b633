"""Claims that another baseline and other contexts confirm, and claims that they do not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from veracast.core.errors import ConfigError
from veracast.explain.item import Explanation, explain_item
from veracast.explain.perturb import Perturbed, Unit
from veracast.explain.rationale import Claim, claims, sentence
from veracast.explain.scorer import Item, Score, Scorer
from veracast.explain.units import Numbers, Words

ITEM = {"numbers": {"a": 2.0, "b": 1.0, "c": 1.0}, "text": "buy now"}
ZERO = (Numbers(dict.fromkeys("abc", 0.0)), Words())


def summed(items: Sequence[Item]) -> list[float]:
    """3 a - b + .01 c, and 1 for `buy`."""
    return [3 * one["numbers"]["a"] - one["numbers"]["b"] + 0.01 * one["numbers"]["c"] + ("buy" in one["text"]) for one in items]  # fmt: skip


def explained(score: Score) -> Explanation:
    return explain_item(score, ITEM, ZERO, unit="ln views")


def other(score: Score, **baseline: float) -> Perturbed:
    return Perturbed(ITEM, (Numbers({"a": 0.0, "b": 0.0, "c": 0.0, **baseline}), Words(blank="…")), Scorer(score))


def test_claims_of_a_sum_by_hand() -> None:
    """Effects 6, -1 and 1; `now` has none and .01 is too little; under the baselines 1 and .5 they move the score by 3, -.5 and 1 in any context."""
    found = claims(explained(summed), other(summed, a=1.0, b=0.5))
    assert [(one.unit.name, one.effect) for one in found] == [("a", pytest.approx(6)), ("b", pytest.approx(-1)), ("buy", pytest.approx(1))]  # fmt: skip
    np.testing.assert_allclose([one.checked for one in found], [3, -0.5, 1], atol=1e-12)
    np.testing.assert_allclose([one.error for one in found], 0, atol=1e-12)
    assert all(one.holds for one in found)


def test_a_claim_that_rests_on_its_baseline_does_not_hold() -> None:
    """2 is more than 0 and less than 5: whether a raises the score is a matter of what it is held against."""
    found = {one.unit.name: one for one in claims(explained(summed), other(summed, a=5.0))}
    assert found["a"].checked == pytest.approx(-9) and not found["a"].holds
    assert found["b"].holds and found["buy"].holds


def test_a_claim_that_rests_on_its_context_has_the_mean_of_contexts() -> None:
    """a counts for 6 where `buy` is there, and for -2 where it is not: in half of the contexts each."""

    def switched(items: Sequence[Item]) -> list[float]:
        return [one["numbers"]["a"] * (3 if "buy" in one["text"] else -1) for one in items]

    (claim,) = [one for one in claims(explained(switched), other(switched), contexts=400) if one.unit.name == "a"]
    assert claim.effect == pytest.approx(6)
    assert claim.error == pytest.approx(4 / np.sqrt(400), rel=0.05)
    assert abs(claim.checked - 2) < 4 * claim.error


def test_small_and_failed_parts_are_no_claims() -> None:
    assert [one.unit.name for one in claims(explained(summed), other(summed), floor=2.0)] == ["a"]
    assert [one.unit.name for one in claims(explained(summed), other(summed), most=2)] == ["a", "b"]


def test_the_same_seed_gives_the_same_contexts() -> None:
    def product(items: Sequence[Item]) -> list[float]:
        return [float(np.prod(list(one["numbers"].values()))) * (2 if "buy" in one["text"] else 1) for one in items]

    first, second, third = (claims(explained(product), other(product), seed=seed) for seed in (0, 0, 1))
    assert first == second and first != third


def test_other_parts_are_refused() -> None:
    shorter = Perturbed({"numbers": {"a": 2.0}}, (Numbers({"a": 0.0}),), Scorer(lambda items: [0.0] * len(items)))
    with pytest.raises(ConfigError, match="on the same parts under another baseline"):
        claims(explained(summed), shorter)


def test_sentences_by_hand() -> None:
    raises, lowers = (Claim(Unit("numbers", "views now"), effect, 1.0, 0.0) for effect in (0.85, -0.3))
    phrases = {Unit("numbers", "views now"): "views now 12,400, typical 3,100"}
    assert (
        sentence(raises, "ln views", phrases=phrases, subject="the forecast")
        == "Views now 12,400, typical 3,100: this raises the forecast by 0.85 ln views, about x 2.3"
    )
    assert sentence(lowers, "levels", phrases={}) == "Views now: this lowers the score by 0.30 levels"
