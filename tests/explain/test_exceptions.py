"""Defaults and their exceptions, of laws that are known."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from veracast.core.errors import NotMeasuredError
from veracast.explain.exceptions import exceptions
from veracast.explain.perturb import Perturbed
from veracast.explain.scorer import Item, Score, Scorer
from veracast.explain.units import Words


def perturbed(score: Score, text: str = "birds fly unless penguins dive") -> Perturbed:
    return Perturbed({"text": text}, (Words(),), Scorer(score))


def told(score: Score) -> list[tuple[int, str | None, float]]:
    found = exceptions(perturbed(score))
    return [(depth, rule.without.name if rule.without else None, round(rule.score, 6)) for depth, rule in found.rule.lines()]  # fmt: skip


def test_an_exception_within_an_exception() -> None:
    """9, unless `birds` is gone: 4, unless `fly` is gone as well: 1."""

    def law(items: Sequence[Item]) -> list[float]:
        return [9.0 if "birds" in one["text"] else 4.0 if "fly" in one["text"] else 1.0 for one in items]

    assert told(law) == [(0, None, 9), (1, "birds", 4), (2, "fly", 1)]
    assert exceptions(perturbed(law)).r2 == pytest.approx(1)


def test_exceptions_beside_each_other() -> None:
    """9, unless `birds` is gone: 2, or else `dive`: 5."""

    def law(items: Sequence[Item]) -> list[float]:
        return [2.0 if "birds" not in one["text"] else 9.0 if "dive" in one["text"] else 5.0 for one in items]

    assert told(law) == [(0, None, 9), (1, "birds", 2), (1, "dive", 5)]


def test_shares_are_those_of_the_choices() -> None:
    rule = exceptions(perturbed(lambda items: [float("birds" in one["text"]) for one in items])).rule
    assert rule.share == 1 and 0.1 < rule.unless[0].share < 0.5


def test_what_exceptions_do_not_explain_is_refused() -> None:
    def parity(items: Sequence[Item]) -> list[float]:
        return [float(len(one["text"].split()) % 2) for one in items]

    with pytest.raises(NotMeasuredError, match="rules with exceptions explain"):
        exceptions(perturbed(parity))
    with pytest.raises(NotMeasuredError, match="nothing to rule"):
        exceptions(perturbed(lambda items: [3.0] * len(items)))
